"""Whatever order things happen in: nothing is applied without gate main's yes to that digest and
evidence, a passed sandbox, and the founder's order.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.domain.approval import Approval, ApprovalStatus, Decision, ItemType
from proxy.domain.failure import Category, Severity
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import (
    LIVE_PATCH_STATUSES,
    Patch,
    PatchStatus,
    PatchType,
    Risk,
    patch_digest,
)
from proxy.healing import plan
from proxy.healing.plan import Control, JobMove, Order, job_move, next_step

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def job(status: JobStatus = JobStatus.OPEN, **more: Any) -> Job:
    made = Job(
        id=7, service="app", environment="production", method="GET", route="/", signature="v1:a",
        signature_text="", category=Category.UNKNOWN, severity=Severity.LOW, status=status,
        occurrences=1, first_seen=NOW, last_seen=NOW, rule="r",
    )  # fmt: skip
    return replace(made, **more)


def patch(status: PatchStatus = PatchStatus.PROPOSED, **more: Any) -> Patch:
    made = Patch(
        id=3, job_id=7, service="app", patch_type=PatchType.CODE, description="", status=status,
        digest=patch_digest("b", "d", None), created_by="ann", created_at=NOW, diff="d",
        base_commit="b", risk=Risk(5, Severity.LOW, ("small",)),
    )  # fmt: skip
    return replace(made, **more)


def approval(item: ItemType, status: ApprovalStatus, number: int = 1, **more: Any) -> Approval:
    made = Approval(
        id=number, service="app", item_type=item, status=status, summary="", patch_id=3,
        risk_level=Severity.LOW, created_by="x", created_at=NOW, expires_at=None,
        digest=patch().digest,
    )  # fmt: skip
    return replace(made, **more)


def yes(role: str = "founder") -> Decision:
    return Decision("approve", "ada", role, NOW)


APPROVED = ApprovalStatus.APPROVED
ORDER = Order(9, "apply", patch().digest, "e1")
GATE_MAIN = approval(ItemType.PATCH_MAIN, APPROVED, evidence_digest="e1", decision=yes())
READY = patch(PatchStatus.APPROVED, evidence_digest="e1")


def step(p: Patch, *asked: Approval, j: Job | None = None, **control: Any) -> plan.Step:
    return next_step(j or job(), p, asked, Control(**control), NOW)


def test_a_proposal_asks_for_gate_sandbox_and_waits() -> None:
    assert step(patch()) == plan.AskApproval("sandbox")
    pending = approval(ItemType.PATCH_SANDBOX, ApprovalStatus.PENDING)
    assert isinstance(step(patch(), pending), plan.Wait)
    assert step(patch(), pending, auto_sandbox=True) == plan.AnswerByPolicy(1)
    risky = patch(risk=Risk(40, Severity.HIGH))
    assert isinstance(step(risky, pending, auto_sandbox=True), plan.Wait)
    assert step(patch(), approval(ItemType.PATCH_SANDBOX, APPROVED, decision=yes("proxy"))) == (
        plan.RunSandbox(None)
    )


def test_expiry_and_rejection_mean_no() -> None:
    for status in (ApprovalStatus.EXPIRED, ApprovalStatus.REJECTED, ApprovalStatus.DEFERRED):
        asked = approval(ItemType.PATCH_SANDBOX, status)
        assert isinstance(step(patch(), asked, auto_sandbox=True), plan.Wait)


def test_without_a_jail_an_order_is_answered_with_the_reason() -> None:
    order = Order(9, "sandbox", patch().digest)
    told = step(patch(), orders=(order,), no_sandbox="install bubblewrap")
    assert told == plan.FinishOrder(9, False, "install bubblewrap")


def test_a_run_that_was_cut_off_is_resumed() -> None:
    order = Order(9, "sandbox", patch().digest)
    running = patch(PatchStatus.SANDBOX_RUNNING)
    assert step(running) == plan.RunSandbox(None, resumed=True)
    assert step(running, orders=(order,)) == plan.RunSandbox(9, resumed=True)


def test_apply_needs_everything_at_once() -> None:
    assert step(READY, GATE_MAIN, orders=(ORDER,)) == plan.Apply(9)
    assert step(READY, GATE_MAIN) == plan.SettleJob(), "the job follows its patch first"
    assert isinstance(step(READY, GATE_MAIN, j=job(JobStatus.APPROVED)), plan.Wait)
    for asked in (
        replace(GATE_MAIN, digest="other"),
        replace(GATE_MAIN, evidence_digest="e2"),
        replace(GATE_MAIN, decision=yes("admin")),
        replace(GATE_MAIN, decision=yes("proxy")),
        replace(GATE_MAIN, status=ApprovalStatus.VOID),
        replace(GATE_MAIN, item_type=ItemType.PATCH_SANDBOX),
        replace(GATE_MAIN, patch_id=4),
    ):
        told = step(READY, asked, orders=(ORDER,))
        assert isinstance(told, plan.FinishOrder)
        assert not told.ok
    for order in (replace(ORDER, digest="other"), replace(ORDER, evidence_digest="e2")):
        told = step(READY, GATE_MAIN, orders=(order,))
        assert isinstance(told, plan.FinishOrder)
        assert not told.ok


def test_a_pause_stops_new_risk_and_never_a_rollback() -> None:
    assert isinstance(step(READY, GATE_MAIN, orders=(ORDER,), paused=True), plan.Wait)
    back = Order(9, "rollback", patch().digest)
    for status in (PatchStatus.APPLIED, PatchStatus.VERIFIED, PatchStatus.REGRESSED):
        assert step(patch(status), orders=(back,), paused=True) == plan.RollBack(9)


def test_silence_counts_after_a_while_and_only_under_traffic() -> None:
    applied = patch(PatchStatus.APPLIED)
    watched = job(JobStatus.APPLIED, applied_at=NOW - timedelta(seconds=61))
    assert isinstance(step(applied, j=watched), plan.Wait)
    assert step(applied, j=watched, requests_since_applied=1) == plan.Verify()
    young = replace(watched, applied_at=NOW - timedelta(seconds=59))
    assert isinstance(step(applied, j=young, requests_since_applied=9), plan.Wait)


def test_firing_again_is_a_regression_before_and_after_verification() -> None:
    again = job(JobStatus.OPEN, regression=True)
    for status in (PatchStatus.APPLIED, PatchStatus.VERIFIED):
        assert step(patch(status), j=again) == plan.Regress()


def test_the_job_stands_where_its_best_patch_is() -> None:
    passed, failed = patch(PatchStatus.SANDBOX_PASSED), patch(PatchStatus.SANDBOX_FAILED)
    assert job_move(job(), [failed, passed]).path == (
        JobStatus.PATCH_PROPOSED, JobStatus.SANDBOXED,
    )  # fmt: skip
    assert job_move(job(JobStatus.SANDBOXED), [failed]).path == (JobStatus.PATCH_PROPOSED,)
    assert job_move(job(JobStatus.APPROVED), []).path == (JobStatus.OPEN,)
    for settled in (JobStatus.CLOSED, JobStatus.SNOOZED, JobStatus.RESOLVED, JobStatus.APPLIED):
        assert job_move(job(settled), [passed]) == JobMove()


class Story(RuleBasedStateMachine):
    """Founder, admin, policy, attacker and time act in any order; the plan is obeyed blindly."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = patch()
        self.asked: list[Approval] = []
        self.orders: list[Order] = []
        self.runs = 0
        self.moved = 0
        self.evidence_of_pass: str | None = None

    def _add(self, item: ItemType, **more: Any) -> None:
        number = len(self.asked) + 1
        self.asked.append(approval(item, ApprovalStatus.PENDING, number, **more))

    @rule(n=st.integers(0, 9), role=st.sampled_from(["founder", "admin", "proxy", "agent"]),
          status=st.sampled_from(list(ApprovalStatus)))  # fmt: skip
    def somebody_answers(self, n: int, role: str, status: ApprovalStatus) -> None:
        if n < len(self.asked):
            decision = yes(role) if status is APPROVED else None
            self.asked[n] = replace(self.asked[n], status=status, decision=decision)

    @rule(item=st.sampled_from([ItemType.PATCH_MAIN, ItemType.PATCH_SANDBOX]),
          digest=st.sampled_from([patch().digest, "other"]),
          evidence=st.sampled_from(["e1", "e2"]))  # fmt: skip
    def a_forged_request(self, item: ItemType, digest: str, evidence: str) -> None:
        self._add(item, digest=digest, evidence_digest=evidence)

    @rule(kind=st.sampled_from(["sandbox", "apply", "rollback"]),
          digest=st.sampled_from([patch().digest, "other"]),
          evidence=st.sampled_from([None, "e1", "e2"]))  # fmt: skip
    def an_order(self, kind: Any, digest: str, evidence: str | None) -> None:
        self.orders.append(Order(len(self.orders) + self.runs + 100, kind, digest, evidence))

    @precondition(lambda self: self.patch.status is PatchStatus.SANDBOX_PASSED)
    @rule()
    def the_founder_approves(self) -> None:
        if plan.gate_passed("main", self.patch, self.asked):
            self.patch = replace(self.patch, status=PatchStatus.APPROVED)

    @rule(passes=st.booleans(), auto=st.booleans(), paused=st.booleans())
    def the_healer_takes_its_step(self, passes: bool, auto: bool, paused: bool) -> None:
        control = Control(orders=tuple(self.orders), auto_sandbox=auto, paused=paused)
        told = next_step(job(), self.patch, self.asked, control, NOW)
        match told:
            case plan.AskApproval(gate):
                item = ItemType.PATCH_SANDBOX if gate == "sandbox" else ItemType.PATCH_MAIN
                evidence = self.patch.evidence_digest if gate == "main" else None
                self._add(item, evidence_digest=evidence)
            case plan.AnswerByPolicy(number):
                assert self.asked[number - 1].item_type is ItemType.PATCH_SANDBOX
                self.asked[number - 1] = replace(
                    self.asked[number - 1], status=APPROVED, decision=yes("proxy")
                )
            case plan.RunSandbox(order_id):
                self._ran(passes, order_id)
            case plan.Apply(order_id):
                self._applied(order_id)
            case plan.RollBack(order_id):
                self.patch = replace(self.patch, status=PatchStatus.ROLLED_BACK)
                self._done(order_id)
            case plan.FinishOrder(order_id):
                self._done(order_id)
            case _:
                pass

    def _ran(self, passes: bool, order_id: int | None) -> None:
        opened = plan.gate_passed("sandbox", self.patch, self.asked)
        ordered = any(o.id == order_id and o.digest == self.patch.digest for o in self.orders)
        assert opened or ordered, "run without gate sandbox"
        self.runs += 1
        evidence = f"e{self.runs % 2 + 1}"
        self.evidence_of_pass = evidence if passes else None
        status = PatchStatus.SANDBOX_PASSED if passes else PatchStatus.SANDBOX_FAILED
        self.patch = replace(self.patch, status=status, evidence_digest=evidence)
        self._done(order_id)

    def _applied(self, order_id: int) -> None:
        order = next(o for o in self.orders if o.id == order_id)
        assert order.kind == "apply"
        assert (order.digest, order.evidence_digest) == (
            self.patch.digest, self.patch.evidence_digest,
        )  # fmt: skip
        assert self.patch.status is PatchStatus.APPROVED
        assert self.evidence_of_pass == self.patch.evidence_digest, "no passed sandbox"
        assert any(
            a.item_type is ItemType.PATCH_MAIN and a.status is APPROVED
            and a.decision is not None and a.decision.actor_role == "founder"
            and a.digest == self.patch.digest and a.evidence_digest == self.patch.evidence_digest
            for a in self.asked
        )  # fmt: skip
        self.moved += 1
        self.patch = replace(self.patch, status=PatchStatus.APPLIED)
        self._done(order_id)

    def _done(self, order_id: int | None) -> None:
        self.orders = [o for o in self.orders if o.id != order_id]

    @invariant()
    def main_moves_at_most_once(self) -> None:
        assert self.moved <= 1


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_nobody_wants_the_patches_of_a_closed_job_but_an_order_given_is_carried_out() -> None:
    closed = job(JobStatus.CLOSED)
    for status in LIVE_PATCH_STATUSES:
        assert step(patch(status), j=closed) == plan.Supersede("J-7 was closed")
    assert step(patch(PatchStatus.APPLIED), j=closed) != plan.Supersede("J-7 was closed")
    # git may have moved already: half an order is worse than a whole one
    assert step(READY, GATE_MAIN, j=closed, orders=(ORDER,)) == plan.Apply(9)
