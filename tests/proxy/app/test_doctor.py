"""`selfheal doctor` beside a database of its own: what it calls good and what it does not."""

import argparse
import asyncio
import json
from pathlib import Path

import pytest

from proxy.app.doctor import doctor
from tests.support.postgres import TestDatabase


async def findings(
    tmp_path: Path, dsn: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, str]]:
    args = argparse.Namespace(config=None, database_url=dsn, data_dir=tmp_path, json=True, url=None)
    code = await asyncio.to_thread(doctor, args)
    told = json.loads(capsys.readouterr().out)["findings"]
    return code, {finding["name"]: finding["state"] for finding in told}


async def test_an_installation_that_steps_over_its_own_rules_is_not_called_good(
    tmp_path: Path, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    for dsn in (database.installer_dsn, database.proxy_dsn):
        code, states = await findings(tmp_path, dsn, capsys)
        assert (code, states["rights"]) == (0, "ok")
    conn = await database.connect_installer()
    for weaker, back in (
        ("alter role sh_login_proxy bypassrls", "alter role sh_login_proxy nobypassrls"),
        ("alter role sh_login_proxy superuser", "alter role sh_login_proxy nosuperuser"),
        ("grant sh_owner to sh_login_proxy", "revoke sh_owner from sh_login_proxy"),
    ):
        await conn.execute(weaker)
        try:
            code, states = await findings(tmp_path, database.installer_dsn, capsys)
        finally:
            await conn.execute(back)
        assert (code, states["rights"]) == (1, "broken"), weaker
    await conn.close()


async def test_nothing_installed_is_said_so(
    tmp_path: Path, bare_database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    code, states = await findings(tmp_path, bare_database.installer_dsn, capsys)
    assert (code, states["rights"]) == (0, "missing")
