"""One transaction, one role: what acting() sets, gives back, refuses and translates."""

import asyncio

import asyncpg
import pytest

from proxy.domain.approval import Actor
from proxy.errors import Conflict, Invalid, NotPermitted, Unavailable
from proxy.store import control, members
from proxy.store.pool import AS_PROXY, acting, connect, open_pool
from proxy.store.statements import sql
from tests.support.postgres import TestDatabase

WHO = "select current_setting('role') as role, acting_name() as name, claim('origin') as origin"


async def test_the_role_ends_with_the_transaction(proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, Actor("policy", "proxy", "sidecar")) as conn:
        assert tuple(await conn.fetchrow(WHO)) == ("sh_proxy", "policy", "sidecar")
    async with proxy_pool.acquire() as conn:
        assert tuple(await conn.fetchrow(WHO)) == ("none", "sidecar", None)


async def test_nested_acting_gives_the_outer_role_back(proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        async with acting(conn, Actor("vera", "viewer", "api")) as inner:
            assert (await inner.fetchrow(WHO))["role"] == "sh_viewer"
        assert (await conn.fetchrow(WHO))["role"] == "sh_proxy"
        with pytest.raises(Invalid):
            async with acting(conn, AS_PROXY) as inner:
                await inner.execute("select 1 / (select count(*) from jobs where id = 0)")
        assert (await conn.fetchrow(WHO))["role"] == "sh_proxy"


async def test_an_error_rolls_everything_back(proxy_pool: asyncpg.Pool) -> None:
    async def half_way() -> None:
        async with acting(proxy_pool, AS_PROXY) as conn:
            await control.put_control(conn, {"rules": []}, based_on=0, reason="try")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await half_way()
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert await control.get_control(conn) is None


async def test_the_sidecar_takes_no_member_role(proxy_pool: asyncpg.Pool) -> None:
    for role in ("founder", "admin", "agent", "owner"):
        with pytest.raises(NotPermitted):
            async with acting(proxy_pool, Actor("ada", role)):
                pass


async def test_errors_leave_as_ours(database: TestDatabase, proxy_pool: asyncpg.Pool) -> None:
    for statement, family in (
        ("insert into audit_log (seq) values (1)", NotPermitted),
        ("select 'x'::int", Invalid),
    ):
        with pytest.raises(family):
            async with acting(proxy_pool, AS_PROXY) as conn:
                await conn.execute(statement)
    installer = await database.connect_installer()

    async def cut_off() -> None:
        async with acting(proxy_pool, AS_PROXY) as conn:
            mine = await conn.fetchval("select pg_backend_pid()")
            await installer.execute("select pg_terminate_backend($1)", mine)
            await conn.execute("select 1")

    with pytest.raises(Unavailable):
        await cut_off()
    await installer.close()
    with pytest.raises(asyncpg.UndefinedTableError):
        async with acting(proxy_pool, AS_PROXY) as conn:
            await conn.execute("select * from nowhere")
    with pytest.raises(Unavailable):
        await open_pool("postgresql://u:p@127.0.0.1:1/x", min_size=1)
    with pytest.raises(NotPermitted):
        await connect(database.proxy_dsn.replace("sh_login_proxy", "nobody"))


async def test_members_come_authenticate_and_go(database: TestDatabase) -> None:
    installer = await database.connect_installer()
    token = await members.add_member(installer, "eve", "admin")
    name, _, secret = token.partition(":")
    actor = await members.authenticate(database.proxy_dsn, name, secret)
    assert actor == Actor("eve", "admin")
    for wrong in ("", "x", secret + "x", secret[:-1], "ü", "x" * 500):
        assert await members.authenticate(database.proxy_dsn, name, wrong) is None
    for wrong in ("nobody", "eve2", "EVE", "eve; drop", "", "login_proxy"):
        assert await members.authenticate(database.proxy_dsn, wrong, secret) is None
    with pytest.raises(Conflict):
        await members.add_member(installer, "eve", "founder")
    for bad in ("Eve", "", "a b", "é", "x" * 33, "1a"):
        with pytest.raises(Invalid):
            await members.add_member(installer, bad, "admin")
    with pytest.raises(Invalid):
        await members.add_member(installer, "mallory", "owner")
    listed = {row["name"]: row["role"] for row in await installer.fetch(sql("members.list"))}
    assert listed == {"ada": "founder", "bob": "admin", "bot": "agent", "vera": "viewer"} | {
        "eve": "admin"
    }
    stored = await installer.fetchval(
        "select rolpassword from pg_authid where rolname = 'sh_m_eve'"
    )
    assert stored.startswith("SCRAM-SHA-256$4096:")
    await members.remove_member(installer, "eve")
    assert await members.authenticate(database.proxy_dsn, name, secret) is None
    await installer.close()
    with pytest.raises(Unavailable):
        await members.authenticate("postgresql://u:p@127.0.0.1:1/x", "eve", secret)


async def test_rules_are_versioned_and_two_editors_do_not_overwrite(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    founder = await database.connect_as("founder")
    async with acting(founder, database.actor("founder")) as conn:
        first = await control.put_control(conn, {"rules": []}, based_on=0, reason="start")
        assert (first.version, first.changed_by) == (1, "ada")
    with pytest.raises(Conflict):
        async with acting(founder, database.actor("founder")) as conn:
            await control.put_control(conn, {"thresholds": {}}, based_on=0, reason="stale")
    with pytest.raises(Invalid):
        async with acting(founder, database.actor("founder")) as conn:
            await control.put_control(conn, {"thresholds": {}}, based_on=1, reason=" ")
    await founder.close()
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert (await control.get_control(conn)) == first
        assert await control.get_switches(conn) == {
            "auto_approve_sandbox": False,
            "admin_sandbox": False,
        }

    async def put(n: int) -> bool:
        try:
            async with acting(proxy_pool, Actor("file", "proxy", "control.toml")) as conn:
                await control.put_control(conn, {"rules": []}, based_on=1, reason=f"import {n}")
                return True
        except Conflict:
            return False

    assert sum(await asyncio.gather(*(put(n) for n in range(4)))) == 1
