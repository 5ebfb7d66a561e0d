"""Jobs on real Postgres: one job per bug with the exact count, samples, regressions, lists."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from proxy.domain.failure import Category, ReplayRequest, Severity
from proxy.domain.job import Job, JobStatus
from proxy.errors import Conflict, Invalid, NotFound
from proxy.store import jobs
from proxy.store.jobs import JobQuery, JobSort
from proxy.store.pool import AS_PROXY, acting, open_pool
from proxy.store.statements import sql
from tests.support.postgres import TestDatabase
from tests.support.store import WHEN, classified, failure


async def test_a_thousand_parallel_failures_are_one_job_with_the_exact_count(
    database: TestDatabase,
) -> None:
    pool = await open_pool(database.proxy_dsn, max_size=20)
    ids = [uuid4() for _ in range(1000)]

    async def one(log_id: UUID) -> jobs.RecordedJob:
        async with acting(pool, AS_PROXY) as conn:
            return await jobs.record_failure(conn, failure(log_id=log_id), classified())

    started = perf_counter()
    recorded = await asyncio.gather(*(one(log_id) for log_id in ids))
    print(f"1000 parallel failures in {perf_counter() - started:.2f} s")
    assert sum(r.created for r in recorded) == 1
    assert len({r.job.id for r in recorded}) == 1
    async with acting(pool, AS_PROXY) as conn:
        (job,) = await jobs.list_open_jobs(conn)
        assert job.occurrences == 1000
        assert len(job.related_log_ids) == 50
        assert await conn.fetchval("select count(*) from self_healing_links") == 1000
        assert len(await jobs.job_events(conn, job.id, 100)) <= jobs.SAMPLES_MAX
        audited = await conn.fetchval("select count(*) from audit_log where action = 'job.created'")
        assert audited == 1, "a thousand failures write no thousand audit rows"
        other = await jobs.record_failure(conn, failure(), classified("v1:ffffffffffffffff"))
        assert (job.id, other.job.id) == (1, 2), "and spend no job numbers"
    await pool.close()


async def test_what_identifies_a_job(proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        one = await jobs.record_failure(conn, failure(), classified())
        for other in (
            (failure(service="shop"), classified()),
            (failure(environment="staging"), classified()),
            (failure(), classified("v1:ffffffffffffffff")),
        ):
            assert (await jobs.record_failure(conn, *other)).job.id != one.job.id
        same = await jobs.record_failure(conn, failure(route="/other"), classified(), count=5)
        assert same.job.id == one.job.id
        assert same.job.occurrences == 6


async def test_severity_only_rises_and_unknown_becomes_known(proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        for severity, category, expected in (
            (Severity.MEDIUM, Category.UNKNOWN, (Severity.MEDIUM, Category.UNKNOWN)),
            (Severity.HIGH, Category.DB_ERROR, (Severity.HIGH, Category.DB_ERROR)),
            (Severity.LOW, Category.UI_BUG, (Severity.HIGH, Category.DB_ERROR)),
        ):
            job = (
                await jobs.record_failure(
                    conn, failure(), classified(severity=severity, category=category)
                )
            ).job
            assert (job.severity, job.category) == expected


async def test_hostile_text_comes_back_visible_and_bounded(proxy_pool: asyncpg.Pool) -> None:
    request = ReplayRequest(
        "POST", "/a?b=\x00", (("X-\ud800", "v\x00"),), b"\x00\xff", True, ("k",)
    )
    nasty = failure(
        message="nul\x00 half\ud800" + "x" * 10_000,
        stack="s" * 100_000,
        route="/r\x00",
        request=request,
        redirect_chain=("/a", "/b"),
        log_id=uuid4(),
        latency_ms=1.5,
    )
    async with acting(proxy_pool, AS_PROXY) as conn:
        job = (await jobs.record_failure(conn, nasty, classified(signature_text="t\x00"))).job
        assert (job.route, job.signature_text) == ("/r\ufffd", "t\ufffd")
        (event,) = await jobs.job_events(conn, job.id)
    kept = event.failure
    assert kept.message.startswith("nul\ufffd half\ufffd")
    assert len(kept.message) == jobs.MESSAGE_CHARS_MAX
    assert len(kept.stack or "") == jobs.STACK_CHARS_MAX
    assert kept.request is not None
    assert kept.request.body == b"\x00\xff", "bodies are bytes and stay exact"
    assert kept.request.headers == (("X-\ufffd", "v\ufffd"),)
    assert (kept.request.truncated, kept.request.redacted) == (True, ("k",))
    assert kept.redirect_chain == ("/a", "/b")
    assert kept.log_id == nasty.log_id
    assert kept.occurred_at == WHEN


async def test_samples_are_bounded_and_keep_the_first_and_a_replayable_one(
    proxy_pool: asyncpg.Pool,
) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        for n in range(20):
            await jobs.record_failure(conn, failure(message=f"m{n}"), classified())
        replay = failure(message="replayable", request=ReplayRequest("GET", "/x"))
        job = (await jobs.record_failure(conn, replay, classified())).job
        for _ in range(30):
            await conn.execute("update self_healing_jobs set sampled_at = now() - interval '1 day'")
            await jobs.record_failure(conn, failure(message="later"), classified())
        messages = [e.failure.message for e in await jobs.job_events(conn, job.id, 100)]
    assert len(messages) == jobs.SAMPLES_MAX
    assert messages[-3:] == ["m2", "m1", "m0"], "how it began"
    assert "replayable" in messages
    assert messages[0] == "later"


async def test_list_filters_sorts_and_pages(proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        for n in range(23):
            await jobs.record_failure(
                conn,
                failure(route=f"/r{n}", occurred_at=WHEN + timedelta(seconds=n % 5)),
                classified(
                    f"v1:{n:016x}",
                    severity=list(Severity)[n % 4],
                    category=list(Category)[n % 9],
                    noise=n == 22,
                    signature_text=f"100% of_{n}",
                ),
                count=n + 1,
            )
        orders: tuple[tuple[JobSort, Callable[[Job], Any]], ...] = (
            ("severity", lambda j: (j.severity.rank, j.last_seen, j.id)),
            ("last_seen", lambda j: (j.last_seen, j.id)),
            ("first_seen", lambda j: (j.first_seen, j.id)),
            ("occurrences", lambda j: (j.occurrences, j.id)),
            ("id", lambda j: j.id),
        )
        for sort, value in orders:
            seen: list[Job] = []
            cursor = None
            while True:
                page = await jobs.list_jobs(conn, JobQuery(sort=sort, limit=7, cursor=cursor))
                assert (page.total, page.all) == (22, 22)
                seen += page.jobs
                if (cursor := page.next_cursor) is None:
                    break
            assert len(seen) == len({j.id for j in seen}) == 22
            assert seen == sorted(seen, key=value, reverse=True), sort
        critical = await jobs.list_jobs(conn, JobQuery(severities=frozenset({Severity.CRITICAL})))
        assert {j.severity for j in critical.jobs} == {Severity.CRITICAL}
        assert (critical.total, critical.all) == (5, 22)
        assert (await jobs.list_jobs(conn, JobQuery(q="100% of_7"))).total == 1
        assert (await jobs.list_jobs(conn, JobQuery(q="%"))).total == 22
        assert (await jobs.list_jobs(conn, JobQuery(q="\\"))).total == 0
        assert (await jobs.list_jobs(conn, JobQuery(noise=True))).total == 1
        assert (await jobs.list_jobs(conn, JobQuery(noise=None))).total == 23
        assert (await jobs.list_jobs(conn, JobQuery(service="other"))).total == 0
        for bad in ("x", "eyJ4IjoxfQ==", "WzEsMl0=", "WyJpZCIsMSwxXQ=="):
            with pytest.raises(Invalid):
                await jobs.list_jobs(conn, JobQuery(cursor=bad))


async def test_steps_say_what_went_wrong(database: TestDatabase, proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        job = (await jobs.record_failure(conn, failure(), classified())).job
        with pytest.raises(NotFound):
            await jobs.get_job(conn, 99)
        with pytest.raises(NotFound):
            await jobs.step_job(conn, 99, JobStatus.CLOSED)
        with pytest.raises(Conflict) as changed:
            await jobs.step_job(conn, job.id, JobStatus.APPLIED, old=JobStatus.APPROVED)
        assert changed.value.code == "changed"
    with pytest.raises(Conflict) as illegal:
        async with acting(proxy_pool, AS_PROXY) as conn:
            await jobs.step_job(conn, job.id, JobStatus.APPLIED)
    assert illegal.value.code == "illegal_step"
    founder = await database.connect_as("founder")
    with pytest.raises(Invalid):
        async with acting(founder, database.actor("founder")) as conn:
            await jobs.step_job(conn, job.id, JobStatus.SNOOZED)
    async with acting(founder, database.actor("founder")) as conn:
        until = datetime.now(UTC) + timedelta(hours=1)
        snoozed = await jobs.step_job(conn, job.id, JobStatus.SNOOZED, until=until, reason="busy")
        assert snoozed.snoozed_until == until
    await founder.close()
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert await jobs.wake_snoozed(conn, until - timedelta(seconds=1)) == []
        assert await jobs.wake_snoozed(conn, until) == [job.id]
        assert (await jobs.get_job(conn, job.id)).status is JobStatus.OPEN
        counts = await jobs.open_job_counts(conn)
    assert counts["total"] == counts["high"] == 1
    assert counts["low"] == counts["pending_patches"] == counts["resolved_7d"] == 0


async def test_a_closed_job_stays_closed_and_the_bug_gets_a_new_one(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        job = (await jobs.record_failure(conn, failure(), classified())).job
    founder = await database.connect_as("founder")
    async with acting(founder, database.actor("founder")) as conn:
        closed = await jobs.step_job(conn, job.id, JobStatus.CLOSED, reason="won't fix")
        assert closed.closed_reason == "won't fix"
    async with acting(proxy_pool, AS_PROXY) as conn:
        again = await jobs.record_failure(conn, failure(), classified())
        assert again.created
        assert again.job.id != job.id
    with pytest.raises(Conflict) as two:
        async with acting(founder, database.actor("founder")) as conn:
            await jobs.step_job(conn, job.id, JobStatus.OPEN)
    assert two.value.code == "exists", "never two open jobs of one bug"
    await founder.close()


async def test_viewers_and_agents_see_jobs_without_peoples_words(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    full = failure(stack="at x", body="secret", client="h", request=ReplayRequest("GET", "/x"))
    async with acting(proxy_pool, AS_PROXY) as conn:
        job_id = (await jobs.record_failure(conn, full, classified())).job.id
    for role in ("viewer", "agent"):
        conn = await database.connect_as(role)
        async with acting(conn, database.actor(role)) as inside:
            assert (await jobs.get_job(inside, job_id)).evidence == ()
            (event,) = await jobs.job_events(inside, job_id)
            seen = event.failure
            assert (seen.stack, seen.body, seen.client, seen.request) == (None,) * 4
        await conn.close()


async def test_listing_fifty_thousand_jobs_is_quick_and_uses_its_index(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    installer = await database.connect_installer()
    await installer.execute(
        "alter table self_healing_jobs disable trigger user;"
        "insert into self_healing_jobs (service, error_signature, error_category, severity, status,"
        " first_seen, last_seen)"
        " select 'app', 'v1:' || n, 'DB_ERROR',"
        " (array['low','medium','high','critical'])[1 + n % 4],"
        " case when n % 10 = 0 then 'closed' else 'open' end, now(), now() - n * interval '1 s'"
        " from generate_series(1, 50000) n;"
        "alter table self_healing_jobs enable trigger user; analyze self_healing_jobs"
    )
    await installer.close()
    async with acting(proxy_pool, AS_PROXY) as conn:
        times: list[float] = []
        listed: list[Job] = []
        for _ in range(9):
            started = perf_counter()
            listed = await jobs.list_open_jobs(conn, 50)
            times.append(perf_counter() - started)
        plan = "\n".join(r[0] for r in await conn.fetch("explain " + sql("jobs.open"), 50, None))
        started = perf_counter()
        page = await jobs.list_jobs(conn, JobQuery(limit=50))
        paged = perf_counter() - started
    print(f"list_open_jobs: {sorted(times)[4] * 1e3:.1f} ms; list_jobs: {paged * 1e3:.0f} ms")
    assert len(listed) == 50
    assert {j.severity for j in listed} == {Severity.CRITICAL}
    assert page.jobs == tuple(listed)
    assert page.total == 45_000
    assert "self_healing_jobs_list" in plan
    assert "Sort" not in plan
    assert sorted(times)[4] < 0.05
