"""The app is killed and started again under load: only what was on its way then fails, and nothing
that may happen once happens twice.
"""

import asyncio
import random
import time
from pathlib import Path

import pytest

from tests.support.campaign import SEED, TIMEOUT_S, amount
from tests.support.visitors import Asked, Crowd, LedgerApp, ledger_app
from tests.support.worker import data_worker

VISITORS = 12
RESTARTS = amount(3, 200)
GOOD_BETWEEN = 40
"""Answers awaited between a start and the next kill, so that every kill meets busy connections."""


def fell_into(asked: Asked, outages: list[tuple[float, float]]) -> bool:
    return any(asked.began <= over and asked.ended >= killed for killed, over in outages)


async def good(crowd: Crowd, count: int) -> None:
    """Until so many more good answers came."""
    start = len(crowd.asked)
    async with asyncio.timeout(60):
        while sum(asked.is_good for asked in crowd.asked[start:]) < count:
            await asyncio.sleep(0.01)


async def restart(app: LedgerApp, crowd: Crowd, dice: random.Random) -> tuple[float, float]:
    await asyncio.sleep(dice.random() * 0.02)
    killed = time.monotonic()
    app.kill()
    await asyncio.to_thread(app.start)
    over = time.monotonic()
    await good(crowd, GOOD_BETWEEN)
    return killed, over


@pytest.mark.campaign
@pytest.mark.timeout(TIMEOUT_S)
async def test_a_restart_costs_only_the_requests_it_kills(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    with ledger_app(tmp_path / "ledger") as app, data_worker(tmp_path, app.port) as worker:
        crowd = Crowd(worker.port, SEED)
        async with asyncio.TaskGroup() as group:
            for visitor in range(VISITORS):
                group.create_task(crowd.visit(visitor))
            await good(crowd, GOOD_BETWEEN)
            outages = [await restart(app, crowd, dice) for _ in range(RESTARTS)]
            crowd.is_leaving = True
        ledger = app.lines()
    assert crowd.unanswered_connects == 0, "the proxy itself was never away"
    failed = [asked for asked in crowd.asked if not asked.is_good]
    assert [a for a in failed if not fell_into(a, outages)] == []
    assert {a.status for a in failed} <= {0, 200, 502}, "cut visibly, or told as the app's failure"
    assert all(asked.is_own for asked in crowd.asked), "nobody got somebody else's answer"
    unsafe = {key: n for key, n in ledger.items() if key[0] in (b"POST", b"PATCH")}
    assert unsafe
    assert {key: n for key, n in unsafe.items() if n > 1} == {}
    known = {number for _, number in ledger}
    assert [a for a in crowd.asked if a.is_good and a.number not in known] == []
    print(f"{len(outages)} restarts, {len(crowd.asked)} requests, {len(failed)} failed")
