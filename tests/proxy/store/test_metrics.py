"""Request log by COPY, replay that doubles nothing, partitions, baselines."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

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
        assert await metrics.copy_logs_idempotent(conn, rows[:700]) == 700
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
        await metrics.copy_logs_idempotent(conn, [row(), row(NOON + timedelta(days=9))])
        made = await metrics.ensure_partitions(conn, day, 2)
        assert made == [f"observability_logs_2026030{n}" for n in (1, 2, 3)]
        assert await metrics.ensure_partitions(conn, day, 2) == []
        await metrics.copy_logs_idempotent(conn, [row(NOON + timedelta(days=1))])
    async with acting(proxy_pool, AS_PROXY) as conn:
        where = await conn.fetch(
            "select tableoid::regclass::text from observability_logs order by created_at"
        )
        assert [w[0] for w in where] == [*made[:2], "observability_logs_default"]
        assert await metrics.drop_partitions(conn, date(2026, 3, 2)) == made[:1]
        assert await conn.fetchval("select count(*) from observability_logs") == 2
        assert await metrics.drop_partitions(conn, date(2026, 4, 1)) == made[1:]
        assert await conn.fetchval("select count(*) from observability_logs") == 0


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
            minute=1,
            overall=91.6,
            latency=None,
            error_rate=100.0,
            availability=0.0,
            metrics={"why": ["\x00"]},
        )
        stored = await conn.fetchrow("select * from observability_health_snapshots")
    assert (stored["overall_score"], stored["latency_score"]) == (92, None)
    assert stored["metrics"] == {"why": ["\ufffd"]}


async def tell(conn: Any, minute: int, score: float | None, service: str = "app") -> None:
    await metrics.insert_health_snapshot(
        conn,
        service,
        minute=minute,
        overall=score,
        latency=score,
        error_rate=score,
        availability=score,
        metrics={"why": [score]},
    )


async def test_several_sidecars_tell_one_snapshot_a_minute_and_the_worst_stays(
    proxy_pool: asyncpg.Pool,
) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        for score in (None, 90, 40, None, 70):
            await tell(conn, 7, score)
        await tell(conn, 8, 100)
        await tell(conn, 8, 10, service="other")
        rows = await conn.fetch(
            "select minute, overall_score, latency_score, metrics"
            " from observability_health_snapshots where service = 'app' order by minute"
        )
    assert [tuple(row) for row in rows] == [
        (7, 40, 40, {"why": [40]}),
        (8, 100, 100, {"why": [100]}),
    ]


async def test_only_the_sidecar_writes_what_was_measured(database: TestDatabase) -> None:
    for role in ("founder", "admin", "agent", "viewer"):
        conn = await database.connect_as(role)
        for attack in (
            lambda inside: metrics.copy_logs_idempotent(inside, [row()]),
            lambda inside: metrics.drop_partitions(inside, date(2030, 1, 1)),
            lambda inside: inside.execute("delete from observability_logs"),
        ):
            with pytest.raises(NotPermitted):
                async with acting(conn, database.actor(role)) as inside:
                    await attack(inside)
        await conn.close()


async def test_snapshots_and_links_do_not_grow_without_end(proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        for minute in range(2):
            await tell(conn, minute, 1)
        told = failure(log_id=uuid4())
        await jobs.record_failure(conn, told, classified())
        later = datetime.now(UTC) + timedelta(days=1)
        await metrics.forget_health(conn, "app", NOON)
        assert await conn.fetchval("select count(*) from observability_health_snapshots") == 2
        await metrics.forget_health(conn, "app", later)
        await jobs.forget_links(conn, later)
        assert await conn.fetchval("select count(*) from observability_health_snapshots") == 0
        assert await conn.fetchval("select count(*) from self_healing_links") == 0
