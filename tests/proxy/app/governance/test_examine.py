"""The doctor's attacks on PostgreSQL 18 and 15, and what it says once a protection is gone."""

import argparse
import json
import random
from pathlib import Path

import pytest

from proxy.app.governance.examine import examine, governance
from proxy.app.governance.report import Attempt, Difference, Report, differences
from proxy.app.governance.sql_way import attack_by_sql
from proxy.app.governance.stage import open_stage
from proxy.errors import NotPermitted, SelfHealError
from proxy.store.attacks import attacks
from proxy.store.governance import standing
from proxy.store.pool import connect
from proxy.store.scratch import scratch_installation
from tests.support.campaign import IS_WHOLE, SEED
from tests.support.postgres import TestDatabase
from tests.support.protections import PROTECTIONS

SAMPLED = 40
"""Protections taken away in one run of `make test`; `make shows` takes each."""
GOOD = Attempt("agent", "sql", "try", "42501 grant", True, ("42501 grant",))


async def test_every_attack_fails_for_the_right_reason(each_database: TestDatabase) -> None:
    report = await examine(each_database.installer_dsn, schema=each_database.schema)
    assert not report.broken, [str(attempt) for attempt in report.broken]
    assert not report.differences, [str(difference) for difference in report.differences]
    assert report.good
    assert report.assurance == "full"
    ways = {attempt.way for attempt in report.attempts}
    assert ways == {"sql", "api", "state"}
    assert len({(a.way, a.attack) for a in report.attempts}) >= 200
    roles = {"founder", "admin", "agent", "viewer", "proxy", "removed", "stranger"}
    assert roles <= {attempt.role for attempt in report.attempts}
    await nothing_is_left(each_database)


async def nothing_is_left(db: TestDatabase) -> None:
    conn = await db.connect_installer()
    assert not await conn.fetch("select 1 from pg_database where datname like 'selfheal_doctor%'")
    assert not await conn.fetch("select 1 from pg_roles where rolname ~ '^g[0-9a-f]{8}_'")
    await conn.close()


@pytest.mark.campaign
async def test_each_protection_that_is_gone_is_named(each_database: TestDatabase) -> None:
    conn = await each_database.connect_installer()
    whole = (await standing(conn)).lines
    for protection in PROTECTIONS if IS_WHOLE else random.Random(SEED).sample(PROTECTIONS, SAMPLED):
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(protection.remove.replace("{sh}", "sh_"))
        found = differences(whole, (await standing(conn)).lines)
        await transaction.rollback()
        named = [str(difference) for difference in found]
        assert any(protection.named in line for line in named), (protection.remove, named)
        assert not Report((GOOD,), tuple(found)).good
    assert (await standing(conn)).lines == whole
    await conn.close()


async def test_what_a_protection_held_back_goes_through_without_it(database: TestDatabase) -> None:
    async with (
        scratch_installation(database.installer_dsn, schema=database.schema) as scratch,
        open_stage(scratch) as stage,
    ):
        conn = await connect(scratch.installer_dsn, schema=scratch.schema)
        titles = {attack.title for attack in attacks()}
        for protection in (p for p in PROTECTIONS if p.opens):
            assert protection.opens in titles
            await conn.execute(protection.remove.replace("{sh}", f"{scratch.prefix}sh_"))
            tried = [a async for a in attack_by_sql(stage, only=protection.opens) if not a.held]
            assert tried, protection
            await conn.execute(protection.back.replace("{sh}", f"{scratch.prefix}sh_"))
            tried = [a async for a in attack_by_sql(stage, only=protection.opens) if not a.held]
            assert not tried, (protection, tried)
        await conn.close()


async def test_a_role_that_nothing_holds_back_is_no_good_installation(
    database: TestDatabase,
) -> None:
    conn = await database.connect_installer()
    for change, said in (
        ("alter role sh_login_proxy superuser", "sh_login_proxy is a superuser"),
        ("alter role sh_login_proxy bypassrls", "sh_login_proxy steps over row-level security"),
        ("grant sh_owner to sh_login_proxy", "sh_login_proxy acts as the owner"),
        ("grant pg_write_all_data to sh_m_bot", "sh_m_bot is in pg_write_all_data"),
        ("alter schema selfheal owner to sh_login_proxy", "sh_login_proxy owns the schema"),
    ):
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(change)
        strong = (await standing(conn)).too_strong
        await transaction.rollback()
        assert said in " | ".join(strong), change
        assert not Report((GOOD,), (), strong).good
    assert (await standing(conn)).too_strong == ()
    await conn.close()


def arguments(tmp_path: Path, dsn: str) -> argparse.Namespace:
    return argparse.Namespace(config=None, database_url=dsn, data_dir=tmp_path, json=True, url=None)


async def test_the_command_says_it_all_and_exits_1(
    tmp_path: Path, database: TestDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    conn = await database.connect_installer()
    await conn.execute("drop trigger guard_gates on self_healing_patches")
    await conn.close()
    assert await governance(arguments(tmp_path, database.installer_dsn)) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["catalogue_equal"] is False
    assert told["assurance"] == "none"
    assert all(attack["held"] for attack in told["attacks"])
    assert set(told["attacks"][0]) == {"role", "way", "attack", "refused_by", "held"}
    assert [line for line in told["differences"] if "guard_gates" in line]


async def test_the_sidecars_own_login_cannot_examine(
    tmp_path: Path, database: TestDatabase
) -> None:
    with pytest.raises(NotPermitted, match="installer"):
        await governance(arguments(tmp_path, database.proxy_dsn))


async def test_an_empty_database_is_not_called_good(
    tmp_path: Path, bare_database: TestDatabase
) -> None:
    with pytest.raises(SelfHealError, match="selfheal migrate"):
        await governance(arguments(tmp_path, bare_database.installer_dsn))


def test_a_report_names_what_broke() -> None:
    broken = Attempt("agent", "api", "POST /x", "nothing", False, ("403 role_refused",))
    report = Report((GOOD, broken), (Difference("missing", "policy a.b"),), ("r is root",), ("t",))
    lines = "\n".join(report.as_lines())
    for said in ("POST /x: nothing, not 403 role_refused", "missing: policy a.b", "r is root"):
        assert said in lines
    assert report.as_json()["attacks"][1]["expected"] == ["403 role_refused"]
    assert Report((GOOD,), ()).assurance == "full"
    assert Report((GOOD,), (), (), ("a token lies here",)).assurance == "reduced"
