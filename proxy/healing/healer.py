"""The worker of the control process: ask ``plan`` for one step, perform it, store it, ask again.

Woken by a deed or a poll, it reads what to do from Postgres and nowhere else, so that a restart
resumes at the same step. It may act only where a gate was passed or a founder's order waits; the
database refuses the rest.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

import asyncpg

from proxy.clock import Clock, SystemClock
from proxy.config import Config
from proxy.domain.approval import Actor, Approval, ItemType
from proxy.domain.failure import Failure, Signature
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import LIVE_PATCH_STATUSES, Patch, PatchStatus
from proxy.domain.redact import Redactor
from proxy.errors import (
    Conflict,
    SelfHealError,
    Unavailable,
)
from proxy.founder.approvals import FounderApprovalEngine
from proxy.healing import plan
from proxy.healing.applier import Applier
from proxy.healing.deeds import NO_REPO, Deeds
from proxy.healing.gitrepo import GitRepo, sandbox_home
from proxy.healing.plan import Control, Order, Step, next_step
from proxy.healing.replay import DatabaseCopies, Rehearsal
from proxy.healing.sandbox import Sandbox
from proxy.healing.service import SelfHealingService
from proxy.store import approvals, jobs, patches, watch
from proxy.store.pool import acting
from proxy.store.rehearsal import database_copy

AsSidecar = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]
LiveRequests = Callable[[str | None, str | None], int]
"""(method, route) → requests of a recent window; rows reach the database up to a minute later."""
POLL_S = 2.0
"""A wake-up can be lost and an agent may write past us; then this is how long it takes."""
HOUSEKEEPING_S = 10.0
STEPS_MAX = 12
"""Steps of one patch in a row; more would mean that a step changes nothing."""
NOT_WEIGHED = ("not weighed yet",)
POLICY = Actor("policy", "proxy", "sidecar", interactive=False)
_ACTIVE = frozenset(
    {
        PatchStatus.PROPOSED,
        PatchStatus.SANDBOX_RUNNING,
        PatchStatus.SANDBOX_PASSED,
        PatchStatus.APPROVED,
        PatchStatus.APPLIED,
    }
)
_log = logging.getLogger("selfheal.healer")


@dataclass(frozen=True, slots=True)
class Case:
    """One patch with everything its next step depends on."""

    job: Job
    patch: Patch
    approvals: Sequence[Approval]
    control: Control


class Healer:
    """Perform steps one at a time until closed."""

    def __init__(
        self,
        as_sidecar: AsSidecar,
        service: SelfHealingService,
        config: Config,
        data_dir: Path,
        *,
        clock: Clock | None = None,
        rehearsal: Rehearsal | None = None,
        live_requests: LiveRequests = lambda method, route: 0,
    ) -> None:
        self._live_requests = live_requests
        self._data_dir = data_dir
        self._given_rehearsal = rehearsal
        self._seen: dict[int, tuple[int, int]] = {}
        """Per applied patch: the live count of the last look, and the requests seen since."""
        self._as_sidecar = as_sidecar
        self._service = service
        self._clock = clock or SystemClock()
        self._wake = asyncio.Event()
        self._housekept: float | None = None
        self._held: set[int] = set()
        """Requests the policy was asked about and left to a person."""
        self._deeds = Deeds(as_sidecar, service)
        self._fresh: Config | None = None
        self._configure(config)

    def _configure(self, config: Config) -> None:
        self._config = config
        self._engine = FounderApprovalEngine(
            clock=self._clock,
            approval_days=config.founder.approval_days,
            auto_approve_sandbox=lambda: config.founder.auto_approve_sandbox,
        )
        self._deeds.signers = config.founder.signers
        self._deeds.sandbox = self._deeds.applier = repo = None
        if config.repo.path:
            home = sandbox_home(self._data_dir)
            repo = GitRepo(Path(config.repo.path), home, main=config.repo.main)
            self._deeds.sandbox = Sandbox(
                repo,
                config.repo,
                self._judge,
                redactor=Redactor(config.capture.redact_names),
                rehearsal=self._given_rehearsal or _rehearsal(config),
                clock=self._clock,
            )
            self._deeds.applier = Applier(repo, config.repo, clock=self._clock)
        self._service.configure(config, repo)

    def reload(self, config: Config) -> None:
        """New settings, whole, from the next round on: no step runs under two of them."""
        self._fresh = config
        self.wake()

    def wake(self) -> None:
        """There may be something to do. From the event loop, as often as you like."""
        self._wake.set()

    async def run(self) -> None:
        """Rounds until cancelled; an outage of the database only pauses them."""
        while True:
            try:
                await self.round()
            except SelfHealError as error:
                _log.info("healer waits: %s", error)
            except Exception:
                _log.exception("a round of the healer failed")
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def close(self) -> None:
        """Nothing is held between rounds; a run that was cut off is resumed by the next start."""

    async def round(self) -> int:
        """Everything that can be done now; how many steps were taken."""
        if self._fresh is not None:
            self._configure(self._fresh)
            self._fresh = None
        verified_too = await self._housekeep()
        taken = 0
        away: Unavailable | None = None
        for patch_id in await self._to_look_at(verified_too):
            # one patch that cannot go on must not hold up the others, round after round
            try:
                taken += await self._advance(patch_id)
            except Unavailable as error:
                away = error
            except SelfHealError as error:
                _log.warning("P-%d waits: %s", patch_id, error)
            except Exception:
                _log.exception("P-%d: its next step failed", patch_id)
        if away is not None:
            raise away
        return taken

    # --- reading ----------------------------------------------------------------------------

    async def _housekeep(self) -> bool:
        """Expiry means no and a snooze ends by itself; True when this round did look."""
        now = self._clock.monotonic()
        if self._housekept is not None and now - self._housekept < HOUSEKEEPING_S:
            return False
        self._housekept = now
        async with self._as_sidecar() as conn:
            await self._engine.expire(conn)
            await jobs.wake_snoozed(conn, self._clock.now())
        return True

    async def _to_look_at(self, verified_too: bool) -> list[int]:
        """Patches that may have a step: rollbacks first, then orders, then the rest by age."""
        statuses = (
            LIVE_PATCH_STATUSES | _ACTIVE | ({PatchStatus.VERIFIED} if verified_too else set())
        )
        async with self._as_sidecar() as conn:
            orders = await approvals.pending_deeds(conn)
            active = await patches.list_patches(conn, statuses=statuses)
        ordered = sorted(orders, key=lambda o: (o.kind != "rollback", o.id))
        mine = sorted(p.id for p in active if p.service == self._config.app.service)
        return list(dict.fromkeys([*(o.patch_id for o in ordered), *mine]))

    async def _case(self, patch_id: int) -> Case | None:
        async with self._as_sidecar() as conn:
            patch = await patches.get_patch(conn, patch_id)
            if patch.service != self._config.app.service:
                return None
            job = await jobs.get_job(conn, patch.job_id)
            asked = await approvals.list_approvals(conn, patch_id=patch_id)
            deeds = await approvals.deeds_of(conn, patch_id)
            orders = [d for d in deeds if d.status == "pending"]
            switches = await self._engine.switches(conn)
            traffic = 0
            if patch.status is PatchStatus.APPLIED and job.applied_at is not None:
                traffic = self._seen_live(patch.id, job) or await watch.requests_since(
                    conn, job.service, job.applied_at, method=job.method, route=job.route
                )
        control = Control(
            orders=[Order(d.id, d.kind, d.digest, d.evidence_digest) for d in orders],
            no_sandbox=await self._no_sandbox() if _may_run(patch) else None,
            weighed=patch.risk.reasons != NOT_WEIGHED,
            glass_broken=any(
                d.kind == "break_glass" and d.digest == patch.digest and d.actor_role == "founder"
                for d in deeds
            ),
            auto_sandbox=switches.auto_approve_sandbox and not self._held & {a.id for a in asked},
            requests_since_applied=traffic,
            verify_s=self._config.repo.verify_s,
        )
        return Case(job, patch, asked, control)

    def _seen_live(self, patch_id: int, job: Job) -> int:
        """Requests on the job's route since this patch was first seen applied.

        The window forgets as well as it counts, so only growth is taken; a look that shows none
        falls back to the stored rows.
        """
        count = self._live_requests(job.method, job.route)
        last, seen = self._seen.get(patch_id, (count, 0))
        seen += max(0, count - last)
        self._seen[patch_id] = (count, seen)
        return seen

    async def _no_sandbox(self) -> str | None:
        sandbox = self._deeds.sandbox
        return NO_REPO if sandbox is None else await asyncio.to_thread(sandbox.unavailable)

    # --- acting -----------------------------------------------------------------------------

    async def _advance(self, patch_id: int) -> int:
        """Steps of one patch until there is none; how many."""
        for taken in range(STEPS_MAX):
            case = await self._case(patch_id)
            if case is None:
                return taken
            step = next_step(case.job, case.patch, case.approvals, case.control, self._clock.now())
            try:
                if not await self._perform(step, case):
                    return taken
            except Unavailable:
                raise
            except Conflict as error:
                _log.info("P-%d: %s", patch_id, error)
                return taken
        _log.warning(
            "P-%d took %d steps in a row and waits for the next round", patch_id, STEPS_MAX
        )
        return STEPS_MAX

    async def _perform(self, step: Step, case: Case) -> bool:
        """Do one step and store it; False when there was nothing to do."""
        match step:
            case plan.Wait():
                return False
            case plan.Weigh():
                await self._service.weigh(case.patch)
            case plan.AskApproval(gate):
                item = ItemType.PATCH_SANDBOX if gate == "sandbox" else ItemType.PATCH_MAIN
                async with self._as_sidecar() as conn:
                    await self._service.ask_for(conn, case.patch, item)
                    await self._service.settle_job(conn, case.job.id)
            case plan.AnswerByPolicy(approval_id):
                return await self._answer_by_policy(approval_id, case)
            case plan.RunSandbox(order_id):
                await self._deeds.run_sandbox(case.patch, case.job, order_id, resumed=step.resumed)
            case plan.Apply(order_id):
                return await self._deeds.apply(case.patch, order_id)
            case plan.RollBack(order_id):
                await self._deeds.roll_back(case.patch, order_id)
            case plan.FinishOrder(order_id, ok, reason):
                async with self._as_sidecar() as conn:
                    await approvals.finish_deed(conn, order_id, ok, {"message": reason})
            case plan.Verify():
                await self._verify(case)
            case plan.SettleJob():
                async with self._as_sidecar() as conn:
                    await self._service.settle_job(conn, case.job.id)
            case plan.Supersede(reason=reason):
                async with self._as_sidecar() as conn:
                    await patches.step_patch(
                        conn, case.patch.id, case.patch.status, PatchStatus.SUPERSEDED,
                        reason=reason,
                    )  # fmt: skip
            case plan.Regress():
                async with self._as_sidecar() as conn:
                    await patches.step_patch(
                        conn, case.patch.id, case.patch.status, PatchStatus.REGRESSED,
                        reason=f"J-{case.job.id} fired again",
                    )  # fmt: skip
            case _:
                assert_never(step)
        return True

    async def _answer_by_policy(self, approval_id: int, case: Case) -> bool:
        async with self._as_sidecar() as conn, acting(conn, POLICY) as policy:
            asked = await approvals.get_approval(policy, approval_id)
            answered = await self._engine.answer_by_policy(policy, asked, case.patch.risk.score)
        if answered.status is asked.status:
            self._held.add(approval_id)
            return False
        return True

    def _judge(self, failure: Failure) -> Signature | None:
        return self._service.classify(failure).signature

    async def _verify(self, case: Case) -> None:
        async with self._as_sidecar() as conn:
            await patches.step_patch(
                conn, case.patch.id, PatchStatus.APPLIED, PatchStatus.VERIFIED,
                reason=f"silent for {self._config.repo.verify_s:.0f} s under traffic",
            )  # fmt: skip
            job = await jobs.get_job(conn, case.job.id)
            if job.status is JobStatus.APPLIED:
                await jobs.step_job(conn, job.id, JobStatus.RESOLVED, old=job.status)
            self._seen.pop(case.patch.id, None)
            for other in await patches.list_patches(conn, case.job.id, LIVE_PATCH_STATUSES):
                await patches.step_patch(
                    conn, other.id, other.status, PatchStatus.SUPERSEDED,
                    reason=f"P-{case.patch.id} fixed J-{case.job.id}",
                )  # fmt: skip


def _rehearsal(config: Config) -> Rehearsal | None:
    """The app's database in the jail: a copy of the template, where one is named."""
    repo = config.repo
    if not repo.database_url:
        return None
    return DatabaseCopies(
        partial(database_copy, repo.database_url, repo.database_role), repo.database_env
    )


def _may_run(patch: Patch) -> bool:
    return patch.status in (
        PatchStatus.PROPOSED,
        PatchStatus.SANDBOX_PASSED,
        PatchStatus.SANDBOX_FAILED,
    )
