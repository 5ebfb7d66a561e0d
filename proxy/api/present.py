"""Domain → contract. Every text that came from outside leaves visible; what a role may not see
leaves empty.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from proxy.contract.anomalies import AnomalyView
from proxy.contract.approvals import ApprovalView, DecisionView
from proxy.contract.audit import AuditView
from proxy.contract.base import show_id
from proxy.contract.control import ControlView
from proxy.contract.jobs import FailureEvent, JobView
from proxy.contract.patches import ConfidenceView, PatchView, RiskView, SandboxEvidence
from proxy.domain.anomaly import StoredAnomaly
from proxy.domain.approval import Approval
from proxy.domain.audit import AuditEntry
from proxy.domain.failure import ReplayRequest
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import Patch
from proxy.store.control import ControlVersion
from proxy.store.incidents import Over
from proxy.store.jobs import StoredEvent
from proxy.visible import one_line, visible, visible_bytes


def shown(value: Any) -> Any:
    """A JSON value with every text in it made visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(str(key)): shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return value


def _maybe(text: str | None) -> str | None:
    return None if text is None else visible(text)


def _line(text: str | None) -> str | None:
    return None if text is None else one_line(text)


def job_view(job: Job, patches: Iterable[int] = (), over: Over | None = None) -> JobView:
    is_put_away = job.status in (JobStatus.CLOSED, JobStatus.SNOOZED)
    return JobView(
        id=show_id("J", job.id),
        service=job.service,
        environment=job.environment,
        method=_line(job.method),
        route=_line(job.route),
        category=job.category.value,
        severity=job.severity.value,
        status=job.status.value,
        occurrences=job.occurrences,
        first_seen=job.first_seen,
        last_seen=job.last_seen,
        signature=job.signature,
        signature_text=one_line(job.signature_text),
        rule=one_line(job.rule),
        evidence=[one_line(line) for line in job.evidence],
        regression=job.regression,
        noise=job.noise,
        # a reason to close says nothing of a job that was opened again
        reason=_maybe((is_put_away and job.closed_reason) or job.reason),
        snoozed_until=job.snoozed_until,
        trace_id=job.trace_id,
        summary=_maybe(job.ai_summary),
        recommended_actions=[visible(action) for action in job.ai_recommended_actions],
        related_log_ids=[str(log) for log in job.related_log_ids],
        related_anomaly_ids=[str(anomaly) for anomaly in job.related_anomaly_ids],
        patches=[show_id("P", number) for number in patches],
        distinct_clients=job.distinct_clients,
        affected_share=job.affected_share,
        incident_over_since=None if over is None else over.since,
        incident_ended=None if over is None else over.ended,
    )


def failure_event(event: StoredEvent, *, redacted: bool) -> FailureEvent:
    """One kept sample. Redacted: no stack, no body, no captured request or answer."""
    failure = event.failure
    request = failure.request
    full = not redacted
    return FailureEvent(
        id=str(event.id),
        at=failure.occurred_at,
        message=visible(failure.message),
        status=failure.status,
        stack=_maybe(failure.stack) if full else None,
        body=_maybe(failure.body) if full else None,
        trace_id=failure.trace_id,
        log_id=None if failure.log_id is None else str(failure.log_id),
        origin=failure.origin,
        release=_line(failure.release),
        request=_request(request) if full and request is not None else None,
        response=_response(event) if full else None,
        replayable=request is not None and not request.truncated,
    )


def _request(request: ReplayRequest) -> dict[str, Any]:
    return {
        "method": one_line(request.method),
        "target": one_line(request.target),
        "headers": [[one_line(name), one_line(value)] for name, value in request.headers],
        "body": visible_bytes(request.body),
        "truncated": request.truncated,
        "redacted": list(request.redacted),
    }


def _response(event: StoredEvent) -> dict[str, Any] | None:
    failure = event.failure
    if failure.response_status is None and failure.response_excerpt is None:
        return None
    return {"status": failure.response_status, "excerpt": _maybe(failure.response_excerpt)}


def patch_view(
    patch: Patch,
    approvals: Sequence[Approval] = (),
    *,
    brief: bool = False,
    redacted: bool = False,
) -> PatchView:
    """``brief`` leaves out diff, SQL and evidence. The diff itself is escaped by whoever shows it:

    its bytes are what the digest names, so they travel as they are.
    """
    return PatchView(
        id=show_id("P", patch.id),
        job_id=show_id("J", patch.job_id),
        service=patch.service,
        patch_type=patch.patch_type.value,
        description=visible(patch.description),
        status=patch.status.value,
        digest=patch.digest,
        evidence_digest=patch.evidence_digest,
        created_by=one_line(patch.created_by),
        created_at=patch.created_at,
        base_commit=patch.base_commit,
        diff=None if brief else patch.diff,
        sql=None if brief else patch.sql,
        files_changed=[one_line(name) for name in patch.files_changed],
        risk=RiskView(
            score=patch.risk.score,
            level=patch.risk.level.value,
            reasons=[one_line(reason) for reason in patch.risk.reasons],
        ),
        confidence=ConfidenceView(
            score=patch.confidence_score,
            reasons=[one_line(reason) for reason in patch.confidence_reasons],
        ),
        evidence=None if brief else _evidence(patch, redacted=redacted),
        approvals=[approval_view(approval) for approval in approvals],
        sandbox_branch=patch.sandbox_branch,
        applied_commit=patch.applied_commit,
        previous_commit=patch.previous_commit,
    )


def _evidence(patch: Patch, *, redacted: bool) -> SandboxEvidence | None:
    """A report that does not have the contract's shape is no evidence. Redacted: no output, no
    excerpt.
    """
    if not patch.evidence:
        return None
    report = shown(patch.evidence)
    if redacted:
        for name in ("replay_before", "replay_after", "tests_before", "tests_after"):
            part = report.get(name)
            if isinstance(part, dict):
                part.update({key: "" for key in ("output", "excerpt") if key in part})
    try:
        return SandboxEvidence.model_validate(report)
    except ValidationError:
        return None


def approval_view(approval: Approval) -> ApprovalView:
    decision = approval.decision
    return ApprovalView(
        id=show_id("A", approval.id),
        service=approval.service,
        item_type=approval.item_type.value,
        status=approval.status.value,
        summary=one_line(approval.summary),
        risk=approval.risk_level.value,
        created_by=one_line(approval.created_by),
        created_at=approval.created_at,
        expires_at=approval.expires_at,
        digest=approval.digest,
        evidence_digest=approval.evidence_digest,
        job_id=None if approval.job_id is None else show_id("J", approval.job_id),
        patch_id=None if approval.patch_id is None else show_id("P", approval.patch_id),
        details=shown(approval.details),
        decision=None
        if decision is None
        else DecisionView(
            decision=decision.decision,
            actor=one_line(decision.actor),
            actor_role=decision.actor_role,
            decided_at=decision.decided_at,
            reason=_maybe(decision.reason),
            interactive=decision.interactive,
        ),
    )


def audit_view(entry: AuditEntry) -> AuditView:
    return AuditView(
        seq=entry.seq,
        at=entry.at,
        actor=one_line(entry.actor),
        role=one_line(entry.role),
        origin=one_line(entry.origin),
        action=one_line(entry.action),
        subject=one_line(entry.subject),
        before=shown(entry.before),
        after=shown(entry.after),
        reason=_maybe(entry.reason),
        prev_hash=entry.prev_hash,
        hash=entry.hash,
        payload=base64.b64encode(entry.payload.encode()).decode(),
    )


def anomaly_view(anomaly: StoredAnomaly) -> AnomalyView:
    return AnomalyView.model_validate(
        {
            "id": str(anomaly.id),
            "detected_at": anomaly.detected_at,
            "service": anomaly.service,
            "route": one_line(anomaly.route),
            "method": one_line(anomaly.method),
            "type": anomaly.type,
            "severity": anomaly.severity.value,
            "description": visible(anomaly.description),
            "onset": anomaly.onset,
            "baseline": anomaly.baseline,
            "observed": anomaly.observed,
            "ratio": anomaly.ratio,
            "sigma": anomaly.sigma,
            "samples": anomaly.samples,
            "occurrences": anomaly.occurrences,
            "resolved": anomaly.resolved,
            "resolved_at": anomaly.resolved_at,
            "ended": anomaly.ended if anomaly.resolved else None,
            "part_of": None if anomaly.part_of is None else one_line(anomaly.part_of),
        }
    )


def control_view(version: ControlVersion) -> ControlView:
    return ControlView(
        version=version.version,
        rules=shown(version.rules),
        changed_by=one_line(version.changed_by),
        changed_at=version.changed_at,
    )
