"""Incidents as rows: one for each, however many proxies found it. Acts as ``proxy``.

A holder is a worker that sees the incident now, ``sidecar/worker``. The row closes when the last
holder has seen the end, or when nobody renews any more (docs/detection.md).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from proxy.domain.anomaly import STORED_TYPE, Anomaly, AnomalyKind, Ended, StoredAnomaly
from proxy.domain.failure import Severity
from proxy.store.statements import sql
from proxy.store.text import clip

ROUTE_CHARS_MAX = 2048
METHOD_CHARS_MAX = 32
TEXT_CHARS_MAX = 4000
SILENT_AFTER = timedelta(minutes=5)
"""A sidecar that has not renewed for this long is gone, and what it alone saw is over."""
MOVING_FOR, EARLIER = timedelta(minutes=3), timedelta(minutes=15)
"""The rules of one proxy (``observability/common.py``): so long most routes move beyond the last
that was told of them, and so long before the first one of them may seem to have begun.
"""


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
    return anomaly_id


async def take_turns(conn: asyncpg.Connection, service: str, kind: AnomalyKind) -> None:
    """Until the transaction ends this one alone opens incidents of the kind: the next sees them."""
    await conn.execute(sql("incidents.take_turns"), service, STORED_TYPE[kind])


async def same_cause(
    conn: asyncpg.Connection, service: str, found: Anomaly, holder: str, least_size: float
) -> Anomaly | None:
    """What another holder told of most routes that move with it, while they do, and that explains
    ``found``: at least ``least_size`` times slower, or failing by that share. What the holder tells
    beside a cause that it shares is another, by its own judgement.
    """
    row = await conn.fetchrow(
        sql("incidents.same_cause"),
        service,
        STORED_TYPE[found.kind],
        clip(found.method, METHOD_CHARS_MAX),
        clip(found.route, ROUTE_CHARS_MAX),
        found.onset,
        found.detected_at,
        holder,
        least_size,
        MOVING_FOR,
        EARLIER,
    )
    return _told(found.kind, row)


async def head_of(conn: asyncpg.Connection, service: str, head: Anomaly) -> Anomaly | None:
    """What speaks for ``head``, where that was not told itself."""
    row = await conn.fetchrow(
        sql("incidents.head_of"),
        service,
        STORED_TYPE[head.kind],
        clip(head.method, METHOD_CHARS_MAX),
        clip(head.route, ROUTE_CHARS_MAX),
    )
    return _told(head.kind, row)


def _told(kind: AnomalyKind, row: asyncpg.Record | None) -> Anomaly | None:
    if row is None:
        return None
    return Anomaly(kind=kind, **{**dict(row), "severity": Severity(row["severity"])})


def _metrics(anomaly: Anomaly) -> dict[str, str | int]:
    metrics: dict[str, str | int] = {"kind": anomaly.kind}
    if anomaly.moving:
        metrics["moving"] = anomaly.moving
    if anomaly.head is not None:
        metrics["part_of"] = clip(f"{anomaly.head.method} {anomaly.head.route}", ROUTE_CHARS_MAX)
    return metrics


async def close_anomaly(
    conn: asyncpg.Connection, anomaly_id: UUID, holder: str, at: datetime, ended: Ended
) -> bool:
    """True when this was the last holder; False while others see it, or when it was closed."""
    closed: bool = await conn.fetchval(sql("incidents.close"), anomaly_id, holder, at)
    if closed:
        await conn.execute(sql("incidents.note_end"), anomaly_id, ended)
    return closed


async def held(
    conn: asyncpg.Connection, service: str, anomaly: Anomaly, holder: str
) -> UUID | None:
    """The open row on the route of ``anomaly`` that this holder sees."""
    row: UUID | None = await conn.fetchval(
        sql("incidents.held"),
        service,
        STORED_TYPE[anomaly.kind],
        clip(anomaly.method, METHOD_CHARS_MAX),
        clip(anomaly.route, ROUTE_CHARS_MAX),
        holder,
    )
    return row


async def link_jobs(conn: asyncpg.Connection, anomaly_id: UUID) -> list[int]:
    """Tie the open jobs that failed on its route since its onset to the incident → newly tied."""
    return [row["id"] for row in await conn.fetch(sql("incidents.link_jobs"), anomaly_id)]


async def tied_jobs(conn: asyncpg.Connection, anomaly_id: UUID) -> list[int]:
    """All jobs of the incident that are not closed or resolved."""
    return [row["job_id"] for row in await conn.fetch(sql("incidents.tied_jobs"), anomaly_id)]


@dataclass(frozen=True, slots=True)
class Over:
    """When the last incident of a job ended, and how."""

    since: datetime
    ended: Ended | None


async def over_since(conn: asyncpg.Connection, job_ids: Collection[int]) -> dict[int, Over]:
    """Left out are jobs without an incident, and those of which one goes on."""
    rows = await conn.fetch(sql("incidents.over_since"), list(job_ids))
    return {row["id"]: Over(row["since"], row["ended"]) for row in rows}


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
    return _stored(await conn.fetch(sql("incidents.list"), service, resolved, limit))


async def anomalies_of_job(
    conn: asyncpg.Connection, job_id: int, limit: int
) -> list[StoredAnomaly]:
    """Those the job is tied to: what was told, the newest first, then the parts of it."""
    return _stored(await conn.fetch(sql("incidents.of_job"), job_id, limit))


def _stored(rows: Iterable[asyncpg.Record]) -> list[StoredAnomaly]:
    return [StoredAnomaly(**{**dict(row), "severity": Severity(row["severity"])}) for row in rows]
