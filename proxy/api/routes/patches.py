"""Patches: read them, and the founder's three deeds on them: sandbox, apply, roll back.

A deed is recorded on the member's own login, bound to the digest that was shown, and answered once
per idempotency key. The healer performs it; ``?wait=`` holds the answer until it has, or the time
is over.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

import asyncpg
from pydantic import Field

from proxy.api.call import Call
from proxy.api.present import patch_view
from proxy.api.table import EVERY_ROLE, FOUNDER, PEOPLE, Route
from proxy.contract.base import Request, parse_id, show_id
from proxy.contract.patches import DeedRequest, DeedResult, PatchList, PatchView
from proxy.domain.approval import Approval, ItemType
from proxy.domain.patch import Patch, PatchStatus
from proxy.errors import Conflict, Invalid
from proxy.founder.approvals import UNDECIDED, Answered
from proxy.store import approvals as approval_store
from proxy.store import patches as patch_store
from proxy.store.approvals import Deed
from proxy.visible import visible

WAIT_S_MAX = 60.0
POLL_S = 0.5
"""While waiting, look at least this often: a wake-up can be lost with its connection."""

DeedWord = Literal["sandbox", "apply", "rollback"]


class PatchListQuery(Request):
    job: str | None = Field(None, max_length=24)
    status: str = Field("", max_length=200)
    brief: bool = False
    limit: int = Field(200, ge=1, le=500)


class WaitQuery(Request):
    wait: float = Field(0.0, ge=0, le=WAIT_S_MAX)


async def list_patches(call: Call) -> PatchList:
    query = call.query(PatchListQuery)
    try:
        job = None if query.job is None else parse_id(query.job, "J")
        statuses = {PatchStatus(word.strip()) for word in query.status.split(",") if word.strip()}
    except ValueError as error:
        raise Invalid(str(error), code="invalid") from None
    async with call.reading() as conn:
        patches = await patch_store.list_patches(conn, job, statuses or None, query.limit)
        approvals = await approval_store.list_approvals(conn, limit=1000)
    by_patch: dict[int, list[Approval]] = {}
    for approval in approvals:
        if approval.patch_id is not None:
            by_patch.setdefault(approval.patch_id, []).append(approval)
    return PatchList(
        patches=[
            patch_view(patch, by_patch.get(patch.id, ()), brief=query.brief, redacted=call.redacted)
            for patch in patches
        ]
    )


async def get_patch(call: Call) -> PatchView:
    async with call.reading() as conn:
        return await view_patch(conn, call)


async def view_patch(conn: asyncpg.Connection, call: Call, number: int | None = None) -> PatchView:
    """One patch with all its approvals, as ``call``'s role may see it."""
    patch = await patch_store.get_patch(conn, number or call.number)
    approvals = await approval_store.list_approvals(conn, patch_id=patch.id)
    return patch_view(patch, approvals, redacted=call.redacted)


def _deed(kind: DeedWord) -> Callable[[Call], Awaitable[DeedResult]]:
    async def handler(call: Call) -> DeedResult:
        body = call.body(DeedRequest)
        async with call.deed() as conn:
            deed, replayed, approval = await _record(conn, call, kind, body)
        call.deps.wake()
        deed = await _until_done(call, deed, call.query(WaitQuery).wait)
        async with call.reading() as conn:
            patch = await view_patch(conn, call)
        return DeedResult(
            ok=deed.status != "failed",
            patch=patch,
            approval_id=None if approval is None else show_id("A", approval.id),
            message=_sentence(deed, patch),
            replayed=replayed,
        )

    return handler


async def _record(
    conn: asyncpg.Connection, call: Call, kind: DeedWord, body: DeedRequest
) -> tuple[Deed, bool, Approval | None]:
    """In the caller's one transaction: the gate's decision, if one waits, and the deed."""
    known = await approval_store.get_deed_by_key(conn, body.idempotency_key)
    if known is not None:
        if (known.kind, known.patch_id, known.digest) != (kind, call.number, body.digest):
            raise Conflict("this idempotency key belongs to another deed", code="key_reused")
        return known, True, None
    patch = await patch_store.get_patch(conn, call.number)
    _check_shown(patch, body)
    approval = await _pass_sandbox_gate(conn, call, patch, body) if kind == "sandbox" else None
    deed = await approval_store.record_deed(
        conn,
        kind,
        patch.id,
        body.digest,
        patch.evidence_digest if kind == "apply" else body.evidence_digest,
        body.idempotency_key,
        body.reason,
        body.interactive,
    )
    return deed, False, approval


def _check_shown(patch: Patch, body: DeedRequest) -> None:
    if patch.digest != body.digest:
        raise Conflict(
            f"P-{patch.id} is not what was shown; look again, then decide", code="digest_changed"
        )
    if body.evidence_digest not in (None, patch.evidence_digest):
        raise Conflict(
            f"the evidence for P-{patch.id} is another one now; look again, then decide",
            code="evidence_changed",
        )


async def _pass_sandbox_gate(
    conn: asyncpg.Connection, call: Call, patch: Patch, body: DeedRequest
) -> Approval | None:
    """`sandbox` passes its gate by itself: the request that waits, if one does, is answered with
    it.
    """
    waiting = await approval_store.list_approvals(conn, UNDECIDED, patch_id=patch.id)
    request = next((a for a in waiting if a.item_type is ItemType.PATCH_SANDBOX), None)
    if request is None:
        return None
    answered = Answered(
        "approve",
        digest=body.digest,
        idempotency_key=f"{body.idempotency_key}:gate",
        reason=body.reason,
        interactive=body.interactive,
    )
    decided = await call.api.engine.decide(conn, call.who, request.id, answered)
    return decided.approval


async def _until_done(call: Call, deed: Deed, wait_s: float) -> Deed:
    """Poll, woken by every event, until the healer has finished the deed or the time is over."""
    clock = call.deps.clock
    deadline = clock.monotonic() + wait_s
    while deed.status == "pending" and (left := deadline - clock.monotonic()) > 0:
        await call.api.hub.wait(min(POLL_S, left))
        async with call.reading() as conn:
            deed = await approval_store.get_deed_by_key(conn, deed.idempotency_key) or deed
    return deed


def _sentence(deed: Deed, patch: PatchView) -> str:
    if deed.status == "pending":
        return f"{deed.kind} of {patch.id} is ordered; {patch.id} is {patch.status}"
    told = str(deed.result.get("message") or deed.result.get("reason") or "")
    return (
        visible(told) or f"{deed.kind} of {patch.id} is {deed.status}; {patch.id} is {patch.status}"
    )


def _deed_route(kind: DeedWord, summary: str, roles: frozenset[str]) -> Route:
    return Route(
        "POST",
        f"/patches/{{n}}/{kind}",
        _deed(kind),
        summary,
        roles,
        DeedResult,
        DeedRequest,
        query=WaitQuery,
        status=202,
        problems=(409,),
        letter="P",
    )


ROUTES = (
    Route(
        "GET",
        "/patches",
        list_patches,
        "Patches, newest first.",
        EVERY_ROLE,
        PatchList,
        query=PatchListQuery,
    ),
    Route(
        "GET",
        "/patches/{n}",
        get_patch,
        "One patch with its proof.",
        EVERY_ROLE,
        PatchView,
        letter="P",
    ),
    # an admin passes here only where the founder switched `admin_sandbox` on: policy and database
    # say so
    _deed_route("sandbox", "Pass gate sandbox and run it there.", PEOPLE),
    _deed_route("apply", "Move MAIN, after gate main.", FOUNDER),
    _deed_route("rollback", "Take an applied patch back.", FOUNDER),
)
