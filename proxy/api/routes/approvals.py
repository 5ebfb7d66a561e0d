"""The approval engine over HTTP: what waits, a new item, a decision."""

from pydantic import Field

from proxy.api.call import Call
from proxy.api.present import approval_view
from proxy.api.table import EVERY_ROLE, PEOPLE, WORKERS, Route
from proxy.contract.approvals import ApprovalDecision, ApprovalList, ApprovalRequest, ApprovalView
from proxy.contract.base import Request, parse_id
from proxy.domain.approval import Actor, ApprovalStatus, ItemType
from proxy.errors import Invalid
from proxy.founder.approvals import UNDECIDED, Answered, Item, RuleRefused, note_refusal
from proxy.store import approvals as approval_store

POLICY = Actor("policy", "proxy", "sidecar", interactive=False)


class ApprovalListQuery(Request):
    """``status`` takes several words, comma between, or ``all``; absent means what waits."""

    status: str = Field("", max_length=200)
    patch: str | None = Field(None, max_length=24)
    limit: int = Field(200, ge=1, le=1000)


async def list_approvals(call: Call) -> ApprovalList:
    query = call.query(ApprovalListQuery)
    words = [word.strip() for word in query.status.split(",") if word.strip()]
    try:
        wanted = {ApprovalStatus(word) for word in words if word != "all"} or UNDECIDED
        patch = None if query.patch is None else parse_id(query.patch, "P")
    except ValueError as error:
        raise Invalid(str(error), code="invalid") from None
    async with call.reading() as conn:
        rows = await approval_store.list_approvals(
            conn, None if "all" in words else wanted, patch_id=patch, limit=query.limit
        )
    views = [approval_view(row) for row in rows]
    return ApprovalList(approvals=[_seen(call, view) for view in views])


def _seen(call: Call, view: ApprovalView) -> ApprovalView:
    """Agents and viewers see that something waits, not what people wrote about it."""
    if not call.redacted:
        return view
    decision = view.decision
    hidden = None if decision is None else decision.model_copy(update={"reason": None})
    return view.model_copy(update={"details": {}, "decision": hidden})


async def request(call: Call) -> ApprovalView:
    """File an item; the policy answers at once what it may answer."""
    body = call.body(ApprovalRequest)
    try:
        job = None if body.job_id is None else parse_id(body.job_id, "J")
    except ValueError as error:
        raise Invalid(str(error), code="invalid") from None
    details = dict(body.details)
    if body.created_by_agent is not None:
        details["created_by_agent"] = body.created_by_agent
    item = Item(
        call.deps.config.app.service,
        ItemType(body.item_type),
        body.summary,
        details,
        body.risk_score,
        job,
        body.idempotency_key,
    )
    async with call.reading() as conn:
        filed = await call.api.engine.request(conn, call.who, item)
    async with call.reading(POLICY) as conn:
        filed = await call.api.engine.answer_by_policy(conn, filed, item.risk_score)
    return approval_view(filed)


async def decide(call: Call) -> ApprovalView:
    body = call.body(ApprovalDecision)
    if body.decision == "reject" and not (body.reason or "").strip():
        raise Invalid("a rejection says why", code="reason_missing")
    answered = Answered(
        body.decision,
        body.digest,
        body.idempotency_key,
        body.evidence_digest,
        body.reason,
        body.interactive,
        body.unseen_hunks,
        body.keep_job_open,
        body.signature,
    )
    try:
        async with call.deed() as conn:
            decided = await call.api.engine.decide(conn, call.who, call.number, answered)
    except RuleRefused as refused:
        async with call.deed() as conn:
            await note_refusal(conn, call.number, refused)
        raise
    call.deps.wake()
    return approval_view(decided.approval)


ROUTES = (
    Route(
        "GET",
        "/approvals",
        list_approvals,
        "What waits for a decision, newest first.",
        EVERY_ROLE,
        ApprovalList,
        query=ApprovalListQuery,
    ),
    Route(
        "POST",
        "/approvals",
        request,
        "Ask for a yes.",
        WORKERS,
        ApprovalView,
        ApprovalRequest,
        status=201,
        problems=(409,),
    ),
    Route(
        "POST",
        "/approvals/{n}/decision",
        decide,
        "Approve, reject or defer.",
        PEOPLE,
        ApprovalView,
        ApprovalDecision,
        problems=(409,),
        letter="A",
    ),
)
