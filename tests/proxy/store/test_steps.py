"""Every (from, to, role) step of jobs and patches, walked in SQL against the domain's tables."""

import itertools
from collections.abc import Mapping

import asyncpg
import pytest

from proxy.domain.job import JOB_STEPS, JobStatus
from proxy.domain.patch import PATCH_STEPS, PatchStatus
from proxy.errors import SelfHealError
from proxy.store.pool import acting
from tests.support.postgres import TestDatabase
from tests.support.store import new_job, new_patch

WRITERS = ("proxy", "founder", "admin")
READERS = ("agent", "viewer")


async def _logins(db: TestDatabase) -> dict[str, asyncpg.Connection]:
    people = {role: await db.connect_as(role) for role in (*WRITERS[1:], *READERS)}
    return {"proxy": await db.connect_proxy(), **people}


@pytest.mark.parametrize(
    ("table", "steps"), [("job_steps", JOB_STEPS), ("patch_steps", PATCH_STEPS)]
)
async def test_the_rows_equal_the_tables_of_the_domain(
    database: TestDatabase, table: str, steps: Mapping[tuple[str, str], frozenset[str]]
) -> None:
    conn = await database.connect_installer()
    rows = {(r["old"], r["new"], r["role"]) for r in await conn.fetch(f"select * from {table}")}
    await conn.close()
    assert rows == {(str(a), str(b), role) for (a, b), roles in steps.items() for role in roles}


async def _walk_jobs(db: TestDatabase) -> int:
    """Stand a job in each status by switching triggers off, then try every step as every role."""
    installer, logins = await db.connect_installer(), await _logins(db)
    job_id = await new_job(logins["proxy"])
    tried = 0
    for old, new in itertools.permutations(JobStatus, 2):
        for role, conn in logins.items():
            await _stand(installer, "self_healing_jobs", job_id, old.value)
            until = ", snoozed_until = now() + interval '1 hour'" if new == "snoozed" else ""
            refused = await _try(
                conn,
                db,
                role,
                f"update self_healing_jobs set status = '{new.value}'{until} where id = {job_id}",
            )
            allowed = role in JOB_STEPS.get((old, new), frozenset())
            exists = (old, new) in JOB_STEPS
            expected = None if allowed else "42501" if exists or role in READERS else "SH001"
            assert refused == expected, (old, new, role)
            tried += 1
    for conn in (installer, *logins.values()):
        await conn.close()
    return tried


async def test_every_step_of_a_job(database: TestDatabase) -> None:
    assert await _walk_jobs(database) == 8 * 7 * 5


async def test_every_step_of_a_job_on_postgres_15(database_15: TestDatabase) -> None:
    assert await _walk_jobs(database_15) == 8 * 7 * 5


async def test_every_step_of_a_patch(database: TestDatabase) -> None:
    """Without a gate's approval even a step of the table is refused, with SH003."""
    installer, logins = await database.connect_installer(), await _logins(database)
    patch = await new_patch(logins["proxy"], await new_job(logins["proxy"]))
    gated = {"sandbox_running", "approved", "applied", "rolled_back"}
    for old, new in itertools.permutations(PatchStatus, 2):
        for role, conn in logins.items():
            await _stand(installer, "self_healing_patches", patch.id, old.value)
            refused = await _try(
                conn,
                database,
                role,
                f"update self_healing_patches set status = '{new.value}' where id = {patch.id}",
            )
            if role in PATCH_STEPS.get((old, new), frozenset()):
                needs_evidence = new == "sandbox_passed"
                expected = "SH003" if new in gated else "SH002" if needs_evidence else None
            else:
                known = (old, new) in PATCH_STEPS
                expected = "42501" if known or role in READERS else "SH001"
            assert refused == expected, (old, new, role)
    for conn in (installer, *logins.values()):
        await conn.close()


async def _stand(installer: asyncpg.Connection, table: str, row_id: int, status: str) -> None:
    await installer.execute(
        f"alter table {table} disable trigger user;"
        f"update {table} set status = '{status}' where id = {row_id};"
        f"alter table {table} enable trigger user"
    )


async def _try(conn: asyncpg.Connection, db: TestDatabase, role: str, statement: str) -> str | None:
    """The SQLSTATE that refused it, or None. An update of nothing is no refusal."""
    try:
        async with acting(conn, db.actor(role)) as inside:
            done = await inside.execute(statement)
            return None if done == "UPDATE 1" else done
    except SelfHealError as error:
        return str(getattr(error.__cause__, "sqlstate", error))
