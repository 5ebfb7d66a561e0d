"""The cognitive twin: a digest of what happened, from facts; counts, trend, worst jobs, what waits.

It compares a window with the one before it. It foresees nothing it has no numbers for.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from proxy.agents.facts import Facts
from proxy.agents.next_step import due_deeds
from proxy.agents.phill import say_due
from proxy.agents.reply import Reply, quote
from proxy.contract.ask import AskAnswer
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import PatchStatus

WINDOW = timedelta(days=7)
JOBS_READ_MAX = 2000
OPEN_READ_MAX = 500
PATCHES_READ_MAX = 200


class CognitiveTwinAgent:
    name = "COGNITIVE_TWIN"

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    async def digest(self, now: datetime, window: timedelta = WINDOW) -> AskAnswer:
        """The last ``window`` against the one before it. Every job and patch named is cited."""
        reply = Reply("digest")
        jobs = await self._facts.jobs_since(now - 2 * window, JOBS_READ_MAX)
        real = [job for job in jobs if not job.noise]
        new = [job for job in real if job.first_seen >= now - window]
        before = [job for job in real if now - 2 * window <= job.first_seen < now - window]
        _say_counts(reply, real, new, before, now - window, window)
        if len(jobs) == JOBS_READ_MAX:
            reply.say(f"Only the newest {JOBS_READ_MAX} jobs were counted.")
        open_jobs = list(await self._facts.open_jobs(OPEN_READ_MAX))
        _say_risks(reply, open_jobs)
        patches = await self._facts.live_patches(PATCHES_READ_MAX)
        ready = [patch for patch in patches if patch.status is PatchStatus.SANDBOX_PASSED]
        if ready:
            names = ", ".join(f"{reply.patch(p.id)} for {reply.job(p.job_id)}" for p in ready[:5])
            reply.say(f"Opportunities: proven in the sandbox, not on MAIN yet: {names}.")
        over = await self._facts.over([job.id for job in open_jobs])
        due = due_deeds(open_jobs, patches, await self._facts.waiting(PATCHES_READ_MAX), over)
        reply.say(
            f"Waiting for a decision or a first move: {len(due)}."
            if due
            else "Nothing waits for you."
        )
        for step in due[:3]:
            say_due(reply, step, "- ")
        reply.suggest("what do I do next?", "open jobs")
        return reply.answer()


def trend(now: int, before: int) -> str:
    """One word for two counts: ``steady`` within a quarter, as a single bug more is no trend."""
    if abs(now - before) <= max(1, before // 4):
        return "steady"
    return "rising" if now > before else "falling"


def _say_counts(
    reply: Reply,
    real: Sequence[Job],
    new: Sequence[Job],
    before: Sequence[Job],
    since: datetime,
    window: timedelta,
) -> None:
    span = "day" if window.days == 1 else f"{window.days} days"
    reply.say(
        f"In the last {span}: {len(new)} new job{'' if len(new) == 1 else 's'}, "
        f"{len(before)} in the {span} before ({trend(len(new), len(before))})."
    )
    by_category = Counter(str(job.category) for job in new).most_common(4)
    if by_category:
        reply.say("New by category: " + ", ".join(f"{n} {c}" for c, n in by_category) + ".")
    resolved = [job for job in real if job.resolved_at is not None and job.resolved_at >= since]
    if resolved:
        names = ", ".join(reply.job(job.id) for job in resolved[:5])
        reply.say(f"Resolved: {len(resolved)} ({names}{', …' if len(resolved) > 5 else ''}).")
    back = [job for job in real if job.regression and job.status is not JobStatus.CLOSED]
    if back:
        reply.say(
            "Came back after a fix: " + ", ".join(reply.job(job.id) for job in back[:5]) + "."
        )


def _say_risks(reply: Reply, jobs: Sequence[Job]) -> None:
    worst = sorted(jobs, key=lambda j: (-j.severity.rank, -j.occurrences, j.id))[:3]
    if not worst:
        reply.say("No open job.")
        return
    more = " or more" if len(jobs) >= OPEN_READ_MAX else ""
    reply.say(f"{len(jobs)}{more} open; the worst:")
    for job in worst:
        reply.say(
            f"- {reply.job(job.id)} {job.severity} {job.category}, seen {job.occurrences}×: "
            f"{quote(job.bug, 120)}"
        )
