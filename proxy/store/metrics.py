"""What was measured: request log by COPY, health snapshots, route baselines. Acts as ``proxy``."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import asyncpg

from proxy.store.log_rows import PACKED_COLUMNS
from proxy.store.statements import sql
from proxy.store.text import clip, jsonable

ROUTE_CHARS_MAX = 2048
LOADED_MAX = 400
"""Of 500 routes a process watches: what is no route any more must not take all the places."""
LOG_COLUMNS = (
    "id",  # UUID, stable: a replayed spool is recognised by it
    "created_at",  # aware datetime
    "service",
    "route_path",
    "method",
    "status_code",  # int
    "latency_ms",  # float
    "outcome",  # lower-case name of Outcome: "answered"
    "error_message",
    "error_stack",
    "trace_id",
    "user_id",
    "workspace_id",
)


@dataclass(frozen=True, slots=True)
class Baseline:
    service: str
    route_path: str
    method: str
    p50_latency_ms: float | None
    p95_latency_ms: float | None
    p99_latency_ms: float | None
    error_rate: float
    sample_count: int
    counts: dict[str, Any] = field(default_factory=dict)


async def copy_packed_logs(conn: asyncpg.Connection, pieces: Iterable[bytes]) -> None:
    """One COPY of what ``log_rows.LogRows.copy`` makes; others have their turn between two pieces.
    Raises when nothing was stored, or when that is not known.
    """
    await conn.copy_to_table(
        "observability_logs", source=_in_turns(pieces), columns=PACKED_COLUMNS, format="binary"
    )


async def _in_turns(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


async def copy_logs_idempotent(conn: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    """Replay of a spool: rows in the order of ``LOG_COLUMNS``, texts free of NUL
    (``store.text.clip``) → rows really added; those that are there already (same id, same time)
    stay as they are.
    """
    if not rows:
        return 0
    await conn.execute(sql("metrics.make_staging"))
    await conn.copy_records_to_table(
        "staged_logs", schema_name="pg_temp", records=rows, columns=LOG_COLUMNS
    )
    done: str = await conn.execute(sql("metrics.merge_staging"))
    return int(done.rpartition(" ")[2])


async def forget_health(conn: asyncpg.Connection, service: str, before: datetime) -> None:
    """Retention: one snapshot a minute would grow without end."""
    await conn.execute(sql("metrics.forget_health"), service, before)


async def insert_health_snapshot(
    conn: asyncpg.Connection,
    service: str,
    *,
    minute: int,
    overall: float | None,
    latency: float | None,
    error_rate: float | None,
    availability: float | None,
    metrics: dict[str, Any],
) -> None:
    """Scores 0 to 100, rounded; None without data. ``minute`` of Unix time: the worst of what is
    told of one stays.
    """
    scores = [None if s is None else round(s) for s in (overall, latency, error_rate, availability)]
    await conn.execute(sql("metrics.insert_health"), service, minute, *scores, jsonable(metrics))


async def save_baselines(conn: asyncpg.Connection, baselines: Sequence[Baseline]) -> None:
    """Replace the stored baseline of each route; ``counts`` are what adds up."""
    await conn.executemany(
        sql("metrics.save_baseline"),
        [
            (
                b.service,
                clip(b.route_path, ROUTE_CHARS_MAX),
                clip(b.method, 32),
                b.p50_latency_ms,
                b.p95_latency_ms,
                b.p99_latency_ms,
                b.error_rate,
                b.sample_count,
                jsonable(b.counts),
            )
            for b in baselines
        ],
    )


async def load_baselines(conn: asyncpg.Connection, service: str) -> list[Baseline]:
    """The ``LOADED_MAX`` used last."""
    rows = await conn.fetch(sql("metrics.load_baselines"), service, LOADED_MAX)
    return [Baseline(**dict(row)) for row in rows]


async def ensure_partitions(conn: asyncpg.Connection, day: date, ahead: int = 2) -> list[str]:
    """Make the partitions of ``day`` and ``ahead`` days after it (UTC) → names of the new ones."""
    return [row["part"] for row in await conn.fetch(sql("metrics.ensure_partitions"), day, ahead)]


async def drop_partitions(conn: asyncpg.Connection, before: date) -> list[str]:
    """Retention: drop every day before ``before`` → names of those dropped."""
    return [row["part"] for row in await conn.fetch(sql("metrics.drop_partitions"), before)]
