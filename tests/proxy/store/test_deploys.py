"""Releases: who may announce one, what the audit says of it, and who hears."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import asyncpg
import pytest

from proxy.app.deploys import UNSAID_MAX, DeployWatch
from proxy.clock import SystemClock
from proxy.domain.deploy import Deploy
from proxy.errors import NotPermitted, Unavailable
from proxy.store import audit, deploys
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase


@pytest.mark.parametrize("role", ["founder", "admin", "agent"])
async def test_a_member_announces_under_its_own_name(
    database: TestDatabase, proxy_pool: asyncpg.Pool, role: str
) -> None:
    conn = await database.connect_as(role)
    async with acting(conn, database.actor(role)) as inside:
        made = await deploys.announce(inside, "app", "v2.1\x00", "api")
    await conn.close()
    assert (made.version, made.actor) == ("v2.1\ufffd", database.actor(role).name)
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert await deploys.newest(conn, "app", 5) == [made]
        assert await deploys.newest(conn, "other", 5) == []
        [entry] = [e for e in await audit.list_audit(conn) if e.action == "deploy.announced"]
    assert (entry.actor, entry.role, entry.subject) == (made.actor, role, "app")


async def test_a_viewer_may_not_and_nobody_rewrites(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    conn = await database.connect_as("viewer")
    with pytest.raises(NotPermitted):
        async with acting(conn, database.actor("viewer")) as inside:
            await deploys.announce(inside, "app", "v1", "api")
    await conn.close()
    async with acting(proxy_pool, AS_PROXY) as inside:
        await deploys.announce(inside, "app", "v1", "header")
    for attack in (
        "update observability_deploys set version = 'v0'",
        "delete from observability_deploys",
        "insert into observability_deploys (announced_by, actor) values ('api', 'me')",
        "select audit_note('deploy.announced', 'app', null, null, null)",
    ):
        with pytest.raises(NotPermitted):
            async with acting(proxy_pool, AS_PROXY) as inside:
                await inside.execute(attack)


async def test_every_worker_hears_each_once(proxy_pool: asyncpg.Pool) -> None:
    heard: list[Deploy] = []
    watch = DeployWatch(
        "app", lambda: acting(proxy_pool, AS_PROXY), SystemClock(), on_deploy=heard.append
    )
    async with acting(proxy_pool, AS_PROXY) as conn:
        await deploys.announce(conn, "app", "before the start", "api")
        await deploys.announce(conn, "other", "not ours", "api")
    for _ in range(2):
        await watch.look()
    async with acting(proxy_pool, AS_PROXY) as conn:
        await deploys.announce(conn, "app", "later", "api")
    for _ in range(2):
        await watch.look()
    assert [deploy.version for deploy in heard] == ["before the start", "later"]
    assert heard[1].created_at - heard[0].created_at < timedelta(minutes=1)


async def test_a_header_is_announced_once_by_however_many_proxies(
    proxy_pool: asyncpg.Pool,
) -> None:
    heard: list[str] = []
    watches = [
        DeployWatch(
            "app",
            lambda: acting(proxy_pool, AS_PROXY),
            SystemClock(),
            on_deploy=lambda deploy: heard.append(deploy.version),
        )
        for _ in range(3)
    ]
    for version in ("v2", "v3", "v2"):
        for watch in watches:
            watch.announce(version)
        await asyncio.gather(*(watch.look() for watch in watches))
    async with acting(proxy_pool, AS_PROXY) as conn:
        made = await deploys.newest(conn, "app", 10)
        assert [(d.version, d.announced_by) for d in made] == [
            ("v2", "header"),
            ("v3", "header"),
            ("v2", "header"),
        ]
        # what somebody has announced by hand is no news either
        await deploys.announce(conn, "app", "v4", "api")
        assert await deploys.announce_news(conn, "app", "v4") is None
        assert await deploys.announce_news(conn, "other", "v4") is not None
    await watches[0].look()
    assert heard.count("v3") == 3


async def test_a_release_waits_for_the_database(proxy_pool: asyncpg.Pool) -> None:
    away = True

    def connect() -> AbstractAsyncContextManager[asyncpg.Connection]:
        if away:
            raise Unavailable("not there")
        return acting(proxy_pool, AS_PROXY)

    watch = DeployWatch("app", connect, SystemClock(), on_deploy=lambda deploy: None)
    for n in range(UNSAID_MAX + 5):
        watch.announce(f"v{n}")
        with pytest.raises(Unavailable):
            await watch.look()
    away = False
    await watch.look()
    async with acting(proxy_pool, AS_PROXY) as conn:
        made = await deploys.newest(conn, "app", 100)
    assert len(made) == UNSAID_MAX
    assert made[0].version == f"v{UNSAID_MAX + 4}"
