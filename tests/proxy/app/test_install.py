import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.app.install import install, write_private
from proxy.app.keeper import install_environ
from proxy.config import load
from proxy.errors import NotPermitted
from proxy.store.members import authenticate
from proxy.store.pool import connect
from tests.support.postgres import TestDatabase


async def test_installing_is_safe_to_repeat_and_makes_one_founder(
    tmp_path: Path, bare_database: TestDatabase
) -> None:
    config = load(environ={}, sets=[f"database.url={bare_database.installer_dsn}"]).config
    first = await install(config, tmp_path)
    again = await install(config, tmp_path)
    assert first.applied
    assert first.founder_token is not None
    assert (again.applied, again.founder_token) == ((), None)
    assert again.proxy_dsn == first.proxy_dsn
    name, _, secret = first.founder_token.partition(":")
    actor = await authenticate(first.proxy_dsn, name, secret)
    assert actor is not None
    assert actor.role == "founder"
    assert not (tmp_path / "founder.token").exists(), "only the embedded server keeps a copy"
    assert stat.S_IMODE((tmp_path / "logins.json").stat().st_mode) == 0o600


async def test_the_sidecars_own_login_needs_no_installing(
    tmp_path: Path, database: TestDatabase
) -> None:
    config = load(environ={}, sets=[f"database.url={database.proxy_dsn}"]).config
    installed = await install(config, tmp_path)
    assert installed.proxy_dsn == database.proxy_dsn
    conn = await connect(installed.proxy_dsn)
    await conn.close()


async def test_a_login_that_may_not_install_is_told_what_to_do(
    tmp_path: Path, database: TestDatabase
) -> None:
    name, _, secret = database.tokens["viewer"].partition(":")
    dsn = database.proxy_dsn.replace("sh_login_proxy", f"sh_m_{name}")
    before, at, after = dsn.partition("@")
    dsn = before.rpartition(":")[0] + ":" + secret + at + after
    config = load(environ={}, sets=[f"database.url={dsn}"]).config
    with pytest.raises(NotPermitted, match="selfheal migrate --database-url"):
        await install(config, tmp_path)


def test_the_child_prints_the_login_and_nothing_else(
    tmp_path: Path, bare_database: TestDatabase
) -> None:
    config = load(environ={}, sets=[f"database.url={bare_database.installer_dsn}"]).config
    done = subprocess.run(
        [sys.executable, "-m", "proxy.app.migrate", str(tmp_path)],
        env={**os.environ, **install_environ(config)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout).keys() == {"proxy_dsn"}
    assert "founder's token: founder:" in done.stderr


def test_a_private_file_is_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
