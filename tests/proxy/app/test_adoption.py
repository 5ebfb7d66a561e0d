"""Rows of other programs become jobs: each exactly once, from our own tables and from theirs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from proxy.app.adoption import Adoption
from proxy.clock import SystemClock
from proxy.config import Config
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.rules import RuleSet
from proxy.healing.service import SelfHealingService
from proxy.store import jobs
from proxy.store.jobs import JobQuery
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase

RULES = RuleSet.load()
LOG = """insert into observability_logs
  (route_path, method, status_code, latency_ms, error_message, error_stack)
values ($1, $2, $3, 12, $4, $5)"""
POLICY = 'new row violates row-level security policy for table "orders"'
OLDER = """
create schema older;
create table older.observability_logs (
  id bigint generated always as identity primary key, created_at timestamptz default now(),
  route_path text, status_code int, error_message text, their_own text default 'kept');
create table older.observability_anomalies (
  id uuid primary key default gen_random_uuid(), type text, severity text, route text,
  description text, metrics jsonb, resolved bool default false,
  detected_at timestamptz default now());
"""


def adoption(pool: asyncpg.Pool, **app: Any) -> Adoption:
    config = Config.of({"app": {"service": "shop"} | app})

    @asynccontextmanager
    async def as_sidecar() -> AsyncIterator[asyncpg.Connection]:
        async with acting(pool, AS_PROXY) as conn:
            yield conn

    service = SelfHealingService(as_sidecar, ErrorClassifier(RULES), config)
    return Adoption(
        as_sidecar, service, config, clock=SystemClock(), client_key=lambda user: user and "a" * 16
    )


@pytest.fixture
async def theirs(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """The connection of some other program with every right in the database."""
    conn = await database.connect_installer()
    yield conn
    await conn.close()


async def make_older(theirs: asyncpg.Connection) -> None:
    await theirs.execute(OLDER)
    for what in ("usage on schema older", "select on all tables in schema older"):
        await theirs.execute(f"grant {what} to sh_proxy")


async def all_jobs(pool: asyncpg.Pool) -> list[Any]:
    async with acting(pool, AS_PROXY) as conn:
        return list((await jobs.list_jobs(conn, JobQuery(sort="id"))).jobs)


async def settle(reader: Adoption) -> None:
    while await reader.poll():
        pass


async def test_a_row_in_our_own_log_is_a_classified_job_with_its_evidence(
    proxy_pool: asyncpg.Pool, theirs: asyncpg.Connection
) -> None:
    row = ("/api/orders?token=sk_live_4eC39HqLyjWDarjtT1zdp7dc", "POST", 500, POLICY, None)
    await theirs.execute(LOG, *row)
    log_id = await theirs.fetchval("select id from observability_logs")
    reader = adoption(proxy_pool)
    await settle(reader)
    (job,) = await all_jobs(proxy_pool)
    assert job.category == "RLS_VIOLATION"
    assert (job.service, job.method, job.route) == ("app", "POST", "/api/orders")
    assert job.related_log_ids == (log_id,)
    assert "row-level security policy" in job.evidence[0]
    await settle(adoption(proxy_pool))
    assert (await all_jobs(proxy_pool))[0].occurrences == 1, "a restart tells nothing twice"


async def test_our_own_rows_are_no_input(
    proxy_pool: asyncpg.Pool, theirs: asyncpg.Connection
) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        await conn.execute(LOG, "/a", "GET", 500, "boom", None)
    await settle(adoption(proxy_pool))
    assert await all_jobs(proxy_pool) == []
    assert await theirs.fetchval("select count(*) from adopted_inbox") == 0


async def test_an_anomaly_somebody_noted_is_a_job_no_milder_than_they_said(
    proxy_pool: asyncpg.Pool, theirs: asyncpg.Connection
) -> None:
    await theirs.execute(
        "insert into observability_anomalies (type, severity, route, description, metrics) values"
        " ('latency_spike', 'critical', 'GET:/orders', '', '{\"observed\": 900, \"baseline\": 90}')"
    )
    await settle(adoption(proxy_pool))
    (job,) = await all_jobs(proxy_pool)
    assert (job.category, job.severity, job.method, job.route) == (
        "PERFORMANCE",
        "critical",
        "GET",
        "/orders",
    )
    assert len(job.related_anomaly_ids) == 1


async def test_tables_of_an_older_release_are_read_with_their_history_and_left_as_they_are(
    proxy_pool: asyncpg.Pool, theirs: asyncpg.Connection
) -> None:
    await make_older(theirs)
    await theirs.execute(
        "insert into older.observability_logs (route_path, status_code, error_message, created_at)"
        " select '/pay', 500, 'UniqueViolation: duplicate key value violates unique constraint"
        " \"pay_key\"', '2026-01-02' from generate_series(1, 450)"
    )
    await theirs.execute(
        "insert into older.observability_logs (route_path, status_code) values ('/', 200)"
    )
    reader = adoption(proxy_pool)
    await settle(reader)
    (job,) = await all_jobs(proxy_pool)
    assert (job.service, job.category, job.occurrences) == ("shop", "DB_ERROR", 450)
    assert (
        await theirs.fetchval(
            "select count(*) from older.observability_logs where their_own = 'kept'"
        )
        == 451
    )
    await theirs.execute(
        "insert into older.observability_anomalies (type, description) values"
        " ('unusual_pattern', 'QueuePool limit of size 5 overflow 10 reached')"
    )
    await settle(reader)
    assert [j.category for j in await all_jobs(proxy_pool)] == ["DB_ERROR", "DB_ERROR"]


async def test_late_rows_with_old_times_are_found_and_two_readers_share_them(
    proxy_pool: asyncpg.Pool, theirs: asyncpg.Connection
) -> None:
    await make_older(theirs)
    readers = [adoption(proxy_pool), adoption(proxy_pool)]
    await asyncio.gather(*(settle(r) for r in readers))
    insert = (
        "insert into older.observability_logs (route_path, status_code, error_message, created_at)"
        " select '/pay', 500, 'KeyError: total', now() - make_interval(days => n)"
        " from generate_series(0, 29) n"
    )
    await theirs.execute(insert)
    for reader in readers:
        for sweep in reader._sweeps.values():
            sweep.due_at = 0.0
    await asyncio.gather(*(settle(r) for r in readers))
    (job,) = await all_jobs(proxy_pool)
    assert job.occurrences == 30


async def test_single_refusals_are_no_job_and_a_jump_of_them_is(
    proxy_pool: asyncpg.Pool, theirs: asyncpg.Connection
) -> None:
    reader = adoption(proxy_pool)
    row = ("/login", "POST", 401, None, None)
    await theirs.execute(LOG, *row)
    await settle(reader)
    assert await all_jobs(proxy_pool) == []
    for _ in range(9):
        await theirs.execute(LOG, *row)
    await settle(reader)
    (job,) = await all_jobs(proxy_pool)
    assert (job.category, job.occurrences) == ("AUTH_FAILURE", 10)


async def test_what_is_remembered_of_their_rows_goes_with_the_rows(
    proxy_pool: asyncpg.Pool, theirs: asyncpg.Connection
) -> None:
    from proxy.store import adopted

    await make_older(theirs)
    await theirs.execute(
        "insert into older.observability_logs (status_code, error_message)"
        " values (500, 'a'), (500, 'b')"
    )
    await settle(adoption(proxy_pool))
    await theirs.execute("delete from older.observability_logs where error_message = 'a'")
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert await adopted.forget(conn, "older.observability_logs") == 1
    assert await theirs.fetchval("select count(*) from adopted_seen") == 1


async def test_hostile_rows_stop_nobody(
    proxy_pool: asyncpg.Pool, theirs: asyncpg.Connection
) -> None:
    await theirs.execute("create schema older")
    await theirs.execute(
        "create table older.observability_logs (id text primary key, created_at text,"
        " status_code text, error_message text, latency_ms text, trace_id text)"
    )
    for what in ("usage on schema older", "select on all tables in schema older"):
        await theirs.execute(f"grant {what} to sh_proxy")
    await theirs.execute(
        "insert into older.observability_logs values"
        " ('x', 'yesterday', '9e99', 'TypeError: a is not a function', 'NaN', '../../etc'),"
        " ($1, null, null, $2, null, null)",
        str(uuid4()),
        "A" * 300_000,
    )
    await settle(adoption(proxy_pool))
    assert [j.occurrences for j in await all_jobs(proxy_pool)] == [1, 1]
