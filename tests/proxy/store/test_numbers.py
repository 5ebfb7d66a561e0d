"""Jobs, patches and approvals are numbered without gaps: a missing one reads as something lost."""

import asyncio

import asyncpg

from proxy.store import jobs
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase
from tests.support.store import ask_main, classified, failure, new_job, new_patch, run_sandbox


async def test_what_was_not_kept_takes_no_number(proxy_pool: asyncpg.Pool) -> None:
    class Broken(Exception):
        pass

    async def one(number: int) -> None:
        try:
            async with acting(proxy_pool, AS_PROXY) as conn:
                await jobs.record_failure(conn, failure(), classified(f"v1:{number:016x}"))
                if number % 3 == 0:
                    raise Broken
        except Broken:
            pass

    await asyncio.gather(*(one(number) for number in range(30)))
    async with acting(proxy_pool, AS_PROXY) as conn:
        found = [row["id"] for row in await conn.fetch("select id from jobs order by id")]
    assert found == list(range(1, 21))


async def test_a_server_that_was_killed_skips_none(database: TestDatabase) -> None:
    """What it gave away ahead is forgotten: the sequences stand 32 further on."""
    proxy, founder = await database.connect_proxy(), await database.connect_as("founder")
    installer = await database.connect_installer()
    told = []
    for number in range(2):
        job = await new_job(proxy, f"v1:{number:016x}")
        patch = await run_sandbox(database, proxy, founder, await new_patch(proxy, job))
        approval = await ask_main(proxy, patch)
        told.append((job, patch.id, approval.id))
        for table in ("self_healing_jobs", "self_healing_patches", "approval_requests"):
            await installer.execute(
                "select setval(s, nextval(s) + 32) from pg_get_serial_sequence($1, 'id') s", table
            )
    first, second = told
    assert first[:2] == (1, 1)
    assert [b - a for a, b in zip(first, second, strict=True)] == [1, 1, first[2]]
    for conn in (proxy, founder, installer):
        await conn.close()
