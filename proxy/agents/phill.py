"""AI Phill: answers the operator from facts, with or without a model. Advice, never authority.

Every sentence about a job or a patch cites it; text from traffic is quoted, visible and clipped.
It holds no tool that approves, applies or runs anything, so it says which command does.
"""

from collections import Counter
from collections.abc import Sequence

from proxy.agents.facts import Facts
from proxy.agents.intents import Understood
from proxy.agents.next_step import Due, due_deeds
from proxy.agents.reply import Reply, quote
from proxy.contract.ask import AskAnswer
from proxy.contract.health import Health
from proxy.domain.failure import Category
from proxy.domain.job import Job
from proxy.domain.patch import Patch, PatchStatus

JOBS_SHOWN = 10
JOBS_READ_MAX = 500
PATCHES_READ_MAX = 200
_NEXT = "what do I do next?"
_BROKEN = "what's broken?"


class AIPhillAgent:
    """One method per intent; each reads facts and returns an ``AskAnswer``."""

    name = "AI_PHILL"

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    async def diagnose(self, asked: Understood) -> AskAnswer:
        """What is broken, worst first, with the evidence for the worst one."""
        reply = Reply(asked.intent)
        jobs = await self._jobs(asked)
        _say_health(reply, await self._facts.health())
        if not jobs:
            reply.say(f"No open job{_filter_words(asked)}: nothing is known to be broken.")
            reply.suggest("system health", "digest")
            return reply.answer()
        reply.say(f"{_open_jobs(jobs)}{_filter_words(asked)}. The worst:")
        for job in jobs[:3]:
            reply.say(_job_line(reply, job))
        worst = jobs[0]
        if worst.evidence:
            reply.say(f"Evidence for {reply.job(worst.id)}: {quote(worst.evidence[0])}")
        patches = await self._facts.patches_of(worst.id)
        for patch in patches[:3]:
            reply.say(_patch_line(reply, patch))
        if patches:
            reply.suggest(f"explain P-{patches[0].id}")
        reply.suggest(f"show J-{worst.id}", _NEXT, f"selfheal show J-{worst.id}")
        return reply.answer()

    async def list_jobs(self, asked: Understood) -> AskAnswer:
        reply = Reply(asked.intent)
        jobs = await self._jobs(asked)
        if not jobs:
            reply.say(f"No open job{_filter_words(asked)}.")
            reply.suggest("system health", _BROKEN)
            return reply.answer()
        counts = Counter(str(job.severity) for job in jobs)
        words = ", ".join(
            f"{counts[s]} {s}" for s in ("critical", "high", "medium", "low") if counts[s]
        )
        reply.say(f"{_open_jobs(jobs)}{_filter_words(asked)}: {words}.")
        for job in jobs[:JOBS_SHOWN]:
            reply.say(_job_line(reply, job))
        if len(jobs) > JOBS_SHOWN:
            reply.say(f"{len(jobs) - JOBS_SHOWN} more: `selfheal jobs` lists them all.")
        reply.suggest(f"show J-{jobs[0].id}", _NEXT, "selfheal jobs")
        return reply.answer()

    async def job_details(self, asked: Understood) -> AskAnswer:
        reply = Reply(asked.intent)
        if not asked.jobs:
            reply.say("Which job? Name it as J-1.")
            reply.suggest("open jobs", _BROKEN)
            return reply.answer()
        for number in asked.jobs[:3]:
            job = await self._facts.job(number)
            if job is None:
                reply.say(f"There is no job J-{number}.")
                reply.suggest("open jobs")
                continue
            await self._describe_job(reply, job)
        return reply.answer()

    async def _describe_job(self, reply: Reply, job: Job) -> None:
        me = reply.job(job.id)
        reply.say(_job_line(reply, job))
        reply.say(
            f"{me} is {job.signature} “{quote(job.signature_text)}”, by rule {quote(job.rule)}."
        )
        if job.category is Category.UNKNOWN:
            reply.say(
                f"{me} has no category because {quote(job.reason or 'no rule had evidence')}."
            )
        for line in job.evidence[:3]:
            reply.say(f"Evidence for {me}: {quote(line)}")
        if job.regression:
            reply.say(f"{me} is a regression: its signature fired again after a fix.")
        patches = await self._facts.patches_of(job.id)
        if not patches:
            reply.say(f"{me} has no patch yet.")
            reply.suggest(f"fix J-{job.id}", f"selfheal attach J-{job.id} --diff FILE")
        for patch in patches[:5]:
            reply.say(_patch_line(reply, patch))
            reply.suggest(f"explain P-{patch.id}")
        reply.suggest(f"selfheal show J-{job.id}")

    async def health(self, asked: Understood) -> AskAnswer:
        reply = Reply(asked.intent)
        health = await self._facts.health()
        _say_health(reply, health)
        for term in health.why[:5]:
            reply.say(f"It cost {term.points:g} points: {quote(term.text or term.term)}")
        if total := health.open_jobs.get("total"):
            critical = health.open_jobs.get("critical", 0)
            reply.say(f"{total} open job{_s(total)}, {critical} of them critical.")
            reply.suggest(_BROKEN)
        reply.suggest("open jobs", _NEXT)
        return reply.answer()

    async def classify(self, asked: Understood) -> AskAnswer:
        """Category and severity of an error text, by the proxy's own classifier."""
        reply = Reply(asked.intent)
        if not asked.rest:
            reply.say("Write the error after the word: `classify: <the error text>`.")
            return reply.answer()
        found = self._facts.classify(asked.rest)
        if found is None:
            reply.say("No classifier is running here; `selfheal classify FILE` has its own.")
            return reply.answer()
        reply.say(f"{found.category}, severity {found.severity}, by rule {quote(found.rule)}.")
        if found.reason:
            reply.say(f"Why no category: {quote(found.reason)}")
        for evidence in found.evidence[:3]:
            reply.say(f"Evidence: {quote(str(evidence))}")
        reply.say(f"Signature {found.signature} “{quote(found.signature_text)}”.")
        reply.suggest("open jobs")
        return reply.answer()

    async def propose(self, asked: Understood) -> AskAnswer:
        """How a patch gets here; without a model nobody invents one."""
        reply = Reply(asked.intent)
        number = asked.jobs[0] if asked.jobs else None
        if number is None:
            jobs = await self._jobs(asked)
            number = jobs[0].id if jobs else None
        if number is None:
            reply.say("No open job needs a patch.")
            reply.suggest("system health")
            return reply.answer()
        job = await self._facts.job(number)
        if job is None:
            reply.say(f"There is no job J-{number}.")
            reply.suggest("open jobs")
            return reply.answer()
        me = reply.job(job.id)
        reply.say(_job_line(reply, job))
        reply.say(
            f"No model writes patches here, so a patch for {me} comes from you or from any tool of "
            f"yours: `selfheal attach J-{job.id} --diff FILE --base COMMIT`."
        )
        reply.say(f"It is then proven in the sandbox against the recorded failure of {me}.")
        for patch in await self._facts.patches_of(job.id):
            reply.say(_patch_line(reply, patch))
            reply.suggest(f"explain P-{patch.id}")
        reply.suggest(f"selfheal attach J-{job.id} --diff FILE", f"show J-{job.id}")
        return reply.answer()

    async def explain_patch(self, asked: Understood) -> AskAnswer:
        reply = Reply(asked.intent)
        if not asked.patches:
            reply.say("Which patch? Name it as P-1; `selfheal patches` lists them.")
            reply.suggest(_NEXT)
            return reply.answer()
        for number in asked.patches[:3]:
            patch = await self._facts.patch(number)
            if patch is None:
                reply.say(f"There is no patch P-{number}.")
                reply.suggest(_NEXT)
                continue
            await self._describe_patch(reply, patch)
        return reply.answer()

    async def _describe_patch(self, reply: Reply, patch: Patch) -> None:
        me = reply.patch(patch.id)
        reply.say(_patch_line(reply, patch))
        if patch.description:
            reply.say(f"{quote(patch.created_by, 63)} says of {me}: “{quote(patch.description)}”")
        if patch.files_changed:
            files = ", ".join(quote(f, 80) for f in patch.files_changed[:6])
            more = len(patch.files_changed) - 6
            reply.say(f"{me} changes {files}{f' and {more} more' if more > 0 else ''}.")
        if patch.sql:
            reply.say(f"{me} carries a SQL migration.")
        reasons = "; ".join(quote(r, 100) for r in patch.risk.reasons[:5])
        risk = f"{patch.risk.level} ({patch.risk.score}/100)"
        reply.say(f"Risk of {me}: {risk}{': ' + reasons if reasons else ''}.")
        _say_evidence(reply, patch)
        for due in due_deeds((), (patch,), ()):
            say_due(reply, due)
        reply.suggest(f"selfheal diff P-{patch.id}", f"show J-{patch.job_id}", _NEXT)

    async def what_next(self, asked: Understood) -> AskAnswer:
        """The one thing to do now, and what comes after it."""
        reply = Reply(asked.intent)
        jobs = await self._jobs(asked)
        patches = await self._facts.live_patches(PATCHES_READ_MAX)
        over = await self._facts.over([job.id for job in jobs])
        due = due_deeds(jobs, patches, await self._facts.waiting(PATCHES_READ_MAX), over)
        if not due:
            reply.say("Nothing waits for you: no decision, no unproven patch, no job without one.")
            reply.suggest("system health", "digest")
            return reply.answer()
        reply.say("Next:")
        for position, step in enumerate(due[:5], 1):
            say_due(reply, step, f"{position}. ")
        if len(due) > 5:
            reply.say(f"{len(due) - 5} more after these.")
        first = due[0]
        if first.patch is not None:
            reply.suggest(f"explain P-{first.patch}")
        if first.job is not None:
            reply.suggest(f"show J-{first.job}")
        return reply.answer()

    async def guide(self, asked: Understood) -> AskAnswer:
        """How a decision is taken, and by whom. Phill takes none."""
        reply = Reply(asked.intent)
        reply.say("I cannot decide; only a founder's own command passes the gate to MAIN.")
        for number in asked.approvals[:3]:
            item = await self._facts.approval(number)
            if item is None:
                reply.say(f"There is no approval A-{number}.")
                continue
            me = reply.approval(item.id)
            what = f"{item.item_type}, risk {item.risk_level}"
            reply.say(f"{me} ({what}) is {item.status}: {quote(item.summary)}")
            reply.suggest(f"selfheal approve {me}", f"selfheal reject {me} --reason …")
        for number in asked.patches[:3]:
            patch = await self._facts.patch(number)
            if patch is None:
                reply.say(f"There is no patch P-{number}.")
                continue
            reply.say(_patch_line(reply, patch))
            _say_evidence(reply, patch)
            for due in due_deeds((), (patch,), ()):
                say_due(reply, due)
            if patch.status is PatchStatus.SANDBOX_PASSED:
                reply.suggest(f"selfheal approve P-{patch.id}")
            reply.suggest(f"selfheal diff P-{patch.id}")
        if not asked.approvals and not asked.patches:
            reply.say(
                "The way of a patch: `selfheal sandbox P-1` proves it, `selfheal approve P-1` says "
                "yes, `selfheal apply P-1` moves MAIN, `selfheal rollback P-1` takes it back; "
                "`selfheal reject P-1 --reason …` ends it."
            )
        reply.suggest(_NEXT)
        return reply.answer()

    async def unknown(self, asked: Understood) -> AskAnswer:
        reply = Reply(asked.intent)
        reply.say(
            "I did not understand that; without a model I know these questions: what's broken, "
            "open jobs, system health, show J-1, explain P-1, classify: <error>, digest, "
            "what do I do next."
        )
        reply.suggest(_BROKEN, "open jobs", "system health", _NEXT, "digest")
        return reply.answer()

    async def _jobs(self, asked: Understood) -> list[Job]:
        return [
            job
            for job in await self._facts.open_jobs(JOBS_READ_MAX)
            if (asked.severity is None or job.severity is asked.severity)
            and (asked.category is None or job.category is asked.category)
            and (not asked.jobs or job.id in asked.jobs)
        ]


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _open_jobs(jobs: Sequence[Job]) -> str:
    """A list that was cut is not given out as the whole."""
    more = "or more " if len(jobs) >= JOBS_READ_MAX else ""
    return f"{len(jobs)} {more}open job{_s(len(jobs))}"


def _filter_words(asked: Understood) -> str:
    words = [str(word) for word in (asked.severity, asked.category) if word is not None]
    return f" ({', '.join(words)})" if words else ""


def _job_line(reply: Reply, job: Job) -> str:
    where = quote(f"{job.method or ''} {job.route or ''}".strip() or "no route", 80)
    return (
        f"{reply.job(job.id)} {job.severity} {job.category} on {where}: "
        f"{quote(job.bug, 120)}, seen {job.occurrences}×, {job.status}."
    )


def _patch_line(reply: Reply, patch: Patch) -> str:
    return (
        f"{reply.patch(patch.id)} ({patch.patch_type}, {patch.status}) proposes a fix for "
        f"{reply.job(patch.job_id)}, risk {patch.risk.level}."
    )


def _say_evidence(reply: Reply, patch: Patch) -> None:
    me = reply.patch(patch.id)
    evidence = patch.evidence
    if not evidence:
        reply.say(f"{me} has not been in the sandbox, so nothing is proven about it.")
        return
    reply.say(f"The sandbox says of {me}: {quote(str(evidence.get('verdict') or 'no verdict'))}")
    words = ", ".join(
        f"{'' if evidence.get(fact) else 'not '}{fact}"
        for fact in ("reproduced", "fixed", "changed")
    )
    reply.say(f"The failing request, replayed for {me}: {words}.")
    against: Sequence[object] = evidence.get("against") or ()
    for line in list(against)[:3]:
        reply.say(f"Against {me}: {quote(str(line))}")


def say_due(reply: Reply, due: Due, lead: str = "") -> None:
    words = {
        "job": "" if due.job is None else reply.job(due.job),
        "patch": "" if due.patch is None else reply.patch(due.patch),
        "approval": "" if due.approval is None else reply.approval(due.approval),
    }
    command = due.command.format(**words)
    reply.say(f"{lead}{due.why.format(**words)} `{command}`")
    reply.suggest(command)


def _say_health(reply: Reply, health: Health) -> None:
    score = "no score yet" if health.score is None else f"score {health.score} of 100"
    rate = f", {health.errors} of {health.requests} requests failed" if health.requests else ""
    minutes = health.window_s / 60
    reply.say(f"System {health.status}, {score}{rate} in the last {minutes:g} minutes.")
