"""A server shaped like Supabase's: its three roles, ``auth.uid()``, a ``profiles`` table with the
enum already there, the older observability tables, and an installer that is no superuser.

Shapes only; nothing of theirs is copied.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from proxy.store.dsn import with_database, with_login
from proxy.store.members import link_member
from proxy.store.pool import connect
from tests.support.postgres import Server, TestDatabase

SHAPE = """
create schema auth;
create function auth.uid() returns uuid language sql stable as
  $$ select nullif(current_setting('request.jwt.claims', true)::jsonb ->> 'sub', '')::uuid $$;
create type public.user_role as enum ('FOUNDER', 'STAFF', 'CLIENT', 'ADMIN');
create table public.profiles (id uuid primary key, email text,
  role public.user_role not null default 'CLIENT');
insert into public.profiles values
  ('00000000-0000-0000-0000-000000000001', 'founder@example.test', 'FOUNDER'),
  ('00000000-0000-0000-0000-000000000002', 'client@example.test', 'CLIENT'),
  ('00000000-0000-0000-0000-000000000003', 'admin@example.test', 'ADMIN');
alter table public.profiles enable row level security;
create policy own_profile on public.profiles for select to authenticated using (id = auth.uid());
create table public.observability_logs (id uuid primary key default gen_random_uuid(),
  route_path text, method text, status_code int, latency_ms int, workspace_id uuid, user_id uuid,
  error_message text, error_stack text, created_at timestamptz default now());
alter table public.observability_logs enable row level security;
create policy everybody_writes on public.observability_logs for insert with check (true);
grant usage on schema public, auth to anon, authenticated, service_role;
grant all on all tables in schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
"""
ROLES = """
do $$ begin
  if not exists (select from pg_roles where rolname = 'anon') then
    create role anon nologin noinherit;
    create role authenticated nologin noinherit;
    create role service_role nologin noinherit bypassrls;
  end if;
end $$
"""


FOUNDER = uuid.UUID(int=1)
CLIENT = uuid.UUID(int=2)
ADMIN = uuid.UUID(int=3)


@dataclass(frozen=True)
class Supabase:
    """``installer_dsn`` may create roles and databases and is no superuser."""

    superuser_dsn: str
    installer_dsn: str


async def beside_profiles(database: TestDatabase) -> None:
    """The test's own database becomes one whose application keeps its people: ada and bob are its
    FOUNDER and its ADMIN, and it has a say.
    """
    conn = await database.connect_installer()
    await conn.execute(ROLES)
    await conn.execute(SHAPE)
    await conn.execute("select open_profiles()")
    assert await link_member(conn, "ada", FOUNDER) == "unlinked: bob"
    assert await link_member(conn, "bob", ADMIN) == "adopted"
    await conn.close()


@asynccontextmanager
async def supabase_shaped(server: Server, *, owns: bool = True) -> AsyncIterator[Supabase]:
    """``owns``: the installer owns `public.profiles`, as `postgres` does there."""
    mark = uuid.uuid4().hex[:10]
    name, installer, secret = f"supa_{mark}", f"postgres_{mark}", uuid.uuid4().hex
    admin = await connect(server.installer_dsn)
    try:
        await admin.execute(ROLES)
        await admin.execute(
            f"create role {installer} login createrole createdb password '{secret}'"
        )
        await admin.execute(f"create database {name} owner {installer}")
        superuser = with_database(server.installer_dsn, name)
        conn = await connect(superuser)
        await conn.execute(SHAPE)
        if owns:
            await conn.execute(f"alter table public.profiles owner to {installer}")
        await conn.close()
        yield Supabase(superuser, with_login(superuser, installer, secret))
    finally:
        await admin.execute(f"drop database if exists {name} with (force)")
        # roles that an installer made belong to the cluster; the session's end takes them with it
        await admin.close()
