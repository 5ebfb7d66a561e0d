"""The gates under attack, on PostgreSQL 18 and 15. Each refusal is asserted by its SQLSTATE."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from proxy.domain.approval import Approval, ApprovalStatus, ItemType, Verdict
from proxy.domain.failure import Severity
from proxy.domain.patch import Patch, PatchStatus, PatchType, Risk
from proxy.errors import Conflict, Invalid, NotPermitted, SelfHealError
from proxy.store import approvals, control, patches
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase
from tests.support.store import (
    WHEN,
    approve,
    ask_main,
    evidence_for,
    key,
    new_job,
    new_patch,
    run_sandbox,
    step,
)


class Stage:
    """One database with every login open."""

    def __init__(self, db: TestDatabase, logins: dict[str, asyncpg.Connection]) -> None:
        self.db, self.logins = db, logins

    def __getitem__(self, role: str) -> asyncpg.Connection:
        return self.logins[role]

    async def refused(self, role: str, statement: str, *args: object) -> str | None:
        """The SQLSTATE that refused ``statement``; None when it went through."""
        try:
            async with acting(self[role], self.db.actor(role)) as conn:
                await conn.execute(statement, *args)
                return None
        except SelfHealError as error:
            return str(getattr(error.__cause__, "sqlstate", error))

    async def passed(self) -> Patch:
        patch = await new_patch(self["proxy"], await new_job(self["proxy"], f"v1:{key()[:16]}"))
        return await run_sandbox(self.db, self["proxy"], self["founder"], patch)

    async def approved(self) -> Patch:
        patch = await self.passed()
        return await approve(self.db, self["founder"], await ask_main(self["proxy"], patch), patch)


@pytest.fixture
async def stage(each_database: TestDatabase) -> AsyncIterator[Stage]:
    db = each_database
    logins = {r: await db.connect_as(r) for r in ("founder", "admin", "agent", "viewer")}
    logins["proxy"] = await db.connect_proxy()
    yield Stage(db, logins)
    for conn in logins.values():
        await conn.close()


async def test_nobody_but_the_founder_passes_gate_main(stage: Stage) -> None:
    patch = await stage.passed()
    approval = await ask_main(stage["proxy"], patch)
    insert = (
        "insert into approval_decisions"
        " (approval_id, decision, digest, evidence_digest, idempotency_key)"
        " values ($1, 'approve', $2, $3, $4)"
    )
    for role in ("admin", "proxy", "agent", "viewer"):
        given = (approval.id, patch.digest, patch.evidence_digest, key())
        assert await stage.refused(role, insert, *given) == "42501", role
    forged = insert.replace("decision, digest", "decision, actor_role, item_type, digest").replace(
        "'approve', $2", "'approve', 'founder', 'patch_sandbox', $2"
    )
    assert await stage.refused("proxy", forged, approval.id, patch.digest, None, key()) == "42501"
    for role in ("proxy", "admin", "agent"):
        update = f"update self_healing_patches set status = 'approved' where id = {patch.id}"
        assert await stage.refused(role, update) == "42501", role


async def test_even_the_owner_cannot_keep_such_a_row(stage: Stage) -> None:
    """The check constraint is the second fence: with the trigger off the row still cannot exist."""
    patch = await stage.passed()
    approval = await ask_main(stage["proxy"], patch)
    installer = await stage.db.connect_installer()
    await installer.execute("alter table approval_decisions disable trigger user")
    with pytest.raises(asyncpg.CheckViolationError):
        await installer.execute(
            "insert into approval_decisions (approval_id, item_type, decision, actor, actor_role,"
            " digest, evidence_digest, idempotency_key)"
            " values ($1, 'patch_main', 'approve', 'policy', 'proxy', $2, $3, $4)",
            approval.id,
            patch.digest,
            patch.evidence_digest,
            key(),
        )
    await installer.execute("alter table approval_decisions enable trigger user")
    await installer.close()


async def test_gate_main_opens_only_after_a_passed_sandbox(stage: Stage) -> None:
    patch = await new_patch(stage["proxy"], await new_job(stage["proxy"]))
    with pytest.raises(Conflict) as refusal:
        await ask_main(stage["proxy"], patch)
    assert refusal.value.code == "gate_missing"


async def test_an_approval_of_another_digest_or_evidence_is_none(stage: Stage) -> None:
    patch = await stage.passed()
    approval = await ask_main(stage["proxy"], patch)
    for digest, evidence in (("0" * 64, patch.evidence_digest), (patch.digest, "0" * 64)):
        await with_refusal(stage, approval.id, digest, evidence)
    async with acting(stage["founder"], stage.db.actor("founder")) as conn:
        assert (await approvals.get_approval(conn, approval.id)).status is ApprovalStatus.PENDING


async def test_running_the_sandbox_again_voids_what_was_approved(stage: Stage) -> None:
    patch = await stage.passed()
    approval = await ask_main(stage["proxy"], patch)
    async with acting(stage["founder"], stage.db.actor("founder")) as conn:
        await approvals.decide(
            conn,
            approval.id,
            "approve",
            digest=patch.digest,
            evidence_digest=patch.evidence_digest,
            reason=None,
            idempotency_key=key(),
        )
        await approvals.record_deed(conn, "sandbox", patch.id, patch.digest, None, key())
    patch = await step(stage["proxy"], AS_PROXY, patch, PatchStatus.SANDBOX_RUNNING)
    other = evidence_for(patch) | {"verdict": "something else"}
    patch = await step(stage["proxy"], AS_PROXY, patch, PatchStatus.SANDBOX_PASSED, evidence=other)
    async with acting(stage["founder"], stage.db.actor("founder")) as conn:
        assert (await approvals.get_approval(conn, approval.id)).status is ApprovalStatus.VOID
    with pytest.raises(Conflict) as refusal:
        await step(stage["founder"], stage.db.actor("founder"), patch, PatchStatus.APPROVED)
    assert refusal.value.code == "gate_missing"


async def test_applied_needs_the_founders_order_for_this_digest(stage: Stage) -> None:
    patch = await stage.approved()
    with pytest.raises(Conflict) as refusal:
        await step(stage["proxy"], AS_PROXY, patch, PatchStatus.APPLIED)
    assert refusal.value.code == "gate_missing"
    order = (
        "insert into founder_decisions (kind, patch_id, digest, evidence_digest, idempotency_key)"
        f" values ('apply', {patch.id}, $1, $2, $3)"
    )
    for role in ("admin", "proxy", "agent", "viewer"):
        given = (patch.digest, patch.evidence_digest, key())
        assert await stage.refused(role, order, *given) == "42501", role
    assert await stage.refused("founder", order, "0" * 64, patch.evidence_digest, key()) == "SH002"
    assert await stage.refused("founder", order, patch.digest, "0" * 64, key()) == "SH002"
    assert await stage.refused("founder", order, patch.digest, patch.evidence_digest, key()) is None
    applied = await step(stage["proxy"], AS_PROXY, patch, PatchStatus.APPLIED)
    with pytest.raises(Conflict) as back:
        await step(stage["proxy"], AS_PROXY, applied, PatchStatus.ROLLED_BACK)
    assert back.value.code == "gate_missing"


async def test_the_policy_opens_the_sandbox_only_for_low_risk_and_with_the_switch(
    stage: Stage,
) -> None:
    job = await new_job(stage["proxy"])
    for score, level, on, granted in (
        (5, Severity.LOW, False, False),
        (25, Severity.MEDIUM, True, False),
        (90, Severity.CRITICAL, True, False),
        (5, Severity.LOW, True, True),
    ):
        patch = await new_patch(stage["proxy"], job, f"+{score}{on}", Risk(score, level, ("r",)))
        async with acting(stage["founder"], stage.db.actor("founder")) as conn:
            await control.set_switch(conn, "auto_approve_sandbox", on, "test")
        try:
            async with acting(stage["proxy"], AS_PROXY) as conn:
                asked = await approvals.request(
                    conn,
                    service="app",
                    item_type=ItemType.PATCH_SANDBOX,
                    summary="run?",
                    risk_level=Severity.LOW,  # not believed: the patch says
                    created_by="policy",
                    patch_id=patch.id,
                )
                assert asked.risk_level is level
                await approvals.decide(
                    conn,
                    asked.id,
                    "approve",
                    digest=patch.digest,
                    evidence_digest=None,
                    reason=None,
                    idempotency_key=key(),
                )
            assert granted
            await step(stage["proxy"], AS_PROXY, patch, PatchStatus.SANDBOX_RUNNING)
        except NotPermitted:
            assert not granted


async def test_switches_are_the_founders(stage: Stage) -> None:
    for role in ("proxy", "admin", "agent", "viewer"):
        turn = "select set_switch('auto_approve_sandbox', true, 'mine')"
        assert await stage.refused(role, turn) == "42501", role
    assert await stage.refused("founder", "select set_switch('auto_main', true, '')") == "SH007"


async def test_a_decision_is_made_once_and_stays(stage: Stage) -> None:
    patch = await stage.passed()
    approval = await ask_main(stage["proxy"], patch)
    first = key()
    async with acting(stage["founder"], stage.db.actor("founder")) as conn:

        async def decide(decision: Verdict, with_key: str) -> Approval:
            return await approvals.decide(
                conn,
                approval.id,
                decision,
                digest=patch.digest,
                evidence_digest=patch.evidence_digest,
                reason="because",
                idempotency_key=with_key,
            )

        assert (await decide("defer", key())).status is ApprovalStatus.DEFERRED
        decided = await decide("reject", first)
        assert decided.status is ApprovalStatus.REJECTED
        assert decided.decision is not None
        assert (decided.decision.actor, decided.decision.actor_role) == ("ada", "founder")
        assert await decide("reject", first) == decided, "the same key, the same answer"
        with pytest.raises(Conflict) as reused:
            await decide("approve", first)
        assert reused.value.code == "key_reused"
    for decision in ("approve", "reject"):
        with pytest.raises(Conflict) as late:
            async with acting(stage["founder"], stage.db.actor("founder")) as conn:
                await approvals.decide(
                    conn,
                    approval.id,
                    decision,
                    digest=patch.digest,
                    evidence_digest=patch.evidence_digest,
                    reason="again",
                    idempotency_key=key(),
                )
        assert late.value.code == "already_decided"
    for table in ("approval_decisions", "control_versions", "audit_log"):
        for role in ("founder", "proxy", "admin"):
            assert await stage.refused(role, f"delete from {table}") == "42501", (table, role)


async def test_expiry_means_no(stage: Stage) -> None:
    patch = await stage.passed()
    async with acting(stage["proxy"], AS_PROXY) as conn:
        asked = await approvals.request(
            conn,
            service="app",
            item_type=ItemType.PATCH_MAIN,
            summary="late",
            risk_level=Severity.LOW,
            created_by="sidecar",
            patch_id=patch.id,
            expires_at=WHEN,
        )
    with pytest.raises(Conflict) as refusal:
        await approve(stage.db, stage["founder"], asked, patch)
    assert refusal.value.code == "expired"
    async with acting(stage["proxy"], AS_PROXY) as conn:
        assert await approvals.expire(conn, WHEN + timedelta(seconds=1)) == [asked.id]
        assert (await approvals.get_approval(conn, asked.id)).status is ApprovalStatus.EXPIRED


async def test_a_rejection_says_why(stage: Stage) -> None:
    patch = await stage.passed()
    approval = await ask_main(stage["proxy"], patch)
    with pytest.raises(Invalid):
        async with acting(stage["founder"], stage.db.actor("founder")) as conn:
            await approvals.decide(
                conn,
                approval.id,
                "reject",
                digest=patch.digest,
                evidence_digest=None,
                reason=" ",
                idempotency_key=key(),
            )


async def test_what_an_agent_may_do_is_propose_and_summarise(stage: Stage) -> None:
    job = await new_job(stage["proxy"])
    async with acting(stage["agent"], stage.db.actor("agent")) as conn:
        patch = await patches.attach_content(
            conn,
            job,
            patch_type=PatchType.CODE,
            description="mine",
            diff="+x",
            sql=None,
            base_commit=None,
        )
    assert patch.created_by == "bot"
    assert patch.risk.level is Severity.CRITICAL, "not weighed yet: no policy will touch it"
    propose = (
        "insert into self_healing_patches (job_id, patch_type, ai_diff_proposal, {})"
        " values ($1, 'code', '+y', {})"
    )
    for column, value in (
        ("status", "'approved'"),
        ("risk_level", "'low'"),
        ("digest", "'0'"),
        ("created_by", "'ada'"),
    ):
        assert await stage.refused("agent", propose.format(column, value), job) == "42501", column
    for attack in (
        f"update self_healing_patches set status = 'approved' where id = {patch.id}",
        f"update self_healing_patches set ai_diff_proposal = '' where id = {patch.id}",
        f"delete from self_healing_patches where id = {patch.id}",
        "select ai_diff_proposal from self_healing_patches",
        "select failure from self_healing_events",
        "update audit_log set actor = 'ada'",
        "delete from audit_log",
        "truncate audit_log",
        "select audit_append('job.created', 'J-1', null, null, null)",
        "select audit_note('release', 'v1', null, null, null)",
        (
            "insert into approval_requests (service, item_type, summary, risk_level)"
            " values ('a', 'email', 's', 'low')"
        ),
        "select expire_approvals(now())",
        "insert into job_steps values ('open', 'applied', 'agent')",
        "insert into profiles (name, role) values ('eve', 'FOUNDER')",
        "alter table self_healing_jobs disable trigger user",
        "create function may_act() returns boolean language sql as 'select true'",
        "select as_roles('grant sh_founder to public')",
    ):
        assert await stage.refused("agent", attack) == "42501", attack


async def test_no_login_takes_anothers_role(stage: Stage) -> None:
    for login in ("agent", "viewer", "admin", "founder", "proxy"):
        allowed = {"proxy": {"proxy", "viewer"}}.get(login, {login})
        for role in ("owner", "proxy", "agent", "viewer", "admin", "founder"):
            short = role
            try:
                async with stage[login].transaction():
                    await stage[login].execute(f"set local role sh_{short}")
                went = True
            except asyncpg.InsufficientPrivilegeError:
                went = False
            assert went == (role in allowed), (login, role)


async def test_forged_claims_change_nothing(stage: Stage) -> None:
    patch = await stage.passed()
    async with stage["agent"].transaction():
        await stage["agent"].execute(
            "select set_config('role', 'sh_agent', true), set_config('request.jwt.claims',"
            ' \'{"name": "ada", "role": "founder"}\', true)'
        )
        seen = await stage["agent"].fetchrow("select acting_name() n, acting_role() r")
        assert tuple(seen) == ("bot", "agent")
    async with stage["agent"].transaction():
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stage["agent"].execute(
                f"update self_healing_patches set status = 'approved' where id = {patch.id}"
            )


async def test_taking_the_profile_takes_the_right_at_once(stage: Stage) -> None:
    patch = await stage.passed()
    approval = await ask_main(stage["proxy"], patch)
    installer = await stage.db.connect_installer()
    await installer.execute("delete from profiles where name = 'ada'")
    await installer.close()
    with pytest.raises(NotPermitted):
        await approve(stage.db, stage["founder"], approval, patch)
    async with acting(stage["founder"], stage.db.actor("founder")) as conn:
        assert await conn.fetch("select id from self_healing_patches") == []


async def test_content_never_changes(stage: Stage) -> None:
    patch = await new_patch(stage["proxy"], await new_job(stage["proxy"]))
    installer = await stage.db.connect_installer()
    for column in ("ai_diff_proposal", "sql_migration", "base_commit", "digest", "created_by"):
        with pytest.raises(asyncpg.PostgresError) as refusal:
            await installer.execute(f"update self_healing_patches set {column} = 'x'")
        assert refusal.value.sqlstate == "SH006", column
    with pytest.raises(asyncpg.PostgresError) as evidence:
        await installer.execute("update self_healing_patches set evidence = '{}'")
    assert evidence.value.sqlstate == "SH006"
    await installer.close()
    with pytest.raises(NotPermitted):
        async with acting(stage["proxy"], AS_PROXY) as conn:
            await conn.execute(f"delete from self_healing_patches where id = {patch.id}")


async def with_refusal(stage: Stage, approval_id: int, digest: str, evidence: str | None) -> None:
    with pytest.raises(Conflict) as refusal:
        async with acting(stage["founder"], stage.db.actor("founder")) as conn:
            await approvals.decide(
                conn,
                approval_id,
                "approve",
                digest=digest,
                evidence_digest=evidence,
                reason=None,
                idempotency_key=key(),
            )
    assert refusal.value.code == "digest_changed"


OPEN_TO_ALL = {"acting_name", "acting_role", "may_act", "role_name", "switch_on", "whoami"}


async def test_what_acts_as_the_owner_is_nobody_s_to_borrow(each_database: TestDatabase) -> None:
    """Postgres gives everybody a new function; a trigger's function, on a table of one's own, then
    acts as the owner on rows one made up. A later migration must take it back, too."""
    conn = await each_database.connect_installer()
    found = await conn.fetch(
        "select p.proname as name, p.prosecdef as as_owner from pg_proc p,"
        " aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g"
        " where p.pronamespace = current_schema()::regnamespace and g.grantee = 0"
        " and g.privilege_type = 'EXECUTE' and (p.prosecdef or p.prorettype = 'trigger'::regtype)"
    )
    assert {row["name"] for row in found} == OPEN_TO_ALL
    await conn.close()
