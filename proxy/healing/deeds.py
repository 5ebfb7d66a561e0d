"""What the worker does by order: run a patch in the sandbox, hand it to MAIN, take it back. What
came of it is kept. Decides nothing.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg

from proxy.domain.failure import Failure
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import Patch, PatchStatus
from proxy.errors import (
    ConfigError,
    Conflict,
    Invalid,
    NotFound,
    NotPermitted,
    SelfHealError,
    Unavailable,
)
from proxy.founder.signed import check_before_apply
from proxy.healing.applier import Applied, Applier
from proxy.healing.evidence import confidence
from proxy.healing.replay import request_of
from proxy.healing.sandbox import Sandbox
from proxy.healing.service import SelfHealingService
from proxy.store import approvals, jobs, patches

AsSidecar = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]
NO_REPO = "repo.path is not set; name the app's git checkout with --repo"
_log = logging.getLogger("selfheal.healer")


class Deeds:
    """``sandbox`` and ``applier`` are None without a checkout of the app."""

    def __init__(self, as_sidecar: AsSidecar, service: SelfHealingService) -> None:
        self._as_sidecar = as_sidecar
        self._service = service
        self.sandbox: Sandbox | None = None
        self.applier: Applier | None = None
        self.signers = ""
        """The file of keys, where a decision must be signed."""
        self._handed_over: set[int] = set()
        """Orders whose branch waits for a pull request (branch mode)."""

    async def run_sandbox(
        self, patch: Patch, job: Job, order_id: int | None, *, resumed: bool
    ) -> None:
        """``resumed`` is a run that an earlier process began."""
        if not resumed:
            async with self._as_sidecar() as conn:
                patch = await patches.step_patch(
                    conn, patch.id, patch.status, PatchStatus.SANDBOX_RUNNING
                )
        failure = await self._failure_of(job)
        try:
            if self.sandbox is None:
                raise Unavailable(NO_REPO)
            seen = await self.sandbox.run(patch, job, failure)
        except Exception as error:
            # whatever it was: left running it would be run again every two seconds
            if not isinstance(error, SelfHealError | OSError):
                _log.exception("P-%d: the run broke off", patch.id)
            async with self._as_sidecar() as conn:
                await patches.step_patch(
                    conn, patch.id, patch.status, PatchStatus.SANDBOX_FAILED, reason=str(error)
                )
                await self._service.settle_job(conn, patch.job_id)
                await _finish(conn, order_id, False, {"message": str(error)})
            return
        score, reasons = confidence(seen)
        outcome = PatchStatus.SANDBOX_PASSED if seen.passed else PatchStatus.SANDBOX_FAILED
        async with self._as_sidecar() as conn:
            await patches.step_patch(
                conn,
                patch.id,
                patch.status,
                outcome,
                evidence=seen.model_dump(mode="json"),
                sandbox_branch=seen.branch,
                confidence_score=score,
                confidence_reasons=reasons,
                reason=seen.verdict,
            )
            await self._service.settle_job(conn, patch.job_id)
            told = {"message": seen.verdict, "passed": seen.passed, "confidence": reasons}
            await _finish(conn, order_id, True, told)

    async def _failure_of(self, job: Job) -> Failure | None:
        """The newest kept failure whose request can be replayed, else the newest."""
        async with self._as_sidecar() as conn:
            events = await jobs.job_events(conn, job.id)
        failures = [event.failure for event in events]
        whole = (f for f in failures if (sent := request_of(f)) is not None and not sent.truncated)
        return next(whole, failures[0] if failures else None)

    async def apply(self, patch: Patch, order_id: int) -> bool:
        """False while the branch waits to be merged by somebody."""
        try:
            if self.applier is None:
                raise NotFound(NO_REPO)
            if order_id in self._handed_over:
                # the deed stays open until somebody has merged the branch
                commit = str((patch.evidence or {}).get("head_commit") or "")
                if not commit or not await self.applier.on_main(commit):
                    return False
                done = Applied(patch.base_commit or "", commit, True, "the branch was merged")
            else:
                async with self._as_sidecar() as conn:
                    await check_before_apply(conn, self.signers, patch)
                done = await self.applier.apply(patch)
        except (ConfigError, Conflict, Invalid, NotFound, NotPermitted) as error:
            await self._refuse(order_id, error)
            return True
        if not done.moved:
            self._handed_over.add(order_id)
            return False
        async with self._as_sidecar() as conn:
            await self._service.settle_job(conn, patch.job_id)
            await patches.step_patch(
                conn,
                patch.id,
                patch.status,
                PatchStatus.APPLIED,
                applied_commit=done.commit,
                previous_commit=done.previous_commit,
                reason=done.message,
            )
            job = await jobs.get_job(conn, patch.job_id)
            if job.status is JobStatus.APPROVED:
                await jobs.step_job(conn, job.id, JobStatus.APPLIED, old=job.status)
            await _finish(conn, order_id, True, _told(done))
        return True

    async def roll_back(self, patch: Patch, order_id: int) -> None:
        try:
            if self.applier is None:
                raise NotFound(NO_REPO)
            done = await self.applier.rollback(patch)
        except (Conflict, Invalid, NotFound, NotPermitted) as error:
            await self._refuse(order_id, error)
            return
        async with self._as_sidecar() as conn:
            await patches.step_patch(
                conn, patch.id, patch.status, PatchStatus.ROLLED_BACK, reason=done.message
            )
            job = await jobs.get_job(conn, patch.job_id)
            if job.status in (JobStatus.APPLIED, JobStatus.RESOLVED):
                await jobs.step_job(conn, job.id, JobStatus.OPEN, old=job.status)
            await _finish(conn, order_id, True, _told(done))

    async def _refuse(self, order_id: int, error: SelfHealError) -> None:
        code = getattr(error, "code", "refused")
        async with self._as_sidecar() as conn:
            await _finish(conn, order_id, False, {"message": str(error), "code": code})


def _told(done: Applied) -> dict[str, Any]:
    return {
        "message": done.message,
        "commit": done.commit,
        "previous_commit": done.previous_commit,
        "after_apply": None if done.after is None else done.after.model_dump(mode="json"),
    }


async def _finish(
    conn: asyncpg.Connection, order_id: int | None, ok: bool, result: dict[str, Any]
) -> None:
    if order_id is not None:
        await approvals.finish_deed(conn, order_id, ok, result)
