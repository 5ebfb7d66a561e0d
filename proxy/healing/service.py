"""``SelfHealingService``: what producers, people and agents may do to jobs and patches.

Checks and weighs; every right is the database's to give. Runs and applies nothing.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from proxy.clock import Clock, SystemClock
from proxy.config import Config
from proxy.domain.approval import ItemType
from proxy.domain.facet import keys, telling
from proxy.domain.failure import Classification, Failure
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import Patch, PatchStatus, PatchType, Risk
from proxy.errors import Conflict, Invalid, NotFound
from proxy.founder import control as control_rules
from proxy.founder.control import Subject
from proxy.founder.risk import LEVEL_FLOORS, Change, assess, raised, statements
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.diff import Diff, is_manifest, parse_diff
from proxy.healing.gitrepo import GitRepo
from proxy.healing.intake import Limits, raise_by_reach
from proxy.healing.plan import job_move
from proxy.store import approvals, grouping, jobs, patches
from proxy.store.jobs import RecordedJob

AsSidecar = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]
TrafficShare = Callable[[str | None, str | None], float | None]
"""(method, route) → its share of recent requests, 0-1; None when unknown."""
DELIBERATE = "api"
"""Who reports a failure by hand, with a token, is told its own job even in a storm."""
_TAKES_NO_PATCH = frozenset({JobStatus.CLOSED})


@dataclass(frozen=True, slots=True)
class Checked:
    """A proposal that may be attached: its files and risk are derived, never believed."""

    base_commit: str | None
    files: tuple[str, ...]
    risk: Risk


class SelfHealingService:
    """``configure`` names the app's checkout; without it a diff is still checked, but not against
    its base.
    """

    def __init__(
        self,
        as_sidecar: AsSidecar,
        classifier: ErrorClassifier,
        config: Config,
        *,
        clock: Clock | None = None,
        traffic_share: TrafficShare = lambda method, route: None,
    ) -> None:
        self._as_sidecar = as_sidecar
        self._classifier = classifier
        self._config = config
        self._limits = Limits.of(config.healing)
        self._clock = clock or SystemClock()
        self._traffic_share = traffic_share
        self.repo: GitRepo | None = None

    def configure(self, config: Config, repo: GitRepo | None) -> None:
        """Settings and the app's checkout, at the start and at every reload."""
        self._config, self.repo = config, repo
        self._limits = Limits.of(config.healing)

    def classify(self, failure: Failure) -> Classification:
        return self._classifier.classify(failure)

    async def record_error_and_create_job(self, failure: Failure, count: int = 1) -> Job:
        """Classify, and count it on its job: opened, reopened or found, by its signature."""
        return (await self.record(failure, self.classify(failure), count)).job

    async def record(
        self, failure: Failure, classification: Classification, count: int = 1
    ) -> RecordedJob:
        async with self._as_sidecar() as conn:
            return await self.record_on(conn, failure, classification, count)

    async def record_on(
        self, conn: asyncpg.Connection, failure: Failure, classification: Classification, count: int
    ) -> RecordedJob:
        """As ``record``, in a transaction of the caller's, who has more to write in it."""
        storm = None if failure.origin == DELIBERATE else self._limits.storm
        recorded = await jobs.record_failure(
            conn, failure, classification, count=count, storm=storm
        )
        await raise_by_reach(conn, recorded.job, self._limits.blast)
        return recorded

    async def attach_patch(
        self,
        conn: asyncpg.Connection,
        job_id: int,
        *,
        patch_type: PatchType,
        description: str,
        diff: str | None,
        sql: str | None,
        base_commit: str | None,
        created_by: str,
    ) -> Patch:
        """Check, weigh and store a proposal, and ask for gate ``sandbox``.

        ``conn`` acts as whoever sent it: a job they may not see takes no patch of theirs.
        ``Invalid`` with the codes of ``diff`` and ``gitrepo``, ``unknown_base`` or ``empty``;
        ``Conflict``: ``job_closed``, ``exists``; ``NotFound``.
        """
        job = await jobs.get_job(conn, job_id)
        if job.status in _TAKES_NO_PATCH:
            raise Conflict(f"J-{job_id} is closed; reopen it first", code="job_closed")
        checked = await self.check(job, patch_type, diff, sql, base_commit)
        async with self._as_sidecar() as own:
            risk = await self._by_the_rules(own, job, checked, created_by)
            patch = await patches.attach(
                own,
                job_id,
                patch_type=patch_type,
                description=description,
                diff=diff or None,
                sql=sql or None,
                base_commit=checked.base_commit,
                files_changed=checked.files,
                risk=risk,
                payload={},
                created_by=created_by,
            )
            await self.ask_for(own, patch, ItemType.PATCH_SANDBOX)
            await self.settle_job(own, job_id)
            return patch

    async def check(
        self,
        job: Job,
        patch_type: PatchType,
        diff: str | None,
        sql: str | None,
        base_commit: str | None,
    ) -> Checked:
        """Whether this may be proposed at all, and how risky it is."""
        if not diff and not statements(sql or "") and patch_type is not PatchType.MANUAL:
            raise Invalid("a patch needs a diff or SQL; this one is empty", code="empty")
        read = await asyncio.to_thread(parse_diff, diff) if diff else None
        base = await self._base(read, diff, base_commit)
        files = read.files if read else ()
        added_sql = "" if read is None else _added_sql(read)
        change = Change(
            patch_type=patch_type,
            category=job.category,
            files=files,
            manifests=tuple(f for f in files if is_manifest(f)),
            lines=(read.added + read.removed) if read else 0,
            sql=f"{sql or ''};\n{added_sql}",
            traffic_share=self._traffic_share(job.method, job.route),
        )
        return Checked(base, files, assess(change))

    async def _base(self, read: Diff | None, diff: str | None, base: str | None) -> str | None:
        if self.repo is None:
            return base
        try:
            commit = await (self.repo.resolve(base) if base else self.repo.head())
        except NotFound as error:
            if base is None and read is None:
                return None
            raise Invalid(str(error), code="unknown_base") from None
        if read is not None and diff is not None:
            # the very commit the sandbox will make; what does not apply is refused here already
            await self.repo.commit_patch(
                commit, read, diff, message="check", when=self._clock.now()
            )
        return commit

    async def _by_the_rules(
        self, conn: asyncpg.Connection, job: Job, checked: Checked, author: str
    ) -> Risk:
        """The founder's rules may raise a risk; nothing lowers it."""
        rules = await control_rules.load(conn)
        subject = Subject(
            ItemType.PATCH_SANDBOX,
            category=job.category,
            route=job.route,
            files=checked.files,
            author=author,
        )
        firing = rules.judge(subject, checked.risk.level, self._clock.now())
        named = ", ".join(firing.fired) or "rule"
        return raised(checked.risk, LEVEL_FLOORS[firing.risk], f"the founder's rules: {named}")

    async def weigh(self, patch: Patch) -> Patch:
        """Check and weigh a proposal that an agent or a person wrote into the table directly.

        What cannot be taken is superseded with the reason.
        """
        async with self._as_sidecar() as conn:
            job = await jobs.get_job(conn, patch.job_id)
        refusal = None
        checked = None
        try:
            checked = await self.check(
                job, patch.patch_type, patch.diff, patch.sql, patch.base_commit
            )
        except (Invalid, NotFound) as error:
            refusal = str(error)
        async with self._as_sidecar() as conn:
            if checked is None:
                return await patches.step_patch(
                    conn, patch.id, patch.status, PatchStatus.SUPERSEDED, reason=refusal
                )
            risk = await self._by_the_rules(conn, job, checked, patch.created_by)
            weighed = await patches.step_patch(
                conn, patch.id, patch.status, patch.status, risk=risk
            )
            await self.settle_job(conn, patch.job_id)
            return weighed

    async def mark_status(
        self,
        conn: asyncpg.Connection,
        job_id: int,
        status: JobStatus,
        *,
        reason: str | None = None,
        until: datetime | None = None,
    ) -> Job:
        """One step of a job by hand, as far as ``conn``'s role may. ``Conflict`` where none is."""
        return await jobs.step_job(conn, job_id, status, reason=reason, until=until)

    async def merge_jobs(
        self, conn: asyncpg.Connection, keep: int, other: int, *, reason: str | None = None
    ) -> Job:
        """``other``'s failures count on ``keep`` from now on, as far as ``conn``'s role may say
        so.
        """
        await grouping.merge(conn, keep, other, reason)
        return await jobs.get_job(conn, keep)

    async def split_job(
        self, conn: asyncpg.Connection, job_id: int, event_id: int, *, reason: str | None = None
    ) -> Job:
        """Take a sample, and every failure like it from now on, out of a job → the other job.

        A sample that came in by a merge undoes the merge; any other is split off by what tells it
        from the rest. ``Conflict`` (``indistinguishable``) where nothing does.
        """
        job = await jobs.get_job(conn, job_id)
        events = await jobs.job_events(conn, job_id)
        one = next((e for e in events if e.id == event_id), None)
        if one is None:
            raise NotFound(f"J-{job_id} keeps no event {event_id}; `selfheal show J-{job_id}` does")
        if one.signature is not None and await grouping.is_merged(conn, job, one.signature):
            like = [e.id for e in events if e.signature == one.signature]
            made = await grouping.unmerge(conn, job_id, one.signature, like)
            return await jobs.get_job(conn, made)
        facet = telling(one.failure, (e.failure for e in events if e.id != event_id))
        if facet is None:
            raise Conflict(
                f"every kept event of J-{job_id} is like {event_id}: nothing tells them apart",
                code="indistinguishable",
            )
        like = [event_id, *(e.id for e in events if e is not one and facet.key in keys(e.failure))]
        made = await grouping.split(conn, job_id, like, facet, reason)
        return await jobs.get_job(conn, made)

    async def list_open_jobs(self, limit: int = 50, *, service: str | None = None) -> list[Job]:
        """The worst first, noise left out."""
        async with self._as_sidecar() as conn:
            return await jobs.list_open_jobs(conn, limit, service=service)

    async def ask_for(self, conn: asyncpg.Connection, patch: Patch, item: ItemType) -> None:
        """A request at a gate; the database takes digest, evidence and risk from the patch."""
        gate = "sandbox" if item is ItemType.PATCH_SANDBOX else "main"
        await approvals.request(
            conn,
            service=patch.service,
            item_type=item,
            summary=f"P-{patch.id} for J-{patch.job_id} at gate {gate}: {patch.description}",
            risk_level=patch.risk.level,
            risk_score=patch.risk.score,
            created_by=patch.created_by,
            expires_at=self._clock.now() + timedelta(days=self._config.founder.approval_days),
            digest=patch.digest,
            evidence_digest=patch.evidence_digest if gate == "main" else None,
            job_id=patch.job_id,
            patch_id=patch.id,
            details={"reasons": list(patch.risk.reasons)},
        )

    async def settle_job(self, conn: asyncpg.Connection, job_id: int) -> None:
        """Walk the job to where its patches put it."""
        job = await jobs.get_job(conn, job_id)
        known = await patches.list_patches(conn, job_id)
        for status in job_move(job, known).path:
            job = await jobs.step_job(conn, job_id, status, old=job.status)


def _added_sql(diff: Diff) -> str:
    return "\n;".join(c.added_text for c in diff.changes if c.path.lower().endswith(".sql"))
