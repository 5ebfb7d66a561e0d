"""One failure counted on its job: found, reopened, opened, or taken by the storm's one job.

Acts as the sidecar's own role. Who belongs to which job is decided in the database
(``resolve_signature``), so that two proxies never disagree.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg

from proxy.domain.facet import keys as facet_keys
from proxy.domain.failure import Category, Classification, Failure, Severity, Signature
from proxy.domain.job import Job
from proxy.domain.sketch import kept
from proxy.store.job_rows import (
    BODY_CHARS_MAX,
    MESSAGE_CHARS_MAX,
    NAME_CHARS_MAX,
    STACK_CHARS_MAX,
    job_of,
)
from proxy.store.statements import sql
from proxy.store.text import clip, jsonable

SAMPLES_MAX = 20
EVIDENCE_MAX = 20
RELEASE_CHARS_MAX = 200
STORM_RULE = "storm"
_LARGE_TEXT = {"stack": STACK_CHARS_MAX, "body": BODY_CHARS_MAX, "response_excerpt": BODY_CHARS_MAX}


@dataclass(frozen=True, slots=True)
class StormLimit:
    """At most so many new jobs of one service within so many seconds."""

    signatures: int
    window_s: float


@dataclass(frozen=True, slots=True)
class RecordedJob:
    """``created``: this failure opened the job; ``regressed``: it reopened one that counted as
    fixed.
    """

    job: Job
    created: bool
    regressed: bool
    stormed: bool = False
    """Counted on the storm's job, because too many new bugs came at once."""


async def record_failure(
    conn: asyncpg.Connection,
    failure: Failure,
    c: Classification,
    *,
    count: int = 1,
    clients: Sequence[int] | None = None,
    storm: StormLimit | None = None,
) -> RecordedJob:
    """Count ``failure`` on its job, opening or reopening it as needed; ``count`` equal ones at
    once.

    Safe from any number of processes; severity only rises; a failure older than the fix, or of a
    build without it, never reopens. ``clients`` are sketch values (``domain.sketch``) of all who
    were hit; without them the failure's own counts. Where ``storm`` is given and as many new bugs
    came lately, a new one is counted on the storm's own job.
    """
    seen = _Seen(failure, c, count, kept(failure.client) if clients is None else clients)
    row = await conn.fetchrow(sql("jobs.count"), *seen.again())
    if row is None:
        await conn.execute(sql("jobs.lock_signature"), *seen.key, seen.facets)
        row = await conn.fetchrow(sql("jobs.count"), *seen.again())
    if row is None:
        if storm is not None and await _is_storm(conn, seen, storm):
            recorded = await record_failure(
                conn, failure, storm_classification(c, storm), count=count, clients=seen.clients
            )
            return replace(recorded, stormed=True)
        row = await conn.fetchrow(sql("jobs.open_new"), *seen.first())
    if row["sampled"] and row["occurrences"] > SAMPLES_MAX:
        await conn.execute(sql("jobs.trim_events"), row["id"], SAMPLES_MAX)
    return RecordedJob(job_of(row), row["created"], row["regressed"])


def storm_classification(c: Classification, storm: StormLimit) -> Classification:
    """What all failures beyond the limit are together; noise makes a storm of its own."""
    text = f"storm of {'noise' if c.noise else 'new failures'}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    return Classification(
        Category.UNKNOWN,
        Severity.LOW if c.noise else Severity.CRITICAL,
        STORM_RULE,
        Signature(f"v1:{digest}"),
        text,
        reason=(
            f"more than {storm.signatures} new bugs within {storm.window_s:.0f} s; each that still "
            "fires when it is over becomes a job of its own"
        ),
        noise=c.noise,
    )


async def _is_storm(conn: asyncpg.Connection, seen: "_Seen", storm: StormLimit) -> bool:
    if seen.c.rule == STORM_RULE:
        return False
    lately = await conn.fetchval(
        sql("jobs.opened_lately"), *seen.key[:2], storm.window_s, seen.c.noise, storm.signatures
    )
    return int(lately) >= storm.signatures


class _Seen:
    """One failure as the parameters of the two statements that may record it."""

    def __init__(
        self, failure: Failure, c: Classification, count: int, clients: Sequence[int]
    ) -> None:
        self.failure, self.c, self.count, self.clients = failure, c, count, list(clients)
        self.key = (failure.service, failure.environment, str(c.signature))
        self.request, self.body = _request_columns(failure)
        self.sample = _failure_json(failure)
        self.facets = facet_keys(failure)
        self.release = clip(failure.release, RELEASE_CHARS_MAX)

    def again(self) -> tuple[Any, ...]:
        """For ``jobs.count``."""
        return (
            *self.key,
            self.c.category.value,
            self.c.severity.value,
            self.count,
            self.failure.occurred_at,
            self.c.noise,
            self.failure.trace_id,
            *self._kept(),
            self.facets,
            self.clients,
            self.release,
        )

    def first(self) -> tuple[Any, ...]:
        """For ``jobs.open_new``."""
        return (
            self.failure.service,
            self.failure.environment,
            clip(self.failure.method, 32),
            clip(self.failure.route, NAME_CHARS_MAX),
            str(self.c.signature),
            clip(self.c.signature_text, MESSAGE_CHARS_MAX) or "",
            self.c.category.value,
            self.c.severity.value,
            self.count,
            self.failure.occurred_at,
            self.c.rule,
            [clip(str(e), NAME_CHARS_MAX) for e in self.c.evidence[:EVIDENCE_MAX]],
            clip(self.c.reason, NAME_CHARS_MAX),
            self.c.noise,
            self.failure.trace_id,
            *self._kept(),
            self.facets,
            self.clients,
            self.release,
        )

    def _kept(self) -> tuple[Any, ...]:
        return (
            self.failure.log_id,
            self.failure.anomaly_id,
            self.sample,
            self.body,
            self.request,
        )


def _request_columns(failure: Failure) -> tuple[dict[str, Any] | None, bytes | None]:
    if failure.request is None:
        return None, None
    r = failure.request
    head = {
        "method": r.method,
        "target": r.target,
        "headers": [list(pair) for pair in r.headers],
        "truncated": r.truncated,
        "redacted": list(r.redacted),
    }
    return jsonable(head), r.body


def _failure_json(failure: Failure) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in Failure.__dataclass_fields__:
        value = getattr(failure, name)
        if name in ("request", "occurred_at") or value is None:
            continue
        if isinstance(value, UUID):
            value = str(value)
        elif isinstance(value, str):
            value = clip(value, _LARGE_TEXT.get(name, MESSAGE_CHARS_MAX))
        elif isinstance(value, tuple):
            value = [clip(v, NAME_CHARS_MAX) for v in value[:50]]
        fields[name] = value
    return fields
