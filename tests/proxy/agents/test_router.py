"""The orchestrator on facts: right agent, right citations, no unnamed job, no hidden outage."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.agents.intents import Intent
from proxy.agents.router import OrchestratorRouter
from proxy.agents.twin import trend
from proxy.clock import ManualClock
from proxy.contract.ask import AskAnswer
from proxy.domain.approval import ItemType
from proxy.domain.failure import Category, Classification, Evidence, Severity, Signature
from proxy.domain.job import JobStatus
from proxy.domain.patch import PatchStatus, Risk
from tests.support.agent_facts import NOW, MemoryFacts, make_approval, make_job, make_patch

EVIDENCE = {
    "verdict": "reproduced and fixed",
    "reproduced": True,
    "fixed": True,
    "changed": True,
    "against": ["no test covers the change"],
}


def router(facts: MemoryFacts) -> OrchestratorRouter:
    return OrchestratorRouter(facts, clock=ManualClock(NOW.timestamp()))


def whole() -> MemoryFacts:
    return MemoryFacts(
        jobs=[
            make_job(1),
            make_job(2, severity=Severity.CRITICAL, category=Category.RLS_VIOLATION, occurrences=2),
            make_job(
                3, severity=Severity.LOW, category=Category.UNKNOWN, reason="no words of its own"
            ),
        ],
        patches=[
            make_patch(1, 1, status=PatchStatus.SANDBOX_PASSED, evidence=EVIDENCE),
            make_patch(2, 1, status=PatchStatus.SANDBOX_FAILED),
            make_patch(3, 3),
        ],
        approvals=[make_approval(4), make_approval(5, item_type=ItemType.PATCH_MAIN, patch_id=1)],
    )


def cited(answer: AskAnswer) -> set[str]:
    return {citation.id for citation in answer.citations}


def named(answer: AskAnswer) -> Iterator[str]:
    """Every id in the prose; ids inside commands and hints are checked by being suggestions."""
    prose = re.sub(r"`[^`]*`", "", answer.answer)
    yield from re.findall(r"\b[JPA]-\d+\b", prose)


async def test_whats_broken_names_the_worst_first_with_evidence() -> None:
    answer = await router(whole()).ask("What's broken?")
    assert answer.intent == "diagnose_system_issue"
    lines = answer.answer.splitlines()
    assert lines[2].startswith("J-2 critical RLS_VIOLATION")
    assert "Evidence for J-2" in answer.answer
    assert cited(answer) >= {"J-1", "J-2", "J-3"}
    assert answer.model is None


async def test_list_counts_by_severity_and_filters() -> None:
    answer = await router(whole()).ask("list_self_healing_jobs")
    assert answer.answer.startswith("3 open jobs: 1 critical, 1 high, 1 low.")
    answer = await router(whole()).ask("critical issues")
    assert cited(answer) == {"J-2"}


async def test_explain_patch_says_what_the_sandbox_saw_and_what_to_do() -> None:
    answer = await router(whole()).ask("explain P-1")
    assert answer.intent == "explain_patch"
    assert "reproduced and fixed" in answer.answer
    assert "Against P-1: no test covers the change" in answer.answer
    assert {"P-1", "J-1"} <= cited(answer)
    assert "selfheal diff P-1" in answer.suggested


async def test_explain_patch_without_a_run_says_that_nothing_is_proven() -> None:
    answer = await router(whole()).ask("explain P-3")
    assert "P-3 has not been in the sandbox" in answer.answer


async def test_next_orders_the_deeds() -> None:
    facts = whole()
    facts.patches += [
        make_patch(7, 2, status=PatchStatus.REGRESSED, risk=Risk(80, Severity.CRITICAL)),
        make_patch(8, 2, status=PatchStatus.APPROVED),
    ]
    answer = await router(facts).ask("what do I do next?")
    steps = [line for line in answer.answer.splitlines() if re.match(r"\d\.", line)]
    assert [re.search(r"P-\d", step)[0] for step in steps] == ["P-7", "P-8", "P-1", "P-3", "P-2"]  # type: ignore[index]  # each has one
    assert answer.suggested[0] == "selfheal rollback P-7"
    assert answer.answer.splitlines()[-1] == "1 more after these."


async def test_next_with_nothing_to_do_says_so() -> None:
    answer = await router(MemoryFacts()).ask("what do I do next?")
    assert answer.answer.startswith("Nothing waits for you")
    assert answer.citations == []


async def test_a_job_without_a_patch_is_a_next_step() -> None:
    answer = await router(MemoryFacts(jobs=[make_job(9)])).ask("next")
    assert "selfheal attach J-9 --diff FILE" in answer.suggested


async def test_a_job_whose_incident_is_over_comes_last_and_may_be_closed() -> None:
    jobs = [make_job(1, severity=Severity.CRITICAL), make_job(2, severity=Severity.LOW)]
    answer = await router(MemoryFacts(jobs=jobs, over_jobs=frozenset({1}))).ask("next")
    assert answer.suggested[:2] == ["selfheal attach J-2 --diff FILE", "selfheal close J-1"]
    assert "J-1 has no patch, and its incident is over" in answer.answer


async def test_phill_decides_nothing() -> None:
    answer = await router(whole()).ask("approve P-1 now, do it")
    assert answer.intent == "guide_approval"
    assert answer.answer.startswith("I cannot decide")
    assert "selfheal approve P-1" in answer.suggested


async def test_unknown_numbers_are_said() -> None:
    facts = whole()
    for text in ("show J-99", "explain P-99", "approve A-99", "fix J-99"):
        answer = await router(facts).ask(text)
        assert "There is no" in answer.answer, text


async def test_classify_uses_the_classifier_it_was_given() -> None:
    facts = whole()
    facts.classification = Classification(
        Category.DB_ERROR,
        Severity.HIGH,
        "db.relation-missing",
        Signature("v1:aabbccdd"),
        "relation missing",
        (Evidence("db.relation-missing", "message", "does not exist"),),
    )
    answer = await router(facts).ask("classify: relation users does not exist")
    assert answer.answer.startswith("DB_ERROR, severity high")


async def test_unknown_category_gives_its_reason() -> None:
    answer = await router(whole()).ask("show J-3")
    assert "J-3 has no category because no words of its own" in answer.answer


@pytest.mark.parametrize(
    "text",
    ["what's broken?", "open issues", "show J-1", "explain P-1", "next", "digest", "fix J-1"],
)
async def test_a_database_that_is_away_is_said_not_hidden(text: str) -> None:
    facts = whole()
    facts.away = True
    answer = await router(facts).ask(text)
    assert "out of reach" in answer.answer


async def test_hostile_text_never_reaches_a_terminal_as_it_is() -> None:
    bad = "\x1b]52;c;aGk=\x07\u202eevil\nnew line\x9b"
    facts = MemoryFacts(
        jobs=[make_job(1, signature_text=bad, evidence=(bad,), route="/" + bad, rule=bad)],
        patches=[
            make_patch(
                1,
                1,
                description=bad,
                files_changed=(bad,),
                created_by=bad,
                risk=Risk(1, Severity.LOW, (bad,)),
                evidence={"verdict": bad, "against": [bad]},
            )
        ],
        approvals=[make_approval(1, summary=bad)],
    )
    for text in ("what's broken", "open issues", "show J-1", "explain P-1", "guide A-1", "digest"):
        answer = await router(facts).ask(text)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", answer.answer), text
        assert "new line" not in [line.strip() for line in answer.answer.splitlines()], text


async def test_digest_compares_with_the_time_before() -> None:
    week = timedelta(days=7)
    facts = whole()
    facts.jobs = [
        *(make_job(n, first_seen=NOW - timedelta(days=1)) for n in (1, 2, 3, 4)),
        make_job(5, first_seen=NOW - week - timedelta(days=1)),
        make_job(6, noise=True),
        make_job(7, first_seen=NOW - 3 * week, status=JobStatus.RESOLVED, resolved_at=NOW),
        make_job(8, first_seen=NOW - 3 * week, regression=True),
    ]
    answer = await router(facts).ask("digest")
    assert answer.answer.startswith(
        "In the last 7 days: 4 new jobs, 1 in the 7 days before (rising)."
    )
    assert "Resolved: 1 (J-7)." in answer.answer
    assert "Came back after a fix: J-8." in answer.answer
    assert "proven in the sandbox, not on MAIN yet: P-1 for J-1." in answer.answer
    assert "J-6" not in answer.answer
    daily = await router(facts).ask("daily digest")
    assert daily.answer.startswith("In the last day:")


@pytest.mark.parametrize(
    ("now", "before", "word"),
    [(1, 0, "steady"), (5, 1, "rising"), (1, 5, "falling"), (20, 22, "steady")],
)
def test_trend(now: int, before: int, word: str) -> None:
    assert trend(now, before) == word


@given(
    st.sampled_from(
        ["what's broken", "open issues", "show J-1", "show J-2", "explain P-1", "explain P-2 P-3",
         "fix J-1", "next", "guide A-4 P-1", "digest", "system health"]
    ),
    st.sampled_from(list(PatchStatus)),
    st.sampled_from(list(JobStatus)),
)  # fmt: skip
async def test_every_id_in_the_prose_is_cited(
    text: str, patch_status: PatchStatus, job_status: JobStatus
) -> None:
    facts = whole()
    facts.patches[0] = replace(facts.patches[0], status=patch_status)
    facts.jobs[0] = replace(facts.jobs[0], status=job_status)
    answer = await router(facts).ask(text)
    assert answer.intent in set(Intent)
    known = cited(answer)
    assert set(named(answer)) <= known
