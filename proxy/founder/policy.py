"""Who may say yes to what: one pure verdict for item type, risk, switches and actor.

The floors here stand in the database too (triggers and policies); this page explains them, it does
not replace them. Control rules may tighten a verdict, nothing may loosen one.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from proxy.domain.approval import Denied, Granted, ItemType
from proxy.domain.approval import Verdict as Decision
from proxy.domain.failure import Severity

Answer = Literal["auto", "ask", "forbid"]
"""``auto``: the policy itself says yes. ``ask``: this actor is the one to be asked (for the policy:
it must ask a person). ``forbid``: a yes from this actor never counts.
"""

ActorKind = Literal["policy", "agent", "viewer", "admin", "founder"]
ACTORS: tuple[ActorKind, ...] = get_args(ActorKind)

ALWAYS_MANUAL = frozenset({ItemType.CLAIM, ItemType.OVERRIDE, ItemType.PATCH_MAIN})
"""A person answers whatever the risk: public claims, overrides, and the way to MAIN."""

FOUNDER_ONLY = frozenset({ItemType.CLAIM, ItemType.OVERRIDE, ItemType.PATCH_MAIN})
"""What nobody but the founder can take back afterwards."""

ALWAYS_MANUAL_KINDS = frozenset(
    {
        "public_claim",
        "brand_position_change",
        "high_risk_automation",
        "external_communication",
        "financial_estimate",
    }
)
"""``details.kind`` of an item that is never automatic, under whatever item type it was filed."""


@dataclass(frozen=True, slots=True)
class Switches:
    """The founder's two gate switches; both off until the founder says otherwise."""

    auto_approve_sandbox: bool = False
    admin_sandbox: bool = False


def verdict(
    item: ItemType,
    risk: Severity,
    actor: ActorKind,
    switches: Switches | None = None,
    *,
    kind: str = "",
) -> Answer:
    """What a yes of ``actor`` is worth for an item of this type and computed risk."""
    switches = switches or Switches()
    match actor:
        case "policy":
            return "auto" if _automatic(item, risk, switches, kind) else "ask"
        case "agent" | "viewer":
            return "forbid"
        case "admin":
            return "ask" if _admin_may(item, risk, switches) else "forbid"
        case "founder":
            return "ask"


def _automatic(item: ItemType, risk: Severity, switches: Switches, kind: str) -> bool:
    if risk is not Severity.LOW or item in ALWAYS_MANUAL or kind in ALWAYS_MANUAL_KINDS:
        return False
    return item is not ItemType.PATCH_SANDBOX or switches.auto_approve_sandbox


def _admin_may(item: ItemType, risk: Severity, switches: Switches) -> bool:
    if item in FOUNDER_ONLY:
        return False
    if item is ItemType.PATCH_SANDBOX:
        return switches.admin_sandbox
    # medium is a content review, which an admin can give; high and critical are the founder's
    return risk.rank <= Severity.MEDIUM.rank


def may_decide(
    item: ItemType,
    risk: Severity,
    actor: str,
    switches: Switches | None = None,
    decision: Decision = "approve",
) -> Granted | Denied:
    """Whether a person's decision counts; the refusal says whose would. ``Granted`` carries id 0.

    An admin may say no, or not now, to anything: a no opens no gate.
    """
    if actor == "founder" or (actor == "admin" and decision != "approve"):
        return Granted(0)
    if actor == "admin" and verdict(item, risk, "admin", switches) == "ask":
        return Granted(0)
    if actor == "agent":
        return Denied("agent_at_gate", "an agent can never pass a gate; a founder decides this")
    allowed = Switches(admin_sandbox=True)
    who = (
        "a founder, or an admin where the founder allowed it"
        if verdict(item, risk, "admin", allowed) == "ask"
        else "a founder"
    )
    return Denied("not_yours", f"{item} at risk {risk} is decided by {who}, not by {actor}")
