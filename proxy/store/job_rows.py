"""Rows of jobs and samples as nouns of the domain, and the bounds of their texts."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from proxy.domain.failure import Category, Failure, ReplayRequest, Severity
from proxy.domain.job import Job, JobStatus

MESSAGE_CHARS_MAX = 8192
STACK_CHARS_MAX = 65536
BODY_CHARS_MAX = 16384
NAME_CHARS_MAX = 2048


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One kept sample of a job's failures."""

    id: int
    job_id: int
    failure: Failure
    signature: str | None = None
    """As it was computed, before merges and splits; None for samples of an older release."""


def event_of(row: asyncpg.Record) -> StoredEvent:
    known = {k: v for k, v in row["failure"].items() if k in Failure.__dataclass_fields__}
    for name in ("log_id", "anomaly_id"):
        if known.get(name):
            known[name] = UUID(known[name])
    if known.get("severity"):
        known["severity"] = Severity(known["severity"])
    known["redirect_chain"] = tuple(known.get("redirect_chain", ()))
    request = row["request"]
    if request is not None:
        request = ReplayRequest(
            request["method"],
            request["target"],
            tuple((str(k), str(v)) for k, v in request["headers"]),
            bytes(row["request_body"] or b""),
            request["truncated"],
            tuple(request["redacted"]),
        )
    failure = Failure(**known, occurred_at=row["occurred_at"], request=request)
    return StoredEvent(row["id"], row["job_id"], failure, row["error_signature"])


def job_of(row: asyncpg.Record) -> Job:
    return Job(
        id=row["id"],
        service=row["service"],
        environment=row["environment"],
        method=row["method"],
        route=row["route"],
        signature=row["error_signature"],
        signature_text=row["signature_text"],
        category=Category(row["error_category"]),
        severity=Severity(row["severity"]),
        status=JobStatus(row["status"]),
        occurrences=row["occurrences"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        rule=row["rule"],
        evidence=tuple(row["evidence"]),
        reason=row["reason"],
        regression=row["regression"],
        noise=row["noise"],
        snoozed_until=row["snoozed_until"],
        trace_id=row["trace_id"],
        related_log_ids=tuple(row["related_observability_log_ids"]),
        related_anomaly_ids=tuple(row["related_anomaly_ids"]),
        ai_summary=row["ai_summary"],
        ai_recommended_actions=tuple(row["ai_recommended_actions"]),
        closed_reason=row["closed_reason"],
        applied_at=row["applied_at"],
        resolved_at=row["resolved_at"],
        distinct_clients=row["distinct_clients"],
        affected_share=row["affected_share"],
        told_severity=Severity(row["told_severity"] or row["severity"]),
        releases=tuple(row["releases"]),
    )
