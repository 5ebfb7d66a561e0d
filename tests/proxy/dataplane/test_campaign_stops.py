"""`selfheal up` is told to stop under load: whatever reached the app is answered whole, and clients
that keep connections alive are told that theirs ends.
"""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.support.campaign import SEED, TIMEOUT_S, amount
from tests.support.dataplane import Client
from tests.support.sidecar import Sidecar, free_port, run_sidecar
from tests.support.visitors import Asked, Crowd, LedgerApp, ledger_app

VISITORS = 10
STOPS = amount(1, 50)
ASKED_BEFORE = 60
SETTLE_S = 0.3
"""From closed listeners to an answer that comes in the midst of the drain."""


def processes_below(pid: int) -> list[int]:
    """``pid`` and all its children and theirs, as a service manager knows them."""
    listed = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [pid]
    for parent in found:
        found += [child for child, its in pairs if its == parent]
    return found


async def slow(crowd: Crowd, app: LedgerApp, number: int, kind: str) -> Asked:
    """One question that is under way when the stop comes."""
    client = Client(*await asyncio.open_connection("127.0.0.1", crowd.port))
    dice, name = random.Random(number), b"slow-%d-%d" % (crowd.seed, number)
    try:
        return await crowd.ask(client, name, kind, dice, wait=b"gate")
    finally:
        client.close()


async def reached(app: LedgerApp, numbers: set[bytes]) -> None:
    async with asyncio.timeout(60):
        while not numbers <= {number for _, number in app.lines()}:
            await asyncio.sleep(0.02)


async def refusal(port: int) -> None:
    """Until nobody listens any more."""
    async with asyncio.timeout(60):
        while True:
            try:
                client = Client(*await asyncio.open_connection("127.0.0.1", port))
            except OSError:
                return
            client.close()
            await asyncio.sleep(0.01)


async def stop_under_load(sidecar: Sidecar, app: LedgerApp, seed: int) -> Crowd:
    """Load, a stop in its midst, and everything that was asked until nobody listened any more."""
    crowd = Crowd(int(sidecar.data_url.rpartition(":")[2]), seed, wait_ms=30)
    async with asyncio.TaskGroup() as group:
        for visitor in range(VISITORS):
            group.create_task(crowd.visit(visitor, reconnect=False))
        async with asyncio.timeout(60):
            while len(crowd.asked) < ASKED_BEFORE:
                await asyncio.sleep(0.01)
        kinds = ("get", "post", "chunked answer", "chunked post")
        slows = [group.create_task(slow(crowd, app, n, kind)) for n, kind in enumerate(kinds)]
        await reached(app, {b"slow-%d-%d" % (seed, n) for n in range(len(kinds))})
        everybody = processes_below(sidecar.process.pid)
        for pid in everybody if seed % 2 else everybody[:1]:
            with contextlib.suppress(ProcessLookupError):  # a short-lived child may be done
                os.kill(pid, signal.SIGTERM)
        await refusal(crowd.port)
        await asyncio.sleep(SETTLE_S)
        app.open_gate()
    told = [(task.result().is_good, task.result().says_close) for task in slows]
    assert told == [(True, True)] * len(slows), "in flight: answered whole, and told to go"
    return crowd


@pytest.mark.campaign
@pytest.mark.timeout(TIMEOUT_S)
async def test_a_stop_loses_no_request_that_reached_the_app(tmp_path: Path) -> None:
    nowhere = f"postgresql://nobody:x@127.0.0.1:{free_port()}/none"
    asked: list[Asked] = []
    with ledger_app(tmp_path / "ledger") as app:
        for number in range(STOPS):
            app.close_gate()
            with run_sidecar(
                tmp_path, f"http://127.0.0.1:{app.port}", "--database-url", nowhere
            ) as sidecar:
                crowd = await stop_under_load(sidecar, app, SEED + number)
                assert await asyncio.to_thread(sidecar.process.wait, 60) == 0
            asked += crowd.asked
        ledger = app.lines()
    heard = {number for _, number in ledger}
    lost = [a for a in asked if a.number in heard and not a.is_good]
    assert lost == []
    assert [a for a in asked if a.is_good and a.number not in heard] == []
    assert [key for key, n in ledger.items() if n > 1] == [], "nothing is asked twice"
    assert any(a.says_close for a in asked if a.kind in ("get", "post"))
    outcomes = Counter((a.status, a.is_whole) for a in asked)
    print(f"{STOPS} stops, {len(asked)} requests, {dict(outcomes)}")
