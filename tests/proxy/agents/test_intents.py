"""Phrases people type, and the intent each means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.agents.intents import Intent, understand
from proxy.domain.failure import Category, Severity

PHRASES = [
    ("diagnose_system_issue", Intent.DIAGNOSE),
    ("What's broken?", Intent.DIAGNOSE),
    ("whats broken", Intent.DIAGNOSE),
    ("What\u2019s wrong with it?!", Intent.DIAGNOSE),
    ("is anything failing", Intent.DIAGNOSE),
    ("Why are orders so slow?", Intent.DIAGNOSE),
    ("list_self_healing_jobs", Intent.LIST_JOBS),
    ("open issues", Intent.LIST_JOBS),
    ("pending issues", Intent.LIST_JOBS),
    ("critical issues", Intent.LIST_JOBS),
    ("show me all the jobs please", Intent.LIST_JOBS),
    ("/jobs", Intent.LIST_JOBS),
    ("get_job_details J-4", Intent.JOB_DETAILS),
    ("show J-12", Intent.JOB_DETAILS),
    ("j-3?", Intent.JOB_DETAILS),
    ("tell me about job 3", Intent.JOB_DETAILS),
    ("explain J-1", Intent.JOB_DETAILS),
    ("system health", Intent.HEALTH),
    ("get_health_summary", Intent.HEALTH),
    ("how are we doing?", Intent.HEALTH),
    ("classify: relation users does not exist", Intent.CLASSIFY),
    ("classify_error TypeError: x is undefined", Intent.CLASSIFY),
    ("propose_patch", Intent.PROPOSE),
    ("can you fix J-1?", Intent.PROPOSE),
    ("propose a patch for J-2", Intent.PROPOSE),
    ("explain P-1", Intent.EXPLAIN_PATCH),
    ("why did p-2 fail", Intent.EXPLAIN_PATCH),
    ("explain patch 3", Intent.EXPLAIN_PATCH),
    ("what do I do next?", Intent.NEXT),
    ("What next", Intent.NEXT),
    ("what waits for me", Intent.NEXT),
    ("next", Intent.NEXT),
    ("approve P-1", Intent.GUIDE),
    ("how do I reject A-4", Intent.GUIDE),
    ("please roll back", Intent.GUIDE),
    ("digest", Intent.DIGEST),
    ("weekly report", Intent.DIGEST),
    ("the weather in Oslo", Intent.UNKNOWN),
    ("", Intent.UNKNOWN),
]


@pytest.mark.parametrize(("text", "intent"), PHRASES)
def test_a_phrase_means_its_intent(text: str, intent: Intent) -> None:
    assert understand(text).intent is intent


def test_ids_are_read_in_every_spelling_and_once() -> None:
    asked = understand("compare J-1, j 2 and job #3 with P-4, patch-4 and A-5")
    assert (asked.jobs, asked.patches, asked.approvals) == ((1, 2, 3), (4,), (5,))


def test_words_that_only_look_like_ids_are_none() -> None:
    asked = understand("open issues about XJ-1, J-0 and j-")
    assert asked.jobs == ()
    assert asked.intent is Intent.LIST_JOBS


def test_filters_are_read() -> None:
    assert understand("critical issues").severity is Severity.CRITICAL
    assert understand("show open rls jobs").category is Category.RLS_VIOLATION


def test_the_text_to_classify_stays_untouched() -> None:
    assert understand("classify: ERROR P-1 “Next”?").rest == "ERROR P-1 “Next”?"


@given(st.text(max_size=6000))
def test_any_text_has_an_intent(text: str) -> None:
    assert understand(text).intent in Intent
