"""Jobs, the failures kept with them, and what a person may do to one."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from proxy.contract.anomalies import AnomalyView
from proxy.contract.audit import AuditView
from proxy.contract.base import Answer, Request
from proxy.contract.patches import PatchView
from proxy.contract.words import CategoryWord, EndWord, JobStatusWord, SeverityWord


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
    incident_ended: EndWord | None = None
    """How the last of its incidents ended (``AnomalyView.ended``)."""
    incident_over_since: datetime | None = Field(
        None,
        description="Since when every incident of this job is over. The job stays as it is until"
        " a person or a patch moves it. Null while one goes on, and where there was none.",
    )


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


class JobDetail(Answer):
    job: JobView
    anomalies: list[AnomalyView] = []
    """The newest incidents it is tied to, with their sentences and ends."""
    events: list[FailureEvent] = []
    patches: list[PatchView] = []
    history: list[AuditView] = []
