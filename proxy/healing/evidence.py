"""From what the jail saw to what the founder is shown. Pure: runs in, one evidence document out.

Passing is narrow on purpose: the failing request failed before, does not fail after, and the tests
did not get worse. Everything that weakens the proof is listed as evidence against the patch.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from proxy.contract.patches import CommandRun, ReplayRun, SandboxEvidence
from proxy.domain.failure import Category, Failure
from proxy.healing.extract import Redacting
from proxy.healing.jail import JailResult
from proxy.healing.replay import Answer, Judge, Replayed, as_failure
from proxy.visible import visible as shown

OUTPUT_CHARS_MAX = 8192
EXCERPT_CHARS_MAX = 2000
_VOLATILE = re.compile(r"[0-9a-fA-F]{6,}|\d+")


def visible(text: str, limit: int = OUTPUT_CHARS_MAX) -> str:
    """The last ``limit`` characters, with everything a terminal might obey made visible."""
    return shown(text[-limit:])[-limit:]


# --- one side ---------------------------------------------------------------------------------


def is_failure(answer: Answer, original: Failure, category: Category) -> bool:
    """Whether this answer would count as the app failing, for a job of ``category``."""
    if answer.status is None or answer.status >= 500 or answer.in_circle:
        return True
    if category is Category.PERFORMANCE and (limit := slow_from(original)):
        return answer.duration_ms > limit
    recorded = original.status or original.response_status
    return recorded is not None and 400 <= recorded < 500 and answer.status == recorded


def slow_from(original: Failure) -> float | None:
    """Milliseconds above which an answer counts as slow again: half-way, as ratios go, between the
    route's budget and what was seen, because the jail is neither as idle nor as busy as production.
    """
    budget, seen = original.latency_budget_ms, original.latency_ms
    if not budget:
        return None
    return math.sqrt(budget * seen) if seen and seen > budget else budget


def best(answers: Sequence[Answer]) -> Answer:
    """The quickest of several tries: the first one pays for a cold start."""
    return min(answers, key=lambda a: a.duration_ms)


def replay_run(
    replayed: Replayed,
    original: Failure | None,
    category: Category,
    signature: str,
    judge: Judge,
    redactor: Redacting,
) -> ReplayRun:
    """One replay in words of the contract. ``same_signature`` is None where nothing can tell."""
    if not replayed.answers or original is None:
        return ReplayRun(ran=False, reason=visible(replayed.reason or "nothing to replay", 600),
                         excerpt=visible(replayed.log, EXCERPT_CHARS_MAX))  # fmt: skip
    answer = best(replayed.answers)
    failed = is_failure(answer, original, category)
    same: bool | None = False if not failed else None
    if failed:
        # after a merge, or under newer rules, the original itself no longer has the job's signature
        same = judge(as_failure(original, answer, redactor)) in (signature, judge(original))
        if not same and _seen_elsewhere(original):
            # its signature was read from a stack or a browser, which an answer does not carry
            same = None
    return ReplayRun(
        ran=True,
        status=answer.status,
        failed=failed,
        same_signature=same,
        duration_ms=round(answer.duration_ms, 1),
        excerpt=visible(answer.text or answer.error, EXCERPT_CHARS_MAX),
    )


def _seen_elsewhere(original: Failure) -> bool:
    return original.origin not in ("proxy", "detector")


def command_run(result: JailResult) -> CommandRun:
    text = result.output.decode("utf-8", "replace")
    return CommandRun(
        ran=True,
        ok=result.exit_code == 0,
        exit_code=result.exit_code,
        duration_s=round(result.duration_s, 3),
        output=visible(text),
        reason="stopped: it took too long" if result.timed_out else None,
    )


def differs(before: Replayed, after: Replayed) -> bool:
    """Whether the patch changed the answer, not counting what changes from one try to the next."""
    if not before.answers or not after.answers:
        return False
    seen_before = {_essence(a, fold=False) for a in before.answers}
    seen_after = {_essence(a, fold=False) for a in after.answers}
    if len(seen_before) == 1 and len(before.answers) > 1 and len(seen_after) == 1:
        return seen_before != seen_after
    return not ({_essence(a, fold=True) for a in before.answers}
                & {_essence(a, fold=True) for a in after.answers})  # fmt: skip


def _essence(answer: Answer, *, fold: bool) -> tuple[object, ...]:
    text = _VOLATILE.sub("#", answer.text) if fold else answer.text
    return answer.status, text, tuple(answer.chain), bool(answer.error)


# --- the whole --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything one run brought, before it is weighed."""

    digest: str
    base_commit: str
    head_commit: str | None
    branch: str | None
    started_at: datetime
    duration_s: float
    replay_before: ReplayRun
    replay_after: ReplayRun
    tests_before: CommandRun
    tests_after: CommandRun
    answer_changed: bool = False
    refusal: str | None = None
    """Why the patch could not be applied at all."""
    redacted: tuple[str, ...] = ()
    edited_tests: tuple[str, ...] = ()
    dirtied: tuple[str, ...] = ()
    """Tracked files the tests themselves rewrote."""


def weigh(seen: Seen) -> SandboxEvidence:
    """The evidence document, its verdict and everything that speaks against the patch."""
    applies = seen.refusal is None
    before, after = seen.replay_before, seen.replay_after
    reproduced = bool(before.ran and before.failed and before.same_signature is not False)
    fixed = bool(reproduced and after.ran and after.failed is False)
    changed = bool(seen.answer_changed or (before.failed != after.failed and after.ran))
    worse = tests_worse(seen.tests_before, seen.tests_after)
    passed = applies and fixed and not worse
    return SandboxEvidence(
        digest=seen.digest,
        base_commit=seen.base_commit,
        head_commit=seen.head_commit,
        branch=seen.branch,
        applies=applies,
        replay_before=before,
        replay_after=after,
        tests_before=seen.tests_before,
        tests_after=seen.tests_after,
        reproduced=reproduced,
        fixed=fixed,
        changed=changed and after.ran and before.ran,
        passed=passed,
        verdict=_verdict(seen, reproduced, fixed, changed, worse),
        against=_against(seen, reproduced, worse),
        started_at=seen.started_at,
        duration_s=round(seen.duration_s, 3),
    )


def tests_worse(before: CommandRun, after: CommandRun) -> bool:
    """They passed before and do not now, or cannot even be run any more."""
    if not before.ran:
        return False
    return bool(before.ok) and not (after.ran and after.ok)


def _verdict(seen: Seen, reproduced: bool, fixed: bool, changed: bool, worse: bool) -> str:
    if seen.refusal is not None:
        return f"Refused: {seen.refusal}"
    before, after = seen.replay_before, seen.replay_after
    if not before.ran:
        return f"Not proven: {before.reason}"
    if not reproduced:
        what = "failed in another way" if before.failed else f"answered {before.status}"
        return f"Not reproduced: on the base commit the request {what}, so nothing is proven"
    if not after.ran:
        return f"Not fixed: with the patch the app gave no answer: {after.reason}"
    if not fixed and not changed:
        return f"Changes nothing: the same failing answer ({after.status}) before and after"
    if not fixed:
        how = "the same way" if after.same_signature else "in another way"
        return f"Not fixed: with the patch the request still fails {how} ({after.status})"
    if worse:
        return "Fixes the request but breaks tests that passed before"
    tests = "tests still pass" if seen.tests_after.ok else "no test proves more"
    return f"Reproduced before ({before.status}), gone after ({after.status}); {tests}"


def _against(seen: Seen, reproduced: bool, worse: bool) -> list[str]:
    tests_before, tests_after = seen.tests_before, seen.tests_after
    doubts = (
        (not reproduced, "the failure was not reproduced on the base commit"),
        (reproduced and seen.replay_before.same_signature is None,
         "the failure was seen outside HTTP; the replay could only match its status"),
        (bool(seen.redacted), f"replayed without redacted values: {', '.join(seen.redacted[:8])}"),
        (worse, "tests that passed before the patch fail with it"),
        (not tests_before.ran, f"no tests ran: {tests_before.reason}"),
        (tests_before.ran and not tests_before.ok, "the tests failed before the patch already"),
        (tests_after.ran and not tests_after.ok and not worse, "the tests fail with the patch"),
        (bool(seen.edited_tests),
         "the patch edits the tests that judge it; the base commit's were used: "
         + ", ".join(seen.edited_tests[:8])),
        (bool(seen.dirtied), f"the tests rewrote tracked files: {', '.join(seen.dirtied[:8])}"),
    )  # fmt: skip
    return [visible(text, 600) for holds, text in doubts if holds]


def confidence(evidence: SandboxEvidence) -> tuple[float, list[str]]:
    """0-0.9, computed and never asked of a model: applies < tests pass < reproduced and fixed. The
    reasons are all the terms, those that gave nothing as well.

    Capped when the failure was not reproduced, no test ran or the patch edits tests: passing tests
    is no proof (7.8 % of plausible patches fail the full developer tests, arXiv 2503.15223).
    """
    if not evidence.applies:
        return 0.0, ["it does not apply"]
    before, after, tests = evidence.replay_before, evidence.replay_after, evidence.tests_after
    terms = (
        (0.2, True, "it applies", ""),
        (0.2, bool(tests.ok), "the tests pass with it",
         "the tests fail with it" if tests.ran else "no tests ran"),
        (0.15, evidence.reproduced, f"without it the failure came back{_told(before)}",
         "without it the failure did not come back"),
        (0.35, evidence.fixed, f"with it the failing request works{_told(after)}",
         "no failing request is known to work with it"),
    )  # fmt: skip
    score, reasons = 0.0, []
    for worth, holds, said, said_not in terms:
        score += worth if holds else 0.0
        reasons.append(f"{said} (+{worth:.2f})" if holds else f"{said_not} (+0 of {worth:.2f})")
    caps = (
        (not evidence.reproduced, 0.4, "the failure was not reproduced"),
        (evidence.reproduced and not evidence.fixed, 0.2, "the request still fails"),
        (not evidence.tests_after.ran, 0.7, "no test covers it"),
        (tests_worse(evidence.tests_before, evidence.tests_after), 0.1, "it breaks tests"),
        (any("edits the tests" in a for a in evidence.against), 0.6, "it edits the tests"),
    )
    for holds, cap, reason in caps:
        if holds and score > cap:
            score, reasons = cap, [*reasons, f"at most {cap:.2f}, because {reason}"]
    return round(score, 2), reasons


def _told(run: ReplayRun) -> str:
    took = "" if run.duration_ms is None else f" in {run.duration_ms:.0f} ms"
    return "" if run.status is None else f": {run.status}{took}"
