"""Request log, anomalies, health, baselines: skeleton of the public API (bodies follow)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from proxy.domain.anomaly import Anomaly, StoredAnomaly

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


async def copy_logs(conn: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    raise NotImplementedError


async def copy_logs_idempotent(conn: asyncpg.Connection, rows: Sequence[tuple[Any, ...]]) -> int:
    """Rows really added; those already there are left alone."""
    raise NotImplementedError


async def open_anomaly(conn: asyncpg.Connection, service: str, anomaly: Anomaly) -> UUID:
    raise NotImplementedError


async def close_anomaly(conn: asyncpg.Connection, anomaly_id: UUID, at: datetime) -> bool:
    raise NotImplementedError


async def list_anomalies(
    conn: asyncpg.Connection,
    *,
    service: str | None = None,
    resolved: bool | None = None,
    limit: int = 100,
) -> list[StoredAnomaly]:
    raise NotImplementedError


async def insert_health_snapshot(
    conn: asyncpg.Connection,
    service: str,
    *,
    overall: float | None,
    latency: float | None,
    error_rate: float | None,
    availability: float | None,
    metrics: dict[str, Any],
) -> None:
    raise NotImplementedError


async def save_baselines(conn: asyncpg.Connection, baselines: Sequence[Baseline]) -> None:
    raise NotImplementedError


async def load_baselines(conn: asyncpg.Connection, service: str) -> list[Baseline]:
    raise NotImplementedError


async def ensure_partitions(conn: asyncpg.Connection, day: date, ahead: int = 2) -> list[str]:
    raise NotImplementedError


async def drop_partitions(conn: asyncpg.Connection, before: date) -> list[str]:
    raise NotImplementedError
