"""The founder's rules: they match, they tighten, and nothing in them can loosen."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data_files import data_path
from proxy.domain.approval import ItemType
from proxy.domain.failure import Category, Severity
from proxy.errors import ConfigError, Invalid
from proxy.founder.control import (
    FounderControlConfig,
    Subject,
    import_file,
    load,
    parse_rules,
    read_rules,
)
from proxy.store import control as control_store
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase

LOOSENING: list[Any] = [
    {"rules": [{"name": "x", "effect": "allow"}]},
    {"rules": [{"name": "x", "effect": "force_risk"}]},
    {"rules": [{"name": "x", "effect": "forbid", "risk": "low"}]},
    {"rules": [{"name": "x", "effect": "forbid", "hours": "25:00-26:00"}]},
    {"rules": [{"effect": "forbid"}]},
    {"thresholds": {"auto_risk_max": 20}},
    {"gates": {"main": "auto"}},
    [],
]
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
SUBJECT = Subject(
    ItemType.PATCH_MAIN, Category.DB_ERROR, "/pay/{id}", ("billing/tax.py", "a.py"), "agent-7"
)


def config(*rules: dict[str, object]) -> FounderControlConfig:
    return FounderControlConfig(parse_rules({"rules": list(rules)}))


def test_the_shipped_file_is_valid_and_has_no_rule() -> None:
    assert read_rules(data_path("config", "control.toml")).rules == ()


@pytest.mark.parametrize(
    "condition",
    [
        {"items": ["patch_main"]},
        {"categories": ["DB_ERROR"]},
        {"routes": ["/pay/*"]},
        {"paths": ["billing/**"]},
        {"authors": ["agent-*"]},
        {"hours": "11:00-13:00"},
        {"hours": "23:00-12:01"},
        {},
    ],
)
def test_a_rule_matches_what_it_names(condition: dict[str, object]) -> None:
    rule = {"name": "stop", "effect": "forbid", **condition}
    assert config(rule).judge(SUBJECT, Severity.LOW, NOON).forbidden_by == "stop"


@pytest.mark.parametrize(
    "condition",
    [
        {"items": ["patch_sandbox"]},
        {"categories": ["UI_BUG"]},
        {"routes": ["/refund/*"]},
        {"paths": ["billing/*.sql"]},
        {"authors": ["grace"]},
        {"hours": "12:01-13:00"},
        {"hours": "13:00-11:00"},
        {"paths": ["billing/**"], "authors": ["grace"]},
    ],
)
def test_every_condition_must_hold(condition: dict[str, object]) -> None:
    rule = {"name": "stop", "effect": "forbid", **condition}
    assert config(rule).judge(SUBJECT, Severity.LOW, NOON).forbidden_by is None


@given(st.lists(st.sampled_from(list(Severity)), max_size=4), st.sampled_from(list(Severity)))
def test_no_rules_ever_lower_a_risk(forced: list[Severity], risk: Severity) -> None:
    rules: list[dict[str, object]] = [
        {"name": f"r{n}", "effect": "force_risk", "risk": level.value}
        for n, level in enumerate(forced)
    ]
    firing = config(*rules).judge(SUBJECT, risk, NOON)
    assert firing.risk.rank == max([risk.rank, *(level.rank for level in forced)])
    assert firing.fired == tuple(f"r{n}" for n in range(len(forced)))


@pytest.mark.parametrize("rules", LOOSENING)
def test_what_would_loosen_or_is_no_rule_is_refused(rules: object) -> None:
    with pytest.raises(Invalid):
        parse_rules(rules)


async def test_a_file_is_imported_once_and_again_when_it_changes(
    proxy_pool: asyncpg.Pool, tmp_path: Path
) -> None:
    file = tmp_path / "control.toml"
    file.write_text("[thresholds]\nauto_risk_max = 5\n")
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert (await load(conn)).version == 0
        assert await import_file(conn, file) == 1
        assert await import_file(conn, file) is None
        file.write_text("[thresholds]\nauto_risk_max = 4\n")
        assert await import_file(conn, file) == 2
        loaded = await load(conn)
    assert (loaded.version, loaded.auto_risk_max) == (2, 4)


async def test_a_version_nobody_can_read_forbids_the_automatic(
    database: TestDatabase, proxy_pool: asyncpg.Pool
) -> None:
    """The database takes no such version; one that came another way makes nothing automatic."""
    with pytest.raises(Invalid):
        async with acting(proxy_pool, AS_PROXY) as conn:
            await control_store.put_control(conn, {"rules": "?"}, based_on=0, reason="broken")
    installer = await database.connect_installer()
    await installer.execute("alter table control_versions disable trigger guard")
    await installer.execute(
        "insert into control_versions (version, rules, reason, changed_by, changed_role)"
        " values (1, '{\"rules\": \"?\"}', 'broken', 'x', 'x')"
    )
    await installer.close()
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert (await load(conn)).auto_risk_max == 0


@pytest.mark.parametrize(
    "rules", [*LOOSENING, {"cases": []}, {"thresholds": {"auto_risk_max": -1}}]
)
async def test_the_database_takes_no_rules_that_loosen(
    proxy_pool: asyncpg.Pool, rules: dict[str, object]
) -> None:
    """The second fence: past our own reading of the rules, straight into the table."""
    if isinstance(rules, list) or rules == LOOSENING[3]:
        return  # no object at all is another check; hours are no matter of loosening
    with pytest.raises(Invalid, match="cannot be taken"):
        async with acting(proxy_pool, AS_PROXY) as conn:
            await control_store.put_control(conn, rules, based_on=0, reason="mine")


def test_what_is_critical_is_never_muted_and_an_assignment_names_a_member() -> None:
    quiet = config({"name": "quiet", "effect": "mute"})
    told = Subject(None, Category.UI_BUG, "/x")
    assert quiet.judge(told, Severity.HIGH, NOON).muted_by == "quiet"
    assert quiet.judge(told, Severity.CRITICAL, NOON).muted_by is None
    mine = config({"name": "mine", "effect": "assign", "to": "bob", "routes": ["/pay/*"]})
    assert mine.judge(SUBJECT, Severity.LOW, NOON).assigned_to == "bob"
    for rule in (
        {"effect": "assign"},
        {"effect": "mute", "to": "bob"},
        {"effect": "assign", "to": "B"},
    ):
        with pytest.raises(Invalid):
            parse_rules({"rules": [{"name": "x", **rule}]})


def test_a_broken_file_is_a_clear_sentence(tmp_path: Path) -> None:
    file = tmp_path / "control.toml"
    for text in ("[", "x = 1"):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"control\.toml"):
            read_rules(file)
    with pytest.raises(ConfigError, match="no such file"):
        read_rules(tmp_path / "none.toml")
