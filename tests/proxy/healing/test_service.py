"""The four verbs of the design, on real Postgres and a real checkout."""

from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import pytest

from proxy.config import Config
from proxy.domain.approval import ApprovalStatus, ItemType
from proxy.domain.failure import Category, Failure
from proxy.domain.job import JobStatus
from proxy.domain.patch import PatchType
from proxy.errors import Conflict, Invalid, NotFound
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.rules import RuleSet
from proxy.healing.service import SelfHealingService
from proxy.store import approvals, jobs
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase

UNIQUE = 'duplicate key value violates unique constraint "users_email_key"'
DIFF = "--- a/app.py\n+++ b/app.py\n@@ -1 +1 @@\n-price = None\n+price = 0\n"


@pytest.fixture(scope="module")
def classifier() -> ErrorClassifier:
    return ErrorClassifier(RuleSet.load())


@pytest.fixture
def service(
    proxy_pool: "asyncpg.Pool[asyncpg.Record]", classifier: ErrorClassifier
) -> SelfHealingService:
    return SelfHealingService(partial(acting, proxy_pool, AS_PROXY), classifier, Config())


def failure(message: str = UNIQUE, route: str = "/signup") -> Failure:
    return Failure("app", datetime.now(UTC), message, method="POST", route=route, status=500)


async def attach(
    service: SelfHealingService, conn: asyncpg.Connection, job: int, diff: str | None = DIFF
) -> int:
    patch = await service.attach_patch(
        conn,
        job,
        patch_type=PatchType.CODE,
        description="a price of nothing",
        diff=diff,
        sql=None,
        base_commit=None,
        created_by="bot",
    )
    return patch.id


async def test_the_same_bug_is_one_job_however_often_it_comes(service: SelfHealingService) -> None:
    first = await service.record_error_and_create_job(failure())
    again = await service.record_error_and_create_job(failure(), count=41)
    other = await service.record_error_and_create_job(failure('relation "orders" does not exist'))
    assert (first.category, first.status) == (Category.DB_ERROR, JobStatus.OPEN)
    assert (again.id, again.occurrences) == (first.id, 42)
    assert other.id != first.id
    assert first.evidence
    listed = await service.list_open_jobs()
    assert {job.id for job in listed} == {first.id, other.id}


async def test_a_patch_is_weighed_asks_for_its_gate_and_moves_the_job(
    service: SelfHealingService, database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    job = await service.record_error_and_create_job(failure())
    conn = await database.connect_as("agent")
    try:
        async with acting(conn, database.actor("agent")) as agent:
            patch_id = await attach(service, agent, job.id)
    finally:
        await conn.close()
    async with acting(proxy_pool, AS_PROXY) as own:
        waiting = await approvals.list_approvals(own, frozenset({ApprovalStatus.PENDING}))
        now = await jobs.get_job(own, job.id)
    assert [(a.item_type, a.patch_id) for a in waiting] == [(ItemType.PATCH_SANDBOX, patch_id)]
    assert now.status is JobStatus.PATCH_PROPOSED


@pytest.mark.parametrize(
    ("diff", "code"),
    [
        (None, "empty"),
        ("no diff at all", "empty"),
        (DIFF.replace("app.py", "../app.py"), "bad_path"),
        (DIFF.replace("app.py", ".git/config"), "git_path"),
    ],
)
async def test_a_patch_that_cannot_be_taken_says_why(
    service: SelfHealingService, proxy_pool: asyncpg.Pool, diff: str | None, code: str
) -> None:
    job = await service.record_error_and_create_job(failure())
    async with acting(proxy_pool, AS_PROXY) as own:
        with pytest.raises(Invalid) as caught:
            await attach(service, own, job.id, diff)
    assert caught.value.code == code


async def test_a_job_that_is_not_there_or_closed_takes_none(
    service: SelfHealingService, database: TestDatabase
) -> None:
    job = await service.record_error_and_create_job(failure())
    conn = await database.connect_as("founder")
    founder = database.actor("founder")
    try:
        async with acting(conn, founder) as acts:
            with pytest.raises(NotFound):
                await attach(service, acts, job.id + 1000)
        async with acting(conn, founder) as acts:
            closed = await service.mark_status(acts, job.id, JobStatus.CLOSED, reason="not ours")
        assert closed.closed_reason == "not ours"
        async with acting(conn, founder) as acts:
            with pytest.raises(Conflict) as caught:
                await attach(service, acts, job.id)
        assert caught.value.code == "job_closed"
    finally:
        await conn.close()


async def test_a_snooze_ends_by_its_time_and_an_illegal_step_is_refused(
    service: SelfHealingService, database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    job = await service.record_error_and_create_job(failure())
    conn = await database.connect_as("admin")
    until = datetime.now(UTC) + timedelta(hours=2)
    try:
        async with acting(conn, database.actor("admin")) as acts:
            snoozed = await service.mark_status(acts, job.id, JobStatus.SNOOZED, until=until)
        assert snoozed.snoozed_until == until
        with pytest.raises(Conflict, match="no step"):
            async with acting(conn, database.actor("admin")) as acts:
                await service.mark_status(acts, job.id, JobStatus.RESOLVED)
    finally:
        await conn.close()
    async with acting(proxy_pool, AS_PROXY) as own:
        assert await jobs.wake_snoozed(own, until - timedelta(seconds=1)) == []
        assert await jobs.wake_snoozed(own, until) == [job.id]
