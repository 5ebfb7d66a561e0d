"""A few facts of the API as a person would say them. Pure; used by the screens and the plain
commands alike."""

import re
from datetime import datetime
from typing import Any

from console.format import ago, count, counted, percent, route_name, stamp
from proxy.contract.alerts import AlertKind
from proxy.contract.anomalies import AnomalyView
from proxy.contract.approvals import ApprovalView
from proxy.contract.audit import AuditView
from proxy.contract.health import Health
from proxy.contract.jobs import FailureEvent, JobView
from proxy.contract.words import EndWord
from proxy.errors import SelfHealError

_ABOUT = re.compile(r"\AP-\d+ for J-\d+ at gate [a-z_]+: ")


def bug_text(job: JobView) -> str:
    """What is broken, without the category in front: that has a column of its own. A route is
    written as everywhere, which in a signature has lost its capitals.
    """
    text = job.signature_text.removeprefix(f"{job.category} | ")
    route = route_name(job.method, job.route)
    return route + text[len(route) :] if text.startswith(f"{route.lower()} ") else text


def because(job: JobView) -> str:
    """Behind the rule: why there is no category, or why the job was put away."""
    if not job.reason:
        return ""
    is_put_away = job.status in ("closed", "snoozed")
    return f"; {job.status} because: {job.reason}" if is_put_away else f": {job.reason}"


def reach_text(job: JobView) -> str:
    """Whom it hit, which may have raised its severity; empty where nobody knows."""
    hit = []
    if job.distinct_clients:
        hit.append(counted(job.distinct_clients, "client"))
    if job.affected_share:
        hit.append(f"{percent(job.affected_share)} of the service's requests")
    return "it hit " + " and ".join(hit) if hit else ""


def over_text(job: JobView, now: datetime) -> str:
    """That its incident is over, since when, and that this moves nothing; empty while it goes on
    and for a job that is over itself.
    """
    since = job.incident_over_since
    if since is None or job.status in ("resolved", "closed"):
        return ""
    said = ENDED[job.incident_ended or "recovered"].format(at=f"{stamp(since)[:16]} UTC")
    is_unpatched = job.status != "applied" and not job.regression
    alone = " by itself" if is_unpatched and job.incident_ended != "new_normal" else ""
    again = " It has fired again since." if job.last_seen > since else ""
    return (
        f"Its incident {said}{alone}, {ago(since, now)}. The job stays until you close it or a "
        f"patch resolves it.{again}"
    )


def item_text(item: ApprovalView) -> str:
    """What is asked for, without patch, job and gate in front: they stand beside it."""
    return _ABOUT.sub("", item.summary, count=1)


ENDED: dict[EndWord, str] = {
    "recovered": "ended at {at}",
    "new_normal": "lasted until its level counted as usual, at {at}",
    "silent": "fell silent: no requests for half an hour, at {at}",
    "unwatched": "was last watched before {at}: no sidecar reports it any more",
}


_PAST = {"takes": "took", "take": "took", "fails": "failed", "fail": "failed", "has": "had"}
_VERB = re.compile(r"(?<= )(?:takes?|fails?|has)(?= )")


def incident_sentence(incident: AnomalyView) -> str:
    """As it was told while it went on, and in the past when it is over."""
    if not incident.resolved:
        return incident.description
    return _VERB.sub(lambda verb: _PAST[verb[0]], incident.description)


def incident_text(incident: AnomalyView) -> str:
    """Its sentence, and whether it goes on."""
    sentence = incident_sentence(incident)
    if not incident.resolved:
        return f"{sentence} It goes on."
    if incident.resolved_at is None:
        return f"{sentence} It is over."
    at = stamp(incident.resolved_at)[:16]
    said = ENDED[incident.ended or "recovered"].format(at=f"{at} UTC")
    return f"{sentence} It {said}."


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


def watched_s(health: Health) -> float:
    """The time that was really watched: a young sidecar has no window full of traffic."""
    return min(health.window_s, health.uptime_s or health.window_s)


def traffic_text(health: Health | None) -> str:
    """How the requests of the window went, without praising those that failed."""
    if health is None or not health.requests:
        return "no requests in the last minutes"
    failed = f"{count(health.errors)} of them failed" if health.errors else "none failed"
    return f"{count(health.requests)} requests in the last minutes, {failed}"
