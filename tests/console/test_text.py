"""Pure text: cuts, ages, bars, columns, diffs, plans and the words for a proof."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import format as text
from console.columns import Column, heading, layout, row
from console.deeds import (
    CannotDo,
    Plan,
    plan_apply,
    plan_approve,
    plan_item,
    plan_reject,
    plan_rollback,
    plan_sandbox,
)
from console.difftext import FILE_LINES_MAX, draw, fold, parse_diff
from console.frame import foot, header
from console.keys import KEYS, Where
from console.proof import confidence_lines, evidence_lines, risk_lines, summary
from console.state import State
from proxy.clock import ManualClock
from proxy.contract.patches import ConfidenceView, RiskView
from tests.support import console_facts as facts
from tests.support.console_server import proven

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=80)


@given(TEXT, st.integers(1, 60))
def test_cut_and_pad_keep_the_width(shown: str, width: int) -> None:
    assert text.cells(text.cut(shown, width)) <= width
    assert text.cells(text.pad(shown, width)) == width


@given(TEXT, st.integers(2, 60), st.integers(0, 70))
def test_wrap_loses_nothing_but_blanks(shown: str, width: int, hang: int) -> None:
    rows = text.wrap_line([(shown, "x")], width, hang=hang)
    assert all(text.cells(text.plain(r)) <= width for r in rows)
    kept = "".join(text.plain(r) for r in rows)
    assert "".join(kept.split()) == "".join(shown.split())
    assert "".join("".join(text.wrap(shown, width)).split()) == "".join(shown.split())


def test_small_words() -> None:
    assert [text.ms(v) for v in (None, 38, 1234, 250_000)] == ["–", "38 ms", "1.2 s", "250 s"]
    assert [text.percent(v) for v in (None, 0, 0.018, 0.5)] == ["–", "0%", "1.8%", "50%"]
    assert [text.seconds(v) for v in (1, 45, 600, 7200, 3e5)] == [
        "1.0 s",
        "45 s",
        "10 min",
        "2 h",
        "3 d",
    ]
    assert [text.age(facts.ago(s), facts.NOW) for s in (0, 12, 120, 7200, 9e4)] == [
        "now",
        "12s",
        "2m",
        "2h",
        "1d",
    ]
    assert [text.short_count(n) for n in (902, 12_345, 412_345, 4_100_000)] == [
        "902",
        "12.3k",
        "412k",
        "4.1M",
    ]
    assert text.cut_middle("/api/v1/customers/{id}/orders", 20) == "/api/v1/cust…/orders"
    assert text.bars([None, 0, 5, 10], 6, top=10) == "  ·▁▅█"
    assert text.environment_badge("production", short=True) == "[PROD]"


COLUMNS = (
    Column("id", "id", 6, leaves=1),
    Column("what", "what", 0, middle=True),
    Column("n", "×n", 4, right=True, leaves=2),
)


@pytest.mark.parametrize(
    ("width", "names"), [(40, ["id", "what", "n"]), (18, ["id", "what"]), (10, ["what"])]
)
def test_columns_leave_in_order(width: int, names: list[str]) -> None:
    places = layout(COLUMNS, width)
    assert [column.name for column, _ in places] == names
    cells = {"id": ("J-1", ""), "what": ("/a/very/long/route/{id}", ""), "n": ("12", "")}
    assert text.cells(text.plain(row(places, cells))) == width
    assert text.cells(heading(places)) == width


def test_diff_is_read_and_numbered() -> None:
    diff = parse_diff(facts.DIFF, "alter table a;\n")
    assert (diff.files, diff.hunks, diff.added, diff.removed) == (3, 4, 9, 3)
    changed = next(line for line in diff.lines if 'or "DE"' in line.text)
    assert changed.bold is not None
    assert changed.text[slice(*changed.bold)] == ' or "DE"'
    assert (changed.old, changed.new) == (None, 21)


@given(st.text("+- @\n\tab,1diff/gt\\", max_size=200), st.integers(1, 90))
def test_any_text_can_be_drawn_and_nothing_is_lost(diff: str, width: int) -> None:
    for line in parse_diff(diff).lines:
        shown = "".join(text.plain(r) for r in draw(line, width))
        for char in set(line.text) - {" ", "\t"}:
            assert char in shown


def test_a_huge_file_is_folded_and_can_be_opened() -> None:
    body = "".join(f"+line {n}\n" for n in range(FILE_LINES_MAX + 5))
    diff = parse_diff(
        f"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1,{FILE_LINES_MAX + 5} @@\n{body}"
    )
    folded = fold(diff)
    assert [line.kind for line in folded.lines] == ["file", "fold"]
    assert f"{FILE_LINES_MAX + 8} lines hidden" in folded.lines[1].text
    assert len(fold(diff, frozenset({0})).lines) == len(diff.lines)


def test_blanks_and_tabs_can_be_seen() -> None:
    diff = parse_diff("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\tb\n+a  \n")
    rows = [text.plain(r) for line in diff.lines[-2:] for r in draw(line, 40)]
    assert rows[0].endswith("- a→   b")
    assert rows[1].endswith("+ a··")


# --- plans --------------------------------------------------------------------------------------


def tier(plan: Plan | CannotDo) -> int:
    assert isinstance(plan, Plan), plan
    return plan.tier


def test_tiers() -> None:
    high = RiskView(score=45, level="high")
    medium = RiskView(score=25, level="medium")
    assert tier(plan_sandbox(facts.patch())) == 1
    assert tier(plan_sandbox(facts.patch(risk=medium))) == 2
    assert tier(plan_approve(proven(facts.patch(risk=medium)), "production")) == 2
    assert tier(plan_approve(proven(facts.patch(risk=high)), "production")) == 3
    assert tier(plan_reject(facts.patch())) == 2
    assert tier(plan_apply(facts.patch(status="approved"), "production")) == 3
    assert tier(plan_rollback(facts.patch(status="applied"), "production")) == 3
    assert tier(plan_item(facts.approval(1, risk="critical"), "approve", "")) == 3
    assert tier(plan_item(facts.approval(1, risk="critical"), "reject", "")) == 2


@pytest.mark.parametrize("status", ["proposed", "sandbox_running", "sandbox_failed", "rejected"])
def test_nothing_reaches_main_without_its_proof(status: str) -> None:
    patch = facts.patch(status=status)
    assert isinstance(plan_approve(patch, "production"), CannotDo)
    assert isinstance(plan_apply(patch, "production"), CannotDo)
    assert isinstance(plan_rollback(patch, "production"), CannotDo)


def test_an_approval_for_another_digest_is_none_of_this_patch() -> None:
    patch = proven(facts.patch()).model_copy(update={"digest": "e" * 64})
    assert isinstance(plan_approve(patch, "production"), CannotDo)


def test_apply_names_target_digest_traffic_and_undo() -> None:
    plan = plan_apply(facts.patch(status="approved"), "production", "about 6 % of traffic")
    assert isinstance(plan, Plan)
    words = "\n".join([plan.title, *plan.lines])
    for word in (
        "MAIN (PRODUCTION)",
        "P-1 of J-1",
        facts.digest("P-1")[:12],
        "6 %",
        "undo: rollback",
    ):
        assert word in words
    assert plan.typed == "1"


def test_proof_words() -> None:
    good, bad = proven(facts.patch()), proven(facts.patch(), passed=False)
    assert summary(good) == "✓reproduced ✓fixed ✓tests"
    assert summary(bad) == "✓reproduced ✗fixed ✗tests"
    assert summary(facts.patch()) == "○ no sandbox run yet"
    words = [text.plain(line) for line in evidence_lines(bad)]
    assert "✗ against: the replayed request fails with the same signature" in words
    assert "against        none found" in [text.plain(line) for line in evidence_lines(good)]


# --- frame --------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_header_and_footer_fit(width: int) -> None:
    state = State(health=facts.health(service="a-service-with-a-very-long-name" * 3))
    line = header(state, "review", "J-1 ▸ P-1", width, ManualClock())
    assert text.cells(text.plain(line)) == width
    for where in get_args(Where):
        shown = text.plain(foot(where, None, "", width))
        assert text.cells(shown) <= width
        assert "?" in shown


def test_no_two_keys_mean_two_things_on_one_screen() -> None:
    for where in ("health", "jobs", "review", "audit", "phill", "settings", "approvals"):
        names = [
            name
            for key in KEYS
            if where in key.where or "everywhere" in key.where
            for name in key.keys.split(",")
        ]
        assert len(names) == len(set(names)), where
    acting = {key.keys for key in KEYS if key.acts}
    assert acting == set("SARPZBMXKx")
    taken = {name for key in KEYS for name in key.keys.split(",")}
    assert not taken & {"ctrl+s", "ctrl+z", "ctrl+b", "ctrl+a", "y,n"}


def test_a_risk_and_a_confidence_stand_with_what_they_are_made_of() -> None:
    shown = [text.plain(line) for line in risk_lines(facts.patch().risk)]
    assert shown[0] == "risk low (5/100), the heaviest of:"
    assert shown[1] == "  · any change can be wrong (5)"
    assert shown[2].startswith("  · looked at: 2 files (")
    terms = ["it applies (+0.20)", "no tests ran (+0 of 0.20)"]
    made = [text.plain(line) for line in confidence_lines(ConfidenceView(score=0.2, reasons=terms))]
    assert made == ["confidence 0.20, by the sandbox run:", *(f"  · {term}" for term in terms)]


def test_a_number_without_its_terms_says_so() -> None:
    (before,) = confidence_lines(ConfidenceView())
    assert text.plain(before) == "confidence none yet: the sandbox run makes it"
    _, old = confidence_lines(ConfidenceView(score=0.9))
    assert "not kept" in text.plain(old)
