"""The rules on examples, through the command line."""

import json
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.data_files import data_path

RULES = """
[thresholds]
auto_risk_max = 5
[[rules]]
name = "money"
effect = "force_risk"
risk = "critical"
paths = ["billing/**"]
[[rules]]
name = "nights"
effect = "forbid"
hours = "22:00-06:00"
[[rules]]
name = "bob's"
effect = "assign"
to = "bob"
routes = ["/pay/*"]
"""
HOLD = """
[[cases]]
name = "billing at noon"
item = "patch_main"
files = ["billing/tax.py"]
at = 2026-01-01T12:00:00Z
expect = { risk = "critical", forbidden_by = "", fired = ["money"] }
[[cases]]
name = "at night, by somebody's clock"
item = "patch_main"
at = 2026-01-01T00:30:00+01:00
expect = { forbidden_by = "nights", assigned_to = "" }
[[cases]]
name = "paying"
route = "/pay/{id}"
risk = "medium"
at = 2026-01-01T12:00:00
expect = { assigned_to = "bob", risk = "medium" }
"""
FAILS = """
[[cases]]
name = "wishful"
files = ["billing/tax.py"]
at = 2026-01-01T12:00:00Z
expect = { risk = "low", fired = [] }
"""


def write(tmp_path: Path, name: str, text: str) -> str:
    file = tmp_path / name
    file.write_text(text)
    return str(file)


def test_cases_beside_the_rules_or_in_a_file_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = write(tmp_path, "both.toml", RULES + HOLD)
    assert main(["config", "check", both, "--cases"]) == 0
    assert "3 rules, 3 of 3 cases hold" in capsys.readouterr().out
    rules, cases = write(tmp_path, "r.toml", RULES), write(tmp_path, "c.toml", HOLD + FAILS)
    assert main(["config", "check", rules, "--cases", cases, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["rules"]) == (False, 3)
    assert [case["ok"] for case in told["cases"]] == [True, True, True, False]
    assert told["cases"][3]["wrong"] == [
        "fired is [money], not []",
        "risk is 'critical', not 'low'",
    ]
    assert main(["config", "check", rules]) == 0, "without --cases the rules alone are read"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RULES, "no [[cases]]"),
        (RULES + "[[cases]]\nname = 'x'\n", "case 1: expect"),
        (RULES + "[[cases]]\nname = 'x'\nexpect = { allowed = true }\n", "expect.allowed"),
        ("[[rules]]\nname = 'x'\neffect = 'permit'\n" + HOLD, "effect"),
        ("cases = 3\n", "[[cases]]"),
    ],
)
def test_what_cannot_be_tried_is_a_clear_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    file = write(tmp_path, "control.toml", text)
    assert main(["config", "check", file, "--cases"]) == 78
    assert said in capsys.readouterr().err


def test_settings_are_still_settings(tmp_path: Path) -> None:
    assert main(["config", "check", str(data_path("config", "proxy.toml"))]) == 0
    assert (
        main(["config", "check", write(tmp_path, "x.toml", "[founder]\napproval_days = 0\n")]) == 78
    )
