"""The same governance on a Supabase-shaped server, installed without a superuser's means."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from proxy.app.governance.examine import examine
from proxy.errors import Conflict
from proxy.store.members import add_member, authenticate, remove_member
from proxy.store.migrate import migrate
from proxy.store.pool import connect
from tests.support.campaign import IS_WHOLE
from tests.support.postgres import Server
from tests.support.supabase import FOUNDER, Supabase, supabase_shaped

THEIRS = ("anon", "authenticated", "service_role")


SERVERS = ["postgres_server", "postgres_server_15"]


@pytest.fixture(params=SERVERS if IS_WHOLE else SERVERS[:1])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def supabase(server: Server) -> AsyncIterator[Supabase]:
    async with supabase_shaped(server) as shaped:
        yield shaped


@pytest.mark.campaign
async def test_every_attack_fails_there_too(supabase: Supabase) -> None:
    made = await migrate(supabase.installer_dsn)
    installer = await connect(supabase.installer_dsn)
    assert made.app_profiles == "adopted"
    token = await add_member(installer, "ada", "founder", FOUNDER)
    report = await examine(supabase.installer_dsn, schema="selfheal")
    assert not report.broken, [str(attempt) for attempt in report.broken]
    assert not report.differences, [str(difference) for difference in report.differences]
    assert not report.refusals
    assert report.assurance == "full"
    assert any("application's profiles" in attempt.attack for attempt in report.attempts)
    await their_roles_have_no_right(supabase)
    await their_claims_are_no_login(supabase, made.proxy_dsn)
    # the founder's own login does, until its profile is gone
    name, _, secret = token.partition(":")
    assert await authenticate(made.proxy_dsn, name, secret)
    with pytest.raises(Conflict) as last:
        await remove_member(installer, "ada")
    assert last.value.code == "last_founder"
    await add_member(installer, "eve", "founder", FOUNDER)
    await remove_member(installer, "ada")
    assert await authenticate(made.proxy_dsn, name, secret) is None
    await installer.close()


async def their_roles_have_no_right(supabase: Supabase) -> None:
    """``service_role`` steps over row-level security, so grants alone must stop it."""
    conn = await connect(supabase.superuser_dsn)
    tables = [
        row["name"]
        for row in await conn.fetch(
            "select c.relname as name from pg_class c where c.relkind in ('r', 'v', 'p')"
            " and c.relnamespace = 'selfheal'::regnamespace"
        )
    ]
    assert len(tables) > 20
    for role in THEIRS:
        for table in tables:
            for statement in (f"select * from selfheal.{table}", f"delete from selfheal.{table}"):
                await refused(conn, role, statement)
        for call in (
            "select selfheal.audit_append('x', 'x', null, null, null)",
            "select selfheal.set_switch('auto_approve_sandbox', true, 'mine')",
            "select selfheal.as_roles('grant sh_founder to public')",
            "insert into selfheal.profiles (name, role) values ('mallory', 'FOUNDER')",
        ):
            await refused(conn, role, call)
    await conn.close()


async def refused(conn: asyncpg.Connection, role: str, statement: str) -> None:
    transaction = conn.transaction()
    await transaction.start()
    try:
        await conn.execute(f"set local role {role}")
        await conn.execute(
            "select set_config('request.jwt.claims', $1, true)",
            '{"sub":"00000000-0000-0000-0000-000000000001","role":"service_role","name":"ada"}',
        )
        with pytest.raises(asyncpg.PostgresError) as told:
            await conn.execute(statement)
        assert told.value.sqlstate in ("42501", "55000"), (role, statement)
    finally:
        await transaction.rollback()


async def their_claims_are_no_login(supabase: Supabase, proxy_dsn: str) -> None:
    """A founder of their application, with a founder's claims, is nobody at our gates."""
    conn = await connect(supabase.superuser_dsn)
    await conn.execute(
        "update public.profiles set role = 'FOUNDER';"
        ' set request.jwt.claims = \'{"role":"founder"}\''
    )
    told = await conn.fetchrow(
        "select selfheal.may_act() as may, selfheal.acting_role() as role from (select 1) one"
    )
    assert tuple(told) == (False, "installer")
    theirs = await conn.fetchval("select enum_range(null::public.user_role)::text")
    assert theirs == "{FOUNDER,STAFF,CLIENT,ADMIN}", "their enum stays as it was"
    await conn.close()
    proxy = await connect(proxy_dsn)
    assert await proxy.fetchval("select name from selfheal.whoami()") is None
    await proxy.close()
