"""Jobs: list, one with its evidence, report a failure, care for one, attach a patch."""

import re
from enum import StrEnum
from typing import Literal, TypeVar

from pydantic import Field, field_validator

from proxy.api.call import Call
from proxy.api.present import anomaly_view, audit_view, failure_event, job_view, patch_view
from proxy.api.table import EVERY_ROLE, PEOPLE, WORKERS, Route
from proxy.contract.base import Request, parse_id, show_id
from proxy.contract.jobs import (
    FailureReport,
    JobDetail,
    JobPage,
    JobStatusRequest,
    JobView,
    MergeRequest,
    SplitRequest,
)
from proxy.contract.patches import AttachPatchRequest, PatchView
from proxy.domain.failure import Category, Failure, Severity
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import PatchType
from proxy.domain.redact import Redactor
from proxy.errors import Invalid
from proxy.store import audit as audit_store
from proxy.store import incidents as incident_store
from proxy.store import jobs as job_store
from proxy.store import patches as patch_store
from proxy.store.jobs import JobQuery, JobSort

ANOMALIES_SHOWN = 5
EVENTS_SHOWN = 20
HISTORY_SHOWN = 50
REPORT_BYTES_MAX = 1024 * 1024
PATCH_BYTES_MAX = 4 * 1024 * 1024
CLOCK_AHEAD_S = 300.0
"""A reporter's clock may run ahead this far; beyond it the moment is ours."""

W = TypeVar("W", bound=StrEnum)
_ROUTE = re.compile(r"^/[^\s?#]*$")


class JobListQuery(Request):
    """``status``, ``severity`` and ``category`` take several words, comma between; status ``all``
    too.
    """

    status: str = Field("", max_length=200)
    severity: str = Field("", max_length=100)
    category: str = Field("", max_length=200)
    q: str = Field("", max_length=200)
    sort: JobSort = "severity"
    service: str | None = Field(None, max_length=63)
    noise: Literal["0", "1", "all"] = "0"
    cursor: str | None = Field(None, max_length=500)
    limit: int = Field(50, ge=1, le=500)

    @field_validator("severity", "category", "status")
    @classmethod
    def _plain(cls, value: str) -> str:
        return value.strip()


def _words(text: str, kind: type[W], name: str) -> frozenset[W]:
    known = {member.value.lower(): member for member in kind}
    found = set()
    for word in filter(None, (part.strip().lower() for part in text.split(","))):
        if word not in known:
            raise Invalid(f"{name} takes {', '.join(m.value for m in kind)}", code="invalid")
        found.add(known[word])
    return frozenset(found)


async def list_jobs(call: Call) -> JobPage:
    query = call.query(JobListQuery)
    everything = query.status.lower() == "all"
    wanted = JobQuery(
        statuses=frozenset(JobStatus) if everything else _words(query.status, JobStatus, "status"),
        severities=_words(query.severity, Severity, "severity"),
        categories=_words(query.category, Category, "category"),
        q=query.q,
        noise={"0": False, "1": True, "all": None}[query.noise],
        service=query.service,
        sort=query.sort,
        cursor=query.cursor,
        limit=query.limit,
    )
    async with call.reading() as conn:
        page = await job_store.list_jobs(conn, wanted)
        over = await incident_store.over_since(conn, [job.id for job in page.jobs])
    return JobPage(
        jobs=[job_view(job, over=over.get(job.id)) for job in page.jobs],
        total=page.total,
        all=page.all,
        next_cursor=page.next_cursor,
    )


async def get_job(call: Call) -> JobDetail:
    async with call.reading() as conn:
        job = await job_store.get_job(conn, call.number)
        events = await job_store.job_events(conn, job.id, EVENTS_SHOWN)
        anomalies = await incident_store.anomalies_of_job(conn, job.id, ANOMALIES_SHOWN)
        over = await incident_store.over_since(conn, [job.id])
        patches = await patch_store.list_patches(conn, job.id)
        history = await audit_store.list_audit(
            conn, subject=show_id("J", job.id), limit=HISTORY_SHOWN
        )
    return JobDetail(
        job=job_view(job, [patch.id for patch in patches], over.get(job.id)),
        anomalies=[anomaly_view(anomaly) for anomaly in anomalies],
        events=[failure_event(event, redacted=call.redacted) for event in events],
        patches=[patch_view(patch, redacted=call.redacted) for patch in patches],
        history=[] if call.redacted else [audit_view(entry) for entry in history],
    )


async def report(call: Call) -> JobView:
    """A failure another producer saw. Its text is redacted here, before anything is stored."""
    failure = _failure(call, call.body(FailureReport))
    return job_view(await call.deps.service.record_error_and_create_job(failure))


def _failure(call: Call, sent: FailureReport) -> Failure:
    config = call.deps.config
    if sent.route is not None and not _ROUTE.match(sent.route):
        raise Invalid("route is a path template such as /orders/{id}", code="invalid")
    now = call.deps.clock.now()
    occurred = sent.occurred_at
    if occurred is None or occurred.tzinfo is None:
        occurred = now
    if (occurred - now).total_seconds() > CLOCK_AHEAD_S:
        occurred = now
    clean = Redactor(config.capture.redact_names).text
    return Failure(
        service=sent.service or config.app.service,
        environment=config.app.environment,
        occurred_at=occurred,
        message=clean(sent.message),
        source_kind=sent.source_kind,
        method=None if sent.method is None else sent.method.upper(),
        route=sent.route,
        status=sent.status,
        stack=None if sent.stack is None else clean(sent.stack),
        body=None if sent.body is None else clean(sent.body),
        redirect_chain=tuple(clean(step) for step in sent.redirect_chain),
        latency_ms=sent.latency_ms,
        trace_id=sent.trace_id,
        release=sent.release,
        origin="api",
    )


async def set_status(call: Call) -> JobView:
    body = call.body(JobStatusRequest)
    if body.status == "snoozed":
        if body.until is None or body.until.tzinfo is None:
            raise Invalid("a snooze needs until, a time with its zone", code="until_missing")
        if body.until <= call.deps.clock.now():
            raise Invalid("until lies in the past", code="until_past")
    async with call.deed() as conn:
        job: Job = await call.deps.service.mark_status(
            conn, call.number, JobStatus(body.status), reason=body.reason, until=body.until
        )
    call.deps.wake()
    return job_view(job)


async def merge(call: Call) -> JobView:
    body = call.body(MergeRequest)
    try:
        other = parse_id(body.other, "J")
    except ValueError as error:
        raise Invalid(str(error), code="invalid") from None
    async with call.deed() as conn:
        job = await call.deps.service.merge_jobs(conn, call.number, other, reason=body.reason)
    call.deps.wake()
    return job_view(job)


async def split(call: Call) -> JobView:
    body = call.body(SplitRequest)
    async with call.deed() as conn:
        job = await call.deps.service.split_job(
            conn, call.number, int(body.event), reason=body.reason
        )
    call.deps.wake()
    return job_view(job)


async def attach(call: Call) -> PatchView:
    body = call.body(AttachPatchRequest)
    async with call.deed() as conn:
        patch = await call.deps.service.attach_patch(
            conn,
            call.number,
            patch_type=PatchType(body.patch_type),
            description=body.description,
            diff=body.diff,
            sql=body.sql,
            base_commit=body.base_commit,
            created_by=call.who.name,
        )
    call.deps.wake()
    return patch_view(patch)


ROUTES = (
    Route(
        "GET",
        "/jobs",
        list_jobs,
        "Open jobs, worst first.",
        EVERY_ROLE,
        JobPage,
        query=JobListQuery,
    ),
    Route(
        "POST",
        "/jobs",
        report,
        "A failure in, its job out.",
        WORKERS,
        JobView,
        FailureReport,
        body_bytes_max=REPORT_BYTES_MAX,
    ),
    Route(
        "GET",
        "/jobs/{n}",
        get_job,
        "One job with evidence and history.",
        EVERY_ROLE,
        JobDetail,
        letter="J",
    ),
    Route(
        "POST",
        "/jobs/{n}/status",
        set_status,
        "Open, snooze or close a job.",
        PEOPLE,
        JobView,
        JobStatusRequest,
        problems=(409,),
        letter="J",
    ),
    Route(
        "POST",
        "/jobs/{n}/merge",
        merge,
        "Two jobs are one bug: the other's failures count here from now on.",
        PEOPLE,
        JobView,
        MergeRequest,
        problems=(409,),
        letter="J",
    ),
    Route(
        "POST",
        "/jobs/{n}/split",
        split,
        "What is like this sample becomes a job of its own.",
        PEOPLE,
        JobView,
        SplitRequest,
        status=201,
        problems=(409,),
        letter="J",
    ),
    Route(
        "POST",
        "/jobs/{n}/patches",
        attach,
        "A proposed change for a job.",
        WORKERS,
        PatchView,
        AttachPatchRequest,
        status=201,
        problems=(409,),
        body_bytes_max=PATCH_BYTES_MAX,
        letter="J",
    ),
)
