"""Beside an installation that is already there: its tables are read and stay as they were."""

from datetime import UTC, datetime
from uuid import uuid4

from proxy.store import adopted
from proxy.store.dsn import with_database
from proxy.store.migrate import migrate
from proxy.store.pool import AS_PROXY, acting, connect
from tests.support.postgres import Server, TestDatabase
from tests.support.store import new_job

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


HOSTILE = """
create schema theirs;
create table theirs.told (what text);
grant usage on schema theirs to public;
grant all on theirs.told to public;
create function theirs.peek() returns text language plpgsql volatile as $$
begin
  perform pg_advisory_lock(4712);  -- all that outlives a rollback, so that the test knows it ran
  perform set_config('search_path', 'theirs', false);
  insert into theirs.told values (current_user);
  update selfheal.self_healing_jobs set ai_summary = 'all is well';
  return '00000000-0000-0000-0000-000000000001';
end $$;
create view theirs.observability_logs as
  select theirs.peek() as id, 500 as status_code, 'boom' as error_message, now() as created_at;
grant select on theirs.observability_logs to sh_proxy;
"""


async def test_code_behind_their_tables_leaves_no_trace(each_database: TestDatabase) -> None:
    """Whoever may grant SELECT on a view of his gets it read, and nothing of ours with it."""
    installer = await each_database.connect_installer()
    await installer.execute(HOSTILE)
    proxy = await each_database.connect_proxy()
    job = await new_job(proxy)
    before = await proxy.fetchval("show search_path")
    ran = "select count(*) from pg_locks where locktype = 'advisory' and objid = 4712"
    assert await installer.fetchval(ran) == 0
    async with acting(proxy, AS_PROXY) as inside:
        (table,) = [t for t in await adopted.tables(inside) if t.source.startswith("theirs")]
        (row,) = await adopted.unread(inside, table, None)
        assert row.content["error_message"] == "boom"
        await adopted.take(inside, [row])
        assert await adopted.forget(inside, table.source) == 0, "the row is still there"
    assert await installer.fetchval(ran) == 1
    assert await proxy.fetchval("show search_path") == before
    assert await installer.fetch("select * from theirs.told") == []
    summary = "select ai_summary from self_healing_jobs where id = $1"
    assert await installer.fetchval(summary, job) is None
    await installer.execute("drop view theirs.observability_logs")
    async with acting(proxy, AS_PROXY) as inside:
        assert await adopted.forget(inside, table.source) == 1
    await proxy.close()
    await installer.close()
