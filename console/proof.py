"""What the sandbox proved, in plain words: the same lines for the command line and the review
screen. Pure."""

from console.format import Line, ms, seconds
from proxy.contract.patches import (
    CommandRun,
    ConfidenceView,
    PatchView,
    ReplayRun,
    RiskView,
    SandboxEvidence,
)

OUTPUT_LINES = 12
"""Of a failed test run, the last lines; the whole output is in ``--json``."""


def mark(value: bool | None) -> tuple[str, str]:
    """``✓ ok``, ``✗ bad``, ``○`` for what was not tried."""
    if value is None:
        return "○", "dim"
    return ("✓", "ok") if value else ("✗", "bad")


def _answer(run: ReplayRun) -> str:
    if not run.ran:
        return f"not replayed ({run.reason or 'no reason given'})"
    word = {True: "failed again", False: "answered well", None: "answered"}[run.failed]
    if run.failed and run.same_signature is False:
        word = "failed in another way"
    status = f"{run.status} " if run.status is not None else ""
    took = f", {ms(run.duration_ms)}" if run.duration_ms is not None else ""
    return f"{status}{word}{took}"


def _tests(run: CommandRun) -> str:
    if not run.ran:
        return f"not run ({run.reason or 'no reason given'})"
    word = "passed" if run.ok else f"failed (exit {run.exit_code})"
    return f"{word} in {seconds(run.duration_s)}" if run.duration_s is not None else word


def _fact(value: bool | None, yes: str, no: str) -> Line:
    sign, look = mark(value)
    return [(f"{sign} ", look), (yes if value else no, "")]


def evidence_lines(patch: PatchView, *, by: str = "S") -> list[Line]:
    """The three proofs, both replays, both test runs, what speaks against it, the verdict.
    ``by`` is the key or the command that brings a proof."""
    evidence = patch.evidence
    if evidence is None:
        return [[("○ ", "dim"), (f"not proven yet: {by} runs it in the sandbox", "dim")]]
    lines: list[Line] = [
        _fact(evidence.applies, "the patch applies to its base", "the patch does not apply"),
        _fact(
            evidence.reproduced,
            "reproduced: the failure came back without the patch",
            "not reproduced: without the patch nothing failed",
        ),
        _fact(evidence.fixed, "fixed: with the patch it is gone", "not fixed"),
        _fact(
            evidence.changed,
            "changed: the answer is another one",
            "unchanged: the answer is the same as before",
        ),
        [("replay before  ", "dim"), (_answer(evidence.replay_before), "")],
        [("replay after   ", "dim"), (_answer(evidence.replay_after), "")],
        [("tests before   ", "dim"), (_tests(evidence.tests_before), "")],
        [("tests after    ", "dim"), (_tests(evidence.tests_after), "")],
    ]
    lines.extend(against_lines(evidence))
    return lines


def against_lines(evidence: SandboxEvidence) -> list[Line]:
    """Evidence against always has its own line, also when there is none."""
    if not evidence.against:
        word = "none found" if evidence.passed else "the verdict above"
        return [[("against        ", "dim"), (word, "dim")]]
    return [[("✗ against: ", "bad"), (text, "")] for text in evidence.against]


def verdict_line(evidence: SandboxEvidence) -> Line:
    word, look = ("PASSED", "ok") if evidence.passed else ("FAILED", "bad")
    return [(f"{word}: ", look), (evidence.verdict, "")]


def summary(patch: PatchView) -> str:
    """One line: ``✓reproduced ✓fixed ✓tests``."""
    evidence = patch.evidence
    if evidence is None:
        return "○ no sandbox run yet"
    tests = evidence.tests_after.ok if evidence.tests_after.ran else None
    parts = (("reproduced", evidence.reproduced), ("fixed", evidence.fixed), ("tests", tests))
    return " ".join(f"{mark(value)[0]}{word}" for word, value in parts)


def risk_lines(risk: RiskView) -> list[Line]:
    """The level, and what it is made of: the heaviest of the reasons is the score."""
    look = {"critical": "crit", "high": "high", "medium": "medium"}.get(risk.level, "ok")
    head: Line = [("risk ", "dim"), (f"{risk.level} ({risk.score}/100)", look)]
    if risk.reasons:
        head.append((", the heaviest of:", "dim"))
    return [head, *([("  · " + reason, "")] for reason in risk.reasons)]


def confidence_lines(confidence: ConfidenceView) -> list[Line]:
    """Whose number it is, and its terms: nobody claims it."""
    if confidence.score is None:
        return [[("confidence ", "dim"), ("none yet: the sandbox run makes it", "dim")]]
    terms = confidence.reasons or ["its terms were not kept by the version that computed it"]
    return [
        [("confidence ", "dim"), (f"{confidence.score:.2f}", ""), (", by the sandbox run:", "dim")],
        *([("  · " + term, "")] for term in terms),
    ]


def failed_output(evidence: SandboxEvidence) -> list[str]:
    """The last lines of the tests that failed with the patch."""
    run = evidence.tests_after
    if not run.ran or run.ok:
        return []
    return run.output.rstrip().split("\n")[-OUTPUT_LINES:]
