"""Many failures in, few writes out, nothing lost that had room."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from proxy.clock import ManualClock
from proxy.config import Healing
from proxy.domain.facet import telling
from proxy.domain.failure import Category, Evidence, ReplayRequest, Severity
from proxy.domain.job import Job
from proxy.errors import Conflict, Unavailable
from proxy.healing import intake as intake_module
from proxy.healing import waiting as waiting_module
from proxy.healing.intake import LINKED_MAX, STORM_S, Intake
from proxy.healing.jump import WINDOW_S, ClientErrors
from proxy.healing.shelf import decode_entry, encode_entry
from proxy.observability.spool import Spool
from proxy.store import grouping, jobs
from proxy.store.jobs import JobQuery
from proxy.store.pool import AS_PROXY, acting, open_pool
from proxy.tasks import cancel, spawn
from tests.support.postgres import TestDatabase
from tests.support.store import WHEN, classified, failure


class Store:
    """The sidecar's way to the database, with a plug that can be pulled."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self.pool = pool
        self.away = False
        self.writes = 0

    @asynccontextmanager
    async def as_sidecar(self) -> AsyncIterator[asyncpg.Connection]:
        if self.away:
            raise Unavailable("the database is not there")
        async with acting(self.pool, AS_PROXY) as conn:
            self.writes += 1
            yield conn

    async def jobs(self) -> list[Job]:
        async with acting(self.pool, AS_PROXY) as conn:
            return list((await jobs.list_jobs(conn, JobQuery())).jobs)


@pytest.fixture
async def store(database: TestDatabase) -> AsyncIterator[Store]:
    pool = await open_pool(database.proxy_dsn)
    try:
        yield Store(pool)
    finally:
        await pool.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_storm_of_one_bug_is_one_job_with_the_exact_count(
    store: Store, database: TestDatabase
) -> None:
    intake = Intake(store.as_sidecar, clock=ManualClock())
    running = spawn(intake.run(), name="intake")
    for _ in range(1000):
        intake.offer(failure(log_id=uuid4()), classified())
    await until(lambda: intake.delivered == 1000)
    await cancel(running)
    (job,) = await store.jobs()
    assert job.occurrences == 1000
    assert store.writes < 10
    reader = await database.connect_installer()
    linked = await reader.fetchval("select count(*) from selfheal.self_healing_links")
    await reader.close()
    assert 1 <= linked <= LINKED_MAX * store.writes


async def test_two_intakes_of_two_workers_add_up(store: Store) -> None:
    both = [Intake(store.as_sidecar, clock=ManualClock()) for _ in range(2)]
    for n in range(100):
        both[n % 2].offer(failure(), classified(f"v1:{n % 4:016x}"))
    await asyncio.gather(*(one.finish() for one in both))
    assert sorted(job.occurrences for job in await store.jobs()) == [25, 25, 25, 25]


async def test_while_the_database_is_away_everything_waits_and_comes_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "RETRY_S", 0.02)
    store.away = True
    intake = Intake(store.as_sidecar, clock=ManualClock())
    running = spawn(intake.run(), name="intake")
    for n in range(30):
        intake.offer(failure(), classified(f"v1:{n % 3:016x}"))
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert (intake.waiting, intake.delivered) == (30, 0)
    store.away = False
    await until(lambda: intake.delivered == 30)
    await cancel(running)
    assert [job.occurrences for job in await store.jobs()] == [10, 10, 10]


async def test_beyond_the_bound_everything_new_is_one_storm(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_module, "SIGNATURES_MAX", 5)
    store.away = True
    intake = Intake(store.as_sidecar, clock=ManualClock())
    for n in range(8):
        intake.offer(failure(), classified(f"v1:{n:016x}"))
    intake.offer(failure(), classified(f"v1:{0:016x}"))
    assert (intake.waiting, intake.dropped) == (9, 0)
    await intake.finish()
    assert (intake.waiting, intake.dropped) == (0, 9)


async def test_ten_thousand_new_bugs_are_a_hundred_jobs_and_one_storm(store: Store) -> None:
    """Exact counts, few writes; what had a job before is still told by its own name."""
    clock = ManualClock()
    intake = Intake(store.as_sidecar, clock=clock, settings=Healing(storm_signatures=20))
    intake.offer(failure(), classified("v1:known"))
    await intake.finish()
    for n in range(10_000):
        intake.offer(failure(client=f"c{n % 50}"), classified(f"v1:{n:016x}"))
        intake.offer(failure(), classified("v1:known"))
    await intake.finish()
    assert store.writes < 100
    intake.overflow(failure())
    for n in range(500):
        intake.offer(failure(), classified(f"v1:f{n:015x}"))
    writes = store.writes
    await intake.finish()
    assert store.writes - writes < 10
    found = {job.signature_text: job for job in await store.jobs()}
    by_signature = {job.signature: job for job in await store.jobs()}
    storm = found["storm of new failures"]
    assert len(by_signature) == 21
    assert by_signature["v1:known"].occurrences == 10_001
    assert storm.severity == "critical"
    assert storm.occurrences + 19 + 10_001 == 20_502
    assert intake.dropped == 0
    assert "fires when it is over" in (storm.reason or "")
    clock.advance(STORM_S)
    intake.offer(failure(), classified("v1:after-the-storm"))
    intake.reload(Healing(storm_signatures=10_000))
    await intake.finish()
    assert "v1:after-the-storm" in {job.signature for job in await store.jobs()}


async def test_noise_makes_a_storm_of_its_own(store: Store) -> None:
    intake = Intake(store.as_sidecar, clock=ManualClock(), settings=Healing(storm_signatures=2))
    for n in range(9):
        intake.offer(failure(), classified(f"v1:{n:016x}", noise=True))
    await intake.finish()
    assert await store.jobs() == []
    async with acting(store.pool, AS_PROXY) as conn:
        noise = (await jobs.list_jobs(conn, JobQuery(noise=True))).jobs
    assert sorted(job.occurrences for job in noise) == [1, 1, 7]


async def test_who_is_hit_raises_the_severity(store: Store) -> None:
    intake = Intake(store.as_sidecar, clock=ManualClock(), settings=Healing(blast_clients=10))
    said = classified(severity=Severity.LOW)
    for n in range(9):
        intake.offer(failure(client=f"c{n}"), said)
    await intake.finish()
    (job,) = await store.jobs()
    assert (job.distinct_clients, job.severity) == (9, "low")
    intake.offer(failure(client="one more"), said)
    await intake.finish()
    (job,) = await store.jobs()
    assert (job.distinct_clients, job.severity, job.told_severity) == (10, "medium", "low")


async def test_failures_of_a_split_bug_go_where_they_belong_even_when_they_come_at_once(
    store: Store, database: TestDatabase
) -> None:
    intake = Intake(store.as_sidecar, clock=ManualClock())
    intake.offer(failure(), classified())
    await intake.finish()
    intake.offer(failure(route="/refund"), classified())
    await intake.finish()
    (job,) = await store.jobs()
    founder = await database.connect_as("founder")
    async with acting(founder, database.actor("founder")) as conn:
        newest, first = await jobs.job_events(conn, job.id)
        facet = telling(newest.failure, [first.failure])
        assert facet is not None
        made = await grouping.split(conn, job.id, [newest.id], facet, None)
    await founder.close()
    fresh = Intake(store.as_sidecar, clock=ManualClock())
    fresh.offer(failure(), classified())
    await fresh.finish()
    for _ in range(5):
        fresh.offer(failure(), classified())
        fresh.offer(failure(route="/refund"), classified())
    await fresh.finish()
    assert {j.id: j.occurrences for j in await store.jobs()} == {job.id: 7, made: 6}


def shelf_at(path: Path, bytes_max: int = 1 << 20) -> Spool:
    shelf = Spool(path, bytes_max, encode=encode_entry, decode=decode_entry)
    shelf.recover()
    return shelf


async def test_what_waits_at_the_end_is_delivered_by_the_next_start(
    store: Store, tmp_path: Path
) -> None:
    kept = tmp_path / "spool" / "failures.jsonl"
    store.away = True
    first = Intake(store.as_sidecar, shelf=shelf_at(kept), clock=ManualClock())
    whole = ReplayRequest("POST", "/orders", (("Accept", "*/*"),), b"\x00\xff", False, ("token",))
    for n in range(7):
        first.offer(
            failure(request=whole, log_id=uuid4(), message="half a pair \ud800"),
            classified(f"v1:{n % 2:016x}"),
        )
    await first.finish()
    assert (first.waiting, first.dropped) == (0, 0)
    assert kept.stat().st_mode & 0o777 == 0o600

    store.away = False
    again = Intake(store.as_sidecar, shelf=shelf_at(kept), clock=ManualClock())
    running = spawn(again.run(), name="intake")
    await until(lambda: again.delivered == 7)
    await cancel(running)
    assert sorted(job.occurrences for job in await store.jobs()) == [3, 4]
    assert not kept.exists()
    (job, _) = await store.jobs()
    async with acting(store.pool, AS_PROXY) as conn:
        (event,) = await jobs.job_events(conn, job.id)
    assert event.failure.request == whole


async def test_the_shelf_is_bounded_and_says_what_it_could_not_take(
    store: Store, tmp_path: Path
) -> None:
    store.away = True
    intake = Intake(
        store.as_sidecar, shelf=shelf_at(tmp_path / "f", bytes_max=10), clock=ManualClock()
    )
    for _ in range(3):
        intake.offer(failure(), classified())
    await intake.finish()
    assert intake.dropped == 3


async def test_a_delivery_that_is_cut_off_is_saved(store: Store, tmp_path: Path) -> None:
    @asynccontextmanager
    async def hanging() -> AsyncIterator[asyncpg.Connection]:
        await asyncio.Event().wait()
        yield None

    shelf = shelf_at(tmp_path / "f")
    intake = Intake(hanging, shelf=shelf, clock=ManualClock())
    running = spawn(intake.run(), name="intake")
    intake.offer(failure(), classified())
    await asyncio.sleep(0.01)
    await cancel(running)
    intake.save()
    assert (shelf.rows, intake.dropped) == (1, 0)


async def test_a_deadlock_says_nothing_about_the_failure(store: Store, tmp_path: Path) -> None:
    @asynccontextmanager
    async def deadlocked() -> AsyncIterator[asyncpg.Connection]:
        raise Conflict("deadlock detected", code="retry")
        yield None

    shelf = shelf_at(tmp_path / "f")
    intake = Intake(deadlocked, shelf=shelf, clock=ManualClock())
    intake.offer(failure(), classified())
    await intake.finish()
    assert (shelf.rows, intake.dropped) == (1, 0)


def test_an_entry_survives_its_line() -> None:
    entry = (
        failure(
            log_id=uuid4(),
            anomaly_id=uuid4(),
            redirect_chain=("/a", "/b"),
            latency_ms=1.5,
            request=ReplayRequest("GET", "/x", (("A", "b"),), b"\xff\x00", True, ("c",)),
        ),
        classified(evidence=(Evidence("r", "message", "boom"),), reason="why"),
        3,
        (uuid4(),),
        (7, 9),
    )
    assert decode_entry(json.loads(json.dumps(encode_entry(entry)))) == entry


async def test_one_that_postgres_refuses_does_not_hold_up_the_others(store: Store) -> None:
    intake = Intake(store.as_sidecar, clock=ManualClock())
    intake.offer(failure(occurred_at="no time at all"), classified("v1:bad0000000000000"))
    intake.offer(failure(), classified())
    await intake.finish()
    assert (intake.delivered, intake.dropped) == (1, 1)
    assert len(await store.jobs()) == 1


async def test_the_latest_failure_keeps_a_request_that_can_be_replayed(store: Store) -> None:
    intake = Intake(store.as_sidecar, clock=ManualClock())
    whole = ReplayRequest("GET", "/orders/7")
    intake.offer(failure(request=whole), classified())
    later = WHEN + timedelta(seconds=1)
    intake.offer(failure(occurred_at=later, message="later"), classified())
    await intake.finish()
    (job,) = await store.jobs()
    async with acting(store.pool, AS_PROXY) as conn:
        (event,) = await jobs.job_events(conn, job.id)
    assert event.failure.message == "later"
    assert event.failure.request is not None
    assert event.failure.request.target == "/orders/7"
    assert job.occurrences == 2


def client_error(status: int = 404, **more: Any) -> Any:
    return failure(status=status, **more)


def test_other_4xx_count_only_as_a_jump() -> None:
    errors = ClientErrors(ManualClock())
    unknown = classified(category=Category.UNKNOWN)
    due = [errors.due(client_error(), unknown) for _ in range(22)]
    assert due == [0] * 19 + [20, 1, 1]


def test_the_surer_the_evidence_the_fewer_are_needed() -> None:
    errors = ClientErrors(ManualClock())
    refused = classified(category=Category.RLS_VIOLATION)
    assert [errors.due(client_error(403), refused) for _ in range(4)] == [0, 0, 3, 1]


def test_a_daily_drizzle_becomes_usual_and_a_jump_above_it_tells() -> None:
    clock = ManualClock()
    errors = ClientErrors(clock)
    unknown = classified(category=Category.UNKNOWN)
    told = []
    for _ in range(30):
        told.append(sum(errors.due(client_error(), unknown) for _ in range(19)))
        clock.advance(WINDOW_S)
    assert sum(told) == 0
    jump = [errors.due(client_error(), unknown) for _ in range(120)]
    assert jump.index(max(jump)) + 1 == pytest.approx(19 * Healing().jump_ratio, rel=0.05)
    assert sum(jump) == 120


@pytest.mark.parametrize(
    "told",
    [
        failure(status=500),
        failure(status=302, redirect_chain=("/a", "/b", "/a")),
        failure(status=404, origin="sdk"),
        failure(status=None, anomaly_id=uuid4()),
    ],
)
def test_everything_else_is_told_at_once(told: Any) -> None:
    assert ClientErrors(ManualClock()).due(told, classified()) == 1
