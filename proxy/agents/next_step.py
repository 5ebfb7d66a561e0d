"""What the founder should do next, from the facts alone: an ordered list of due deeds. Pure.

What already reached MAIN and went wrong comes first, then what waits at a gate, then what needs a
first move. Each deed names the plain command that does it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from proxy.domain.approval import Approval, ItemType
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import Patch, PatchStatus


@dataclass(frozen=True, slots=True)
class Due:
    """One deed that waits, and its command; ``{job} {patch} {approval}`` stand for cited ids."""

    why: str
    command: str
    job: int | None = None
    patch: int | None = None
    approval: int | None = None


_PATCH_DEEDS: tuple[tuple[PatchStatus, str, str], ...] = (
    (
        PatchStatus.REGRESSED,
        "{patch} for {job} is on MAIN and the failure came back; roll it back.",
        "selfheal rollback {patch}",
    ),
    (
        PatchStatus.APPROVED,
        "{patch} for {job} is approved but not on MAIN yet; applying is a deed of its own.",
        "selfheal apply {patch}",
    ),
    (
        PatchStatus.SANDBOX_PASSED,
        "{patch} for {job} passed its sandbox and waits for your yes or no; read the diff first.",
        "selfheal diff {patch}",
    ),
    (
        PatchStatus.PROPOSED,
        "{patch} for {job} is proposed and unproven; run it in the sandbox.",
        "selfheal sandbox {patch}",
    ),
    (
        PatchStatus.SANDBOX_FAILED,
        "{patch} for {job} failed its sandbox; reject it, or run it again.",
        "selfheal reject {patch} --reason …",
    ),
)
_MANUAL = frozenset({ItemType.PATCH_SANDBOX, ItemType.PATCH_MAIN})


def due_deeds(
    jobs: Sequence[Job],
    patches: Sequence[Patch],
    waiting: Sequence[Approval],
    over: Collection[int] = (),
) -> list[Due]:
    """Every deed that waits, most pressing first; riskier or worse first within one kind. ``over``
    are jobs whose incident has ended: they come after those that go on.
    """
    due = [
        Due(why, command, job=patch.job_id, patch=patch.id)
        for status, why, command in _PATCH_DEEDS
        for patch in sorted(patches, key=lambda p: (-p.risk.score, p.id))
        if patch.status is status
    ]
    # a patch at a gate is already in the list above; the other items are not
    due += [
        Due("{approval} waits for a decision.", "selfheal approve {approval}", approval=item.id)
        for item in sorted(waiting, key=lambda a: (-a.risk_level.rank, a.id))
        if item.item_type not in _MANUAL
    ]
    with_patch = {patch.job_id for patch in patches}
    unpatched = [j for j in jobs if j.status is JobStatus.OPEN and j.id not in with_patch]
    unpatched.sort(key=lambda j: (j.id in over, -j.severity.rank, -j.occurrences, j.id))
    return due + [_first_move(job, is_over=job.id in over) for job in unpatched]


def _first_move(job: Job, *, is_over: bool) -> Due:
    if is_over:
        why = "{job} has no patch, and its incident is over; close it, or keep it and attach one."
        return Due(why, "selfheal close {job}", job=job.id)
    why = "{job} has no patch yet; attach one, or snooze or close the job."
    return Due(why, "selfheal attach {job} --diff FILE", job=job.id)
