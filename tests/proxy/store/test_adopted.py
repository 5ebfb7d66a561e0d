"""Beside an installation that is already there: its tables are read and stay as they were."""

from datetime import UTC, datetime
from uuid import uuid4

from proxy.store import adopted
from proxy.store.dsn import with_database
from proxy.store.migrate import migrate
from proxy.store.pool import AS_PROXY, acting, connect
from tests.support.postgres import Server, TestDatabase

THEIRS = """
create type public.user_role as enum ('FOUNDER', 'STAFF', 'CLIENT', 'ADMIN');
create table public.profiles (id uuid primary key, role public.user_role not null, extra text);
insert into public.profiles values (gen_random_uuid(), 'FOUNDER', 'kept');
create table public.observability_logs (
  id uuid primary key default gen_random_uuid(), route_path text not null, method text not null,
  status_code int, latency_ms int, workspace_id uuid,
  user_id uuid, error_message text, error_stack text,
  created_at timestamptz default now(), extra int);
alter table public.observability_logs enable row level security;
create policy "anyone inserts" on public.observability_logs for insert with check (true);
insert into public.observability_logs
  (route_path, method, status_code, created_at, error_message, extra)
values ('/ok', 'GET', 200, '2026-01-01', null, 1),
       ('/bad', 'GET', 500, '2026-01-02', 'boom', 2),
       ('/worse', 'POST', 400, '2026-01-03', 'no', 3);
"""


async def test_their_rows_are_read_and_everything_of_theirs_stays(each_server: Server) -> None:
    name = f"s_{uuid4().hex[:10]}"
    admin = await connect(each_server.installer_dsn)
    await admin.execute(f"create database {name}")
    await admin.close()
    dsn = with_database(each_server.installer_dsn, name)
    conn = await connect(dsn, schema="public")
    await conn.execute(THEIRS)
    before = [tuple(r) for r in await conn.fetch("select * from public.observability_logs")]
    result = await migrate(dsn)
    proxy = await connect(result.proxy_dsn)
    async with acting(proxy, AS_PROXY) as inside:
        (table,) = await adopted.tables(inside)
        assert (table.kind, table.source) == ("log", "public.observability_logs")
        rows = await adopted.unread(inside, table, None)
        assert [r.content["route_path"] for r in rows] == ["/bad", "/worse"]
        assert await adopted.unread(inside, table, datetime.now(UTC)) == []
        assert await adopted.take(inside, rows[:1]) == rows[:1]
        assert await adopted.take(inside, rows) == rows[1:]
        assert await adopted.unread(inside, table, None) == []
    assert [tuple(r) for r in await conn.fetch("select * from public.observability_logs")] == before
    assert await conn.fetchval("select extra from public.profiles") == "kept"
    await proxy.close()
    await conn.close()


async def test_without_such_tables_there_is_nothing_to_read(database: TestDatabase) -> None:
    proxy = await database.connect_proxy()
    async with acting(proxy, AS_PROXY) as conn:
        assert await adopted.tables(conn) == []
    await proxy.close()
