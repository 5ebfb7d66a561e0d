"""Every rule's own examples, and what a bad rule file gets."""

from pathlib import Path

import pytest

from proxy.data_files import data_path
from proxy.errors import ConfigError
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.rules import Example, Rule, RuleSet, read_rules

RULES = RuleSet.load()
ALL = ErrorClassifier(RULES)


def _examples(key: str) -> list[object]:
    return [
        pytest.param(rule, example, id=f"{rule.id}-{number}")
        for rule in RULES.rules
        for number, example in enumerate(getattr(rule, key))
    ]


@pytest.mark.parametrize(("rule", "example"), _examples("must"))
def test_what_must_match_matches_and_is_not_shadowed(rule: Rule, example: Example) -> None:
    alone = ErrorClassifier(RuleSet.build([rule])).classify(example.failure())
    together = ALL.classify(example.failure())
    if rule.tier == "noise":
        assert alone.noise
        assert together.noise
        return
    assert alone.rule == rule.id
    assert together.category is rule.category, together.rule


@pytest.mark.parametrize(("rule", "example"), _examples("must_not"))
def test_what_must_not_match_does_not(rule: Rule, example: Example) -> None:
    found = ErrorClassifier(RuleSet.build([rule])).classify(example.failure())
    assert found.rule != rule.id
    assert not found.noise


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    return path


GOOD = """
[[rule]]
id = "shop.oversold"
tier = "framework"
category = "API_SCHEMA"
severity = "low"
text = ["deadlock detected"]
must = ["ERROR: deadlock detected"]
"""


def test_the_founders_rule_comes_before_ours(tmp_path: Path) -> None:
    failure = Example("ERROR: deadlock detected").failure()
    assert ALL.classify(failure).category == "DB_ERROR"
    mine = ErrorClassifier(RuleSet.load(_file(tmp_path, GOOD))).classify(failure)
    assert (mine.rule, mine.category, mine.severity) == ("shop.oversold", "API_SCHEMA", "low")


def test_a_folder_of_rules_is_read_in_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text(GOOD.replace("shop.oversold", "second"))
    (tmp_path / "a.toml").write_text(GOOD.replace("shop.oversold", "first"))
    assert [rule.id for rule in RuleSet.load(tmp_path).rules[:2]] == ["first", "second"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('category = "API_SCHEMA"', 'category = "OOPS"'), "OOPS"),
        (('tier = "framework"', 'tier = "top"'), "top"),
        (('severity = "low"', 'severity = "awful"'), "severity"),
        (('text = ["deadlock detected"]', "text = 5"), "text"),
        (('text = ["deadlock detected"]', 'text = ["(a|b)"]'), "whole word"),
        (('text = ["deadlock detected"]', ""), "looks at nothing"),
        (('must = ["ERROR: deadlock detected"]', ""), "example"),
        (("severity", "sevrity"), "sevrity"),
        (('category = "API_SCHEMA"', 'category = "UNKNOWN"'), "reason"),
    ],
)
def test_a_bad_rule_is_named_with_its_fix(
    tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    path = _file(tmp_path, GOOD.replace(*change))
    with pytest.raises(ConfigError) as caught:
        RuleSet.load(path)
    assert "shop.oversold" in str(caught.value)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        RuleSet.load(_file(tmp_path, "[[rule"))
    with pytest.raises(ConfigError, match="cannot be read"):
        RuleSet.load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="twice"):
        RuleSet.load(_file(tmp_path, GOOD + GOOD))


def test_every_shipped_file_opens_with_its_reason() -> None:
    for path in sorted(data_path("config", "rules").glob("*.toml")):
        assert path.read_text("utf-8").startswith("# "), path
        assert read_rules(path)
