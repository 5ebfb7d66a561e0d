"""`selfheal member add` and `remove`, through the command line."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from proxy.cli import main
from proxy.store.dsn import with_login
from proxy.store.members import authenticate
from proxy.store.pool import connect
from tests.support.postgres import TestDatabase


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
