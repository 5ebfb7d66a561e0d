"""An application's `public.profiles` beside ours: it can take away, at once, and never give."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from proxy.app.governance.examine import examine
from proxy.domain.approval import Actor, ItemType
from proxy.domain.failure import Severity
from proxy.errors import Conflict, Invalid, NotPermitted
from proxy.store import approvals, audit
from proxy.store.authority import advice, only_founder
from proxy.store.dsn import with_login
from proxy.store.members import add_member, authenticate, connect_member, link_member, remove_member
from proxy.store.migrate import MigrateResult, migrate
from proxy.store.pool import AS_PROXY, acting, connect
from tests.support.postgres import Server
from tests.support.store import key
from tests.support.supabase import ADMIN, CLIENT, FOUNDER, Supabase, supabase_shaped


class House:
    """An installation beside an application's profiles, with open connections."""

    def __init__(self, shaped: Supabase, made: MigrateResult) -> None:
        self.shaped, self.made = shaped, made
        self.open: list[asyncpg.Connection] = []

    async def connect(self, dsn: str) -> asyncpg.Connection:
        self.open.append(await connect(dsn))
        return self.open[-1]

    async def member(self, name: str, role: str, identity: UUID | None) -> asyncpg.Connection:
        installer = await self.connect(self.shaped.installer_dsn)
        token = await add_member(installer, name, role, identity)
        conn = await connect_member(self.made.proxy_dsn, name, token.partition(":")[2])
        self.open.append(conn)
        return conn

    async def as_service_role(self, statement: str) -> None:
        conn = await self.connect(self.shaped.superuser_dsn)
        async with conn.transaction():
            await conn.execute("set local role service_role")
            await conn.execute(statement)

    async def ask(self) -> approvals.Approval:
        async with acting(await self.connect(self.made.proxy_dsn), AS_PROXY) as conn:
            return await approvals.request(
                conn, service="app", item_type=ItemType.CLAIM, summary="we are best",
                risk_level=Severity.HIGH, created_by="bot", digest=key() * 2,
            )  # fmt: skip


@asynccontextmanager
async def house_on(server: Server, *, owns: bool = True) -> AsyncIterator[House]:
    async with supabase_shaped(server, owns=owns) as shaped:
        house = House(shaped, await migrate(shaped.installer_dsn))
        try:
            yield house
        finally:
            for conn in house.open:
                await conn.close()


async def says_yes(house: House, conn: asyncpg.Connection, actor: Actor) -> None:
    asked = await house.ask()
    async with acting(conn, actor) as inside:
        await approvals.decide(
            inside, asked.id, "approve", digest=asked.digest, evidence_digest=None,
            reason=None, idempotency_key=key(),
        )  # fmt: skip


ADA = Actor("ada", "founder", "test")
BOB = Actor("bob", "admin", "test")
TAKEN = {
    "removed": "delete from public.profiles",
    "a client now": "update public.profiles set role = 'CLIENT'",
    "only an admin now": "update public.profiles set role = 'ADMIN'",
}


@pytest.mark.parametrize("how", TAKEN)
async def test_what_the_application_takes_is_gone_at_once(each_server: Server, how: str) -> None:
    async with house_on(each_server) as house:
        ada = await house.member("ada", "founder", FOUNDER)
        await says_yes(house, ada, ADA)
        await house.as_service_role(TAKEN[how])
        # in the very session that was open
        with pytest.raises(NotPermitted):
            await says_yes(house, ada, ADA)
        assert await ada.fetchrow("select * from whoami()") == (None, None)
        async with acting(ada, ADA) as inside:
            assert await inside.fetch("select * from approval_requests") == []
        await house.as_service_role(
            "insert into public.profiles values"
            f" ('{FOUNDER}', 'back', 'FOUNDER') on conflict (id) do update set role = 'FOUNDER'"
        )
        await says_yes(house, ada, ADA)


async def test_our_own_row_is_needed_too(each_server: Server) -> None:
    async with house_on(each_server) as house:
        ada = await house.member("ada", "founder", FOUNDER)
        await house.member("eve", "founder", FOUNDER)
        installer = await house.connect(house.shaped.installer_dsn)
        await remove_member(installer, "ada")
        with pytest.raises(NotPermitted):
            await says_yes(house, ada, ADA)


async def test_service_role_makes_nobody_a_founder(each_server: Server) -> None:
    async with house_on(each_server) as house:
        await house.member("ada", "founder", FOUNDER)
        bob = await house.member("bob", "admin", ADMIN)
        bot = await house.member("bot", "agent", None)
        await house.as_service_role("update public.profiles set role = 'FOUNDER'")
        with pytest.raises(NotPermitted):
            await says_yes(house, bob, BOB)
        # a founder there is still the admin that he was made here
        assert await bob.fetchval("select role from whoami()") == "admin"
        assert await bot.fetchval("select role from whoami()") == "agent"
        for actor, conn in ((Actor("bob", "founder", "test"), bob), (ADA, bot)):
            with pytest.raises(NotPermitted):
                await says_yes(house, conn, actor)


async def test_agents_and_viewers_are_nobody_there(each_server: Server) -> None:
    async with house_on(each_server) as house:
        bot = await house.member("bot", "agent", None)
        await house.as_service_role("delete from public.profiles")
        async with acting(bot, Actor("bot", "agent", "test")) as inside:
            assert await inside.fetchval("select may_act()")


async def test_founder_and_admin_must_be_so_there(each_server: Server) -> None:
    async with house_on(each_server) as house:
        installer = await house.connect(house.shaped.installer_dsn)
        with pytest.raises(Invalid, match="--identity"):
            await add_member(installer, "ada", "founder")
        for name, role, identity in (
            ("ada", "founder", ADMIN), ("ada", "founder", CLIENT), ("bob", "admin", CLIENT),
            ("bob", "admin", UUID(int=99)),
        ):  # fmt: skip
            with pytest.raises(Conflict) as told:
                await add_member(installer, name, role, identity)
            assert told.value.code == "not_there"
        assert await only_founder(installer) == FOUNDER
        await house.as_service_role("update public.profiles set role = 'FOUNDER'")
        with pytest.raises(Invalid, match="more than one FOUNDER"):
            await only_founder(installer)


HOSTILE = """
create schema evil;
grant usage on schema evil to public;
create table evil.told (what text);
grant all on evil.told to public;
create function evil.peek() returns boolean language plpgsql volatile as $$
begin
  perform pg_advisory_lock(4711);  -- all that outlives a rollback, so that the test knows it ran
  perform set_config('search_path', 'evil, selfheal', false);
  perform set_config('request.jwt.claims', '{"name":"mallory"}', false);
  begin
    perform selfheal.set_switch('auto_approve_sandbox', true, 'mine');
    insert into evil.told values ('switched');
  exception when others then null;
  end;
  begin
    perform set_config('role', 'sh_owner', true);
    insert into evil.told values ('became owner');
  exception when others then null;
  end;
  insert into evil.told values (current_user);
  return true;
end $$;
create policy peek on public.profiles as restrictive using (evil.peek());
"""


async def test_code_behind_their_profiles_gains_nothing(each_server: Server) -> None:
    """A policy that calls a function runs in the founder's session, and leaves no trace there."""
    async with house_on(each_server) as house:
        ada = await house.member("ada", "founder", FOUNDER)
        superuser = await house.connect(house.shaped.superuser_dsn)
        await superuser.execute(HOSTILE)
        before = await ada.fetchval("show search_path")
        locked = "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711"
        assert await superuser.fetchval(locked) == 0
        await says_yes(house, ada, ADA)
        assert await superuser.fetchval(locked) == 1
        assert await ada.fetchval("show search_path") == before
        assert await superuser.fetch("select what from evil.told") == []
        switches = await superuser.fetch("select enabled from selfheal.gate_switches")
        assert not any(row["enabled"] for row in switches)
        # and a function that fails, or a table that is gone, is a no
        await superuser.execute("drop function evil.peek() cascade; drop table public.profiles")
        with pytest.raises(NotPermitted):
            await says_yes(house, ada, ADA)


async def test_it_waits_until_its_owner_opens_it(each_server: Server) -> None:
    async with house_on(each_server, owns=False) as house:
        assert house.made.app_profiles == "closed"
        told = advice(house.made.app_profiles, house.made.prefix)
        assert told is not None
        ada = await house.member("ada", "founder", None)
        await says_yes(house, ada, ADA)
        report = await examine(house.shaped.installer_dsn, schema="selfheal")
        assert report.assurance == "reduced"
        assert "public.profiles" in report.reductions[0]
        # what it tells the owner to run is what is needed
        superuser = await house.connect(house.shaped.superuser_dsn)
        await superuser.execute(told.partition("run: ")[2].partition("; and then")[0])
        again = await migrate(house.shaped.installer_dsn, proxy_secret=house.made.proxy_secret)
        assert again.app_profiles == "unlinked: ada"
        assert "member link" in (advice(again.app_profiles, again.prefix) or "")
        await says_yes(house, ada, ADA)
        installer = await house.connect(house.shaped.installer_dsn)
        with pytest.raises(Conflict):
            await link_member(installer, "ada", CLIENT)
        assert await link_member(installer, "ada", FOUNDER) == "adopted"
        await says_yes(house, ada, ADA)
        await house.as_service_role("delete from public.profiles")
        with pytest.raises(NotPermitted):
            await says_yes(house, ada, ADA)
        async with acting(await house.connect(house.made.proxy_dsn), AS_PROXY) as conn:
            actions = [entry.action for entry in await audit.list_audit(conn)]
        assert {"member.authority", "member.changed"} <= set(actions)


async def test_a_token_is_known_while_the_application_knows_its_bearer(
    postgres_server: Server,
) -> None:
    async with house_on(postgres_server) as house:
        installer = await house.connect(house.shaped.installer_dsn)
        token = await add_member(installer, "ada", "founder", FOUNDER)
        name, _, secret = token.partition(":")
        assert await authenticate(house.made.proxy_dsn, name, secret) == Actor("ada", "founder")
        await house.as_service_role("delete from public.profiles")
        assert await authenticate(house.made.proxy_dsn, name, secret) is None


async def decided(house: House) -> int:
    """How many decisions stand, as somebody who sees them all."""
    superuser = await house.connect(house.shaped.superuser_dsn)
    count: int = await superuser.fetchval("select count(*) from selfheal.approval_decisions")
    return count


async def begin(conn: asyncpg.Connection, isolation: str) -> None:
    await conn.execute(f"begin isolation level {isolation}")
    await conn.execute("select set_config('role', selfheal.role_name('founder'), true)")
    await conn.fetch("select count(*) from approval_requests")


def decision_on(asked: approvals.Approval) -> str:
    """As psql would write it; its rows are not looked for, so nothing is hidden from it."""
    return (
        "insert into approval_decisions (approval_id, decision, digest, idempotency_key)"
        f" values ({asked.id}, 'approve', '{asked.digest}', '{key()}')"
    )


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_no_transaction_decides_in_the_past(each_server: Server, isolation: str) -> None:
    """One that still sees the profile which is gone."""
    async with house_on(each_server) as house:
        ada = await house.member("ada", "founder", FOUNDER)
        asked = await house.ask()
        await begin(ada, isolation)
        await house.as_service_role("delete from public.profiles")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ada.execute(decision_on(asked))
        await ada.execute("rollback")
        assert await decided(house) == 0


async def test_a_right_that_goes_before_the_end_takes_the_decision_along(
    each_server: Server,
) -> None:
    async with house_on(each_server) as house:
        ada = await house.member("ada", "founder", FOUNDER)
        asked = await house.ask()
        await begin(ada, "read committed")
        await ada.execute(decision_on(asked))
        await house.as_service_role("delete from public.profiles")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="lost the right"):
            await ada.execute("commit")
        assert await decided(house) == 0
        await house.as_service_role(
            f"insert into public.profiles values ('{FOUNDER}', '', 'FOUNDER')"
        )
        await begin(ada, "read committed")
        await ada.execute(decision_on(asked))
        await ada.execute("commit")
        assert await decided(house) == 1


async def test_a_name_that_looks_like_a_member_s_is_nobody_s(each_server: Server) -> None:
    """``_`` in a pattern means any letter, once a session took the backslash its meaning."""
    async with house_on(each_server) as house:
        await house.member("ada", "founder", FOUNDER)
        superuser = await house.connect(house.shaped.superuser_dsn)
        prefix = house.made.prefix
        secret = key()
        await superuser.execute(
            f'create role "{prefix}sh-founder"; create role "{prefix}sh-m-ada" login password'
            f""" '{secret}' in role "{prefix}sh-founder" """
        )
        dsn = with_login(house.made.proxy_dsn, f"{prefix}sh-m-ada", secret)
        stranger = await house.connect(dsn)
        with contextlib.suppress(asyncpg.PostgresError):  # newer servers know no other way
            await stranger.execute("set standard_conforming_strings = off")
        await stranger.execute(f'set role "{prefix}sh-founder"')
        told = "select may_act() as may, acting_role() as role, acting_name() as name"
        assert tuple(await stranger.fetchrow(told)) == (False, "installer", f"{prefix}sh-m-ada")
        await stranger.close()
        house.open.remove(stranger)
        await superuser.execute(f'drop role "{prefix}sh-m-ada"; drop role "{prefix}sh-founder"')
