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
