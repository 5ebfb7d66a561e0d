"""What must be seen, saying that it was, and the founder's way past gate main without a proof."""

from datetime import timedelta

from proxy.api.call import Call
from proxy.api.routes.patches import view_patch
from proxy.api.table import FOUNDER, PEOPLE, Route
from proxy.contract.alerts import AcknowledgeRequest, AlertList, AlertView
from proxy.contract.patches import BreakGlassRequest, DeedResult
from proxy.domain.patch import PatchStatus
from proxy.errors import Conflict
from proxy.founder.signed import check_decision
from proxy.store import alerts as alert_store
from proxy.store import approvals as approval_store
from proxy.store import patches as patch_store
from proxy.store.alerts import Alert
from proxy.visible import one_line


def alert_view(alert: Alert) -> AlertView:
    return AlertView(
        kind=alert.kind,
        subject=alert.subject,
        severity=alert.severity.value,
        since=alert.since,
        summary=one_line(alert.summary),
        expires_at=alert.expires_at,
    )


async def list_alerts(call: Call) -> AlertList:
    warn = timedelta(hours=call.deps.config.alerts.warn_before_h)
    async with call.reading() as conn:
        found = await alert_store.open_alerts(conn, warn)
    return AlertList(alerts=[alert_view(alert) for alert in found])


async def acknowledge(call: Call) -> AlertList:
    """The answer is what is still open."""
    body = call.body(AcknowledgeRequest)
    async with call.deed() as conn:
        await alert_store.acknowledge(conn, body.kind, body.subject, body.note)
    call.deps.wake()
    return await list_alerts(call)


async def break_glass(call: Call) -> DeedResult:
    """One transaction: the deed with its reason, and the patch past gate main. MAIN does not move
    yet: that takes the founder's `apply`.
    """
    body = call.body(BreakGlassRequest)
    async with call.deed() as conn:
        known = await approval_store.get_deed_by_key(conn, body.idempotency_key)
        patch = await patch_store.get_patch(conn, call.number)
        if patch.digest != body.digest:
            raise Conflict(
                f"P-{patch.id} is not what was shown; look again, then decide",
                code="digest_changed",
            )
        check_decision(call.deps.config.founder.signers, patch, call.who.name, body.signature)
        deed = await approval_store.record_deed(
            conn,
            "break_glass",
            patch.id,
            body.digest,
            patch.evidence_digest,
            body.idempotency_key,
            body.reason,
            body.interactive,
            body.signature,
        )
        if known is None:
            await patch_store.step_patch(
                conn, patch.id, patch.status, PatchStatus.APPROVED, reason=body.reason
            )
    call.deps.wake()
    async with call.reading() as conn:
        view = await view_patch(conn, call)
    return DeedResult(
        ok=True,
        patch=view,
        message=f"{deed.actor} broke the glass: P-{deed.patch_id} is past gate main unproven",
        replayed=known is not None,
    )


ROUTES = (
    Route("GET", "/alerts", list_alerts, "What nobody has acknowledged yet.", PEOPLE, AlertList),
    Route(
        "POST",
        "/alerts/acknowledge",
        acknowledge,
        "Seen: it is told no more, and decides nothing.",
        PEOPLE,
        AlertList,
        AcknowledgeRequest,
        problems=(404, 409),
    ),
    Route(
        "POST",
        "/patches/{n}/break-glass",
        break_glass,
        "Past gate main without a proof, with a reason.",
        FOUNDER,
        DeedResult,
        BreakGlassRequest,
        problems=(409,),
        letter="P",
    ),
)
