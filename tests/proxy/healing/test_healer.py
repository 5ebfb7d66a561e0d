"""From a failing exchange to a resolved job, on real Postgres, real git and a real jail."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from proxy.clock import SystemClock
from proxy.config import Config
from proxy.domain.approval import ApprovalStatus, ItemType
from proxy.domain.exchange import Capture, Exchange, Outcome
from proxy.domain.failure import Failure
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import Patch, PatchStatus, PatchType
from proxy.domain.redact import Redactor
from proxy.errors import Conflict, Invalid, NotPermitted, Unavailable
from proxy.founder.approvals import Answered, FounderApprovalEngine
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.extract import failure_from_exchange
from proxy.healing.gitrepo import GitRepo
from proxy.healing.healer import Healer
from proxy.healing.rules import RuleSet
from proxy.healing.service import SelfHealingService
from proxy.store import approvals, control, jobs, metrics, patches
from proxy.store.pool import AS_PROXY, acting, open_pool
from tests.support import repos
from tests.support.postgres import TestDatabase

CLASSIFIER = ErrorClassifier(RuleSet.load())
BODY = '{"error": "KeyError: \'soup\'"}'
_ROW_FIELDS = 13


def failing(body: str, when: datetime) -> Failure:
    capture = Capture(
        [(b"Host", b"shop.example"), (b"Accept", b"*/*")],
        response_headers=[(b"Content-Type", b"application/json")],
        response_body=body.encode(),
    )
    exchange = Exchange(
        started_at=when.timestamp(), duration_ms=3.0, method="GET", target=b"/price/soup",
        status=500, outcome=Outcome.ANSWERED, capture=capture, route="/price/{name}",
    )  # fmt: skip
    return failure_from_exchange(
        exchange, service="app", environment="production", log_id=uuid.uuid4(), occurred_at=when,
        redactor=Redactor(()),
    )  # fmt: skip


class House:
    """A sidecar's healing on one database and one app; ``restart`` is a new process."""

    def __init__(
        self, db: TestDatabase, pool: "asyncpg.Pool[Any]", app: Path, data_dir: Path, **repo: object
    ) -> None:
        self.db, self.pool, self.app, self.data_dir = db, pool, app, data_dir
        values = {"path": str(app), "start": repos.START, "test": repos.TEST, "timeout_s": 30}
        self.config = Config.of(
            {
                "repo": {**values, "verify_s": 0.001, **repo},
                "founder": {"auto_approve_sandbox": True},
            }
        )
        self.engine = FounderApprovalEngine()
        self.restart()

    def restart(self) -> None:
        self.service = SelfHealingService(self.as_sidecar, CLASSIFIER, self.config)
        self.healer = Healer(self.as_sidecar, self.service, self.config, self.data_dir)

    def as_sidecar(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        return acting(self.pool, AS_PROXY)

    @asynccontextmanager
    async def as_founder(self) -> AsyncIterator[asyncpg.Connection]:
        conn = await self.db.connect_as("founder")
        try:
            async with acting(conn, self.db.actor("founder")) as inside:
                yield inside
        finally:
            await conn.close()

    async def fails(self, when: datetime | None = None) -> Job:
        """One failing exchange, read as a data worker reads it."""
        return await self.service.record_error_and_create_job(
            failing(BODY, when or datetime.now(UTC))
        )

    async def attach(self, job: Job, diff: str | None = repos.RIGHT, **more: Any) -> Patch:
        fields: dict[str, Any] = {
            "patch_type": PatchType.CODE,
            "description": "look first",
            "sql": None,
            "base_commit": None,
            "created_by": "ada",
        }
        async with self.as_sidecar() as conn:
            return await self.service.attach_patch(conn, job.id, diff=diff, **fields | more)

    async def order(self, kind: Any, patch: Patch) -> str:
        key = uuid.uuid4().hex
        patch = await self.patch(patch)
        async with self.as_founder() as conn:
            evidence = patch.evidence_digest if kind == "apply" else None
            await approvals.record_deed(conn, kind, patch.id, patch.digest, evidence, key)
        return key

    async def answer(self, item: ItemType, patch: Patch, decision: Any = "approve") -> None:
        patch = await self.patch(patch)
        async with self.as_founder() as conn:
            waiting = await approvals.list_approvals(conn, patch_id=patch.id)
            asked = next(a for a in waiting if a.item_type is item)
            answered = Answered(decision, patch.digest, uuid.uuid4().hex, reason="seen")
            await self.engine.decide(conn, self.db.actor("founder"), asked.id, answered)

    async def result(self, key: str) -> tuple[str, dict[str, Any]]:
        async with self.as_sidecar() as conn:
            deed = await approvals.get_deed_by_key(conn, key)
        assert deed is not None
        return deed.status, deed.result

    async def patch(self, patch: Patch) -> Patch:
        async with self.as_sidecar() as conn:
            return await patches.get_patch(conn, patch.id)

    async def job(self, job: Job) -> Job:
        async with self.as_sidecar() as conn:
            return await jobs.get_job(conn, job.id)

    async def traffic(self) -> None:
        """One good answer on the job's route, stored as the flusher stores it."""
        now = datetime.now(UTC) + timedelta(milliseconds=5)
        row: list[Any] = [uuid.uuid4(), now, "app", "/price/{name}", "GET", 200, 1.0, "answered"]
        async with self.as_sidecar() as conn:
            await metrics.copy_logs_idempotent(
                conn, [tuple(row + [None] * (_ROW_FIELDS - len(row)))]
            )

    async def to_approved(self, job: Job) -> Patch:
        patch = await self.attach(job)
        await self.order("sandbox", patch)
        await self.healer.round()
        await self.answer(ItemType.PATCH_MAIN, patch)
        await self.healer.round()
        return await self.patch(patch)

    async def to_applied(self, job: Job) -> Patch:
        patch = await self.to_approved(job)
        await self.order("apply", patch)
        await self.healer.round()
        return await self.patch(patch)


@pytest.fixture
async def house(database: TestDatabase, tmp_path: Path) -> AsyncIterator[House]:
    repos.make_repo(tmp_path / "app")
    pool = await open_pool(database.proxy_dsn)
    try:
        yield House(database, pool, tmp_path / "app", tmp_path / "data")
    finally:
        await pool.close()


async def test_the_whole_way(house: House) -> None:
    job = await house.fails()
    patch = await house.attach(job)
    assert patch.files_changed == ("shop.py",)
    assert patch.base_commit == repos.git(house.app, "rev-parse", "main")
    assert (await house.job(job)).status is JobStatus.PATCH_PROPOSED

    assert await house.healer.round() == 0, "nobody has opened gate sandbox"
    ordered = await house.order("sandbox", patch)
    await house.healer.round()
    patch = await house.patch(patch)
    assert patch.status is PatchStatus.SANDBOX_PASSED, await house.result(ordered)
    assert patch.evidence is not None
    assert patch.evidence["reproduced"]
    assert patch.evidence["fixed"]
    assert patch.confidence_score == 0.9
    assert patch.confidence_reasons[0] == "it applies (+0.20)"
    assert [reason.rpartition("(")[2] for reason in patch.confidence_reasons] == [
        "+0.20)", "+0.20)", "+0.15)", "+0.35)",
    ]  # fmt: skip
    assert (await house.job(job)).status is JobStatus.SANDBOXED

    await house.answer(ItemType.PATCH_MAIN, patch)
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.APPROVED
    assert (await house.job(job)).status is JobStatus.APPROVED
    assert repos.git(house.app, "rev-parse", "main") == patch.base_commit, "approving moves nothing"

    ordered = await house.order("apply", patch)
    await house.healer.round()
    patch = await house.patch(patch)
    assert patch.status is PatchStatus.APPLIED, await house.result(ordered)
    assert repos.git(house.app, "rev-parse", "main") == patch.applied_commit
    assert (await house.job(job)).status is JobStatus.APPLIED
    status, told = await house.result(ordered)
    assert (status, told["commit"]) == ("done", patch.applied_commit)

    assert await house.healer.round() == 0, "no traffic, no proof of silence"
    await house.traffic()
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.VERIFIED
    assert (await house.job(job)).status is JobStatus.RESOLVED


async def test_a_wrong_patch_stops_at_the_sandbox(house: House) -> None:
    job = await house.fails()
    patch = await house.attach(job, repos.WRONG)
    key = await house.order("sandbox", patch)
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.SANDBOX_FAILED
    assert (await house.job(job)).status is JobStatus.PATCH_PROPOSED
    status, told = await house.result(key)
    assert status == "done"
    assert not told["passed"]
    assert "Not fixed" in told["message"]
    async with house.as_sidecar() as conn:
        asked = await approvals.list_approvals(conn, patch_id=patch.id)
    assert [a.item_type for a in asked] == [ItemType.PATCH_SANDBOX]


async def test_a_dirty_tree_refuses_the_order_and_the_patch_waits(house: House) -> None:
    patch = await house.to_approved(await house.fails())
    (house.app / "shop.py").write_text("mine")
    key = await house.order("apply", patch)
    await house.healer.round()
    status, told = await house.result(key)
    assert (status, told["code"]) == ("failed", "dirty_tree")
    assert (await house.patch(patch)).status is PatchStatus.APPROVED
    repos.git(house.app, "checkout", "-q", "shop.py")
    await house.order("apply", patch)
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.APPLIED


async def test_firing_again_is_a_regression_and_can_be_taken_back(house: House) -> None:
    job = await house.fails()
    patch = await house.to_applied(job)
    await house.fails(datetime.now(UTC) + timedelta(seconds=1))
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.REGRESSED
    now = await house.job(job)
    assert (now.status, now.regression) == (JobStatus.OPEN, True)
    await house.order("rollback", patch)
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.ROLLED_BACK
    assert repos.git(house.app, "diff", str(patch.base_commit), "main") == ""
    assert repos.git(house.app, "status", "--porcelain") == ""


async def test_an_applied_patch_rolled_back_reopens_its_job(house: House) -> None:
    job = await house.fails()
    patch = await house.to_applied(job)
    await house.order("rollback", patch)
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.ROLLED_BACK
    assert (await house.job(job)).status is JobStatus.OPEN


async def test_a_run_cut_off_by_a_crash_is_resumed(house: House) -> None:
    job = await house.fails()
    patch = await house.attach(job)
    key = await house.order("sandbox", patch)
    async with house.as_sidecar() as conn:
        await patches.step_patch(conn, patch.id, patch.status, PatchStatus.SANDBOX_RUNNING)
    house.restart()
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.SANDBOX_PASSED
    assert (await house.result(key))[0] == "done"


async def test_a_crash_between_git_and_database_is_finished(house: House) -> None:
    patch = await house.to_approved(await house.fails())
    assert house.healer._deeds.applier is not None
    done = await house.healer._deeds.applier.apply(patch)
    await house.order("apply", patch)
    house.restart()
    await house.healer.round()
    assert (await house.patch(patch)).applied_commit == done.commit


async def test_policy_passes_gate_sandbox_only_where_both_switches_are_on(house: House) -> None:
    # a finding of unknown kind weighs 20; this one is known and small
    body = '{"error": "ValidationError: field required"}'
    job = await house.service.record_error_and_create_job(failing(body, datetime.now(UTC)))
    patch = await house.attach(job)
    assert patch.risk.score < 20, patch.risk
    assert await house.healer.round() == 0, "the database's switch is off"
    async with house.as_founder() as conn:
        await control.set_switch(conn, "auto_approve_sandbox", True, "trying it")
    await house.healer.round()
    async with house.as_sidecar() as conn:
        asked = await approvals.list_approvals(conn, patch_id=patch.id)
    answered = next(a for a in asked if a.item_type is ItemType.PATCH_SANDBOX)
    assert answered.decision is not None
    assert (answered.decision.actor, answered.status) == ("policy", ApprovalStatus.APPROVED)
    assert (await house.patch(patch)).evidence is not None, "and the sandbox ran"


async def test_without_a_jail_the_story_stops_at_the_gate(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.healing.sandbox.bwrap_available", lambda user: "no bubblewrap here")
    job = await house.fails()
    patch = await house.attach(job)
    key = await house.order("sandbox", patch)
    await house.healer.round()
    assert await house.result(key) == ("failed", {"message": "no bubblewrap here"})
    assert (await house.patch(patch)).status is PatchStatus.PROPOSED


async def test_a_proposal_written_past_us_is_weighed_first(house: House) -> None:
    job = await house.fails()
    agent = await house.db.connect_as("agent")
    async with acting(agent, house.db.actor("agent")) as conn:
        good, bad = [
            await patches.attach_content(
                conn,
                job.id,
                patch_type=PatchType.CODE,
                description="x",
                diff=diff,
                sql=None,
                base_commit=repos.git(house.app, "rev-parse", "main"),
            )
            for diff in (repos.RIGHT, repos.RIGHT.replace("shop.py", "conftest.py"))
        ]
    await agent.close()
    await house.healer.round()
    good, bad = await house.patch(good), await house.patch(bad)
    assert (good.status, good.risk.score < 100) == (PatchStatus.PROPOSED, True)
    assert bad.status is PatchStatus.SUPERSEDED
    async with house.as_sidecar() as conn:
        asked = await approvals.list_approvals(conn)
    assert [a.patch_id for a in asked] == [good.id]


@pytest.mark.parametrize(
    ("diff", "code"),
    [
        ("", "empty"),
        (repos.RIGHT.replace("PRICES[name]", "PRIZES[name]"), "does_not_apply"),
        (repos.RIGHT.replace("shop.py", ".git/config"), "git_path"),
        (repos.RIGHT.replace("shop.py", "missing.py"), "does_not_apply"),
    ],
)
async def test_a_bad_diff_is_refused_when_it_is_attached(
    house: House, diff: str, code: str
) -> None:
    job = await house.fails()
    with pytest.raises(Invalid) as refused:
        await house.attach(job, diff)
    assert refused.value.code == code


async def test_an_unknown_base_is_refused(house: House) -> None:
    job = await house.fails()
    with pytest.raises(Invalid) as refused:
        await house.attach(job, base_commit="0" * 40)
    assert refused.value.code == "unknown_base"


async def test_a_closed_job_takes_no_patch(house: House) -> None:
    job = await house.fails()
    async with house.as_founder() as conn:
        await house.service.mark_status(conn, job.id, JobStatus.CLOSED, reason="wontfix")
    with pytest.raises(Conflict) as refused:
        await house.attach(job)
    assert refused.value.code == "job_closed"


async def test_closing_a_job_ends_its_patches(house: House) -> None:
    """Otherwise an approved patch of a bug nobody minds any more could still reach MAIN."""
    job = await house.fails()
    patch = await house.to_approved(job)
    async with house.as_founder() as conn:
        await house.service.mark_status(conn, job.id, JobStatus.CLOSED, reason="wontfix")
    with pytest.raises(Conflict, match="reopen it first"):
        await house.order("apply", patch)
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.SUPERSEDED
    assert repos.git(house.app, "rev-parse", "main") == patch.base_commit


async def test_the_sidecar_itself_can_order_nothing(house: House) -> None:
    patch = await house.to_approved(await house.fails())
    with pytest.raises(NotPermitted):
        async with house.as_sidecar() as conn:
            await approvals.record_deed(
                conn, "apply", patch.id, patch.digest, patch.evidence_digest, uuid.uuid4().hex
            )
    with pytest.raises(Conflict):
        async with house.as_sidecar() as conn:
            await patches.step_patch(conn, patch.id, patch.status, PatchStatus.APPLIED)


async def test_snoozes_end_and_silence_at_a_gate_means_no(house: House) -> None:
    job = await house.fails()
    patch = await house.attach(job)
    async with house.as_founder() as conn:
        until = datetime.now(UTC) + timedelta(hours=1)
        await house.service.mark_status(
            conn, job.id, JobStatus.SNOOZED, reason="later", until=until
        )

    class Later(SystemClock):
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(days=8)

    later = Healer(house.as_sidecar, house.service, house.config, house.data_dir, clock=Later())
    await later.round()
    assert (await house.job(job)).status is not JobStatus.SNOOZED
    async with house.as_sidecar() as conn:
        asked = await approvals.list_approvals(conn, patch_id=patch.id)
    assert [a.status for a in asked] == [ApprovalStatus.EXPIRED]
    assert (await house.patch(patch)).status is PatchStatus.PROPOSED


async def test_branch_mode_waits_for_the_merge(
    database: TestDatabase, tmp_path: Path, house: House
) -> None:
    house = House(database, house.pool, house.app, house.data_dir, apply="branch")
    patch = await house.to_approved(await house.fails())
    key = await house.order("apply", patch)
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.APPROVED
    assert (await house.result(key))[0] == "pending"
    repos.git(house.app, "merge", "-q", "--ff-only", "sandbox/self-heal/J-1")
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.APPLIED


async def test_a_repository_that_takes_nothing_fails_the_run_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: object) -> None:
        raise Conflict("the app's repository took no objects", code="repo_write")

    monkeypatch.setattr(GitRepo, "publish", refuses)
    patch = await house.attach(await house.fails())
    key = await house.order("sandbox", patch)
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.SANDBOX_FAILED
    assert await house.result(key) == (
        "failed", {"message": "the app's repository took no objects"},
    )  # fmt: skip
    assert await house.healer.round() == 0


@pytest.mark.parametrize("fault", [Unavailable("git took over 60 s"), RuntimeError("a bug")])
async def test_a_patch_that_cannot_go_on_does_not_hold_up_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    job = await house.fails()
    stuck, well = await house.attach(job), await house.attach(job, repos.WRONG)
    real = house.healer._case

    async def case(patch_id: int) -> Any:
        if patch_id == stuck.id:
            raise fault
        return await real(patch_id)

    monkeypatch.setattr(house.healer, "_case", case)
    await house.order("sandbox", stuck)
    await house.order("sandbox", well)
    with suppress(Unavailable):
        await house.healer.round()
    assert (await house.patch(well)).status is PatchStatus.SANDBOX_FAILED


async def test_new_settings_hold_from_the_next_round_on(house: House) -> None:
    patch = await house.to_applied(await house.fails())
    await house.traffic()
    slow = house.config.but(repo=house.config.repo.but(verify_s=3600.0))
    house.healer.reload(slow)
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.APPLIED
    house.healer.reload(house.config)
    await house.healer.round()
    assert (await house.patch(patch)).status is PatchStatus.VERIFIED
