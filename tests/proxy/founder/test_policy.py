"""Eight item types × four risks × switches × five actors: only the cells of the contract pass."""

from itertools import product

import pytest

from proxy.domain.approval import Denied, Granted, ItemType
from proxy.domain.failure import Severity
from proxy.founder.policy import ACTORS, ActorKind, Switches, may_decide, verdict

OFF = Switches()
ON = Switches(auto_approve_sandbox=True, admin_sandbox=True)
CELLS = list(product(ItemType, Severity, (OFF, ON), ACTORS))
AUTOMATIC = {
    ItemType.CAMPAIGN,
    ItemType.EMAIL,
    ItemType.AUTOMATION,
    ItemType.BRAND_CHANGE,
}


def expected(item: ItemType, risk: Severity, switches: Switches, actor: ActorKind) -> str:
    """The contract, said once more and otherwise."""
    if actor == "founder":
        return "ask"
    if actor in ("agent", "viewer"):
        return "forbid"
    sandbox = item is ItemType.PATCH_SANDBOX
    if actor == "policy":
        open_here = AUTOMATIC | ({ItemType.PATCH_SANDBOX} if switches is ON else set())
        return "auto" if risk is Severity.LOW and item in open_here else "ask"
    if sandbox:
        return "ask" if switches is ON else "forbid"
    return "ask" if item in AUTOMATIC and risk in (Severity.LOW, Severity.MEDIUM) else "forbid"


@pytest.mark.parametrize("actor", ACTORS)
def test_every_cell(actor: ActorKind) -> None:
    for item, risk, switches, who in CELLS:
        if who == actor:
            cell = (item, risk, switches, who)
            assert verdict(item, risk, who, switches) == expected(*cell), cell


def test_nothing_makes_main_automatic() -> None:
    assert not [
        cell
        for cell in CELLS
        if cell[0] is ItemType.PATCH_MAIN and verdict(cell[0], cell[1], cell[3], cell[2]) == "auto"
    ]


def test_named_kinds_are_always_manual() -> None:
    assert verdict(ItemType.EMAIL, Severity.LOW, "policy") == "auto"
    assert verdict(ItemType.EMAIL, Severity.LOW, "policy", kind="financial_estimate") == "ask"


@pytest.mark.parametrize("actor", ["agent", "viewer", "policy", "proxy", "", "FOUNDER"])
def test_only_people_decide(actor: str) -> None:
    for item, risk in product(ItemType, Severity):
        for decision in ("approve", "reject", "defer"):
            told = may_decide(item, risk, actor, ON, decision)
            assert isinstance(told, Denied)


def test_an_admin_may_refuse_what_it_may_not_grant() -> None:
    assert isinstance(may_decide(ItemType.PATCH_MAIN, Severity.LOW, "admin", ON), Denied)
    assert isinstance(may_decide(ItemType.PATCH_MAIN, Severity.LOW, "admin", ON, "reject"), Granted)


def test_a_refusal_says_who_decides() -> None:
    told = may_decide(ItemType.PATCH_SANDBOX, Severity.LOW, "admin", OFF)
    assert isinstance(told, Denied)
    assert "where the founder allowed it" in told.reason
