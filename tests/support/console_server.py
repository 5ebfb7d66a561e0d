"""A sidecar's control API in memory, real HTTP on an ephemeral loopback port, for the console's
tests.

Speaks the shapes of ``proxy.contract`` and keeps its gates simple; the real control process is
tested elsewhere.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from proxy.contract.alerts import AcknowledgeRequest, AlertView
from proxy.contract.anomalies import AnomalyView, DeployRequest, DeployView
from proxy.contract.approvals import ApprovalDecision, ApprovalView
from proxy.contract.ask import AskAnswer, AskRequest, Citation
from proxy.contract.audit import AuditPage, AuditVerdict
from proxy.contract.base import API_PREFIX, CHANGE_HEADER
from proxy.contract.control import ControlView
from proxy.contract.events import Event
from proxy.contract.health import Health
from proxy.contract.jobs import (
    JobDetail,
    JobPage,
    JobStatusRequest,
    JobView,
    MergeRequest,
    SplitRequest,
)
from proxy.contract.patches import (
    AttachPatchRequest,
    BreakGlassRequest,
    DeedRequest,
    DeedResult,
    PatchView,
)
from tests.support import console_facts as facts

TOKEN = "founder:s3cret"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):
    def __init__(self, status: int, detail: str, code: str = "") -> None:
        self.status, self.detail, self.code = status, detail, code


@dataclass
class ConsoleServer:
    """The knobs and the facts. ``seen`` is every request as (method, path, query, body)."""

    health: Health = field(default_factory=facts.health)
    jobs: dict[str, JobView] = field(default_factory=lambda: {j.id: j for j in facts.jobs()})
    patches: dict[str, PatchView] = field(
        default_factory=lambda: {"P-1": facts.patch(1), "P-2": facts.patch(2)}
    )
    items: dict[str, ApprovalView] = field(default_factory=dict)
    alerts: list[AlertView] = field(default_factory=list)
    incidents: list[AnomalyView] = field(default_factory=list)
    """Those of every job."""
    audit: list[Any] = field(default_factory=facts.audit)
    control: ControlView = field(default_factory=facts.control)
    proof_passes: bool = True
    heartbeat_s: float = 5.0
    silent: bool = False
    """Streams stay open and say nothing at all."""
    answerless: int = 0
    """So many changes are done but never answered: the connection is dropped."""
    broken: dict[str, Problem] = field(default_factory=dict)
    """Path below the prefix → the problem it answers."""
    seen: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    stream_ids: list[str | None] = field(default_factory=list)
    answered: dict[str, dict[str, Any]] = field(default_factory=dict)
    url: str = ""
    _streams: set[asyncio.Queue[bytes | None]] = field(default_factory=set)
    _event_id: int = 0
    _runner: web.AppRunner | None = None

    async def start(self) -> "ConsoleServer":
        app = web.Application(middlewares=[self._guard])
        for method, path, handler in self._table():
            app.router.add_route(method, API_PREFIX + path, handler)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def stop(self) -> None:
        self.drop_streams()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> "ConsoleServer":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _table(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/health", self._health),
            ("GET", "/routes", self._routes),
            ("GET", "/anomalies", self._anomalies),
            ("GET", "/events", self._events),
            ("GET", "/jobs", self._jobs),
            ("GET", "/jobs/{n}", self._job),
            ("POST", "/deploys", self._deploy),
            ("POST", "/jobs/{n}/status", self._status),
            ("POST", "/jobs/{n}/patches", self._attach),
            ("GET", "/patches", self._patches),
            ("GET", "/patches/{n}", self._patch),
            ("POST", "/jobs/{n}/merge", self._merge),
            ("POST", "/jobs/{n}/split", self._split),
            ("GET", "/alerts", self._alerts),
            ("POST", "/alerts/acknowledge", self._acknowledge),
            ("POST", "/patches/{n}/break-glass", self._break_glass),
            ("POST", "/patches/{n}/{deed}", self._deed),
            ("GET", "/approvals", self._approvals),
            ("POST", "/approvals/{n}/decision", self._decide),
            ("GET", "/audit", self._audit),
            ("GET", "/audit/verify", self._verify),
            ("GET", "/control", self._control),
            ("POST", "/ask", self._ask),
        ]

    # --- events -------------------------------------------------------------------------------

    def publish(self, kind: str, subject: str, change: str = "", at: datetime = facts.NOW) -> None:
        self._event_id += 1
        event = Event.model_validate({"kind": kind, "subject": subject, "change": change, "at": at})
        frame = f"id: {self._event_id}\nevent: {kind}\ndata: {event.model_dump_json()}\n\n"
        for queue in self._streams:
            queue.put_nowait(frame.encode())

    def drop_streams(self) -> None:
        for queue in self._streams:
            queue.put_nowait(None)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self.stream_ids.append(request.headers.get("Last-Event-ID"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._streams.add(queue)
        try:
            while True:
                try:
                    frame = await asyncio.wait_for(queue.get(), self.heartbeat_s)
                except TimeoutError:
                    frame = b": beat\n\n"
                if frame is None:
                    return response
                if not self.silent:
                    await response.write(frame)
        finally:
            self._streams.discard(queue)

    # --- guard --------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path.removeprefix(API_PREFIX)
        body = await request.json() if request.can_read_body else None
        self.seen.append((request.method, path, dict(request.query), body))
        try:
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Problem(401, "this token is not known here", "token")
            if request.method != "GET" and request.headers.get(CHANGE_HEADER) != "1":
                raise Problem(403, "a change carries the header", "header")
            if path in self.broken:
                raise self.broken[path]
            key = body.get("idempotency_key") if isinstance(body, dict) else None
            if key in self.answered:
                return web.json_response(self.answered[key] | {"replayed": True})
            response = await handler(request)
            if key is not None and isinstance(response, web.Response):
                self.answered[key] = json.loads(response.text or "{}")
            if request.method != "GET" and self.answerless > 0:
                self.answerless -= 1
                assert request.transport is not None
                request.transport.abort()
            return response
        except Problem as problem:
            return web.json_response(
                {
                    "type": "about:blank",
                    "title": "refused",
                    "status": problem.status,
                    "detail": problem.detail,
                    "code": problem.code,
                    "request_id": "req-7f3a",
                },
                status=problem.status,
                content_type="application/problem+json",
            )

    def _find(self, shelf: dict[str, Any], letter: str, request: web.Request) -> Any:
        shown = f"{letter}-{request.match_info['n']}"
        if shown not in shelf:
            raise Problem(404, f"there is no {shown}", "not_found")
        return shelf[shown]

    # --- reading ------------------------------------------------------------------------------

    async def _health(self, _: web.Request) -> web.Response:
        return _json(self.health)

    async def _routes(self, _: web.Request) -> web.Response:
        return web.json_response({"routes": [_dump(r) for r in facts.routes()]})

    async def _anomalies(self, _: web.Request) -> web.Response:
        return web.json_response({"anomalies": [_dump(a) for a in facts.anomalies()]})

    async def _jobs(self, request: web.Request) -> web.Response:
        query = request.query
        status = query.get("status")
        every = [
            job
            for job in self.jobs.values()
            if status == "all"
            or (job.status == status if status else job.status not in ("closed", "resolved"))
        ]
        found = [
            job
            for job in every
            if query.get("severity") in (None, job.severity)
            and query.get("category") in (None, job.category)
            and query.get("q", "").lower() in f"{job.id} {job.route} {job.signature_text}".lower()
        ]
        start, limit = int(query.get("cursor", 0)), int(query.get("limit", 200))
        end = start + limit
        more = str(end) if end < len(found) else None
        return _json(
            JobPage(jobs=found[start:end], total=len(found), all=len(every), next_cursor=more)
        )

    async def _job(self, request: web.Request) -> web.Response:
        job = self._find(self.jobs, "J", request)
        patches = [patch for patch in self.patches.values() if patch.job_id == job.id]
        return _json(
            JobDetail(
                job=job,
                anomalies=self.incidents,
                events=[facts.failure_event()],
                patches=patches,
                history=facts.audit(),
            )
        )

    async def _patches(self, request: web.Request) -> web.Response:
        job = request.query.get("job")
        found = [p for p in self.patches.values() if job in (None, p.job_id)]
        return web.json_response({"patches": [_dump(p) for p in found]})

    async def _patch(self, request: web.Request) -> web.Response:
        return _json(self._find(self.patches, "P", request))

    def all_items(self) -> dict[str, ApprovalView]:
        found = dict(self.items)
        for patch in self.patches.values():
            found.update({item.id: item for item in patch.approvals})
        return found

    async def _approvals(self, request: web.Request) -> web.Response:
        every = request.query.get("status") == "all"
        found = [i for i in self.all_items().values() if every or i.status == "pending"]
        return web.json_response({"approvals": [_dump(i) for i in found]})

    async def _audit(self, request: web.Request) -> web.Response:
        start, limit = int(request.query.get("cursor", 0)), int(request.query.get("limit", 200))
        end = start + limit
        more = str(end) if end < len(self.audit) else None
        return _json(
            AuditPage(entries=self.audit[start:end], total=len(self.audit), next_cursor=more)
        )

    async def _verify(self, _: web.Request) -> web.Response:
        head = self.audit[0].hash if self.audit else ""
        return _json(AuditVerdict(ok=True, entries=len(self.audit), head=head))

    async def _control(self, _: web.Request) -> web.Response:
        return _json(self.control)

    async def _ask(self, request: web.Request) -> web.Response:
        text = AskRequest.model_validate(await request.json()).text
        cited = [Citation(kind="job", id="J-1"), Citation(kind="patch", id="P-1")]
        return _json(
            AskAnswer(
                intent="diagnose_system_issue",
                answer=f"You asked: {text}. POST /checkout fails (J-1), P-1 is waiting.",
                citations=cited,
                suggested=["explain P-1"],
            )
        )

    # --- changing -----------------------------------------------------------------------------

    async def _deploy(self, request: web.Request) -> web.Response:
        body = DeployRequest.model_validate(await request.json())
        return _json(
            DeployView(
                id=1,
                at=facts.NOW,
                service="shop",
                version=body.version,
                announced_by="api",
                actor="founder",
            ),
            201,
        )

    async def _status(self, request: web.Request) -> web.Response:
        job: JobView = self._find(self.jobs, "J", request)
        change = JobStatusRequest.model_validate(await request.json())
        if change.status == job.status:
            raise Problem(409, f"{job.id} is {job.status} already", "illegal_step")
        new = {"status": change.status, "snoozed_until": change.until}
        self.jobs[job.id] = job.model_copy(update=new)
        self.publish("job", job.id, change.status)
        return _json(self.jobs[job.id])

    async def _merge(self, request: web.Request) -> web.Response:
        job: JobView = self._find(self.jobs, "J", request)
        gone = self.jobs.pop("J-" + MergeRequest.model_validate(await request.json()).other)
        total = job.occurrences + gone.occurrences
        self.jobs[job.id] = job.model_copy(update={"occurrences": total})
        self.publish("job", job.id, "merged")
        return _json(self.jobs[job.id])

    async def _split(self, request: web.Request) -> web.Response:
        self._find(self.jobs, "J", request)
        SplitRequest.model_validate(await request.json())
        new = facts.job(90)
        self.jobs[new.id] = new
        self.publish("job", new.id, "opened")
        return _json(new)

    async def _alerts(self, _: web.Request) -> web.Response:
        return web.json_response({"alerts": [_dump(alert) for alert in self.alerts]})

    async def _acknowledge(self, request: web.Request) -> web.Response:
        body = AcknowledgeRequest.model_validate(await request.json())
        self.alerts = [a for a in self.alerts if (a.kind, a.subject) != (body.kind, body.subject)]
        return await self._alerts(request)

    async def _break_glass(self, request: web.Request) -> web.Response:
        patch: PatchView = self._find(self.patches, "P", request)
        BreakGlassRequest.model_validate(await request.json())
        new = patch.model_copy(update={"status": "approved"})
        self.patches[patch.id] = new
        self.alerts = [facts.alert("break_glass", patch.id), *self.alerts]
        self.publish("patch", patch.id, "approved")
        return _json(DeedResult(ok=True, patch=new, message=f"{patch.id} is past gate main"))

    async def _attach(self, request: web.Request) -> web.Response:
        job: JobView = self._find(self.jobs, "J", request)
        change = AttachPatchRequest.model_validate(await request.json())
        if change.diff is not None and "@@" not in change.diff:
            raise Problem(422, "this diff has no hunk", "empty_diff")
        number = len(self.patches) + 1
        patch = facts.patch(
            number, job_id=job.id, diff=change.diff, sql=change.sql, created_by="founder"
        )
        self.patches[patch.id] = patch
        self.publish("patch", patch.id, "proposed")
        return _json(patch, status=201)

    async def _deed(self, request: web.Request) -> web.Response:
        patch: PatchView = self._find(self.patches, "P", request)
        body = DeedRequest.model_validate(await request.json())
        if body.digest != patch.digest:
            raise Problem(409, f"{patch.id} changed since it was shown", "changed")
        new = self._step(patch, request.match_info["deed"])
        self.patches[patch.id] = new
        self.publish("patch", patch.id, new.status)
        return _json(DeedResult(ok=True, patch=new, message=f"{patch.id} is {new.status}"))

    def _step(self, patch: PatchView, deed: str) -> PatchView:
        if deed == "sandbox" and patch.status in ("proposed", "sandbox_passed", "sandbox_failed"):
            return proven(patch, passed=self.proof_passes)
        if deed == "apply" and patch.status == "approved":
            done = {"status": "applied", "applied_commit": "c0ffee" + "0" * 34}
            return patch.model_copy(update=done | {"previous_commit": patch.base_commit})
        if deed == "rollback" and patch.status in ("applied", "verified", "regressed"):
            return patch.model_copy(update={"status": "rolled_back"})
        raise Problem(409, f"{patch.id} is {patch.status}; no {deed} now", "illegal_step")

    async def _decide(self, request: web.Request) -> web.Response:
        body = ApprovalDecision.model_validate(await request.json())
        item: ApprovalView = self._find(self.all_items(), "A", request)
        if body.digest != item.digest:
            raise Problem(409, f"{item.id} changed since it was shown", "changed")
        status = {"approve": "approved", "reject": "rejected", "defer": "deferred"}[body.decision]
        decided = item.model_copy(update={"status": status})
        if item.patch_id is None:
            self.items[item.id] = decided
        else:
            self._decide_patch(self.patches[item.patch_id], decided, body)
        self.publish("approval", item.id, status)
        return _json(decided)

    def _decide_patch(
        self, patch: PatchView, decided: ApprovalView, body: ApprovalDecision
    ) -> None:
        others = [i for i in patch.approvals if i.id != decided.id]
        update: dict[str, Any] = {"approvals": [*others, decided]}
        if body.decision == "reject":
            update["status"] = "rejected"
        elif decided.item_type == "patch_main":
            update["status"] = "approved"
        self.patches[patch.id] = patch.model_copy(update=update)
        self.publish("patch", patch.id, str(update.get("status", patch.status)))


def proven(patch: PatchView, *, passed: bool = True) -> PatchView:
    """``patch`` after its sandbox run, with gate main waiting when it passed."""
    number = int(patch.id[2:])
    gate = facts.approval(
        100 + number, "patch_main", patch=number, job_id=patch.job_id, risk=patch.risk.level
    )
    status = "sandbox_passed" if passed else "sandbox_failed"
    old = patch.evidence.started_at if patch.evidence else facts.ago(60)
    proof = facts.evidence(passed, started_at=old + (facts.NOW - facts.ago(1)))
    return patch.model_copy(
        update={
            "status": status,
            "evidence": proof,
            "evidence_digest": facts.digest(status),
            "approvals": [*patch.approvals, gate] if passed else patch.approvals,
        }
    )


def _dump(model: BaseModel) -> Any:
    return model.model_dump(mode="json")


def _json(model: BaseModel, status: int = 200) -> web.Response:
    return web.json_response(_dump(model), status=status)
