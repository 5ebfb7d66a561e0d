"""Eight item types × four risks × switches off and on × five actors: in SQL and over the API only
the cells of the contract pass. The table here is written down, not computed by what it judges.
"""

import itertools
import random
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from proxy.domain.approval import Actor, Approval, ItemType
from proxy.domain.failure import Severity
from proxy.domain.patch import Patch, Risk
from proxy.errors import NotPermitted
from proxy.store import approvals, control
from proxy.store.pool import AS_PROXY, acting
from tests.support.api import ApiUnderTest, new_key, open_api
from tests.support.campaign import IS_WHOLE, SEED
from tests.support.postgres import TestDatabase
from tests.support.store import key, new_job, new_patch, run_sandbox
from tests.support.supabase import beside_profiles

SCORES = {Severity.LOW: 5, Severity.MEDIUM: 25, Severity.HIGH: 45, Severity.CRITICAL: 80}
POLICY = Actor("policy", "proxy", "sidecar", interactive=False)
ACTORS = ("policy", "agent", "viewer", "admin", "founder")
EVERYDAY = ("campaign", "email", "automation", "brand_change")
Cell = tuple[ItemType, Severity, bool, str]


def passes(item: ItemType, risk: Severity, switches: bool, actor: str) -> bool:
    """Contract, section 6, and the installation it comes from (content review for medium)."""
    match actor:
        case "founder":
            return True
        case "admin" if item == "patch_sandbox":
            return switches
        case "admin":
            return item in EVERYDAY and risk in ("low", "medium")
        case "policy" if item == "patch_sandbox":
            return switches and risk == "low"
        case "policy":
            return item in EVERYDAY and risk == "low"
        case _:
            return False


class Board:
    """One waiting request for every item type and risk, made anew where one was used up."""

    def __init__(self, db: TestDatabase, logins: dict[str, asyncpg.Connection]) -> None:
        self.db, self.logins = db, logins

    async def switch(self, on: bool) -> None:
        async with acting(self.logins["founder"], self.db.actor("founder")) as conn:
            for name in ("auto_approve_sandbox", "admin_sandbox"):
                await control.set_switch(conn, name, on, "matrix")

    async def ask(self, item: ItemType, risk: Severity) -> Approval:
        patch = await self._patch(item, risk) if item.value.startswith("patch_") else None
        async with acting(self.logins["proxy"], AS_PROXY) as conn:
            return await approvals.request(
                conn, service="app", item_type=item, summary=f"{item} {risk}", risk_level=risk,
                risk_score=SCORES[risk], created_by="bot", digest=None if patch else key() * 2,
                patch_id=patch.id if patch else None,
            )  # fmt: skip

    async def _patch(self, item: ItemType, risk: Severity) -> Patch:
        proxy = self.logins["proxy"]
        job = await new_job(proxy, f"v1:{key()[:16]}")
        weighed = Risk(SCORES[risk], risk, ("matrix",))
        patch = await new_patch(proxy, job, f"+{key()}\n", weighed)
        if item is ItemType.PATCH_SANDBOX:
            return patch
        return await run_sandbox(self.db, proxy, self.logins["founder"], patch)

    async def passes_in_sql(self, asked: Approval, actor: str) -> bool:
        """Whether the decision is taken; whatever it wrote is taken back."""
        who = POLICY if actor == "policy" else self.db.actor(actor)
        conn = self.logins["proxy" if actor == "policy" else actor]
        transaction = conn.transaction()
        await transaction.start()
        try:
            async with acting(conn, who) as inside:
                await inside.execute(
                    "insert into approval_decisions"
                    " (approval_id, decision, digest, evidence_digest, idempotency_key)"
                    " values ($1, 'approve', $2, $3, $4)",
                    asked.id, asked.digest, asked.evidence_digest, key(),
                )  # fmt: skip
        except NotPermitted:
            return False
        else:
            return True
        finally:
            await transaction.rollback()


async def board_on(db: TestDatabase) -> Board:
    logins = {r: await db.connect_as(r) for r in ("founder", "admin", "agent", "viewer")}
    return Board(db, {**logins, "proxy": await db.connect_proxy()})


@pytest.fixture(params=["plain", "beside public.profiles"])
def shape(request: pytest.FixtureRequest) -> str:
    """The server as we like it, and one whose application keeps its people itself."""
    return str(request.param)


async def test_every_cell_in_sql(each_database: TestDatabase, shape: str) -> None:
    if shape != "plain":
        await beside_profiles(each_database)
    board = await board_on(each_database)
    asked = {
        (item, risk): await board.ask(item, risk)
        for item, risk in itertools.product(ItemType, Severity)
    }
    for switches in (False, True):
        await board.switch(switches)
        for (item, risk), request in asked.items():
            for actor in ACTORS:
                passed = await board.passes_in_sql(request, actor)
                assert passed == passes(item, risk, switches, actor), (item, risk, switches, actor)
    for conn in board.logins.values():
        await conn.close()


@pytest.mark.campaign
async def test_every_cell_over_the_api(
    aiohttp_client: Callable[..., Any],
    database: TestDatabase,
    proxy_pool: asyncpg.Pool,
    shape: str,
) -> None:
    """Sampled in `make test`; each cell decides an item of its own, by the member's own login."""
    if shape != "plain":
        await beside_profiles(database)
    api = await open_api(aiohttp_client, database, proxy_pool)
    board = await board_on(database)
    cells: list[Cell] = list(itertools.product(ItemType, Severity, (False, True), ACTORS[1:]))
    cells = cells if IS_WHOLE else random.Random(SEED).sample(cells, 24)
    for switches in (False, True):
        await board.switch(switches)
        for item, risk, on, actor in cells:
            if on == switches:
                asked = await board.ask(item, risk)
                passed = await _passes_over_the_api(api, asked, actor)
                assert passed == passes(item, risk, on, actor), (item, risk, on, actor)
    for conn in board.logins.values():
        await conn.close()


async def _passes_over_the_api(api: ApiUnderTest, asked: Approval, actor: str) -> bool:
    body = {"decision": "approve", "digest": asked.digest, "idempotency_key": new_key()}
    if asked.evidence_digest is not None:
        body["evidence_digest"] = asked.evidence_digest
    status, answer = await api.call(actor, "POST", f"/approvals/A-{asked.id}/decision", body)
    assert (status, answer.get("code")) in (
        (200, None), (403, "role_refused"), (403, "not_permitted"),
    ), answer  # fmt: skip
    return status == 200
