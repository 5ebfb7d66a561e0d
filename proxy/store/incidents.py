"""Incidents as rows: one for each, however many proxies found it. Acts as ``proxy``.

A holder is a worker that sees the incident now, ``sidecar/worker``. The row closes when the last
holder has seen the end, or when nobody renews any more (docs/detection.md).
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from proxy.domain.anomaly import STORED_TYPE, Anomaly, AnomalyKind, StoredAnomaly
from proxy.domain.failure import Severity
from proxy.store.statements import sql
from proxy.store.text import clip

ROUTE_CHARS_MAX = 2048
METHOD_CHARS_MAX = 32
TEXT_CHARS_MAX = 4000
SILENT_AFTER = timedelta(minutes=5)
"""A sidecar that has not renewed for this long is gone, and what it alone saw is over."""


async def open_anomaly(
    conn: asyncpg.Connection, service: str, anomaly: Anomaly, holder: str
) -> UUID:
    """The row of this incident, made or joined. The same holder again counts up and may raise the
    severity; the figures are those of the worst report. A part of another incident is a row, too.
    """
    anomaly_id: UUID = await conn.fetchval(
        sql("incidents.open"),
        service,
        clip(anomaly.route, ROUTE_CHARS_MAX),
        clip(anomaly.method, METHOD_CHARS_MAX),
        STORED_TYPE[anomaly.kind],
        anomaly.severity.value,
        clip(anomaly.explanation, TEXT_CHARS_MAX),
        anomaly.detected_at,
        anomaly.onset,
        anomaly.baseline,
        anomaly.observed,
        anomaly.ratio,
        anomaly.sigma,
        anomaly.samples,
        _metrics(anomaly),
        holder,
    )
    if anomaly.head is None:
        # an incident that one proxy counts as part of another may be told by the next, or later
        await conn.execute(sql("incidents.told"), anomaly_id)
    return anomaly_id


def _metrics(anomaly: Anomaly) -> dict[str, str]:
    metrics: dict[str, str] = {"kind": anomaly.kind}
    if anomaly.head is not None:
        metrics["part_of"] = clip(f"{anomaly.head.method} {anomaly.head.route}", ROUTE_CHARS_MAX)
    return metrics


async def close_anomaly(
    conn: asyncpg.Connection, anomaly_id: UUID, holder: str, at: datetime
) -> bool:
    """True when this was the last holder; False while others see it, or when it was closed."""
    closed: bool = await conn.fetchval(sql("incidents.close"), anomaly_id, holder, at)
    return closed


async def link_jobs(conn: asyncpg.Connection, anomaly_id: UUID) -> list[int]:
    """Tie the open jobs that failed on its route since its onset to the incident → newly tied."""
    return [row["id"] for row in await conn.fetch(sql("incidents.link_jobs"), anomaly_id)]


async def close_forgotten(
    conn: asyncpg.Connection,
    service: str,
    sidecar: str,
    before: datetime,
    live: Collection[tuple[AnomalyKind, str, str]],
) -> int:
    """Renew what this sidecar's workers see, close what nobody sees any more → how many closed.

    ``live`` are (kind, method, route) of the incidents open in the running workers of ``sidecar``;
    rows detected after ``before`` may be on their way from a worker to its report.
    """
    kinds, methods, routes = [], [], []
    for kind, method, route in live:
        kinds.append(STORED_TYPE[kind])
        methods.append(clip(method, METHOD_CHARS_MAX))
        routes.append(clip(route, ROUTE_CHARS_MAX))
    await conn.execute(
        sql("incidents.renew"), service, sidecar, before, kinds, methods, routes, SILENT_AFTER
    )
    return len(await conn.fetch(sql("incidents.close_forgotten"), service, before))


async def list_anomalies(
    conn: asyncpg.Connection,
    *,
    service: str | None = None,
    resolved: bool | None = None,
    limit: int = 100,
) -> list[StoredAnomaly]:
    """Newest first."""
    rows = await conn.fetch(sql("incidents.list"), service, resolved, limit)
    return [StoredAnomaly(**{**dict(row), "severity": Severity(row["severity"])}) for row in rows]
