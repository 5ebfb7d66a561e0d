"""A copy to break: reached through a jail's socket, gone afterwards, and nothing else with it."""

from pathlib import Path

import asyncpg
import pytest

from proxy.errors import Unavailable
from proxy.healing.jail import Bind, JailSpec, run_jailed, service_user, tool_prefixes
from proxy.healing.replay import SOCKET_DIR, DatabaseCopies
from proxy.store.dsn import with_database
from proxy.store.rehearsal import PREFIX, database_copy
from tests.support.postgres import TestDatabase

PROBE = """
import asyncio, asyncpg, os, sys
async def main():
    dsn = os.environ["SHOP_URL"]
    c = await asyncpg.connect(dsn)
    print("rows", await c.fetchval("select count(*) from orders"))
    await c.execute("insert into orders values (9)")
    try:
        await c.execute("create role evil superuser")
        print("role made")
    except asyncpg.InsufficientPrivilegeError:
        print("no rights")
    await c.close()
asyncio.run(main())
"""


async def _template(database: TestDatabase) -> str:
    """A template with one table and a role that may use it."""
    conn = await database.connect_installer()
    name = f"{database.name}_shop"
    await conn.execute(f"create database {name}")
    await conn.execute(f"create role {name}")
    await conn.close()
    dsn = with_database(database.installer_dsn, name)
    inside = await asyncpg.connect(dsn)
    await inside.execute(f"create table orders (id int); insert into orders values (1); "
                         f"grant all on orders to {name}")  # fmt: skip
    await inside.close()
    return name


async def _leftovers(database: TestDatabase) -> int:
    conn = await database.connect_installer()
    left = await conn.fetchval(
        "select (select count(*) from pg_database where datname like $1)"
        " + (select count(*) from pg_roles where rolname like $1)",
        PREFIX + "%",
    )
    await conn.close()
    return int(left)


async def test_a_jailed_app_uses_its_copy_and_nothing_stays(
    database: TestDatabase, tmp_path: Path
) -> None:
    name = await _template(database)
    dsn = with_database(database.installer_dsn, name)
    tree = tmp_path / "tree"
    tree.mkdir()
    user = service_user()

    def copies(socket_dir: str):  # type: ignore[no-untyped-def]  # a two-line adapter
        return database_copy(dsn, name, socket_dir)

    binds, path = tool_prefixes(["python"])
    async with DatabaseCopies(copies, "SHOP_URL").clone() as lent:
        assert lent.binds[0].target == SOCKET_DIR
        spec = JailSpec(tree, binds=(*binds, *lent.binds), path=path, env=lent.env, user=user)
        ran = await run_jailed(spec, ["python", "-c", PROBE])
    assert ran.output.decode().splitlines() == ["rows 1", "no rights"]
    assert await _leftovers(database) == 0
    inside = await asyncpg.connect(dsn)
    assert await inside.fetchval("select count(*) from orders") == 1
    await inside.close()


async def test_a_template_in_use_says_so_and_leaves_nothing(database: TestDatabase) -> None:
    name = await _template(database)
    dsn = with_database(database.installer_dsn, name)
    busy = await asyncpg.connect(dsn)
    with pytest.raises(Unavailable, match="somebody is connected"):
        async with database_copy(dsn, "", SOCKET_DIR):
            pass
    await busy.close()
    assert await _leftovers(database) == 0


async def test_only_a_unix_socket_reaches_into_a_jail() -> None:
    with pytest.raises(Unavailable, match="no network"):
        async with database_copy("postgresql://a:b@db.example:5432/shop", "", SOCKET_DIR):
            pass


async def test_sql_of_a_patch_is_not_run_unseen(database: TestDatabase) -> None:
    copies = DatabaseCopies(lambda folder: database_copy("postgresql://x", "", folder), "X")
    with pytest.raises(Unavailable, match="not rehearsed"):
        async with copies.clone("drop table orders"):
            pass
    assert Bind("/a").writable is False
