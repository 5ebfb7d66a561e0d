"""Alerts in the database, and the founder's way past gate main without a proof."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from proxy.domain.approval import ApprovalStatus
from proxy.domain.failure import Severity
from proxy.domain.patch import Patch, PatchStatus
from proxy.errors import Conflict, Invalid, NotFound, NotPermitted
from proxy.store import alerts, approvals, audit, jobs, patches
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase
from tests.support.store import (
    ask_main,
    classified,
    failure,
    key,
    new_job,
    new_patch,
    run_sandbox,
    step,
)

DAY = timedelta(days=1)
WHY = "MAIN is down and the sandbox with it"


async def seen_by(db: TestDatabase, conn: asyncpg.Connection, role: str) -> list[tuple[str, str]]:
    async with acting(conn, db.actor(role)) as inside:
        return [(a.kind, a.subject) for a in await alerts.open_alerts(inside, DAY)]


async def acknowledge(db: TestDatabase, conn: asyncpg.Connection, role: str, *what: Any) -> None:
    async with acting(conn, db.actor(role)) as inside:
        await alerts.acknowledge(inside, *what)


async def break_glass(
    db: TestDatabase, conn: asyncpg.Connection, patch: Patch, why: str = WHY, role: str = "founder"
) -> Patch:
    async with acting(conn, db.actor(role)) as inside:
        await approvals.record_deed(
            inside, "break_glass", patch.id, patch.digest, None, key(), why
        )  # fmt: skip
        return await patches.step_patch(inside, patch.id, patch.status, PatchStatus.APPROVED)


async def test_a_critical_job_is_told_until_it_is_acknowledged(database: TestDatabase) -> None:
    proxy, admin = await database.connect_proxy(), await database.connect_as("admin")
    bad = classified("v1:00000000000000aa", severity=Severity.CRITICAL)
    async with acting(proxy, AS_PROXY) as conn:
        job = (await jobs.record_failure(conn, failure(), bad)).job.id
        await jobs.record_failure(conn, failure(), classified("v1:00000000000000bb"))
    waiting = [("critical_job", f"J-{job}")]
    assert await seen_by(database, admin, "admin") == waiting
    assert await seen_by(database, proxy, "proxy") == waiting
    await acknowledge(database, admin, "admin", "critical_job", f"J-{job}", "on it")
    assert await seen_by(database, admin, "admin") == []
    with pytest.raises(NotFound):
        await acknowledge(database, admin, "admin", "critical_job", f"J-{job}")
    async with acting(admin, database.actor("admin")) as conn:
        (entry,) = [
            e for e in await audit.list_audit(conn, subject=f"J-{job}")
            if e.action == "alert.acknowledged"
        ]  # fmt: skip
    assert (entry.actor, entry.role, entry.reason) == ("bob", "admin", "on it")
    for conn in (proxy, admin):
        await conn.close()


async def test_a_decision_is_told_when_its_end_is_near(database: TestDatabase) -> None:
    proxy, founder = await database.connect_proxy(), await database.connect_as("founder")
    patch = await run_sandbox(
        database, proxy, founder, await new_patch(proxy, await new_job(proxy))
    )
    asked = await ask_main(proxy, patch)
    assert await seen_by(database, founder, "founder") == []
    async with acting(founder, database.actor("founder")) as conn:
        week = await alerts.open_alerts(conn, timedelta(days=8))
        assert [(a.kind, a.subject, a.expires_at) for a in week] == [
            ("expiring", f"A-{asked.id}", asked.expires_at)
        ]
    await acknowledge(database, founder, "founder", "expiring", f"A-{asked.id}")
    async with acting(founder, database.actor("founder")) as conn:
        assert await alerts.open_alerts(conn, timedelta(days=8)) == []
        still = await approvals.get_approval(conn, asked.id)
    assert still.status is ApprovalStatus.PENDING, "to have seen it is no answer"
    for conn in (proxy, founder):
        await conn.close()


async def test_broken_glass_is_the_founders_and_seen_by_all(database: TestDatabase) -> None:
    proxy, founder = await database.connect_proxy(), await database.connect_as("founder")
    admin = await database.connect_as("admin")
    patch = await new_patch(proxy, await new_job(proxy))
    with pytest.raises(NotPermitted):
        await break_glass(database, admin, patch, role="admin")
    for why in ("", " ", "too short", "  short   "):
        with pytest.raises(Invalid):
            await break_glass(database, founder, patch, why)
    patch = await break_glass(database, founder, patch)
    assert patch.status is PatchStatus.APPROVED
    assert await seen_by(database, admin, "admin") == [("break_glass", f"P-{patch.id}")]
    async with acting(founder, database.actor("founder")) as conn:
        told = await audit.list_audit(conn, subject=f"P-{patch.id}")
        (glass,) = [e for e in told if e.action == "deed.break_glass"]
        (deed,) = await approvals.deeds_of(conn, patch.id)
    assert (glass.after["severity"], glass.reason, glass.actor) == ("critical", WHY, "ada")
    assert (deed.kind, deed.status) == ("break_glass", "done")
    # MAIN has not moved: that takes an order of its own
    with pytest.raises(Conflict) as early:
        await step(proxy, AS_PROXY, patch, PatchStatus.APPLIED)
    assert early.value.code == "gate_missing"
    async with acting(founder, database.actor("founder")) as conn:
        await approvals.record_deed(conn, "apply", patch.id, patch.digest, None, key())
    await step(proxy, AS_PROXY, patch, PatchStatus.APPLIED)
    await acknowledge(database, admin, "admin", "break_glass", f"P-{patch.id}", "told the team")
    assert await seen_by(database, admin, "admin") == []
    for conn in (proxy, founder, admin):
        await conn.close()


async def test_broken_glass_answers_what_was_asked_and_counts_for_one_digest(
    database: TestDatabase,
) -> None:
    proxy, founder = await database.connect_proxy(), await database.connect_as("founder")
    job = await new_job(proxy)
    patch = await run_sandbox(database, proxy, founder, await new_patch(proxy, job))
    other = await new_patch(proxy, job, "--- b\n+++ c\n")
    asked = await ask_main(proxy, patch)
    await break_glass(database, founder, patch)
    async with acting(founder, database.actor("founder")) as conn:
        assert (await approvals.get_approval(conn, asked.id)).status is ApprovalStatus.VOID
    with pytest.raises(Conflict) as refusal:
        await step(founder, database.actor("founder"), other, PatchStatus.APPROVED)
    assert refusal.value.code == "gate_missing"
    for conn in (proxy, founder):
        await conn.close()


async def test_an_alert_says_how_often_whom_and_since_when_it_is_critical(
    database: TestDatabase,
) -> None:
    proxy = await database.connect_proxy()
    told = classified(
        "v1:00000000000000aa", severity=Severity.MEDIUM, signature_text="secret words"
    )
    async with acting(proxy, AS_PROXY) as conn:
        recorded = await jobs.record_failure(
            conn, failure(method="POST", route="/pay"), told, count=1234, clients=[1, 2, 3]
        )
        job = recorded.job
        await jobs.set_share(conn, job.id, 0.0684)
        assert await alerts.open_alerts(conn, DAY) == []
    before = datetime.now(UTC)
    async with acting(proxy, AS_PROXY) as conn:
        await jobs.raise_severity(conn, job.id, Severity.CRITICAL)
    async with acting(proxy, AS_PROXY) as conn:
        [alert] = await alerts.open_alerts(conn, DAY)
        await jobs.record_failure(conn, failure(), told)
        [again] = await alerts.open_alerts(conn, DAY)
    assert job.first_seen < before <= alert.since == again.since
    assert alert.summary.endswith(" POST /pay (1234 times, 6.8% of the requests, 3 clients)")
    assert "secret" not in alert.summary
    await proxy.close()
