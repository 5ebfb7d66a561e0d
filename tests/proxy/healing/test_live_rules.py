"""The founder's rules come into force while everything runs, and a bad file changes nothing."""

import logging
import os
from pathlib import Path

import pytest

from proxy.healing.classifier import ErrorClassifier
from proxy.healing.live_rules import LiveRules, load_checked, stamp_of
from proxy.healing.rules import Example, RuleSet

OURS = RuleSet.load()
OVERSOLD = Example("OversoldError: stock level below zero for A-1").failure()
GOOD = """
[[rule]]
id = "shop.oversold"
category = "API_SCHEMA"
severity = "critical"
text = ["stock level below zero"]
must = ["OversoldError: stock level below zero for A-1"]
must_not = ["stock level is fine"]
"""


def write(file: Path, text: str, tick: int) -> None:
    file.write_text(text)
    os.utime(file, ns=(tick, tick))


async def test_a_changed_file_decides_from_the_next_look_on(tmp_path: Path) -> None:
    file, told = tmp_path / "own.toml", []
    classifier = ErrorClassifier(OURS)
    live = LiveRules(classifier, str(file), lambda: told.append(1))
    await live.look()
    assert classifier.classify(OVERSOLD).category == "UNKNOWN"
    write(file, GOOD, 1)
    await live.look()
    said = classifier.classify(OVERSOLD)
    assert (said.category, said.severity, said.rule) == ("API_SCHEMA", "critical", "shop.oversold")
    assert said.evidence[0].rule == "shop.oversold"
    await live.look()
    assert len(told) == 1
    write(file, GOOD.replace('"critical"', '"low"'), 2)
    await live.look()
    assert classifier.classify(OVERSOLD).severity == "low"
    live.path = ""
    await live.look()
    assert classifier.classify(OVERSOLD).category == "UNKNOWN"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("[[rule]", "not valid TOML"),
        (GOOD.replace("API_SCHEMA", "SHOP"), "'SHOP' is none of"),
        (GOOD.replace('["stock level is fine"]', '["stock level below zero"]'), "must not match"),
        (GOOD.replace('["stock level below zero"]', '["sold out"]'), "must match"),
    ],
)
async def test_a_bad_file_is_named_once_and_the_set_in_force_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bad: str, words: str
) -> None:
    write(tmp_path / "own.toml", GOOD, 1)
    classifier = ErrorClassifier(OURS)
    live = LiveRules(classifier, str(tmp_path))
    await live.look()
    write(tmp_path / "own.toml", bad, 2)
    with caplog.at_level(logging.ERROR, "selfheal.rules"):
        await live.look()
        await live.look()
    assert classifier.classify(OVERSOLD).rule == "shop.oversold"
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [words in record.getMessage() for record in errors] == [True]


def test_founders_rules_come_first_and_no_path_is_ours_alone(tmp_path: Path) -> None:
    write(tmp_path / "b.toml", GOOD, 1)
    write(tmp_path / "a.toml", GOOD.replace("shop.oversold", "shop.first"), 1)
    (tmp_path / "b.toml").unlink()
    assert load_checked(str(tmp_path)).rules[0].id == "shop.first"
    assert stamp_of("") == ()
    assert len(load_checked("").rules) == len(OURS.rules)
