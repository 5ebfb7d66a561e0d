"""Wake-ups: each change once, none for a mere repetition, and again after the server came back."""

import asyncio

import asyncpg

from proxy.domain.failure import Severity
from proxy.domain.patch import PatchStatus
from proxy.store import jobs
from proxy.store.notify import Wakeup, listen, parse
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase
from tests.support.store import classified, failure, new_patch, step


async def _next(queue: "asyncio.Queue[Wakeup | None]") -> Wakeup | None:
    return await asyncio.wait_for(queue.get(), 20)


async def test_changes_wake_and_repetitions_do_not(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    heard: asyncio.Queue[Wakeup | None] = asyncio.Queue()
    proxy = await database.connect_proxy()
    async with listen(database.proxy_dsn, heard.put_nowait):
        assert await _next(heard) is None, "connected: something may have been missed"
        for severity in (Severity.LOW, Severity.LOW, Severity.HIGH):
            async with acting(proxy, AS_PROXY) as conn:
                await jobs.record_failure(conn, failure(), classified(severity=severity))
        patch = await new_patch(proxy, 1)
        await step(proxy, AS_PROXY, patch, PatchStatus.SUPERSEDED)
        assert [await _next(heard) for _ in range(4)] == [
            Wakeup("job", "J-1", "created", "low"),
            Wakeup("job", "J-1", "severity", "high"),
            Wakeup("patch", "P-1", "created", "low"),
            Wakeup("patch", "P-1", "superseded", "low"),
        ]
        installer = await database.connect_installer()
        await installer.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where query like 'LISTEN%' and datname = current_database()"
        )
        await installer.close()
        assert await _next(heard) is None, "back again"
        async with acting(proxy, AS_PROXY) as conn:
            await jobs.record_failure(conn, failure(), classified("v1:ffffffffffffffff"))
        assert await _next(heard) == Wakeup("job", "J-2", "created", "high")
    assert heard.empty()
    await proxy.close()


def test_anybody_may_notify_so_nothing_is_believed() -> None:
    for hostile in ("", "x", "[]", "1", '{"kind": 1}', "[" * 9999, "null"):
        assert parse(hostile) is None
    long = parse('{"kind":"' + "k" * 99 + '","subject":"' + "s" * 999 + '","change":"c"}')
    assert long is not None
    assert (len(long.kind), len(long.subject)) == (20, 200)
