"""The console's whole world as one frozen value, and ``reduce``: what a piece of news makes of it.
Pure.

Whether a deed may be sent is decided here as well: only with a live stream, fresh data and a
console that may act.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, assert_never

from console.filters import JobFilter
from console.format import SEVERITY_RANK
from console.news import Alive, Failed, Got, Input, Lost, Opened, Received, Refused, What
from proxy.contract.alerts import AlertView
from proxy.contract.approvals import ApprovalView
from proxy.contract.audit import AuditPage, AuditVerdict
from proxy.contract.control import ControlView
from proxy.contract.events import Event
from proxy.contract.health import Health, RouteStats
from proxy.contract.jobs import JobDetail, JobPage, JobView
from proxy.contract.patches import PatchView

STALE_S = 10.0
PROBLEMS_MAX = 200
KEPT_MAX = 200
"""Details and patches remembered at a time; the oldest leave."""
SORTS = ("last seen", "severity", "times", "first seen", "route")

ConnectionKind = Literal["connecting", "live", "offline", "refused"]


@dataclass(frozen=True, slots=True)
class Connection:
    kind: ConnectionKind = "connecting"
    heard_at: float | None = None
    """Monotonic seconds of the last sign of life."""
    reason: str = ""
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class ProblemNote:
    what: str
    reason: str
    at: float
    times: int = 1


@dataclass(frozen=True, slots=True)
class State:
    connection: Connection = Connection()
    read_only: bool = False
    health: Health | None = None
    jobs: tuple[JobView, ...] = ()
    """In the order they are shown."""
    fresh: tuple[JobView, ...] | None = None
    """What the server said last while the order is held still."""
    total: int = 0
    all_jobs: int = 0
    sort: str = "last seen"
    descending: bool = True
    details: dict[str, JobDetail] = field(default_factory=dict)
    patches: dict[str, PatchView] = field(default_factory=dict)
    routes: tuple[RouteStats, ...] = ()
    approvals: tuple[ApprovalView, ...] = ()
    alerts: tuple[AlertView, ...] = ()
    """What must be seen and nobody acknowledged, the worst first."""
    audit: AuditPage | None = None
    verdict: AuditVerdict | None = None
    control: ControlView | None = None
    problems: tuple[ProblemNote, ...] = ()
    loaded: frozenset[str] = frozenset()
    failed: dict[str, str] = field(default_factory=dict)
    """Why a part could not be loaded the last time it was tried."""
    due: frozenset[tuple[What, str]] = frozenset()
    """What the stream says is out of date: the part, and the id it concerns."""
    resynced: int = 0
    seen: dict[str, frozenset[int]] = field(default_factory=dict)
    """Hunks shown, by patch digest: another digest starts unseen."""


EVERYTHING: frozenset[tuple[What, str]] = frozenset(
    {("health", ""), ("jobs", ""), ("routes", ""), ("approvals", ""), ("alerts", ""), ("audit", "")}
)

_DUE: dict[str, tuple[What, ...]] = {
    "job": ("jobs", "health", "alerts"),
    "patch": ("jobs", "approvals", "alerts"),
    "approval": ("approvals", "alerts", "audit"),
    "anomaly": ("health", "routes"),
    "health": ("health", "routes"),
    "deploy": ("health", "audit"),
    "audit": ("audit",),
}


def reduce(state: State, news: Input, at: float, *, hold: bool = False) -> State:
    """The state after ``news``, heard at ``at`` (monotonic). ``hold``: rows must not move under
    the cursor."""
    match news:
        case Opened(gap):
            state = replace(state, connection=Connection("live", at), due=state.due | EVERYTHING)
            return replace(state, resynced=state.resynced + 1) if gap else state
        case Alive():
            return _heard(state, at)
        case Received(event):
            return _due(_heard(state, at), event)
        case Lost(reason, retry_in_s):
            old = state.connection
            gone = Connection("offline", old.heard_at, reason, at + retry_in_s)
            return replace(state, connection=gone)
        case Refused(reason):
            heard = state.connection.heard_at
            refused = replace(state, connection=Connection("refused", heard, reason))
            return with_problem(refused, "token", reason, at)
        case Got(what, value):
            return _got(state, what, value, hold=hold)
        case Failed(what, reason):
            failed = replace(state, failed={**state.failed, what: reason})
            return with_problem(failed, what, reason, at)
        case _:
            assert_never(news)


def _heard(state: State, at: float) -> State:
    if state.connection.kind == "refused":
        return state
    return replace(state, connection=replace(state.connection, kind="live", heard_at=at))


def _due(state: State, event: Event) -> State:
    if event.kind == "resync":
        return replace(state, due=state.due | EVERYTHING, resynced=state.resynced + 1)
    due: set[tuple[What, str]] = {(what, "") for what in _DUE[event.kind]}
    if event.kind == "job" and event.subject in state.details:
        due.add(("job", event.subject))
    if event.kind == "patch" and event.subject in state.patches:
        due.add(("patch", event.subject))
    if event.kind == "approval":
        # An approval is part of its patch's page; which one it is the event does not say.
        due.update(("patch", shown) for shown in state.patches)
    return replace(state, due=state.due | due)


def asked_again(state: State, parts: Iterable[tuple[What, str]]) -> State:
    """``parts`` are out of date, where somebody is there to be asked."""
    if state.connection.kind != "live":
        return state
    return replace(state, due=state.due.union(parts))


def taken_due(state: State) -> tuple[frozenset[tuple[What, str]], State]:
    """What to load now, and the state that no longer asks for it."""
    return state.due, replace(state, due=frozenset())


def _got(state: State, what: What, value: Any, *, hold: bool) -> State:
    failed = {name: why for name, why in state.failed.items() if name != what}
    state = replace(state, loaded=state.loaded | {what}, failed=failed)
    match what:
        case "jobs":
            return _got_jobs(state, value, hold=hold)
        case "job":
            detail: JobDetail = value
            # A job's page shows its patches without their approvals: whole pages are kept and
            # asked for.
            known = {**{patch.id: patch for patch in detail.patches}, **state.patches}
            due: set[tuple[What, str]] = {("patch", patch.id) for patch in detail.patches}
            details = _kept({**state.details, detail.job.id: detail})
            return replace(state, details=details, patches=_kept(known), due=state.due | due)
        case "patch":
            return _got_patch(state, value)
        case "routes":
            return replace(state, routes=tuple(value))
        case "approvals":
            return replace(state, approvals=tuple(value))
        case "alerts":
            return replace(state, alerts=tuple(value))
        case "verify":
            return replace(state, verdict=value)
        case "health":
            return replace(state, health=value)
        case "audit":
            return replace(state, audit=value)
        case "control":
            return replace(state, control=value)
        case _:
            assert_never(what)


def _got_patch(state: State, patch: PatchView) -> State:
    state = replace(state, patches=_kept({**state.patches, patch.id: patch}))
    detail = state.details.get(patch.job_id)
    if detail is None:
        return state
    inside = [patch if old.id == patch.id else old for old in detail.patches]
    new = detail.model_copy(update={"patches": inside})
    return replace(state, details={**state.details, patch.job_id: new})


def _got_jobs(state: State, page: JobPage, *, hold: bool) -> State:
    state = replace(state, total=page.total, all_jobs=page.all)
    fresh = tuple(sorted_jobs(page.jobs, state.sort, descending=state.descending))
    if not hold or not state.jobs:
        return replace(state, jobs=fresh, fresh=None)
    newer = {job.id: job for job in fresh}
    # Known rows stay where they are and take their new values; the rest waits for the next sort.
    held = tuple(newer.get(job.id, job) for job in state.jobs)
    moved = [job.id for job in held] != [job.id for job in fresh]
    return replace(state, jobs=held, fresh=fresh if moved else None)


def settle(state: State) -> State:
    """Let the held rows take their places."""
    return state if state.fresh is None else replace(state, jobs=state.fresh, fresh=None)


def waiting_rows(state: State) -> int:
    """New jobs that are not shown yet."""
    shown = {job.id for job in state.jobs}
    return sum(job.id not in shown for job in state.fresh or ())


def resort(state: State, sort: str, *, descending: bool) -> State:
    jobs = state.fresh if state.fresh is not None else state.jobs
    ordered = tuple(sorted_jobs(jobs, sort, descending=descending))
    return replace(state, jobs=ordered, fresh=None, sort=sort, descending=descending)


def sorted_jobs(
    jobs: list[JobView] | tuple[JobView, ...], sort: str, *, descending: bool
) -> list[JobView]:
    """Severity means worst first when descending; equal rows fall back to the newest."""
    keys: dict[str, Any] = {
        "last seen": lambda job: job.last_seen,
        "severity": lambda job: -SEVERITY_RANK[job.severity],
        "times": lambda job: job.occurrences,
        "first seen": lambda job: job.first_seen,
        "route": lambda job: (job.route or "", job.method or ""),
    }
    newest = sorted(jobs, key=lambda job: job.last_seen, reverse=True)
    return sorted(newest, key=keys[sort], reverse=descending)


def shown_jobs(state: State, chosen: JobFilter) -> list[JobView]:
    return [job for job in state.jobs if chosen.takes(job)]


def _kept(table: dict[str, Any]) -> dict[str, Any]:
    extra = len(table) - KEPT_MAX
    return dict(list(table.items())[extra:]) if extra > 0 else table


def with_problem(state: State, what: str, reason: str, at: float) -> State:
    """The same problem twice in a row is one line that counts."""
    last = state.problems[-1] if state.problems else None
    if last is not None and (last.what, last.reason) == (what, reason):
        again = replace(last, at=at, times=last.times + 1)
        return replace(state, problems=(*state.problems[:-1], again))
    kept = (*state.problems, ProblemNote(what, reason, at))[-PROBLEMS_MAX:]
    return replace(state, problems=kept)


def mark_seen(state: State, digest: str, hunks: frozenset[int]) -> State:
    old = state.seen.get(digest, frozenset())
    return (
        state if hunks <= old else replace(state, seen=_kept({**state.seen, digest: old | hunks}))
    )


def silence(state: State, at: float) -> float | None:
    """Seconds since the last sign of life."""
    heard = state.connection.heard_at
    return None if heard is None else max(0.0, at - heard)


def is_stale(state: State, at: float) -> bool:
    age = silence(state, at)
    return age is None or age > STALE_S


def why_not_act(state: State, at: float) -> str | None:
    """A sentence when no deed may be sent now; None when one may."""
    if state.read_only:
        return "read-only: this console cannot change anything"
    kind = state.connection.kind
    if kind == "refused":
        return f"the token is refused: {state.connection.reason}"
    if kind in ("connecting", "offline"):
        return "not connected: what is shown may have changed; nothing is queued for later"
    if is_stale(state, at):
        return f"data is {silence(state, at) or 0:.0f} s old; wait until the badge says live"
    return None


def connection_badge(state: State, at: float) -> tuple[str, str]:
    """Shape, word and look: ``● live``, ``◐ stale 14s``, ``○ offline``."""
    kind = state.connection.kind
    if kind == "refused":
        return "○ token refused", "bad"
    if kind == "connecting":
        return "○ connecting", "dim"
    if kind == "offline":
        left = max(0.0, (state.connection.retry_at or at) - at)
        return f"○ offline, again in {left:.0f}s", "bad"
    if is_stale(state, at):
        return f"◐ stale {silence(state, at) or 0:.0f}s", "high"
    return "● live", "ok"


def new_critical(old: tuple[AlertView, ...], new: tuple[AlertView, ...]) -> list[AlertView]:
    """Critical alerts that were not there before."""
    known = {(alert.kind, alert.subject, alert.since) for alert in old}
    return [
        alert
        for alert in new
        if alert.severity == "critical" and (alert.kind, alert.subject, alert.since) not in known
    ]


def needs_you(state: State) -> list[tuple[str, JobView | None, ApprovalView]]:
    """Undecided approvals, gate main first, then the riskiest; each with its job when that is
    known."""
    jobs = {job.id: job for job in state.jobs}
    waiting = [item for item in state.approvals if item.status in ("pending", "deferred")]
    waiting.sort(
        key=lambda item: (
            item.item_type != "patch_main",
            SEVERITY_RANK[item.risk],
            item.created_at,
        )
    )
    words = {"patch_main": "REVIEW", "patch_sandbox": "TEST"}
    return [
        (words.get(item.item_type, "DECIDE"), jobs.get(item.job_id or ""), item) for item in waiting
    ]
