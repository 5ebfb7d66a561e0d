"""A patch goes its whole way through both gates, on the founder's and the sidecar's own logins."""

from proxy.domain.job import JobStatus
from proxy.domain.patch import PatchStatus
from proxy.store import approvals, audit, jobs
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase
from tests.support.store import (
    approve,
    ask_main,
    classified,
    failure,
    key,
    new_job,
    new_patch,
    run_sandbox,
    step,
)


async def tell(db: TestDatabase) -> None:
    proxy, founder = await db.connect_proxy(), await db.connect_as("founder")
    try:
        job_id = await new_job(proxy)
        patch = await new_patch(proxy, job_id)
        patch = await run_sandbox(db, proxy, founder, patch)
        approval = await ask_main(proxy, patch)
        assert approval.digest == patch.digest
        assert approval.evidence_digest == patch.evidence_digest
        patch = await approve(db, founder, approval, patch)
        async with acting(founder, db.actor("founder")) as conn:
            deed = await approvals.record_deed(
                conn, "apply", patch.id, patch.digest, patch.evidence_digest, key()
            )
        async with acting(proxy, AS_PROXY) as conn:
            assert [d.id for d in await approvals.pending_deeds(conn)] == [deed.id]
        patch = await step(proxy, AS_PROXY, patch, PatchStatus.APPLIED, applied_commit="abc")
        async with acting(proxy, AS_PROXY) as conn:
            done = await approvals.finish_deed(conn, deed.id, True, {"commit": "abc"})
            assert (done.status, done.result) == ("done", {"commit": "abc"})
            for new in (
                JobStatus.PATCH_PROPOSED,
                JobStatus.SANDBOXED,
                JobStatus.APPROVED,
                JobStatus.APPLIED,
            ):
                await jobs.step_job(conn, job_id, new)
            applied_at = (await jobs.get_job(conn, job_id)).applied_at
            assert applied_at is not None
        patch = await step(proxy, AS_PROXY, patch, PatchStatus.VERIFIED)
        async with acting(proxy, AS_PROXY) as conn:
            assert (await jobs.step_job(conn, job_id, JobStatus.RESOLVED)).resolved_at is not None
            late = await jobs.record_failure(conn, failure(), classified())
            assert not late.regressed, "an event from before the fix says nothing about it"
            again = await jobs.record_failure(
                conn, failure(occurred_at=applied_at.replace(year=2030)), classified()
            )
            assert again.regressed
            assert again.job.status is JobStatus.OPEN
            assert again.job.regression
        async with acting(founder, db.actor("founder")) as conn:
            verdict = await audit.verify(conn)
            assert verdict.ok
            entries = await audit.list_audit(conn, subject=f"P-{patch.id}")
        assert [e.action for e in reversed(entries)] == [
            "patch.created",
            "deed.sandbox",
            "patch.status",
            "patch.status",
            "deed.finished",
            "patch.status",
            "deed.apply",
            "patch.status",
            "deed.finished",
            "patch.status",
        ]
        assert {e.actor for e in entries} == {"sidecar", "ada"}
    finally:
        await proxy.close()
        await founder.close()


async def test_a_patch_goes_its_whole_way(database: TestDatabase) -> None:
    await tell(database)


async def test_a_patch_goes_its_whole_way_on_postgres_15(database_15: TestDatabase) -> None:
    await tell(database_15)
