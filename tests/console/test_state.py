"""The reducer, by values."""

from dataclasses import replace

import pytest

from console import state as world
from console.filters import parse_job_filter
from console.news import Alive, Failed, Got, Lost, Opened, Received, Refused
from console.state import EVERYTHING, PROBLEMS_MAX, State, reduce
from proxy.contract.events import Event
from proxy.contract.jobs import JobDetail, JobPage
from tests.support import console_facts as facts


def event(kind: str, subject: str = "J-1") -> Received:
    return Received(Event.model_validate({"kind": kind, "subject": subject, "at": facts.NOW}))


def page(*numbers: int) -> Got:
    jobs = [facts.job(n, last_seen=facts.ago(10 * n)) for n in numbers]
    return Got("jobs", JobPage(jobs=jobs, total=len(jobs), all=9))


def ids(state: State) -> list[str]:
    return [job.id for job in state.jobs]


def test_connection_through_its_life() -> None:
    state = State()
    assert world.connection_badge(state, 0) == ("○ connecting", "dim")
    assert "not connected" in str(world.why_not_act(state, 0))
    state = reduce(state, Opened(gap=False), 1)
    assert (state.due, state.resynced) == (EVERYTHING, 0)
    assert world.why_not_act(state, 10.9) is None
    assert world.why_not_act(state, 11.1) == "data is 10 s old; wait until the badge says live"
    assert world.connection_badge(state, 15)[0] == "◐ stale 14s"
    state = reduce(state, Alive(), 15)
    assert world.connection_badge(state, 16) == ("● live", "ok")
    state = reduce(state, Lost("gone", 4.0), 17)
    assert world.connection_badge(state, 18)[0] == "○ offline, again in 3s"
    assert state.connection.heard_at == 15, "the last sign of life is kept"
    assert reduce(state, Opened(gap=True), 19).resynced == 1


def test_a_refused_token_stays_refused() -> None:
    state = reduce(State(), Refused("unknown"), 1)
    assert reduce(state, Alive(), 2).connection.kind == "refused"
    assert "refused" in str(world.why_not_act(state, 2))
    assert state.problems[-1].reason == "unknown"


def test_read_only_wins() -> None:
    state = reduce(State(read_only=True), Opened(gap=False), 1)
    assert "read-only" in str(world.why_not_act(state, 1))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("job", {("jobs", ""), ("health", ""), ("alerts", "")}),
        ("patch", {("jobs", ""), ("approvals", ""), ("alerts", "")}),
        ("approval", {("approvals", ""), ("alerts", ""), ("audit", "")}),
        ("anomaly", {("health", ""), ("routes", "")}),
        ("health", {("health", ""), ("routes", "")}),
        ("audit", {("audit", "")}),
        ("resync", set(EVERYTHING)),
    ],
)
def test_events_only_mark(kind: str, wanted: set[tuple[str, str]]) -> None:
    state = reduce(State(), event(kind), 1)
    due, after = world.taken_due(state)
    assert set(due) == wanted
    assert not after.due
    assert not state.jobs


def test_an_event_marks_what_is_on_the_screen() -> None:
    detail = JobDetail(job=facts.job(1), patches=[facts.patch(1)])
    state = reduce(State(), Got("job", detail), 1)
    assert ("job", "J-1") in reduce(state, event("job"), 2).due
    assert ("patch", "P-1") in reduce(state, event("patch", "P-1"), 2).due
    assert ("patch", "P-1") in reduce(state, event("approval", "A-1"), 2).due
    assert ("job", "J-2") not in reduce(state, event("job", "J-2"), 2).due


def test_rows_hold_still_and_take_new_values() -> None:
    state = reduce(State(), page(1, 2, 3), 1)
    assert ids(state) == ["J-1", "J-2", "J-3"]
    newer = [facts.job(3, last_seen=facts.NOW, occurrences=999), facts.job(4, last_seen=facts.NOW)]
    held = reduce(state, Got("jobs", JobPage(jobs=newer, total=2, all=9)), 2, hold=True)
    assert ids(held) == ["J-1", "J-2", "J-3"]
    assert (held.jobs[2].occurrences, world.waiting_rows(held)) == (999, 1)
    settled = world.settle(held)
    assert (ids(settled), world.waiting_rows(settled)) == (["J-3", "J-4"], 0)


@pytest.mark.parametrize(
    ("sort", "descending", "first"),
    [
        ("last seen", True, "J-1"),
        ("last seen", False, "J-4"),
        ("severity", True, "J-2"),
        ("times", True, "J-3"),
        ("route", False, "J-4"),
    ],
)
def test_sorting(sort: str, descending: bool, first: str) -> None:
    state = replace(State(), jobs=tuple(facts.jobs()))
    assert world.resort(state, sort, descending=descending).jobs[0].id == first


def test_a_new_patch_replaces_the_old_one_everywhere() -> None:
    state = reduce(State(), Got("job", JobDetail(job=facts.job(1), patches=[facts.patch(1)])), 1)
    state = reduce(state, Got("patch", facts.patch(1, status="applied")), 2)
    assert state.patches["P-1"].status == "applied"
    assert state.details["J-1"].patches[0].status == "applied"


def test_problems_count_and_are_bounded() -> None:
    state = State()
    for n in range(3):
        state = reduce(state, Failed("jobs", "away"), n)
    assert [(p.reason, p.times) for p in state.problems] == [("away", 3)]
    for n in range(PROBLEMS_MAX + 50):
        state = reduce(state, Failed("jobs", f"away {n}"), n)
    assert len(state.problems) == PROBLEMS_MAX
    assert "jobs" not in reduce(state, page(1), 1).failed


def test_seen_hunks_belong_to_a_digest() -> None:
    state = world.mark_seen(State(), "a", frozenset({0}))
    state = world.mark_seen(state, "a", frozenset({1}))
    assert state.seen == {"a": frozenset({0, 1})}
    assert "b" not in state.seen


def test_what_needs_you_comes_riskiest_first() -> None:
    items = (
        facts.approval(1, "patch_sandbox", patch=1),
        facts.approval(2, "campaign", risk="critical"),
        facts.approval(3, "patch_main", patch=1),
        facts.approval(4, "claim", status="approved"),
    )
    found = world.needs_you(replace(State(), approvals=items, jobs=(facts.job(1),)))
    assert [(word, item.id) for word, _, item in found] == [
        ("REVIEW", "A-3"),
        ("DECIDE", "A-2"),
        ("TEST", "A-1"),
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "1234"),
        ("sev>=high", "12"),
        ("sev:med", "3"),
        ("cat:db", "2"),
        ("status:snoozed", "4"),
        ("checkout post", "1"),
        ("sev:nonsense", ""),
        ("J-3", "3"),
    ],
)
def test_filters(text: str, wanted: str) -> None:
    state = replace(State(), jobs=tuple(facts.jobs()))
    found = world.shown_jobs(state, parse_job_filter(text))
    assert "".join(job.id[2:] for job in found) == wanted
