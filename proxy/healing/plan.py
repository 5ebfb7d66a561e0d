"""What happens next to a patch and to its job: pure functions, asked again after every step.

Nothing is applied without gate ``main``'s approval of exactly this digest and evidence, a passed
sandbox and the founder's own order. A rollback is looked at first: nothing that holds back new
risk may hold back the way home. Knows neither database nor git.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from proxy.domain.approval import Approval, ApprovalStatus, ItemType
from proxy.domain.failure import Severity
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import LIVE_PATCH_STATUSES, Patch, PatchStatus

Gate = Literal["sandbox", "main"]
DeedWord = Literal["sandbox", "apply", "rollback", "break_glass"]


@dataclass(frozen=True, slots=True)
class Order:
    """A founder's deed that waits to be carried out."""

    id: int
    kind: DeedWord
    digest: str
    evidence_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """Everything besides job, patch and approvals that the next step depends on."""

    orders: Sequence[Order] = ()
    no_sandbox: str | None = None
    """Why patched code may not be run here; None when it may."""
    weighed: bool = True
    """False for a patch that reached the table without passing the sidecar's checks."""
    glass_broken: bool = False
    """The founder let exactly this digest past gate ``main`` without a proof."""
    auto_sandbox: bool = False
    """Policy may pass gate ``sandbox`` for low risk."""
    paused: bool = False
    """No new risk; a rollback goes on."""
    on_main: bool = False
    """MAIN contains the proven commit (branch mode: somebody merged the pull request)."""
    branch_mode: bool = False
    requests_since_applied: int = 0
    verify_s: float = 60.0


# --- steps ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do now; ``reason`` says for what."""

    reason: str


@dataclass(frozen=True, slots=True)
class Weigh:
    """Check and weigh a proposal that came past the sidecar."""


@dataclass(frozen=True, slots=True)
class AskApproval:
    gate: Gate


@dataclass(frozen=True, slots=True)
class AnswerByPolicy:
    approval_id: int


@dataclass(frozen=True, slots=True)
class RunSandbox:
    """``order_id`` is the deed this run carries out, None for an approval without one."""

    order_id: int | None
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Apply:
    order_id: int


@dataclass(frozen=True, slots=True)
class RollBack:
    order_id: int


@dataclass(frozen=True, slots=True)
class FinishOrder:
    """The work was done, only the tick behind the order is missing, or it can never be done."""

    order_id: int
    ok: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Verify:
    """The signature stayed silent under traffic: verified, and the job resolved."""


@dataclass(frozen=True, slots=True)
class SettleJob:
    """The founder's own connection moved the patch; its job has to follow."""


@dataclass(frozen=True, slots=True)
class Supersede:
    """Nobody wants this patch any more; ``reason`` says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Regress:
    """The signature fired again after the patch was applied."""


Step = (
    Wait
    | Weigh
    | AskApproval
    | AnswerByPolicy
    | RunSandbox
    | Apply
    | RollBack
    | FinishOrder
    | Verify
    | SettleJob
    | Supersede
    | Regress
)

_P = PatchStatus
_ON_MAIN = frozenset({_P.APPLIED, _P.VERIFIED, _P.REGRESSED})
_BEFORE_APPROVED = frozenset({JobStatus.OPEN, JobStatus.PATCH_PROPOSED, JobStatus.SANDBOXED})
_SANDBOXABLE = frozenset({_P.PROPOSED, _P.SANDBOX_PASSED, _P.SANDBOX_FAILED})


def next_step(
    job: Job, patch: Patch, approvals: Sequence[Approval], control: Control, now: datetime
) -> Step:
    """The one next step of ``patch``; the healer performs it, stores it and asks again."""
    for order in control.orders:
        if (step := _carry_out(order, job, patch, approvals, control)) is not None:
            return step
    if job.status is JobStatus.CLOSED and patch.status in LIVE_PATCH_STATUSES:
        return Supersede(f"J-{job.id} was closed")
    match patch.status:
        case _P.PROPOSED:
            return _proposed(patch, approvals, control)
        case _P.SANDBOX_RUNNING:
            return RunSandbox(_order_id(control, "sandbox"), resumed=True)
        case _P.SANDBOX_PASSED:
            return _passed(patch, approvals)
        case _P.APPLIED | _P.VERIFIED:
            return _watched(job, patch, control, now)
        case _P.APPROVED:
            if job.status in _BEFORE_APPROVED:
                return SettleJob()
            return Wait("the founder has not ordered to apply it")
        case _P.SANDBOX_FAILED:
            return Wait("the sandbox spoke against it")
        case _P.REGRESSED:
            return Wait("it regressed; a rollback is the founder's to order")
        case _P.ROLLED_BACK | _P.REJECTED | _P.SUPERSEDED:
            return Wait("its way is over")


def _carry_out(
    order: Order, job: Job, patch: Patch, approvals: Sequence[Approval], control: Control
) -> Step | None:
    if order.digest != patch.digest:
        return FinishOrder(order.id, False, "the patch is not what the order names")
    match order.kind:
        case "rollback":
            if patch.status in _ON_MAIN:
                return RollBack(order.id)
            return FinishOrder(order.id, patch.status is _P.ROLLED_BACK, f"it is {patch.status}")
        case "apply":
            return _apply(order, patch, approvals, control)
        case "sandbox":
            return _run(order, patch, control)
        case "break_glass":
            return None


def _apply(
    order: Order, patch: Patch, approvals: Sequence[Approval], control: Control
) -> Step | None:
    if patch.status in _ON_MAIN:
        return FinishOrder(order.id, True, f"P-{patch.id} is applied")
    may_pass = control.glass_broken or gate_passed("main", patch, approvals)
    if patch.status is not _P.APPROVED or not may_pass:
        return FinishOrder(order.id, False, "gate main has not passed for this digest")
    if order.evidence_digest != patch.evidence_digest:
        return FinishOrder(order.id, False, "the evidence is not what the order names")
    if control.paused:
        return Wait("paused: nothing new reaches MAIN")
    return Apply(order.id)


def _run(order: Order, patch: Patch, control: Control) -> Step | None:
    if patch.status is _P.SANDBOX_RUNNING:
        return RunSandbox(order.id, resumed=True)
    if patch.status not in _SANDBOXABLE:
        return FinishOrder(order.id, False, f"a patch that is {patch.status} is not run again")
    if not control.weighed:
        return Weigh()
    if control.no_sandbox is not None:
        return FinishOrder(order.id, False, control.no_sandbox)
    if control.paused:
        return Wait("paused: nothing new is run")
    return RunSandbox(order.id)


def _proposed(patch: Patch, approvals: Sequence[Approval], control: Control) -> Step:
    if not control.weighed:
        return Weigh()
    request = newest(ItemType.PATCH_SANDBOX, patch, approvals)
    if request is None:
        return AskApproval("sandbox")
    if gate_passed("sandbox", patch, approvals):
        if control.no_sandbox is not None:
            return Wait(control.no_sandbox)
        return Wait("paused") if control.paused else RunSandbox(None)
    if request.status is ApprovalStatus.PENDING and control.auto_sandbox and _is_low(patch):
        return AnswerByPolicy(request.id)
    return Wait(f"gate sandbox: A-{request.id} is {request.status}")


def _passed(patch: Patch, approvals: Sequence[Approval]) -> Step:
    request = newest(ItemType.PATCH_MAIN, patch, approvals)
    if request is None or request.evidence_digest != patch.evidence_digest:
        return AskApproval("main")
    return Wait(f"gate main: A-{request.id} is {request.status}")


def _watched(job: Job, patch: Patch, control: Control, now: datetime) -> Step:
    if fired_again(job):
        return Regress()
    if patch.status is _P.VERIFIED:
        return Wait("verified")
    if job.applied_at is None or now < job.applied_at + timedelta(seconds=control.verify_s):
        return Wait("watched: not silent for long enough yet")
    if control.requests_since_applied < 1:
        return Wait("watched: no traffic on its route since")
    return Verify()


def fired_again(job: Job) -> bool:
    """Recording a failure newer than the fix reopens a job as a regression; that is the sign."""
    return job.regression and job.status not in (JobStatus.APPLIED, JobStatus.RESOLVED)


def gate_passed(gate: Gate, patch: Patch, approvals: Sequence[Approval]) -> bool:
    """An approved request for exactly this digest; at gate main for exactly this evidence, by the
    founder.
    """
    item = ItemType.PATCH_SANDBOX if gate == "sandbox" else ItemType.PATCH_MAIN
    for approval in approvals:
        decision = approval.decision
        if (
            approval.item_type is item
            and approval.patch_id == patch.id
            and approval.status is ApprovalStatus.APPROVED
            and approval.digest == patch.digest
            and decision is not None
            and decision.decision == "approve"
            and (
                gate == "sandbox"
                or (
                    decision.actor_role == "founder"
                    and patch.evidence_digest is not None
                    and approval.evidence_digest == patch.evidence_digest
                )
            )
        ):
            return True
    return False


def newest(item: ItemType, patch: Patch, approvals: Sequence[Approval]) -> Approval | None:
    """The latest request of this kind for exactly this digest, void ones left out."""
    found = [
        a
        for a in approvals
        if a.item_type is item
        and a.patch_id == patch.id
        and a.digest == patch.digest
        and a.status is not ApprovalStatus.VOID
    ]
    return max(found, key=lambda a: a.id, default=None)


def _is_low(patch: Patch) -> bool:
    return patch.risk.level is Severity.LOW


def _order_id(control: Control, kind: DeedWord) -> int | None:
    return next((order.id for order in control.orders if order.kind == kind), None)


# --- the job --------------------------------------------------------------------------------------

_LADDER = (JobStatus.OPEN, JobStatus.PATCH_PROPOSED, JobStatus.SANDBOXED, JobStatus.APPROVED)
_RUNG: dict[PatchStatus, int] = {
    _P.PROPOSED: 1,
    _P.SANDBOX_RUNNING: 1,
    _P.SANDBOX_FAILED: 1,
    _P.SANDBOX_PASSED: 2,
    _P.APPROVED: 3,
}


@dataclass(frozen=True, slots=True)
class JobMove:
    """Statuses to walk through, one step each; empty when the job stands where it should."""

    path: tuple[JobStatus, ...] = field(default_factory=tuple)


def job_move(job: Job, patches: Sequence[Patch]) -> JobMove:
    """Where the job belongs by its best live patch. ``applied`` and beyond are stepped by deeds
    alone, and what a person closed or snoozed stays so.
    """
    if job.status not in _LADDER:
        return JobMove()
    want = max((_RUNG.get(p.status, 0) for p in patches), default=0)
    have = _LADDER.index(job.status)
    if want > have:
        return JobMove(_LADDER[have + 1 : want + 1])
    if want < have:
        return JobMove((_LADDER[want],))
    return JobMove()
