"""Request log by COPY, replay that doubles nothing, partitions, anomalies, baselines."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from proxy.domain.anomaly import Anomaly, AnomalyKind
from proxy.domain.failure import Severity
from proxy.errors import NotPermitted
from proxy.store import jobs, metrics
from proxy.store.metrics import Baseline
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase
from tests.support.store import classified, failure

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def row(at: datetime = NOON, **changes: Any) -> tuple[Any, ...]:
    fields: dict[str, Any] = {
        "id": uuid4(),
        "created_at": at,
        "service": "app",
        "route_path": "/orders/{id}",
        "method": "GET",
        "status_code": 200,
        "latency_ms": 12.5,
        "outcome": "answered",
        "error_message": None,
        "error_stack": None,
        "trace_id": "a" * 32,
        "user_id": None,
        "workspace_id": "w",
    }
    return tuple((fields | changes)[name] for name in metrics.LOG_COLUMNS)


async def test_copy_and_replay_lose_nothing_and_double_nothing(proxy_pool: asyncpg.Pool) -> None:
    rows = [row(NOON + timedelta(seconds=n)) for n in range(1200)]
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert await metrics.copy_logs(conn, rows[:700]) == 700
        assert await metrics.copy_logs(conn, []) == 0
    for expected in (500, 0):
        async with acting(proxy_pool, AS_PROXY) as conn:
            assert await metrics.copy_logs_idempotent(conn, rows) == expected
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert await metrics.copy_logs_idempotent(conn, []) == 0
        stored = await conn.fetch("select * from observability_logs order by created_at")
    assert [tuple(r) for r in stored] == rows


async def test_partitions_come_and_go_and_early_rows_move_in(proxy_pool: asyncpg.Pool) -> None:
    day = date(2026, 3, 1)
    async with acting(proxy_pool, AS_PROXY) as conn:
        await metrics.copy_logs(conn, [row(), row(NOON + timedelta(days=9))])
        made = await metrics.ensure_partitions(conn, day, 2)
        assert made == [f"observability_logs_2026030{n}" for n in (1, 2, 3)]
        assert await metrics.ensure_partitions(conn, day, 2) == []
        await metrics.copy_logs(conn, [row(NOON + timedelta(days=1))])
    async with acting(proxy_pool, AS_PROXY) as conn:
        where = await conn.fetch(
            "select tableoid::regclass::text from observability_logs order by created_at"
        )
        assert [w[0] for w in where] == [*made[:2], "observability_logs_default"]
        assert await metrics.drop_partitions(conn, date(2026, 3, 2)) == made[:1]
        assert await conn.fetchval("select count(*) from observability_logs") == 2
        assert await metrics.drop_partitions(conn, date(2026, 4, 1)) == made[1:]
        assert await conn.fetchval("select count(*) from observability_logs") == 0


async def test_one_row_per_incident(proxy_pool: asyncpg.Pool) -> None:
    first = Anomaly(
        "latency", "GET", "/x", 1000.0, 1060.0, 20.0, 90.0, 4.5, 6.0, 80, Severity.MEDIUM, "slow"
    )
    worse = Anomaly(
        "latency", "GET", "/x", 1000.0, 1360.0, 20.0, 200.0, 10.0, 9.0, 90, Severity.HIGH, "worse"
    )
    other = Anomaly(
        "error_rate", "GET", "/x", 1000.0, 1060.0, 0.01, 0.2, 20, 8.0, 90, Severity.LOW, "fails"
    )
    async with acting(proxy_pool, AS_PROXY) as conn:
        ids = [await metrics.open_anomaly(conn, "app", a) for a in (first, worse, other)]
        assert ids[0] == ids[1] != ids[2]
        latency = next(a for a in await metrics.list_anomalies(conn) if a.id == ids[0])
        assert latency.type == "latency_spike"
        assert (latency.occurrences, latency.severity) == (2, Severity.HIGH)
        assert (latency.observed, latency.description) == (200.0, "worse")
        assert latency.onset == datetime.fromtimestamp(1000, UTC)
        assert await metrics.close_anomaly(conn, ids[0], NOON)
        assert not await metrics.close_anomaly(conn, ids[0], NOON)
        assert [a.id for a in await metrics.list_anomalies(conn, resolved=False)] == [ids[2]]
        assert await metrics.list_anomalies(conn, service="other") == []


async def test_health_and_baselines_round_trip(proxy_pool: asyncpg.Pool) -> None:
    one = Baseline("app", "/x", "GET", 1.0, 2.0, 3.0, 0.01, 99, {"buckets": {"3": 4}})
    two = Baseline("app", "/x", "POST", None, None, None, 0.0, 0)
    newer = Baseline("app", "/x", "GET", 2.0, 3.0, 4.0, 0.5, 100, {"buckets": {}})
    async with acting(proxy_pool, AS_PROXY) as conn:
        await metrics.save_baselines(conn, [one, two])
        await metrics.save_baselines(conn, [newer])
        loaded = await metrics.load_baselines(conn, "app")
        assert sorted(loaded, key=lambda b: b.method) == [newer, two]
        assert await metrics.load_baselines(conn, "other") == []
        await metrics.insert_health_snapshot(
            conn,
            "app",
            overall=91.6,
            latency=None,
            error_rate=100.0,
            availability=0.0,
            metrics={"why": ["\x00"]},
        )
        stored = await conn.fetchrow("select * from observability_health_snapshots")
    assert (stored["overall_score"], stored["latency_score"]) == (92, None)
    assert stored["metrics"] == {"why": ["\ufffd"]}


async def test_only_the_sidecar_writes_what_was_measured(database: TestDatabase) -> None:
    for role in ("founder", "admin", "agent", "viewer"):
        conn = await database.connect_as(role)
        for attack in (
            lambda inside: metrics.copy_logs(inside, [row()]),
            lambda inside: metrics.drop_partitions(inside, date(2030, 1, 1)),
            lambda inside: inside.execute("delete from observability_logs"),
        ):
            with pytest.raises(NotPermitted):
                async with acting(conn, database.actor(role)) as inside:
                    await attack(inside)
        await conn.close()


async def test_what_nobody_watches_any_more_is_closed(proxy_pool: asyncpg.Pool) -> None:
    def incident(route: str, at: datetime) -> Anomaly:
        return Anomaly(
            "latency", "GET", route, at.timestamp(), at.timestamp(), 1.0, 9.0, 9.0, 6.0, 50,
            Severity.HIGH, "slow",
        )  # fmt: skip

    async with acting(proxy_pool, AS_PROXY) as conn:
        for route, at in (
            ("/gone", NOON), ("/live", NOON), ("/new", NOON + timedelta(hours=1)),
        ):  # fmt: skip
            await metrics.open_anomaly(conn, "app", incident(route, at))
        await metrics.open_anomaly(conn, "other", incident("/gone", NOON))
        await conn.execute(
            "insert into observability_anomalies"
            " (service, route, type, severity, onset, detected_at) values"
            " ('app', '/foreign', 'latency_spike', 'low', $1, $1)",
            NOON,
        )
        before = NOON + timedelta(minutes=30)
        live: set[tuple[AnomalyKind, str, str]] = {("latency", "GET", "/live")}
        assert await metrics.close_forgotten(conn, "app", before, live) == 1
        left = await metrics.list_anomalies(conn, resolved=False)
    assert {(a.service, a.route) for a in left} == {
        ("app", "/live"), ("app", "/new"), ("app", "/foreign"), ("other", "/gone"),
    }  # fmt: skip


async def test_snapshots_and_links_do_not_grow_without_end(proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        for _ in range(2):
            await metrics.insert_health_snapshot(
                conn, "app", overall=1, latency=1, error_rate=1, availability=1, metrics={}
            )
        told = failure(log_id=uuid4())
        await jobs.record_failure(conn, told, classified())
        later = datetime.now(UTC) + timedelta(days=1)
        await metrics.forget_health(conn, "app", NOON)
        assert await conn.fetchval("select count(*) from observability_health_snapshots") == 2
        await metrics.forget_health(conn, "app", later)
        await jobs.forget_links(conn, later)
        assert await conn.fetchval("select count(*) from observability_health_snapshots") == 0
        assert await conn.fetchval("select count(*) from self_healing_links") == 0
