"""`selfheal member add`, `link` and `remove`, through the command line."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from proxy.cli import main
from proxy.store.dsn import with_login
from proxy.store.members import authenticate
from proxy.store.pool import connect
from tests.support.postgres import Server, TestDatabase
from tests.support.supabase import ADMIN, CLIENT, FOUNDER, supabase_shaped


async def call(*argv: str) -> int:
    return await asyncio.to_thread(main, list(argv))


async def test_a_removed_member_has_no_right_and_no_login_left(
    tmp_path: Path, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--database-url", database.installer_dsn, "--data-dir", str(tmp_path), "--json")
    assert await call("member", "add", "mia", "--role", "admin", *where) == 0
    name, _, secret = json.loads(capsys.readouterr().out)["token"].partition(":")
    assert await authenticate(database.proxy_dsn, name, secret)
    # a session that is open loses its right at the same moment
    mine = await connect(with_login(database.proxy_dsn, "sh_m_mia", secret))
    assert await mine.fetchval("select name from whoami()") == "mia"
    assert await call("member", "remove", "mia", *where) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "mia", "removed": True}
    with pytest.raises(asyncpg.PostgresError):
        await mine.fetchval("select name from whoami()")
    await mine.close()
    assert await authenticate(database.proxy_dsn, name, secret) is None
    assert await call("member", "remove", "mia", *where) == 1
    assert "no member mia" in capsys.readouterr().err


async def test_the_only_founder_stays(
    tmp_path: Path, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--database-url", database.installer_dsn, "--data-dir", str(tmp_path))
    assert await call("member", "remove", "ada", *where) == 1
    assert "only founder" in capsys.readouterr().err
    name, _, secret = database.tokens["founder"].partition(":")
    assert await authenticate(database.proxy_dsn, name, secret)


async def test_beside_an_application_with_profiles_of_its_own(
    tmp_path: Path, postgres_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    async with supabase_shaped(postgres_server) as shaped:
        where = ("--database-url", shaped.installer_dsn, "--data-dir", str(tmp_path), "--json")
        # its one FOUNDER is the founder that first start makes
        assert await call("migrate", *where) == 0
        told = capsys.readouterr()
        token = told.err.partition("founder's token: ")[2].split(";")[0]
        proxy_dsn = json.loads(told.out)["proxy_dsn"]
        name, _, secret = token.partition(":")
        assert await authenticate(proxy_dsn, name, secret)
        assert await call("member", "add", "bob", "--role", "admin", *where) == 1
        assert "--identity" in capsys.readouterr().err
        who = ("--identity", str(ADMIN))
        assert await call("member", "add", "bob", "--role", "admin", *who, *where) == 0
        capsys.readouterr()
        assert await call("member", "link", "bob", "--identity", str(FOUNDER), *where) == 0
        assert json.loads(capsys.readouterr().out)["public.profiles"] == "adopted"
        assert await call("member", "link", "bob", "--identity", str(CLIENT), *where) == 1
        assert "the role CLIENT" in capsys.readouterr().err
        conn = await connect(shaped.superuser_dsn)
        await conn.execute("delete from public.profiles where role = 'FOUNDER'")
        await conn.close()
        assert await authenticate(proxy_dsn, name, secret) is None


async def test_several_founders_there_and_nobody_guesses(
    tmp_path: Path, postgres_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    async with supabase_shaped(postgres_server) as shaped:
        conn = await connect(shaped.superuser_dsn)
        await conn.execute("update public.profiles set role = 'FOUNDER'")
        await conn.close()
        where = ("--database-url", shaped.installer_dsn, "--data-dir", str(tmp_path))
        assert await call("migrate", *where) == 0
        told = capsys.readouterr().err
        assert "founder's token" not in told
        assert "more than one FOUNDER" in told
