"""The engine on real Postgres: request, policy, decide, expire, statistics."""

from datetime import timedelta

import asyncpg
import pytest

from proxy.clock import ManualClock, SystemClock
from proxy.domain.approval import Actor, Approval, ApprovalStatus, ItemType
from proxy.domain.failure import Severity
from proxy.errors import Conflict, NotPermitted
from proxy.founder.approvals import (
    Answered,
    FounderApprovalEngine,
    Item,
    RuleRefused,
    item_digest,
    note_refusal,
)
from proxy.founder.control import parse_rules
from proxy.store import approvals as approval_store
from proxy.store import audit
from proxy.store import control as control_store
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase
from tests.support.store import key, new_job, new_patch

POLICY = Actor("policy", "proxy", "sidecar", interactive=False)
BOT = Actor("bot", "agent")


async def file(
    pool: asyncpg.Pool, item: Item, engine: FounderApprovalEngine | None = None
) -> Approval:
    engine = engine or FounderApprovalEngine()
    async with acting(pool, AS_PROXY) as conn:
        filed = await engine.request(conn, BOT, item)
    async with acting(pool, POLICY) as conn:
        return await engine.answer_by_policy(conn, filed, item.risk_score)


def yes(approval: Approval, word: str = "approve") -> Answered:
    assert approval.digest is not None
    return Answered(word, approval.digest, key(), reason="because")  # type: ignore[arg-type]  # a word of the table


async def test_the_policy_says_yes_to_low_risk_only_and_signs_it(proxy_pool: asyncpg.Pool) -> None:
    for item_type in ItemType:
        if item_type.value.startswith("patch_"):
            continue
        for score in (0, 19, 20, 40, 70):
            filed = await file(proxy_pool, Item("app", item_type, "x", risk_score=score))
            automatic = score < 20 and item_type not in (ItemType.CLAIM, ItemType.OVERRIDE)
            assert (filed.status is ApprovalStatus.APPROVED) == automatic, (item_type, score)
            if filed.decision is not None:
                assert (filed.decision.actor, filed.decision.interactive) == ("policy", False)


async def test_a_lower_threshold_holds_the_policy_back(proxy_pool: asyncpg.Pool) -> None:
    rules = parse_rules({"thresholds": {"auto_risk_max": 4}}).model_dump(mode="json")
    async with acting(proxy_pool, AS_PROXY) as conn:
        await control_store.put_control(conn, rules, based_on=0, reason="careful")
    low = Item("app", ItemType.EMAIL, "x", risk_score=4)
    assert (await file(proxy_pool, low)).status is ApprovalStatus.APPROVED
    more = Item("app", ItemType.EMAIL, "x", risk_score=5)
    assert (await file(proxy_pool, more)).status is ApprovalStatus.PENDING


async def test_a_rule_raises_the_risk_of_an_item(proxy_pool: asyncpg.Pool) -> None:
    rule = {"name": "mail", "effect": "force_risk", "risk": "critical", "items": ["email"]}
    rules = parse_rules({"rules": [rule]}).model_dump(mode="json", exclude_none=True)
    async with acting(proxy_pool, AS_PROXY) as conn:
        await control_store.put_control(conn, rules, based_on=0, reason="careful")
    filed = await file(proxy_pool, Item("app", ItemType.EMAIL, "x"))
    assert (filed.status, filed.risk_level) == (ApprovalStatus.PENDING, Severity.CRITICAL)
    assert filed.details["control_rules"] == ["mail"]


@pytest.mark.parametrize("role", ["founder", "admin"])
async def test_a_person_decides_once(
    database: TestDatabase, proxy_pool: asyncpg.Pool, role: str
) -> None:
    engine = FounderApprovalEngine()
    waits = await file(proxy_pool, Item("app", ItemType.CAMPAIGN, "x", risk_score=25))
    conn = await database.connect_as(role)
    actor = database.actor(role)
    async with acting(conn, actor) as own:
        later = await engine.decide(own, actor, waits.id, yes(waits, "defer"))
    assert later.approval.status is ApprovalStatus.DEFERRED
    async with acting(conn, actor) as own:
        done = await engine.decide(own, actor, waits.id, yes(waits))
    assert done.approval.status is ApprovalStatus.APPROVED
    with pytest.raises(Conflict):
        async with acting(conn, actor) as own:
            await engine.decide(own, actor, waits.id, yes(waits, "reject"))
    await conn.close()


async def test_an_admin_gives_no_high_yes_and_the_database_agrees(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    waits = await file(proxy_pool, Item("app", ItemType.CAMPAIGN, "x", risk_score=45))
    conn = await database.connect_as("admin")
    admin = database.actor("admin")
    with pytest.raises(NotPermitted, match="decided by a founder"):
        async with acting(conn, admin) as own:
            await FounderApprovalEngine().decide(own, admin, waits.id, yes(waits))
    # even an engine that were fooled about the role meets the second fence
    with pytest.raises(NotPermitted):
        async with acting(conn, admin) as own:
            await FounderApprovalEngine().decide(
                own, Actor(admin.name, "founder"), waits.id, yes(waits)
            )
    await conn.close()


async def test_ask_twice_wants_a_terminal(database: TestDatabase, proxy_pool: asyncpg.Pool) -> None:
    rule = {"name": "slow down", "effect": "ask_twice"}
    rules = parse_rules({"rules": [rule]}).model_dump(mode="json", exclude_none=True)
    async with acting(proxy_pool, AS_PROXY) as conn:
        await control_store.put_control(conn, rules, based_on=0, reason="careful")
    engine, founder = FounderApprovalEngine(), database.actor("founder")
    waits = await file(proxy_pool, Item("app", ItemType.EMAIL, "x"))
    assert waits.status is ApprovalStatus.PENDING
    own = await database.connect_as("founder")
    answer = yes(waits)
    hasty = Answered("approve", answer.digest, key(), interactive=False)
    with pytest.raises(NotPermitted, match="slow down"):
        async with acting(own, founder) as conn:
            await engine.decide(conn, founder, waits.id, hasty)
    async with acting(own, founder) as conn:
        assert (await engine.decide(conn, founder, waits.id, answer)).approval.decision
    await own.close()


async def test_expiry_means_no(database: TestDatabase, proxy_pool: asyncpg.Pool) -> None:
    clock = ManualClock(SystemClock().time())
    engine = FounderApprovalEngine(clock=clock, approval_days=1)
    waits = await file(proxy_pool, Item("app", ItemType.CLAIM, "x"), engine)
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert await engine.expire(conn) == []
        clock.advance(timedelta(days=1, seconds=5).total_seconds())
        assert await engine.expire(conn) == [waits.id]
    own, founder = await database.connect_as("founder"), database.actor("founder")
    with pytest.raises(Conflict):
        async with acting(own, founder) as conn:
            await engine.decide(conn, founder, waits.id, yes(waits))
    await own.close()


async def test_statistics_count_what_waits(proxy_pool: asyncpg.Pool) -> None:
    engine = FounderApprovalEngine()
    first = await file(proxy_pool, Item("app", ItemType.CLAIM, "x"))
    await file(proxy_pool, Item("app", ItemType.CLAIM, "y", risk_score=75))
    await file(proxy_pool, Item("app", ItemType.EMAIL, "z"))
    async with acting(proxy_pool, AS_PROXY) as conn:
        found = await engine.statistics(conn)
    assert (found.pending, found.by_type) == (2, {"claim": 2})
    assert found.by_level == {"low": 1, "critical": 1}
    assert found.oldest == first.created_at


def test_the_digest_names_the_content() -> None:
    item = Item("app", ItemType.CLAIM, "x", {"b": 1, "a": 2})
    same = Item("app", ItemType.CLAIM, "x", {"a": 2, "b": 1})
    assert item_digest(item) == item_digest(same)
    assert item_digest(item) != item_digest(Item("app", ItemType.CLAIM, "y", {"b": 1, "a": 2}))


async def put_rules(pool: asyncpg.Pool, *rules: dict[str, object]) -> None:
    made = parse_rules({"rules": list(rules)}).model_dump(mode="json", exclude_none=True)
    async with acting(pool, AS_PROXY) as conn:
        now = await control_store.get_control(conn)
        based_on = 0 if now is None else now.version
        await control_store.put_control(conn, made, based_on=based_on, reason="careful")


async def fired(pool: asyncpg.Pool, subject: str) -> list[tuple[str, list[str]]]:
    async with acting(pool, AS_PROXY) as conn:
        entries = await audit.list_audit(conn, subject=subject)
    return [
        (entry.after["where"], entry.after["rules"])
        for entry in reversed(entries)
        if entry.action == "rule.fired"
    ]


async def test_every_firing_is_named_in_the_audit_and_counts_from_the_next_decision_on(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    engine, founder = FounderApprovalEngine(), database.actor("founder")
    before = await file(proxy_pool, Item("app", ItemType.CLAIM, "x", risk_score=30))
    await put_rules(proxy_pool, {"name": "stop", "effect": "forbid", "items": ["claim", "email"]})
    waits = await file(proxy_pool, Item("app", ItemType.EMAIL, "x"))
    assert waits.status is ApprovalStatus.PENDING, "policy is held back"
    own = await database.connect_as("founder")
    with pytest.raises(RuleRefused, match="stop") as refused:
        async with acting(own, founder) as conn:
            await engine.decide(conn, founder, before.id, yes(before))
    async with acting(own, founder) as conn:
        await note_refusal(conn, before.id, refused.value)
    assert await fired(proxy_pool, f"A-{before.id}") == [("refused", ["stop"])]
    assert await fired(proxy_pool, f"A-{waits.id}") == [("request", ["stop"]), ("policy", ["stop"])]
    async with acting(own, founder) as conn:
        await engine.decide(conn, founder, before.id, yes(before, "reject"))
        decided = await audit.list_audit(conn, subject=f"A-{before.id}")
    (said,) = [e for e in decided if e.action == "approval.decided"]
    assert said.after["details"]["control_rules"] == ["stop"]
    await own.close()


async def test_what_is_assigned_no_other_admin_grants(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    engine, admin = FounderApprovalEngine(), database.actor("admin")
    await put_rules(proxy_pool, {"name": "eve's", "effect": "assign", "to": "eve"})
    waits = await file(proxy_pool, Item("app", ItemType.CAMPAIGN, "x", risk_score=30))
    own = await database.connect_as("admin")
    with pytest.raises(RuleRefused, match="eve's or the founder's"):
        async with acting(own, admin) as conn:
            await engine.decide(conn, admin, waits.id, yes(waits))
    await put_rules(proxy_pool, {"name": "bob's", "effect": "assign", "to": "bob"})
    async with acting(own, admin) as conn:
        done = await engine.decide(conn, admin, waits.id, yes(waits))
    assert done.approval.status is ApprovalStatus.APPROVED
    await own.close()


async def test_a_rule_about_paths_holds_the_policy_too(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    engine = FounderApprovalEngine(auto_approve_sandbox=lambda: True)
    own = await database.connect_as("founder")
    async with acting(own, database.actor("founder")) as conn:
        await control_store.set_switch(conn, "auto_approve_sandbox", True, "try")
    await own.close()
    await put_rules(proxy_pool, {"name": "not a", "effect": "forbid", "paths": ["a"]})
    proxy = await database.connect_proxy()
    patch = await new_patch(proxy, await new_job(proxy))
    await proxy.close()
    async with acting(proxy_pool, AS_PROXY) as conn:
        asked = await approval_store.request(
            conn, service="app", item_type=ItemType.PATCH_SANDBOX, summary="run?",
            risk_level=Severity.LOW, created_by="sidecar", patch_id=patch.id,
        )  # fmt: skip
    async with acting(proxy_pool, POLICY) as conn:
        assert (await engine.answer_by_policy(conn, asked, 5)).status is ApprovalStatus.PENDING
    assert await fired(proxy_pool, f"A-{asked.id}") == [("policy", ["not a"])]


async def test_a_key_used_again_with_another_body_gets_nothing(proxy_pool: asyncpg.Pool) -> None:
    """A lower risk under the key of a held request would pass the founder's threshold."""
    rules = parse_rules({"thresholds": {"auto_risk_max": 4}}).model_dump(mode="json")
    async with acting(proxy_pool, AS_PROXY) as conn:
        await control_store.put_control(conn, rules, based_on=0, reason="careful")
    used = key()
    first = Item("app", ItemType.CAMPAIGN, "spring", risk_score=15, idempotency_key=used)
    held = await file(proxy_pool, first)
    assert held.status is ApprovalStatus.PENDING
    assert (await file(proxy_pool, first)).id == held.id, "the same again is the same"
    for other in (
        Item("app", ItemType.CAMPAIGN, "spring", risk_score=0, idempotency_key=used),
        Item("app", ItemType.CAMPAIGN, "autumn", risk_score=15, idempotency_key=used),
        Item("app", ItemType.EMAIL, "spring", risk_score=15, idempotency_key=used),
    ):
        with pytest.raises(Conflict) as told:
            await file(proxy_pool, other)
        assert told.value.code == "key_reused"
    async with acting(proxy_pool, AS_PROXY) as conn:
        with pytest.raises(Conflict):
            await FounderApprovalEngine().request(conn, Actor("vera", "agent"), first)
        stands = await approval_store.get_approval(conn, held.id)
    assert stands.status is ApprovalStatus.PENDING


async def test_another_member_s_key_decides_nothing(database: TestDatabase) -> None:
    """Two members with one key: the second is told, not answered as if it had decided."""
    proxy = await database.connect_proxy()
    async with acting(proxy, AS_PROXY) as conn:
        filed = await FounderApprovalEngine().request(
            conn, BOT, Item("app", ItemType.CAMPAIGN, "x", risk_score=25)
        )
    answer, engine = yes(filed, "defer"), FounderApprovalEngine()
    for role, said in (("founder", None), ("founder", None), ("admin", "key_reused")):
        member = await database.connect_as(role)
        async with acting(member, database.actor(role)) as conn:
            if said is None:
                await engine.decide(conn, database.actor(role), filed.id, answer)
            else:
                with pytest.raises(Conflict) as told:
                    await engine.decide(conn, database.actor(role), filed.id, answer)
                assert told.value.code == said
        await member.close()
    await proxy.close()
