"""The audit chain: pages, whether it is whole, and the export that can be checked without a
database.
"""

from aiohttp import web
from pydantic import Field

from proxy.api.call import Call
from proxy.api.present import audit_view
from proxy.api.table import EVERY_ROLE, PEOPLE, Route
from proxy.contract.audit import AuditPage, AuditVerdict
from proxy.contract.base import Request
from proxy.store import audit as audit_store
from proxy.visible import one_line


class AuditQuery(Request):
    """``q`` is an actor's name or a subject such as J-1; ``cursor`` comes from the page before."""

    q: str = Field("", max_length=200)
    actor: str | None = Field(None, max_length=63)
    subject: str | None = Field(None, max_length=200)
    cursor: str | None = Field(None, pattern=r"^[1-9][0-9]{0,17}$")
    limit: int = Field(100, ge=1, le=500)


async def list_audit(call: Call) -> AuditPage:
    query = call.query(AuditQuery)
    actor, subject = query.actor, query.subject
    if query.q:
        if _is_subject(query.q):
            subject = query.q.upper()
        else:
            actor = query.q
    async with call.reading() as conn:
        entries = await audit_store.list_audit(
            conn, actor, subject, None if query.cursor is None else int(query.cursor), query.limit
        )
        total = await audit_store.list_audit(conn, limit=1)
    views = [audit_view(entry) for entry in entries]
    if call.redacted:
        hidden = {"before": None, "after": None, "reason": None}
        views = [view.model_copy(update=hidden) for view in views]
    more = len(entries) == query.limit and entries[-1].seq > 1
    return AuditPage(
        entries=views,
        # the chain has no gap, so its newest number is its length
        total=total[0].seq if total else 0,
        next_cursor=str(entries[-1].seq) if more else None,
    )


def _is_subject(text: str) -> bool:
    letter, dash, number = text.partition("-")
    return bool(dash) and letter.upper() in ("J", "P", "A") and number.isdigit()


async def verify(call: Call) -> AuditVerdict:
    async with call.reading() as conn:
        found = await audit_store.verify(conn)
    return AuditVerdict(
        ok=found.ok, entries=found.entries, head=found.head, first_bad=found.first_bad
    )


async def export(call: Call) -> web.StreamResponse:
    """JSON lines, oldest first; `selfheal audit verify FILE` checks them anywhere."""
    answer = web.StreamResponse(
        headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"}
    )
    async with call.reading() as conn:
        await answer.prepare(call.request)
        async for line in audit_store.export(conn):
            await answer.write((one_line(line.rstrip("\n")) + "\n").encode())
    await answer.write_eof()
    return answer


ROUTES = (
    Route(
        "GET",
        "/audit",
        list_audit,
        "The chain, newest first.",
        EVERY_ROLE,
        AuditPage,
        query=AuditQuery,
    ),
    Route("GET", "/audit/verify", verify, "Whether the chain is whole.", PEOPLE, AuditVerdict),
    Route(
        "GET",
        "/audit/export",
        export,
        "The whole chain as JSON lines.",
        PEOPLE,
        media="application/x-ndjson",
    ),
)
