"""The control API on one page: the shapes proxy and console both speak (`/api/v1`, JSON).

Ids are ``J-1 P-1 A-1`` here and integers in tables. Times are RFC 3339 in UTC. Requests refuse
unknown fields; answers may grow new ones, so readers ignore what they do not know. Knows nothing of
any room.
"""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

API_PREFIX = "/api/v1"
HEARTBEAT_S = 5.0
"""At most this many seconds lie between two writes on `/events`: a comment fills a silence.
Three missed beats mean the stream is dead."""
CHANGE_HEADER = "X-Selfheal-Request"
"""Every change carries this header with value ``1``: a cross-site form cannot send it."""

SeverityWord = Literal["low", "medium", "high", "critical"]
CategoryWord = Literal[
    "RLS_VIOLATION",
    "AUTH_FAILURE",
    "SSR_HYDRATION",
    "API_SCHEMA",
    "PERFORMANCE",
    "UI_BUG",
    "REDIRECT_LOOP",
    "DB_ERROR",
    "UNKNOWN",
]
JobStatusWord = Literal[
    "open", "patch_proposed", "sandboxed", "approved", "applied", "resolved", "snoozed", "closed"
]
PatchStatusWord = Literal[
    "proposed",
    "sandbox_running",
    "sandbox_passed",
    "sandbox_failed",
    "approved",
    "applied",
    "verified",
    "regressed",
    "rolled_back",
    "rejected",
    "superseded",
]
PatchTypeWord = Literal["code", "sql_migration", "config", "dependency", "test", "manual"]
ItemTypeWord = Literal[
    "claim",
    "campaign",
    "email",
    "automation",
    "brand_change",
    "override",
    "patch_sandbox",
    "patch_main",
]
DecisionWord = Literal["approve", "reject", "defer"]
ApprovalStatusWord = Literal["pending", "approved", "rejected", "deferred", "expired", "void"]
EventKind = Literal["job", "patch", "approval", "anomaly", "health", "audit", "resync"]

_ID = re.compile(r"^(?:([JPAjpa])-)?([1-9][0-9]{0,17})$")


def parse_id(text: str, letter: Literal["J", "P", "A"]) -> int:
    """``J-12``, ``j-12`` or ``12`` → 12. ``ValueError`` says what is accepted."""
    match = _ID.match(text.strip())
    if match is None or (match[1] or letter).upper() != letter:
        raise ValueError(f"{text!r} is no {letter}-id; write {letter}-1 or 1")
    return int(match[2])


def show_id(letter: Literal["J", "P", "A"], number: int) -> str:
    return f"{letter}-{number}"


def _hex64(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("a digest is 64 lower-case hex digits")
    return value


Digest = Annotated[str, AfterValidator(_hex64)]
IdempotencyKey = Annotated[str, Field(min_length=8, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")]


class Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# --- what is going on --------------------


class WhyTerm(Answer):
    """One term that cost points of the health score."""

    term: str
    points: float
    text: str


class TrafficMinute(Answer):
    at: datetime
    requests: int
    errors: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


class Neighbour(Answer):
    """Somebody in front of or behind the sidecar, and the header that gave it away."""

    name: str
    header: str


class BlindSpot(Answer):
    to: str
    remedy: str
    """What would let the sidecar see it."""


class SurroundingsView(Answer):
    """Read from ``requests`` failing or redirected exchanges since the start."""

    front: list[Neighbour] = []
    behind: list[Neighbour] = []
    blind: list[BlindSpot] = []
    requests: int = 0


class Health(Answer):
    status: Literal["ok", "degraded", "draining", "starting"]
    score: int | None
    parts: dict[str, float | None] = {}
    """latency, error_rate, availability: 0-100 each, None without data."""
    why: list[WhyTerm] = []
    window_s: float = 300.0
    requests: int = 0
    errors: int = 0
    upstream: dict[str, Any] = {}
    storage: dict[str, Any] = {}
    capture: dict[str, Any] = {}
    workers: list[dict[str, Any]] = []
    service: str = ""
    environment: str = ""
    version: str = ""
    uptime_s: float = 0.0
    traffic: list[TrafficMinute] = []
    open_jobs: dict[str, int] = {}
    """Open jobs by severity, and ``total``, ``pending_patches``, ``pending_approvals``,
    ``resolved_7d``.
    """
    surroundings: SurroundingsView = SurroundingsView()


class RouteStats(Answer):
    method: str
    route: str
    requests: int
    error_rate: float
    client_error_rate: float = 0.0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    window_s: float = 300.0
    jobs: list[str] = []


class AnomalyView(Answer):
    id: str
    detected_at: datetime
    service: str
    route: str
    method: str
    type: Literal["latency_spike", "error_rate_spike", "unusual_pattern", "cascade_failure"]
    severity: SeverityWord
    description: str
    onset: datetime | None = None
    baseline: float | None = None
    observed: float | None = None
    ratio: float | None = None
    sigma: float | None = None
    samples: int | None = None
    occurrences: int = 1
    resolved: bool = False
    resolved_at: datetime | None = None


class DeployRequest(Request):
    """`POST /deploys`: a release of the app has gone out."""

    version: str = Field("", max_length=200)
    service: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")


class DeployView(Answer):
    id: int
    at: datetime
    service: str
    version: str
    announced_by: Literal["api", "header"]
    actor: str


class DeployList(Answer):
    deploys: list[DeployView]


# --- jobs --------------------


class JobView(Answer):
    id: str
    service: str
    environment: str = ""
    method: str | None
    route: str | None
    category: CategoryWord
    severity: SeverityWord
    status: JobStatusWord
    occurrences: int
    first_seen: datetime
    last_seen: datetime
    signature: str
    signature_text: str
    rule: str
    evidence: list[str]
    regression: bool
    noise: bool
    reason: str | None = None
    snoozed_until: datetime | None = None
    trace_id: str | None = None
    summary: str | None = None
    recommended_actions: list[str] = []
    related_log_ids: list[str] = []
    related_anomaly_ids: list[str] = []
    patches: list[str] = []
    distinct_clients: int = 0
    affected_share: float | None = None
    """Of the service's recent requests, how many met this bug: 0-1."""


class FailureEvent(Answer):
    """One kept sample of a job's failures, redacted; ``request`` and ``response`` as the proxy
    saw them.
    """

    id: str
    at: datetime
    message: str
    status: int | None = None
    stack: str | None = None
    body: str | None = None
    trace_id: str | None = None
    log_id: str | None = None
    origin: str = "proxy"
    release: str | None = None
    request: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    replayable: bool = False


class JobPage(Answer):
    jobs: list[JobView]
    total: int
    """Matching the filter; ``all`` counts every job of the same scope."""
    all: int
    next_cursor: str | None = None


class JobStatusRequest(Request):
    status: Literal["open", "snoozed", "closed"]
    """Only what a person may set by hand; every other step belongs to patches and proofs."""
    reason: str | None = Field(None, max_length=2000)
    until: datetime | None = None


class MergeRequest(Request):
    """`POST /jobs/{n}/merge`: the failures of ``other`` belong to this job from now on."""

    other: str = Field(pattern=r"^(?:[Jj]-)?[0-9]{1,18}$")
    reason: str | None = Field(None, max_length=2000)


class SplitRequest(Request):
    """`POST /jobs/{n}/split`: what is like this kept sample becomes a job of its own."""

    event: str = Field(pattern=r"^[0-9]{1,18}$")
    reason: str | None = Field(None, max_length=2000)


class FailureReport(Request):
    """`POST /jobs`: a failure another producer saw."""

    message: str = Field(min_length=1, max_length=65536)
    method: str | None = Field(None, max_length=32)
    route: str | None = Field(None, max_length=2048)
    status: int | None = Field(None, ge=100, le=999)
    stack: str | None = Field(None, max_length=262144)
    body: str | None = Field(None, max_length=262144)
    source_kind: Literal["server", "browser", "http"] = "server"
    occurred_at: datetime | None = None
    trace_id: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    release: str | None = Field(None, max_length=200)
    latency_ms: float | None = Field(None, ge=0)
    redirect_chain: list[str] = Field([], max_length=50)
    service: str | None = Field(None, max_length=63)


# --- patches --------------------


class RiskView(Answer):
    score: int
    level: SeverityWord
    reasons: list[str] = []


class ConfidenceView(Answer):
    score: float | None = None
    reasons: list[str] = []


class CommandRun(Answer):
    """One run of a command or of a replay in the jail."""

    ran: bool
    ok: bool | None = None
    exit_code: int | None = None
    duration_s: float | None = None
    output: str = ""
    """The last part, made visible, at most 8 KiB."""
    reason: str | None = None
    """Why it did not run."""


class ReplayRun(Answer):
    ran: bool
    status: int | None = None
    failed: bool | None = None
    """True when the answer is a failure again."""
    same_signature: bool | None = None
    duration_ms: float | None = None
    excerpt: str = ""
    reason: str | None = None


class SandboxEvidence(Answer):
    """What the sandbox saw, before (base commit) and after (with the patch). Its digest binds the
    approval.
    """

    digest: str
    """Digest of the patch that was run."""
    base_commit: str
    head_commit: str | None = None
    branch: str | None = None
    applies: bool
    replay_before: ReplayRun
    replay_after: ReplayRun
    tests_before: CommandRun
    tests_after: CommandRun
    reproduced: bool
    """The failing request failed again, with the same signature, before the patch."""
    fixed: bool
    """Reproduced before, and no failure after."""
    changed: bool
    """The replayed request got a different answer after the patch."""
    passed: bool
    verdict: str
    """One sentence for people."""
    against: list[str] = []
    """Evidence against the patch."""
    started_at: datetime
    duration_s: float


class PatchView(Answer):
    id: str
    job_id: str
    service: str = ""
    patch_type: PatchTypeWord
    description: str
    status: PatchStatusWord
    digest: str
    evidence_digest: str | None = None
    created_by: str
    created_at: datetime
    base_commit: str | None = None
    diff: str | None = None
    sql: str | None = None
    files_changed: list[str] = []
    risk: RiskView
    confidence: ConfidenceView = ConfidenceView()
    evidence: SandboxEvidence | None = None
    approvals: list["ApprovalView"] = []
    sandbox_branch: str | None = None
    applied_commit: str | None = None
    previous_commit: str | None = None


class AttachPatchRequest(Request):
    patch_type: PatchTypeWord = "code"
    description: str = Field("", max_length=8000)
    diff: str | None = Field(None, max_length=1_000_000)
    sql: str | None = Field(None, max_length=1_000_000)
    base_commit: str | None = Field(None, pattern=r"^[0-9a-f]{7,64}$")


class DeedRequest(Request):
    """Body of sandbox, apply and rollback. ``digest`` is what was shown; anything changed since
    is 409.
    """

    digest: Digest
    idempotency_key: IdempotencyKey
    evidence_digest: Digest | None = None
    reason: str | None = Field(None, max_length=2000)
    interactive: bool = True
    """False when a flag answered instead of a person's typing; recorded as such."""


class DeedResult(Answer):
    ok: bool
    patch: PatchView
    approval_id: str | None = None
    message: str
    replayed: bool = False
    """True when this idempotency key had already been answered."""


class BreakGlassRequest(Request):
    """Past gate main without a proof: the founder's alone, with a typed reason, shown to everybody
    until acknowledged.
    """

    digest: Digest
    idempotency_key: IdempotencyKey
    reason: str = Field(min_length=10, max_length=2000)
    interactive: bool = True
    signature: str | None = Field(None, max_length=4096)


# --- alerts --------------------

AlertKind = Literal["break_glass", "critical_job", "expiring"]


class AlertView(Answer):
    """Something to be seen at once; it is told again until acknowledged."""

    kind: AlertKind
    subject: str
    severity: SeverityWord
    since: datetime
    summary: str
    expires_at: datetime | None = None


class AlertList(Answer):
    alerts: list[AlertView]


class AcknowledgeRequest(Request):
    """Seen. It silences the alert and decides nothing."""

    kind: AlertKind
    subject: str = Field(pattern=r"^[JPA]-[1-9][0-9]{0,17}$")
    note: str = Field("", max_length=2000)


# --- approvals --------------------


class DecisionView(Answer):
    decision: DecisionWord
    actor: str
    actor_role: str
    decided_at: datetime
    reason: str | None = None
    interactive: bool = True


class ApprovalView(Answer):
    id: str
    service: str = ""
    item_type: ItemTypeWord
    status: ApprovalStatusWord
    summary: str
    risk: SeverityWord
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    digest: str | None = None
    evidence_digest: str | None = None
    job_id: str | None = None
    patch_id: str | None = None
    details: dict[str, Any] = {}
    decision: DecisionView | None = None


class ApprovalRequest(Request):
    """An item somebody wants a yes for. Patches get theirs from the healer; this is for
    everything else.
    """

    item_type: Literal["claim", "campaign", "email", "automation", "brand_change", "override"]
    summary: str = Field(min_length=1, max_length=500)
    details: dict[str, Any] = {}
    risk_score: int = Field(0, ge=0, le=100)
    created_by_agent: str | None = Field(None, max_length=63)
    job_id: str | None = None
    idempotency_key: IdempotencyKey | None = None


class ApprovalDecision(Request):
    decision: DecisionWord
    digest: Digest
    evidence_digest: Digest | None = None
    reason: str | None = Field(None, max_length=2000)
    idempotency_key: IdempotencyKey
    interactive: bool = True
    unseen_hunks: int = Field(0, ge=0)
    """Hunks of the diff the console had not shown yet; recorded in the audit."""
    signature: str | None = Field(None, max_length=4096)
    """``ssh-keygen -Y sign`` over gate, digest, base and evidence, where `founder.signers` is set.
    """
    keep_job_open: bool = False
    """With ``reject``: the job stays open though no live patch is left."""


# --- audit, control, ask --------------------


class AuditView(Answer):
    seq: int
    at: datetime
    actor: str
    role: str
    origin: str
    action: str
    subject: str
    before: Any = None
    after: Any = None
    reason: str | None = None
    prev_hash: str
    hash: str
    payload: str = ""
    """Base64 of the bytes that were hashed: an exported chain is checked without a database."""


class AuditPage(Answer):
    entries: list[AuditView]
    total: int
    next_cursor: str | None = None


class AuditVerdict(Answer):
    ok: bool
    entries: int
    head: str
    first_bad: int | None = None


class ControlView(Answer):
    version: int
    rules: dict[str, Any]
    changed_by: str
    changed_at: datetime


class ControlRequest(Request):
    based_on: int = Field(ge=0)
    """The version this edit started from; another one in between is 409."""
    rules: dict[str, Any]
    reason: str = Field(min_length=1, max_length=2000)


class Citation(Answer):
    kind: Literal["job", "patch", "approval", "anomaly", "route"]
    id: str


class AskRequest(Request):
    text: str = Field(min_length=1, max_length=4000)


class AskAnswer(Answer):
    intent: str
    answer: str
    citations: list[Citation] = []
    suggested: list[str] = []
    model: str | None = None
    """None: answered from facts alone."""


class Event(Answer):
    """One server-sent event; ``id`` is the SSE id, ``subject`` J-/P-/A-id or a route."""

    kind: EventKind
    subject: str
    change: str = ""
    at: datetime
    severity: SeverityWord | None = None


class RouteList(Answer):
    routes: list[RouteStats]


class AnomalyList(Answer):
    anomalies: list[AnomalyView]


class ApprovalList(Answer):
    approvals: list[ApprovalView]


class PatchList(Answer):
    """`GET /patches?job=J-1&status=`: newest first, without diff and SQL when ``brief=1``."""

    patches: list[PatchView]


class JobDetail(Answer):
    job: JobView
    events: list[FailureEvent] = []
    patches: list[PatchView] = []
    history: list[AuditView] = []


class Problem(Answer):
    """RFC 9457. ``code`` is stable; ``detail`` is a sentence that names the fix."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str = ""
    request_id: str = ""


PatchView.model_rebuild()
