"""A worker with hardly any descriptors: newcomers are told so, requests of those already here go
on, nothing spins, and once there is room again all is as before.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.campaign import TIMEOUT_S
from tests.support.crowd_app import CrowdApp, crowd_app
from tests.support.dataplane import GET, Client, Got
from tests.support.sidecar import ask
from tests.support.worker import DataWorker, connect, data_worker, is_served, until_descriptors

FEW_DESCRIPTORS = 64
HERE_BEFORE = 10
NEWCOMERS = 100
PATIENCE_S = 60.0
WAIT = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(TIMEOUT_S)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[CrowdApp, DataWorker]]:
    few, short = FEW_DESCRIPTORS, {"keepalive_s": 0.5}
    with (
        crowd_app() as app,
        data_worker(tmp_path, app.port, descriptors=few, upstream=short) as worker,
    ):
        worker.wait_for_rooms()
        yield app, worker


async def say(client: Client, raw: bytes = GET) -> Got:
    with contextlib.suppress(OSError):
        await client.send(raw)
        return await client.got()
    return Got()


async def spun_s(worker: DataWorker) -> float:
    """Processor seconds of one second."""
    before = worker.cpu_s()
    await asyncio.sleep(1.0)
    return worker.cpu_s() - before


async def recovered(worker: DataWorker, clients: list[Client], start: int) -> None:
    for client in clients:
        client.close()
    async with asyncio.timeout(PATIENCE_S):
        while not await is_served(worker):
            await asyncio.sleep(0.05)
    await until_descriptors(worker, start)
    assert worker.is_alive


async def test_newcomers_are_turned_away_and_requests_use_the_last_descriptor(
    place: tuple[CrowdApp, DataWorker],
) -> None:
    app, worker = place
    assert await is_served(worker)
    start = worker.descriptors()
    url = f"http://127.0.0.1:{worker.port}"

    # idle clients first: they must not take what a request needs
    here = [await connect(worker) for _ in range(HERE_BEFORE)]
    assert {(await say(client)).status for client in here} == {200}
    newcomers = [await connect(worker) for _ in range(NEWCOMERS)]
    answers = [await say(client) for client in newcomers]
    assert {got.status for got in answers} <= {0, 200, 503}
    refused = [got for got in answers if got.status == 503]
    assert refused, "so many cannot fit"
    assert all(b"connection_limit_reached" in got.raw and got.complete for got in refused)
    for _ in range(3):
        together = await asyncio.gather(*map(say, here))
        assert {got.status for got in together} == {200}
    live = await say(here[0], b"GET /__selfheal/livez HTTP/1.1\r\nHost: a\r\n\r\n")
    assert live.status == 200
    assert await spun_s(worker) < 0.5, "it waits, and does not spin"
    await recovered(worker, [*here, *newcomers], start)

    # then requests under way: those the app got are answered whole, the others are told why not
    clients = [await connect(worker) for _ in range(FEW_DESCRIPTORS)]
    asking = [asyncio.ensure_future(say(client, WAIT)) for client in clients]
    async with asyncio.timeout(PATIENCE_S):
        while app.waiting + sum(task.done() for task in asking) < len(asking):
            await asyncio.sleep(0.02)
    assert app.waiting >= HERE_BEFORE
    assert await spun_s(worker) < 0.5, "it waits, and does not spin"
    app.let_answer()
    answers = await asyncio.gather(*asking)
    assert {got.status for got in answers} <= {0, 200, 503}
    assert sum(got.status == 200 for got in answers) == app.waiting
    assert all(got.complete for got in answers if got.status)
    await recovered(worker, clients, start)
    assert (await asyncio.to_thread(ask, url, "/__selfheal/livez")).status == 200
