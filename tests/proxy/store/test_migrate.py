"""Migrations: once, by one runner, with psql too, without a superuser, beside another."""

import asyncio
import os
import subprocess
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from proxy.data_files import data_path
from proxy.errors import NotPermitted, SelfHealError, Unavailable
from proxy.store import binaries, members
from proxy.store.catalogue import catalogue
from proxy.store.dsn import prefix_of, with_database, with_login
from proxy.store.migrate import MigrateResult, migrate, migration_files
from proxy.store.pool import AS_PROXY, acting, connect
from tests.support.postgres import Server, TestDatabase
from tests.support.schema import migrations_only


async def _empty(server: Server) -> str:
    name = f"m_{uuid4().hex[:10]}"
    admin = await connect(server.installer_dsn)
    await admin.execute(f"create database {name}")
    await admin.close()
    return with_database(server.installer_dsn, name)


async def _works(result: MigrateResult, installer_dsn: str) -> None:
    """The sidecar's login acts as proxy, a new member as founder, and neither as the other."""
    proxy, installer = await connect(result.proxy_dsn), await connect(installer_dsn)
    token = await members.add_member(installer, f"m{uuid4().hex[:8]}", "founder")
    name, _, secret = token.partition(":")
    actor = await members.authenticate(result.proxy_dsn, name, secret)
    assert actor is not None
    assert actor.role == "founder"
    async with acting(proxy, AS_PROXY) as conn:
        assert await conn.fetchval("select may_act()")
    with pytest.raises(NotPermitted):
        async with acting(proxy, actor):
            pass
    # somebody can always decide: the only founder cannot be removed
    await members.add_member(installer, f"k{uuid4().hex[:8]}", "founder")
    await members.remove_member(installer, name)
    assert await members.authenticate(result.proxy_dsn, name, secret) is None
    await proxy.close()
    await installer.close()


async def test_once_and_again_and_at_the_same_time(each_server: Server) -> None:
    dsn = await _empty(each_server)
    seen: list[str] = []
    results = await asyncio.gather(*(migrate(dsn, on_log=seen.append) for _ in range(3)))
    names = [f.stem for f in migration_files()]
    assert sorted(n for r in results for n in r.applied) == names
    assert seen == [f"applied {n}" for n in names]
    assert len({r.prefix for r in results}) == 1
    assert prefix_of(results[0].proxy_dsn) == results[0].prefix != "", "the template was first"
    again = await migrate(dsn, proxy_secret=results[0].proxy_secret)
    assert again.applied == ()
    assert again.proxy_secret == results[0].proxy_secret
    assert again.needs_founder
    await _works(again, dsn)


async def test_an_installer_without_superuser_is_enough(each_server: Server) -> None:
    """A managed host: CREATEROLE and CREATE on the database, nothing more."""
    dsn = await _empty(each_server)
    admin = await connect(dsn)
    await admin.execute("drop role if exists installer")
    await admin.execute("create role installer login createrole noinherit password 'p'")
    await admin.execute(f"grant create on database {dsn.split('/')[3].split('?')[0]} to installer")
    limited = with_login(dsn, "installer", "p")
    result = await migrate(limited)
    await _works(result, limited)
    left = await admin.fetch(
        "select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid"
        " join pg_roles u on u.oid = m.member where u.rolname = 'installer'"
        " and pg_has_role('installer', r.oid, 'usage') and r.rolname like '%sh\\_owner'"
    )
    assert left == [], "the installer keeps no hold on the owner"
    await admin.close()


async def test_a_changed_file_is_refused(each_database: TestDatabase) -> None:
    conn = await each_database.connect_installer()
    await conn.execute("update schema_migrations set checksum = 'x' where name like '316%'")
    with pytest.raises(SelfHealError, match="316_self_healing was applied with other content"):
        await migrate(each_database.installer_dsn)
    held = await conn.fetchval(
        "select count(*) from pg_auth_members where roleid = 'sh_owner'::regrole"
        " and coalesce(to_jsonb(pg_auth_members) ->> 'set_option', 'true') = 'true'"
    )
    assert held == 0, "the installer keeps no hold on the owner"
    await conn.close()


async def test_a_server_that_is_not_there_and_a_wrong_password(database: TestDatabase) -> None:
    with pytest.raises(Unavailable):
        await migrate("postgresql://u:p@127.0.0.1:1/x")
    with pytest.raises(NotPermitted):
        await migrate(with_login(database.installer_dsn, "postgres", "wrong"))
    with pytest.raises(Unavailable):
        await migrate(with_database(database.installer_dsn, "nowhere"))


async def test_psql_runs_the_files_too(each_server: Server) -> None:
    dsn = await _empty(each_server)
    psql = binaries.find_all()[0]["psql"]
    prefix = f"q{uuid4().hex[:6]}_"
    settings = f"-c search_path=selfheal,pg_catalog,pg_temp -c selfheal.prefix={prefix}"
    environment = {"PATH": os.environ["PATH"], "PGOPTIONS": settings}
    for arguments in (
        ["-c", "create schema selfheal"],
        *(["-f", str(f)] for f in migration_files()),
    ):
        run = await asyncio.to_thread(
            subprocess.run,
            [psql, "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", *arguments, dsn],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert run.returncode == 0, (arguments, run.stderr)
    result = await migrate(dsn)
    assert result.applied == (), "psql's work is recognised, and its checksums filled in"
    assert result.prefix == prefix
    await _works(result, dsn)


async def test_the_files_add_up_to_schema_sql(each_server: Server) -> None:
    ran = await connect(await migrations_only(each_server.installer_dsn, f"a_{uuid4().hex[:8]}"))
    loaded = await connect(await _empty(each_server))
    await loaded.execute(data_path("sql", "schema.sql").read_text("utf-8"))
    migrated, read = set(await catalogue(ran)), set(await catalogue(loaded))
    # the file alone, like psql, leaves this behind until migrate runs; roles are the whole server's
    await loaded.execute("revoke sh_owner from current_user")
    await ran.close()
    await loaded.close()
    assert len(migrated) > 400
    assert migrated - read == set(), "run python -m tests.support.schema"
    assert read - migrated == set(), "run python -m tests.support.schema"


async def test_every_definer_function_pins_its_path_and_every_table_is_forced(
    database: TestDatabase,
) -> None:
    conn: asyncpg.Connection = await database.connect_installer()
    loose = await conn.fetch(
        "select proname from pg_proc where pronamespace = 'selfheal'::regnamespace and prosecdef"
        " and not coalesce(proconfig::text, '') like '%search_path=%'"
    )
    assert loose == []
    unforced = await conn.fetch(
        "select relname from pg_class where relnamespace = 'selfheal'::regnamespace"
        " and relkind in ('r', 'p') and not relforcerowsecurity order by 1"
    )
    names = {r["relname"] for r in unforced}
    assert {n for n in names if not n.startswith("observability_")} == {
        "installation",
        "schema_migrations",
        "job_steps",
        "patch_steps",
    }
    writable = await conn.fetch(
        "select grantee, table_name, privilege_type from information_schema.role_table_grants"
        " where table_schema = 'selfheal' and grantee <> 'sh_owner' and privilege_type <> 'SELECT'"
        " and (table_name in ('installation', 'schema_migrations', 'job_steps', 'patch_steps',"
        "   'audit_log', 'audit_head', 'profiles', 'gate_switches')"
        "  or grantee in ('PUBLIC', 'sh_viewer'))"
    )
    assert writable == []
    await conn.close()


def test_migrations_use_unqualified_names() -> None:
    for file in migration_files():
        assert "selfheal." not in Path(file).read_text().replace("selfheal.prefix", "").replace(
            "'selfheal.partitions'", ""
        ), file.name
