"""Typed calls of the control API. The one border of the console: what comes in is made visible
here, and every failure leaves as one of the families of ``proxy.errors`` with a sentence of its
own. Decides nothing, draws nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ValidationError

from console.carrying import Call, Carrier, OneByOne, TooLong, Unanswered, Unreached
from proxy.contract.alerts import AcknowledgeRequest, AlertList, AlertView
from proxy.contract.anomalies import AnomalyList, AnomalyView, DeployRequest, DeployView
from proxy.contract.approvals import ApprovalDecision, ApprovalList, ApprovalView
from proxy.contract.ask import AskAnswer, AskRequest
from proxy.contract.audit import AuditPage, AuditVerdict
from proxy.contract.base import API_PREFIX, CHANGE_HEADER
from proxy.contract.control import ControlView
from proxy.contract.health import Health, RouteList, RouteStats
from proxy.contract.jobs import (
    FailureReport,
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
    PatchList,
    PatchView,
)
from proxy.errors import (
    Conflict,
    Invalid,
    NotFound,
    NotPermitted,
    SelfHealError,
    Unavailable,
)
from proxy.visible import visible

A = TypeVar("A", bound=BaseModel)
Deed = Literal["sandbox", "apply", "rollback"]

CALL_TIMEOUT_S = 15.0
ASK_TIMEOUT_S = 120.0
"""A model may think; without one the answer comes at once."""


class Unknown(Unavailable):
    """A change was sent and no answer came: it may have happened. Ask again with the same
    idempotency key."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the server said about a decision."""

    ok: bool
    message: str
    approval: ApprovalView | None = None
    patch: PatchView | None = None


def seen(value: Any) -> Any:
    """``value`` (parsed JSON) with every string, keys too, made visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [seen(item) for item in value]
    if isinstance(value, dict):
        return {visible(str(key)): seen(item) for key, item in value.items()}
    return value


def problem_to_error(status: int, problem: Mapping[str, Any]) -> SelfHealError:
    """problem+json (RFC 9457) → the family that says what the caller can do about it."""
    said = problem.get("detail") or problem.get("title") or f"the sidecar answered {status}"
    sentence, code = visible(str(said)), visible(str(problem.get("code") or ""))
    error = _family(status, sentence, code)
    if request_id := problem.get("request_id"):
        error.add_note(f"request {visible(str(request_id))}")
    return error


def _family(status: int, sentence: str, code: str) -> SelfHealError:
    if status in (401, 403):
        return NotPermitted(sentence)
    if status in (404, 410):
        return NotFound(sentence)
    if status in (409, 412, 428):
        return Conflict(sentence, code=code or "conflict")
    if 400 <= status < 500 and status not in (408, 425, 429):
        return Invalid(sentence, code=code or "invalid")
    return Unavailable(sentence)


class Client:
    """``async with Client(url, token) as client``: one method per route."""

    def __init__(self, url: str, token: str, carrier: Carrier | None = None) -> None:
        self.url = url.rstrip("/")
        self.headers = {"Authorization": f"Bearer {token}", "User-Agent": "selfheal"}
        self._carrier = carrier or OneByOne()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._carrier.close()

    # --- what is going on ---------------------------------------------------------------------

    async def health(self) -> Health:
        return await self._get("/health", Health)

    async def routes(self) -> list[RouteStats]:
        return (await self._get("/routes", RouteList)).routes

    async def anomalies(self) -> list[AnomalyView]:
        return (await self._get("/anomalies", AnomalyList)).anomalies

    # --- jobs ---------------------------------------------------------------------------------

    async def jobs(
        self,
        *,
        status: str | None = None,
        severity: str | None = None,
        category: str | None = None,
        q: str | None = None,
        sort: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        noise: bool = False,
    ) -> JobPage:
        """One page. ``status`` absent means the open ones, ``all`` every one."""
        params = {
            "status": status,
            "severity": severity,
            "category": category,
            "q": q,
            "sort": sort,
            "cursor": cursor,
            "limit": limit,
            "noise": "1" if noise else None,
        }
        return await self._get("/jobs", JobPage, params)

    async def job(self, number: int) -> JobDetail:
        return await self._get(f"/jobs/{number}", JobDetail)

    async def report(self, failure: FailureReport) -> JobView:
        return await self._job_answer("/jobs", failure)

    async def set_status(
        self,
        number: int,
        status: Literal["open", "snoozed", "closed"],
        *,
        reason: str | None = None,
        until: datetime | None = None,
    ) -> JobView:
        body = JobStatusRequest(status=status, reason=reason, until=until)
        return await self._job_answer(f"/jobs/{number}/status", body)

    async def merge(self, number: int, other: int, reason: str | None = None) -> JobView:
        return await self._job_answer(
            f"/jobs/{number}/merge", MergeRequest(other=str(other), reason=reason)
        )

    async def split(self, number: int, event: str, reason: str | None = None) -> JobView:
        body = SplitRequest(event=event, reason=reason)
        return await self._job_answer(f"/jobs/{number}/split", body)

    async def attach(self, number: int, patch: AttachPatchRequest) -> PatchView:
        answer = await self._post(f"/jobs/{number}/patches", patch)
        return _parse(PatchView, _inside(answer, "patch"))

    async def deploy(self, version: str) -> DeployView:
        return _parse(DeployView, await self._post("/deploys", DeployRequest(version=version)))

    # --- patches ------------------------------------------------------------------------------

    async def patches(self, job: int | None = None) -> list[PatchView]:
        params = {"job": f"J-{job}" if job is not None else None}
        return (await self._get("/patches", PatchList, params)).patches

    async def patch(self, number: int) -> PatchView:
        answer = await self._call("GET", f"/patches/{number}")
        return _parse(PatchView, _inside(answer, "patch"))

    async def deed(
        self, number: int, deed: Deed, body: DeedRequest, *, wait_s: float = 0.0
    ) -> DeedResult:
        """Sandbox, apply or roll back. With ``wait_s`` the server answers when it is done, or then.

        ``Conflict`` when anything changed since it was shown; ``Unknown`` when no answer came.
        """
        answer = await self._post(
            f"/patches/{number}/{deed}",
            body,
            {"wait": f"{wait_s:g}" if wait_s else None},
            timeout_s=CALL_TIMEOUT_S + wait_s,
        )
        return _parse(DeedResult, answer)

    # --- approvals ----------------------------------------------------------------------------

    async def approvals(self, status: str | None = None) -> list[ApprovalView]:
        return (await self._get("/approvals", ApprovalList, {"status": status})).approvals

    async def decide(self, number: int, decision: ApprovalDecision) -> Outcome:
        answer = await self._post(f"/approvals/{number}/decision", decision)
        if isinstance(answer, dict) and "ok" in answer and "patch" in answer:
            done = _parse(DeedResult, answer)
            return Outcome(done.ok, done.message, patch=done.patch)
        approval = _parse(ApprovalView, _inside(answer, "approval"))
        return Outcome(True, f"{approval.id} is {approval.status}", approval=approval)

    # --- alerts -------------------------------------------------------------------------------

    async def alerts(self) -> list[AlertView]:
        return (await self._get("/alerts", AlertList)).alerts

    async def acknowledge(self, body: AcknowledgeRequest) -> list[AlertView]:
        return _parse(AlertList, await self._post("/alerts/acknowledge", body)).alerts

    async def break_glass(self, number: int, body: BreakGlassRequest) -> DeedResult:
        return _parse(DeedResult, await self._post(f"/patches/{number}/break-glass", body))

    # --- audit, control, ask ------------------------------------------------------------------

    async def audit(
        self, *, cursor: str | None = None, limit: int | None = None, q: str | None = None
    ) -> AuditPage:
        return await self._get("/audit", AuditPage, {"cursor": cursor, "limit": limit, "q": q})

    async def verify_audit(self) -> AuditVerdict:
        return await self._get("/audit/verify", AuditVerdict)

    async def control(self) -> ControlView:
        return await self._get("/control", ControlView)

    async def ask(self, text: str) -> AskAnswer:
        answer = await self._post("/ask", AskRequest(text=text), timeout_s=ASK_TIMEOUT_S)
        return _parse(AskAnswer, answer)

    # --- one call -----------------------------------------------------------------------------

    async def _get(self, path: str, model: type[A], params: Mapping[str, Any] | None = None) -> A:
        return _parse(model, await self._call("GET", path, params=params))

    async def _post(
        self,
        path: str,
        body: BaseModel,
        params: Mapping[str, Any] | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Any:
        sent = body.model_dump(mode="json", exclude_none=True)
        return await self._call("POST", path, params=params, body=sent, timeout_s=timeout_s)

    async def _job_answer(self, path: str, body: BaseModel) -> JobView:
        return _parse(JobView, _inside(await self._post(path, body), "job"))

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Any:
        query = urlencode({k: str(v) for k, v in (params or {}).items() if v is not None})
        headers = dict(self.headers)
        if method != "GET":
            headers[CHANGE_HEADER] = "1"
        if body is not None:
            headers["Content-Type"] = "application/json"
        call = Call(
            method,
            f"{self.url}{API_PREFIX}{path}" + (f"?{query}" if query else ""),
            headers,
            b"" if body is None else json.dumps(body).encode(),
            timeout_s,
        )
        try:
            status, raw = await self._carrier.carry(call)
        except Unreached as error:
            raise self._unreachable(error) from error
        except Unanswered as error:
            if method != "GET":
                raise Unknown(
                    "no answer came: it is unknown whether that happened; look before you repeat it"
                ) from error
            raise self._unreachable(error) from error
        except TooLong as error:
            raise Unavailable("the sidecar's answer is too long to be one of ours") from error
        return _json(status, raw)

    def _unreachable(self, error: Exception) -> Unavailable:
        why = visible(str(error))
        return Unavailable(f"the sidecar at {self.url} does not answer ({why}); is it running?")


def _json(status: int, raw: bytes) -> Any:
    """The answer's JSON, made visible; an error status becomes its error."""
    try:
        value = seen(json.loads(raw)) if raw else {}
    except (ValueError, RecursionError) as error:
        if status >= 400:
            raise problem_to_error(status, {}) from error
        raise Unavailable("what answers there speaks no JSON; is --url right?") from error
    if not 200 <= status < 300:
        raise problem_to_error(status, value if isinstance(value, dict) else {})
    return value


def _inside(answer: Any, key: str) -> Any:
    """The object itself, or the one lying in it under ``key``."""
    if isinstance(answer, dict) and isinstance(answer.get(key), dict):
        return answer[key]
    return answer


def _parse(model: type[A], value: Any) -> A:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or model.__name__
        raise Unavailable(
            f"this sidecar answers in a form unknown here ({model.__name__}: {where}); "
            "sidecar and console are of different versions"
        ) from error
