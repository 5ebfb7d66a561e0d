"""A few facts of the API as a person would say them. Pure; used by the screens and the plain
commands alike."""

import re
from typing import Any

from console.format import clock_time, count
from proxy.contract.alerts import AlertKind
from proxy.contract.anomalies import AnomalyView
from proxy.contract.approvals import ApprovalView
from proxy.contract.audit import AuditView
from proxy.contract.health import Health
from proxy.contract.jobs import FailureEvent, JobView
from proxy.errors import SelfHealError

_ABOUT = re.compile(r"\AP-\d+ for J-\d+ at gate [a-z_]+: ")


def bug_text(job: JobView) -> str:
    """What is broken, without the category in front: that has a column of its own."""
    return job.signature_text.removeprefix(f"{job.category} | ")


def item_text(item: ApprovalView) -> str:
    """What is asked for, without patch, job and gate in front: they stand beside it."""
    return _ABOUT.sub("", item.summary, count=1)


def incident_text(incident: AnomalyView) -> str:
    """Its sentence, and whether it goes on."""
    if not incident.resolved:
        return f"{incident.description} It goes on."
    if incident.resolved_at is None:
        return f"{incident.description} It is over."
    return f"{incident.description} It ended at {clock_time(incident.resolved_at)[:5]}."


def step_text(entry: AuditView) -> str:
    """``open → applied (reason)``: the step of a status and why; either alone where one is
    missing."""
    before, after = _status(entry.before), _status(entry.after)
    step = f"{before} → {after}" if before and after and before != after else ""
    if entry.action == "deed.finished" and after:
        step = after
    reason = f'"{entry.reason}"' if entry.reason else ""
    return "  ".join(part for part in (step, reason) if part)


def _status(value: Any) -> str:
    return str(value.get("status") or "") if isinstance(value, dict) else ""


ALERT_SAYS: dict[AlertKind, str] = {
    "break_glass": "broken glass",
    "critical_job": "critical job",
    "expiring": "expires soon",
}


def in_words(status: str) -> str:
    """``rolled_back`` as it is said: ``rolled back``."""
    return status.replace("_", " ")


def sentence(error: SelfHealError) -> str:
    """An error with its notes, as one line for a toast."""
    return " ".join([str(error), *(f"[{note}]" for note in getattr(error, "__notes__", ()))])


def sample_text(event: FailureEvent) -> str:
    """One kept sample as a line: what was asked, what came of it."""
    request = event.request or {}
    target = request.get("target") or request.get("path") or ""
    asked = f"{request.get('method', '')} {target}".strip()
    first = event.message.partition("\n")[0]
    return "  ".join(part for part in (asked, str(event.status or ""), first) if part)


def traffic_text(health: Health | None) -> str:
    """How the requests of the window went, without praising those that failed."""
    if health is None or not health.requests:
        return "no requests in the last minutes"
    failed = f"{count(health.errors)} of them failed" if health.errors else "none failed"
    return f"{count(health.requests)} requests in the last minutes, {failed}"
