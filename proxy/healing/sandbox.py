"""Gate ``sandbox`` passed: prove a patch. Replay and tests before it and with it, in the jail.

The commit that may later reach MAIN is made before any foreign code runs and from the approved
bytes alone, so nothing a test writes can slip into it. Answers with evidence, whatever happens;
only what is wrong with the installation itself raises.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from proxy.clock import Clock, SystemClock
from proxy.config import Repo
from proxy.contract.patches import CommandRun, ReplayRun, SandboxEvidence
from proxy.domain.failure import Category, Failure
from proxy.domain.job import Job
from proxy.domain.patch import Patch
from proxy.errors import Invalid, NotFound, Unavailable
from proxy.healing.diff import Diff, is_test, parse_diff
from proxy.healing.evidence import Seen, command_run, differs, replay_run, visible, weigh
from proxy.healing.extract import Redacting
from proxy.healing.gitrepo import GitRepo, Owner, branch_for
from proxy.healing.jail import (
    Bind,
    JailSpec,
    Limits,
    bwrap_available,
    make_mount_points,
    root_for,
    run_jailed,
    service_user,
    shared_folders,
    tool_prefixes,
)
from proxy.healing.replay import (
    Judge,
    Lent,
    NoDatabase,
    Rehearsal,
    Replayed,
    replay,
    request_of,
    why_not,
)

_NOT_RUN = "the run ended before"


@dataclass(frozen=True, slots=True)
class _Side:
    replayed: Replayed
    tests: CommandRun
    dirtied: tuple[str, ...] = ()


class Sandbox:
    """Proves patches of one app; one run at a time is the healer's business."""

    def __init__(
        self,
        repo: GitRepo,
        settings: Repo,
        judge: Judge,
        *,
        redactor: Redacting,
        rehearsal: Rehearsal | None = None,
        user: Owner | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._repo = repo
        self._settings = settings
        self._judge = judge
        self._redactor = redactor
        self._rehearsal = rehearsal or NoDatabase()
        self._user = user or service_user()
        self._clock = clock or SystemClock()

    def unavailable(self) -> str | None:
        """Why no patched code may be run here, as a sentence naming the fix; None when it may."""
        return bwrap_available(self._user)

    async def run(self, patch: Patch, job: Job, failure: Failure | None) -> SandboxEvidence:
        """Evidence on ``patch`` for ``job``, whose kept failing exchange is ``failure``.

        ``Unavailable`` without a working jail: then nothing of the patch was run.
        """
        if reason := await asyncio.to_thread(self.unavailable):
            raise Unavailable(reason)
        started, began = self._clock.now(), self._clock.monotonic()
        base = await self._repo.resolve(patch.base_commit or self._repo.main_ref)
        seen = Seen(
            digest=patch.digest,
            base_commit=base,
            head_commit=None,
            branch=None,
            started_at=started,
            duration_s=0.0,
            replay_before=ReplayRun(ran=False, reason=_NOT_RUN),
            replay_after=ReplayRun(ran=False, reason=_NOT_RUN),
            tests_before=CommandRun(ran=False, reason=_NOT_RUN),
            tests_after=CommandRun(ran=False, reason=_NOT_RUN),
        )
        try:
            seen = await self._prove(seen, patch, job, failure)
        except Invalid as refusal:
            seen = replace(seen, refusal=visible(str(refusal), 600))
        return weigh(replace(seen, duration_s=self._clock.monotonic() - began))

    async def _prove(self, seen: Seen, patch: Patch, job: Job, failure: Failure | None) -> Seen:
        base = seen.base_commit
        head, diff = await self.commit(patch, base)
        branch = branch_for(job.id)
        await self._repo.set_branch(branch, head)
        edited = _edited_tests(diff)
        before = await self._side(base, job, failure, sql=None, restore={})
        after = await self._side(
            branch, job, failure, sql=patch.sql, restore=dict.fromkeys(edited, base)
        )
        if diff is not None:
            await self._repo.publish(head, base, branch)
        request = request_of(failure)
        return replace(
            seen,
            head_commit=head,
            branch=branch if diff is not None else None,
            replay_before=self._judged(before.replayed, failure, job),
            replay_after=self._judged(after.replayed, failure, job),
            tests_before=before.tests,
            tests_after=after.tests,
            answer_changed=differs(before.replayed, after.replayed),
            redacted=tuple(visible(r, 80) for r in (request.redacted if request else ())),
            edited_tests=edited,
            dirtied=after.dirtied,
        )

    async def commit(self, patch: Patch, base: str) -> tuple[str, Diff | None]:
        """The commit of ``patch`` on ``base``; a patch of SQL alone leaves the tree as it is."""
        return await patch_commit(self._repo, patch, base)

    def _judged(self, replayed: Replayed, failure: Failure | None, job: Job) -> ReplayRun:
        return replay_run(
            replayed, failure, job.category, job.signature, self._judge, self._redactor
        )

    async def _side(
        self,
        revision: str,
        job: Job,
        failure: Failure | None,
        *,
        sql: str | None,
        restore: Mapping[str, str],
    ) -> _Side:
        async with self._repo.worktree(revision, owner=self._user) as tree:
            replayed = await self._replay(tree, job, failure, sql)
        async with self._repo.worktree(revision, owner=self._user) as tree:
            for path, commit in restore.items():
                await self._repo.restore(tree, commit, [path])
            tests = await self._test(tree, sql)
            dirtied = await self._repo.changed_files(tree) if tests.ran else ()
        return _Side(replayed, tests, tuple(p for p in dirtied if p not in restore))

    async def _replay(
        self, tree: Path, job: Job, failure: Failure | None, sql: str | None
    ) -> Replayed:
        request = request_of(failure)
        reason = why_not(request, self._settings.start, throw_away=self._rehearsal.throw_away)
        if reason is not None or request is None:
            return Replayed(reason=reason)
        try:
            async with self._rehearsal.clone(sql) as lent:
                return await replay(
                    self._spec(tree, lent),
                    request,
                    self._settings.start,
                    follow=job.category is Category.REDIRECT_LOOP,
                )
        except (Unavailable, NotFound) as error:
            return Replayed(reason=f"no throw-away copy of the app's state: {error}")

    async def _test(self, tree: Path, sql: str | None) -> CommandRun:
        if not self._settings.test:
            return CommandRun(ran=False, reason="repo.test is not set; no tests are known")
        try:
            async with self._rehearsal.clone(sql) as lent:
                spec = self._spec(tree, lent)
                return command_run(await run_jailed(spec, ["/bin/sh", "-c", self._settings.test]))
        except (Unavailable, NotFound) as error:
            return CommandRun(ran=False, reason=f"no throw-away copy of the state: {error}")

    def _spec(self, tree: Path, lent: Lent) -> JailSpec:
        settings = self._settings
        tools, path = tool_prefixes([settings.start, settings.test])
        root = root_for(self._repo.app)
        shared = shared_folders(self._repo.app, settings.share, root)
        binds = (*tools, *(Bind(p) for p in settings.bind_ro), *shared, *lent.binds)
        make_mount_points(tree, binds, self._user, root)
        bins = [f"{b.target}/bin" for b in shared if (Path(b.source) / "bin").is_dir()]
        return JailSpec(
            tree,
            root,
            binds=tuple(dict.fromkeys(binds)),
            path=(*filter(None, bins), *(f"{p}/bin" for p in settings.bind_ro), *path),
            env=lent.env,
            limits=Limits(settings.timeout_s, settings.memory_mb << 20),
            user=self._user,
        )


async def patch_commit(repo: GitRepo, patch: Patch, base: str) -> tuple[str, Diff | None]:
    """The one commit that is ``patch`` on ``base``: same patch, same commit id, today or later."""
    if not patch.diff:
        if not patch.sql:
            raise Invalid("the patch holds neither a diff nor SQL", code="empty")
        return base, None
    diff = parse_diff(patch.diff)
    commit = await repo.commit_patch(
        base, diff, patch.diff, message=_message(patch), when=patch.created_at
    )
    return commit, diff


def _message(patch: Patch) -> str:
    described = visible(patch.description, 2000).strip()
    title = " ".join((described.splitlines() or ["a proposed fix"])[0].split())[:60]
    return (
        f"J-{patch.job_id}: {title}\n\n{described}\n\n"
        f"Self-Heal-Patch: P-{patch.id}\nSelf-Heal-Digest: {patch.digest}\n"
    )


def _edited_tests(diff: Diff | None) -> tuple[str, ...]:
    """Tests the patch changes or removes; new ones may stay, they only judge more."""
    if diff is None:
        return ()
    touched = [c.old_path if c.kind == "rename" else c.path for c in diff.changes
               if c.kind not in ("add", "copy")]  # fmt: skip
    return tuple(p for p in touched if p and is_test(p))
