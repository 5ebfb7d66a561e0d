"""Ours through every case: a sample in ``make test``, all of them in ``make shows``.

``make parity`` puts the peers that are installed beside it, in a table.
"""

import asyncio
import contextlib
import os
import random
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvloop

from proxy.store.embedded import Cluster
from tests.parity.case import Arrival, Case
from tests.parity.doors import SETTINGS, ours, upstreams
from tests.parity.groups import GROUPS
from tests.parity.playing import Upstream
from tests.parity.report import complaints
from tests.parity.running import run
from tests.support.campaign import IS_WHOLE, SEED, TIMEOUT_S, amount
from tests.support.sidecar import Sidecar, run_sidecar, until

LANES = 8
_ONE_OF = amount(12, 1)
KILL_EVERY_S = 0.2
pytestmark = [pytest.mark.campaign, pytest.mark.timeout(TIMEOUT_S)]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


def _sample(cases: list[Case], *seeds: object) -> list[Case]:
    return random.Random(f"{SEED} {seeds}").sample(cases, -(-len(cases) // _ONE_OF))


async def _complaints(cases: list[Case], arrival: Arrival, *, hot: bool) -> list[str]:
    async with ours(LANES, hot=hot) as lanes:
        return complaints(cases, await run(cases, lanes, arrival=arrival))


@pytest.mark.parametrize("group", GROUPS)
def test_a_case_is_known_by_its_name(group: str) -> None:
    names = [case.name for case in GROUPS[group]]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
@pytest.mark.parametrize("group", GROUPS)
async def test_ours_is_right_about_every_case(group: str, hot: bool) -> None:
    cases = GROUPS[group]
    ways = (_complaints(_sample(cases, hot, way), way, hot=hot) for way in Arrival)
    told = await asyncio.gather(*ways)
    assert dict(zip(Arrival, told, strict=True)) == {way: [] for way in Arrival}


@contextlib.asynccontextmanager
async def _blind_relay(upstream: int) -> AsyncIterator[int]:
    """What looks at nothing: every byte goes on as it came."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection("127.0.0.1", upstream)
        await asyncio.gather(pipe(reader, there), pipe(back, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize("group", ["bad requests", "bad answers"])
async def test_a_proxy_that_looks_at_nothing_is_seen_through(group: str) -> None:
    cases = _sample(GROUPS[group])
    async with upstreams(len(cases)) as made, contextlib.AsyncExitStack() as stack:
        lanes = [
            (await stack.enter_async_context(_blind_relay(upstream.port)), upstream)
            for upstream in made
        ]
        told = complaints(cases, await run(cases, lanes))
    assert len(told) > len(cases) // 2


@contextlib.contextmanager
def _kept_down(data_dir: Path) -> Iterator[None]:
    """No database for as long: each that the supervisor brings back is killed again."""
    cluster, over = Cluster(data_dir), threading.Event()

    def kill() -> None:
        while not over.wait(KILL_EVERY_S):
            with contextlib.suppress(OSError, ValueError, IndexError):
                pid = int((cluster.data / "postmaster.pid").read_text().split()[0])
                os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def _through(sidecar: Sidecar, upstream: Upstream) -> dict[str, list[str]]:
    """Group → complaints. One sidecar, so one case after another."""
    lane = (urlsplit(sidecar.data_url).port or 0, upstream)
    return {group: complaints(cases, await run(cases, [lane])) for group, cases in GROUPS.items()}


@pytest.mark.skipif(not IS_WHOLE, reason="a sidecar, twice through every case: make shows")
async def test_the_database_makes_no_difference(tmp_path: Path) -> None:
    async with upstreams(1) as (upstream,):
        url = f"http://127.0.0.1:{upstream.port}"
        with contextlib.ExitStack() as stack:
            start = stack.enter_context
            sidecar = await asyncio.to_thread(lambda: start(run_sidecar(tmp_path, url, *SETTINGS)))
            await asyncio.to_thread(sidecar.wait_for_database)
            well = {group: list[str]() for group in GROUPS}
            assert await _through(sidecar, upstream) == well
            with _kept_down(sidecar.data_dir):
                await asyncio.to_thread(
                    until, lambda: _storage(sidecar) != "ok", what="the database to go"
                )
                assert await _through(sidecar, upstream) == well
                assert _storage(sidecar) != "ok"
            assert sidecar.process.poll() is None


def _storage(sidecar: Sidecar) -> str:
    return str(sidecar.control("/healthz").json()["storage"]["state"])
