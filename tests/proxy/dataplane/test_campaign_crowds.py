"""Many at once, and those who hold on: WebSockets, idle connections, clients that never finish. The
worker survives, its memory is bounded, others are served.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal

import pytest

from tests.support.campaign import IS_WHOLE, TIMEOUT_S, allow_descriptors, amount
from tests.support.crowd_app import crowd_app
from tests.support.dataplane import Client, Got
from tests.support.websocket import HANDSHAKE, client_frame, read_frame
from tests.support.worker import DataWorker, connect, data_worker, is_served, until_descriptors

WEBSOCKETS = amount(40, 2000)
ROUNDS = 5
AT_ONCE = 200
TUNNEL_KIB = 24
IDLE = amount(200, 10_000)
IDLE_KIB = 8
FIRST_USE_KIB = 4096
HERD = amount(40, 1000)
DESCRIPTORS = amount(1024, 16_384)
PATIENCE_S = 60.0
LIMITS = {"header_timeout_s": 1.0, "body_idle_timeout_s": 1.0, "keepalive_timeout_s": 3600.0}

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(TIMEOUT_S)]


def _scope(fixture_name: str, config: pytest.Config) -> Literal["function", "module"]:
    """Whole campaigns measure memory, each from a fresh start; samples share one worker."""
    return "function" if IS_WHOLE else "module"


@pytest.fixture(scope=_scope)
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataWorker]:
    allow_descriptors(DESCRIPTORS)
    home = tmp_path_factory.mktemp("worker")
    with crowd_app() as app, data_worker(home, app.port, downstream=LIMITS) as worker:
        worker.wait_for_rooms()
        yield worker


# -- WebSockets


async def open_websocket(worker: DataWorker, gate: asyncio.Semaphore) -> Client:
    async with gate:
        client = await connect(worker)
        await client.send(HANDSHAKE)
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return client


async def talk(client: Client, number: int) -> None:
    for turn in range(ROUNDS):
        text = b"%d says %d" % (number, turn)
        await client.send(client_frame(text))
        assert await read_frame(client.reader) == text


async def test_websockets_all_echo(worker: DataWorker) -> None:
    assert await is_served(worker)
    memory = worker.memory()
    gate = asyncio.Semaphore(AT_ONCE)
    clients = await asyncio.gather(*(open_websocket(worker, gate) for _ in range(WEBSOCKETS)))
    assert worker.descriptors() >= 2 * WEBSOCKETS
    await asyncio.gather(*(talk(client, number) for number, client in enumerate(clients)))
    assert await is_served(worker)
    grown = worker.memory() - memory
    print(f"{WEBSOCKETS} WebSockets: {grown / WEBSOCKETS:.1f} KiB each")
    assert grown <= FIRST_USE_KIB + WEBSOCKETS * TUNNEL_KIB
    for client in clients:
        client.close()
    await until_descriptors(worker, WEBSOCKETS)


# -- idle connections


@contextlib.contextmanager
def holder_of(count: int, worker: DataWorker) -> Iterator[subprocess.Popen[bytes]]:
    """A process that opens and holds so many connections."""
    holder = subprocess.Popen(
        [sys.executable, "-m", "tests.support.idle_clients", str(worker.port), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield holder
    finally:
        if holder.poll() is None:
            holder.kill()
            holder.communicate()


async def test_idle_connections_cost_little_and_stay_usable(worker: DataWorker) -> None:
    assert await is_served(worker)
    memory = worker.memory()
    with holder_of(IDLE, worker) as holder:
        assert holder.stdout is not None
        assert int(await asyncio.to_thread(holder.stdout.readline)) == IDLE
        assert worker.descriptors() >= IDLE
        assert await is_served(worker)
        grown = worker.memory() - memory
        before = worker.cpu_s()
        await asyncio.sleep(1.0)
        busy = worker.cpu_s() - before
        print(f"{IDLE} idle: {grown / IDLE:.1f} KiB each, {busy:.2f} s of processor a second")
        assert grown <= FIRST_USE_KIB + IDLE * IDLE_KIB
        assert busy < 0.5
        out, _ = await asyncio.to_thread(holder.communicate)
        assert int(out) == IDLE, "each of them may ask again"
    await until_descriptors(worker, IDLE // 2)


# -- clients that never finish


async def hang(worker: DataWorker, words: bytes) -> Got:
    """Begin a request and never end it; what the proxy says to that."""
    client = await connect(worker)
    await client.send(words)
    async with asyncio.timeout(PATIENCE_S):
        got = await client.got()
        rest = await client.ended()
    assert rest == b""
    client.close()
    return got


async def test_a_herd_of_slow_clients_is_sent_away_and_others_are_served(
    worker: DataWorker,
) -> None:
    head, body = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"POST / HTTP/1.1\r\nHost: a\r\n"
    unfinished = (
        head,
        head + b"." * 2000,
        body + b"Content-Length: 9\r\n\r\nab",
        body + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    )
    async with asyncio.TaskGroup() as group:
        herd = [
            group.create_task(hang(worker, words)) for words in unfinished for _ in range(HERD // 4)
        ]
        served = 0
        while not all(task.done() for task in herd):
            assert await is_served(worker)
            served += 1
            await asyncio.sleep(0.02)
    assert served > 0
    assert {task.result().status for task in herd} == {408}
    assert {tuple(task.result().values(b"connection")) for task in herd} == {(b"close",)}
    await until_descriptors(worker, HERD // 2 + 20)
