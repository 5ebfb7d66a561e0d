from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from proxy.contract import words
from proxy.contract.approvals import ApprovalDecision, ApprovalRequest
from proxy.contract.base import parse_id, show_id
from proxy.contract.jobs import JobStatusRequest, JobView
from proxy.contract.patches import AttachPatchRequest, DeedRequest
from proxy.domain.approval import ApprovalStatus, ItemType
from proxy.domain.failure import Category, Severity
from proxy.domain.job import JobStatus
from proxy.domain.patch import PatchStatus, PatchType

DIGEST = "ab" * 32


@pytest.mark.parametrize("text", ["J-12", "j-12", "12", " J-12 "])
def test_paths_accept_both_forms_of_an_id(text: str) -> None:
    assert parse_id(text, "J") == 12


@pytest.mark.parametrize(
    "text", ["P-12", "J-0", "J-", "-1", "1.0", "J-1;", "١", "J-" + "9" * 19, ""]
)
def test_what_is_no_job_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="J-1 or 1"):
        parse_id(text, "J")


@given(st.integers(min_value=1, max_value=10**17))
def test_an_id_shown_is_an_id_read(number: int) -> None:
    assert parse_id(show_id("P", number), "P") == number


@pytest.mark.parametrize(
    ("words", "domain"),
    [
        (words.CategoryWord, Category),
        (words.SeverityWord, Severity),
        (words.JobStatusWord, JobStatus),
        (words.PatchStatusWord, PatchStatus),
        (words.PatchTypeWord, PatchType),
        (words.ItemTypeWord, ItemType),
        (words.ApprovalStatusWord, ApprovalStatus),
    ],
)
def test_contract_and_domain_say_the_same_words(words: Any, domain: Any) -> None:
    assert list(get_args(words)) == [member.value for member in domain]


def decision(**changed: Any) -> dict[str, Any]:
    return {"decision": "approve", "digest": DIGEST, "idempotency_key": "key-00001", **changed}


def test_a_decision_names_what_it_decides() -> None:
    assert ApprovalDecision(**decision()).interactive
    for wrong in (
        decision(digest="AB" * 32),
        decision(digest="ab"),
        decision(decision="yes"),
        decision(idempotency_key="short"),
        decision(idempotency_key="with blank in"),
        decision(approved_by="me"),
    ):
        with pytest.raises(ValidationError):
            ApprovalDecision(**wrong)


def test_nobody_can_ask_for_a_patch_gate_by_hand() -> None:
    assert ApprovalRequest(item_type="email", summary="s").risk_score == 0
    for wrong in (
        {"item_type": "patch_main", "summary": "s"},
        {"item_type": "patch_sandbox", "summary": "s"},
        {"item_type": "email", "summary": ""},
        {"item_type": "email", "summary": "s", "risk_score": 101},
    ):
        with pytest.raises(ValidationError):
            ApprovalRequest(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_a_person_sets_no_status_that_belongs_to_a_proof() -> None:
    for status in ("approved", "applied", "resolved", "sandboxed", "patch_proposed"):
        with pytest.raises(ValidationError):
            JobStatusRequest(status=status)  # type: ignore[arg-type]  # wrong on purpose


def test_requests_refuse_what_they_do_not_know_and_answers_ignore_it() -> None:
    with pytest.raises(ValidationError):
        DeedRequest(digest=DIGEST, idempotency_key="key-00001", force=True)  # type: ignore[call-arg]  # wrong on purpose
    with pytest.raises(ValidationError):
        AttachPatchRequest(base_commit="HEAD; rm -rf /")
    known = {
        "id": "J-1",
        "service": "app",
        "method": None,
        "route": None,
        "category": "UNKNOWN",
        "severity": "low",
        "status": "open",
        "occurrences": 1,
        "first_seen": "2026-01-01T00:00:00Z",
        "last_seen": "2026-01-01T00:00:00Z",
        "signature": "v1:00",
        "signature_text": "",
        "rule": "none",
        "evidence": [],
        "regression": False,
        "noise": False,
    }
    assert JobView.model_validate({**known, "new_in_a_later_version": 1}).id == "J-1"
