"""After a long day of every kind of request, good and bad, nothing is left open or held."""

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from tests.support.campaign import SEED, TIMEOUT_S, amount
from tests.support.dataplane import Client
from tests.support.visitors import KINDS, Crowd, ledger_app
from tests.support.websocket import HANDSHAKE
from tests.support.worker import DataWorker, data_worker, until_descriptors

VISITORS = 8
REQUESTS = amount(480, 100_000)
BAD_EVERY = 40
"""One in so many visitors' turns is somebody who breaks off, lies, or talks nonsense."""
GROWTH_KIB = amount(6144, 2048)
"""A whole day may cost no more than this beyond its first tenth; a sample is mostly first use."""

_HEAD = b"POST /bad HTTP/1.1\r\nHost: a\r\nX-Id: bad\r\n"
BAD = (
    b"nonsense\r\n\r\n",
    b"GET /bad HTTP/1.1\r\nHost: a\r\nX-Id",
    _HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    _HEAD + b"Content-Length: 500000\r\n\r\nonly this",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    b"GET /bad HTTP/1.1\r\nHost: a\r\nX-Id: bad\r\nX-Wait: 20\r\nX-Size: 300000\r\n\r\n",
    b"GET /bad HTTP/1.1\r\nHost: a\r\nX-Id: bad\r\n\r\n" * 20,
    HANDSHAKE[:-2] + b"X-Id: bad\r\n\r\n",
    b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
)


async def misbehave(port: int, dice: random.Random) -> None:
    """Say something bad and leave, politely or not, at once or after an answer."""
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    with contextlib.suppress(OSError):
        await client.send(dice.choice(BAD))
        if dice.random() < 0.5:
            await client.got()
    if dice.random() < 0.5:
        client.reset()
    client.close()
    with contextlib.suppress(OSError):
        await client.writer.wait_closed()


async def live(crowd: Crowd, visitor: int, share: int) -> None:
    dice = random.Random(SEED + visitor)
    client: Client | None = None
    for turn in range(share):
        if turn % BAD_EVERY == 0:
            await misbehave(crowd.port, dice)
            continue
        if client is None:
            client = Client(*await asyncio.open_connection("127.0.0.1", crowd.port))
        number = b"%d-%d-%d" % (len(crowd.asked), visitor, turn)
        asked = await crowd.ask(client, number, dice.choice(KINDS), dice, wait=b"0")
        assert asked.is_good, asked
        if asked.says_close or asked.kind in ("close", "old"):
            client.close()
            await client.writer.wait_closed()
            client = None
    if client is not None:
        client.close()
        await client.writer.wait_closed()


async def day(worker: DataWorker, requests: int) -> None:
    crowd = Crowd(worker.port, SEED)
    async with asyncio.TaskGroup() as group:
        for visitor in range(VISITORS):
            group.create_task(live(crowd, visitor, requests // VISITORS))


@pytest.mark.campaign
@pytest.mark.timeout(TIMEOUT_S)
async def test_nothing_is_left_after_a_long_day(tmp_path: Path) -> None:
    short = {"keepalive_s": 0.5}
    with (
        ledger_app(tmp_path / "ledger") as app,
        data_worker(tmp_path, app.port, upstream=short, metrics={"buffer_size": 200}) as worker,
    ):
        worker.wait_until_it_rests()
        descriptors = worker.descriptors()
        await day(worker, REQUESTS // 10)
        await until_descriptors(worker, descriptors)
        memory = worker.memory()
        await day(worker, REQUESTS - REQUESTS // 10)
        await until_descriptors(worker, descriptors)
        grown = worker.memory() - memory
        print(f"{REQUESTS} requests: {grown} KiB more than after the first tenth")
        assert grown <= GROWTH_KIB
