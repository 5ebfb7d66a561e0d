"""The founder's deed: move the local MAIN to the proven commit, tree and ref together, or back.

Nothing is merged, forced or pushed. Whatever stands in the way (a dirty tree, MAIN moved on, a
clean-up filter) is a ``Conflict`` that leaves everything as it was, and every step may be repeated
after a crash.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.clock import Clock, SystemClock
from proxy.config import Repo
from proxy.contract.patches import CommandRun
from proxy.domain.patch import Patch, patch_digest
from proxy.errors import Conflict, Unavailable
from proxy.healing.diff import parse_diff
from proxy.healing.gitrepo import Completed, GitRepo, Owner, branch_for, run_git
from proxy.healing.sandbox import patch_commit
from proxy.visible import one_line, visible

OUTPUT_CHARS_MAX = 8192
NAMED_MAX = 5
_UNFINISHED = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")


@dataclass(frozen=True, slots=True)
class Applied:
    """``moved`` is False in branch mode: the branch waits for a pull request, MAIN stands."""

    previous_commit: str
    commit: str
    moved: bool
    message: str
    after: CommandRun | None = None
    """The founder's own command afterwards, if one is set. Its failure undoes nothing."""


class Applier:
    """Hands patches over to the app's repository. One call at a time."""

    def __init__(self, repo: GitRepo, settings: Repo, *, clock: Clock | None = None) -> None:
        self._repo = repo
        self._settings = settings
        self._clock = clock or SystemClock()

    async def apply(self, patch: Patch) -> Applied:
        """MAIN goes from the patch's base to the very commit that was proven.

        ``Conflict``: ``digest_changed``, ``evidence_changed``, ``main_moved``, ``dirty_tree``,
        ``busy_tree``, ``filtered_path``, ``by_hand``; ``Invalid`` when the diff does not apply.
        """
        if patch_digest(patch.base_commit, patch.diff, patch.sql) != patch.digest:
            raise Conflict(f"P-{patch.id} is not what its digest says", code="digest_changed")
        if not patch.diff:
            raise Conflict(
                f"P-{patch.id} is SQL alone; run it with your own migration tool", code="by_hand"
            )
        base = await self._repo.resolve(patch.base_commit or self._repo.main_ref)
        commit, _ = await patch_commit(self._repo, patch, base)
        proven = (patch.evidence or {}).get("head_commit")
        if proven is not None and proven != commit:
            raise Conflict(
                f"P-{patch.id}: {commit[:12]} is not the commit that was proven ({proven[:12]})",
                code="evidence_changed",
            )
        branch = branch_for(patch.job_id)
        await self._repo.publish(commit, base, branch)
        if self._settings.apply == "branch":
            told = f"branch {branch} holds P-{patch.id} for a pull request; MAIN stands"
            return Applied(base, commit, False, told)
        await self._move(base, commit, f"apply P-{patch.id}")
        return Applied(
            base,
            commit,
            True,
            f"{self._repo.main} moved from {base[:12]} to {commit[:12]}{_sql_note(patch)}",
            await self._after_apply(base, commit),
        )

    async def rollback(self, patch: Patch) -> Applied:
        """A commit on MAIN that takes the patch back; later work stays. ``Conflict`` when it
        cannot.

        ``not_applied``, ``cannot_revert`` and those of ``apply``.
        """
        applied, diff = patch.applied_commit, patch.diff
        main = await self._repo.head()
        if applied is None or diff is None or not await self._repo.contains(applied, main):
            raise Conflict(
                f"P-{patch.id} is not part of {self._repo.main}; nothing to take back",
                code="not_applied",
            )
        commit = await self._taken_back(applied, main)
        if commit is not None:
            # MAIN holds it already; what was committed since is the founder's and stays
            moved = f"{self._repo.main} already holds {commit[:12]}"
        else:
            message = (
                f"Take back P-{patch.id}\n\nRestores what stood before {applied}.\n\n"
                f"{_mark(applied)}\nSelf-Heal-Digest: {patch.digest}\n"
            )
            commit = await self._repo.commit_reverse(
                main, diff, parse_diff(diff), message=message, when=self._clock.now()
            )
            await self._repo.publish(commit, main)
            await self._move(main, commit, f"roll back P-{patch.id}")
            moved = f"{self._repo.main} moved from {main[:12]} to {commit[:12]}"
        return Applied(
            main,
            commit,
            True,
            f"{moved}, which restores what stood before {applied[:12]}{_sql_note(patch)}",
            await self._after_apply(main, commit),
        )

    async def on_main(self, commit: str) -> bool:
        """Whether MAIN contains ``commit``, by whatever way it came there."""
        return await self._repo.contains(commit, await self._repo.head())

    async def _taken_back(self, applied: str, main: str) -> str | None:
        found = await self._repo.in_app(
            "log", "--format=%H", "--fixed-strings", f"--grep={_mark(applied)}",
            f"{applied}..{main}",
        )  # fmt: skip
        return found.text.splitlines()[0] if found.text else None

    async def _move(self, old: str, new: str, why: str) -> None:
        """MAIN from ``old`` to ``new``; already there is done, anything else in the way refuses."""
        now = await self._repo.head()
        if now not in (old, new):
            if await self._repo.contains(new, now):
                return
            raise Conflict(
                f"{self._repo.main} is at {now[:12]}, no longer at {old[:12]}; attach the patch "
                f"again on what is there now",
                code="main_moved",
            )
        checkout = await self._checkout()
        if checkout is not None:
            async with _Tree.at(checkout, await self._repo.app_git()) as tree:
                await self._move_tree(tree, now, old, new)
                if now == old:
                    await self._move_ref(old, new, why, tree)
        elif now == old:
            await self._move_ref(old, new, why, None)

    async def _move_tree(self, tree: "_Tree", now: str, old: str, new: str) -> None:
        """Bring tree and index to ``new``, whichever half an earlier, broken-off try left."""
        if await tree.is_clean_at(new):
            return
        if await tree.is_clean_at(old):
            await tree.check_plain(await self._touched(old, new))
            await tree.advance(old, new)
            return
        if now == new:
            # MAIN stands where it should; what differs since is the founder's own work
            return
        names = ", ".join(one_line(n) for n in (await tree.dirty(old))[:NAMED_MAX])
        raise Conflict(
            f"the checkout of {self._repo.main} has changes of its own ({names}); commit or stash "
            f"them first",
            code="dirty_tree",
        )

    async def _touched(self, old: str, new: str) -> list[str]:
        listed = await self._repo.in_app("diff", "--name-only", "--no-renames", "-z", old, new)
        return [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]

    async def _move_ref(self, old: str, new: str, why: str, tree: "_Tree | None") -> None:
        moved = await self._repo.in_app(
            "update-ref", "-m", f"self-heal: {why}", self._repo.main_ref, new, old
        )
        if moved.code:
            if tree is not None:
                await tree.advance(new, old)
            raise Conflict(
                f"{self._repo.main} moved at this very moment: {moved.stderr[:300]}",
                code="main_moved",
            )

    async def _checkout(self) -> Path | None:
        """The working tree that has MAIN checked out, if any has."""
        listed = await self._repo.in_app("worktree", "list", "--porcelain", "-z")
        for block in listed.stdout.split(b"\0\0"):
            lines = block.strip(b"\0").split(b"\0")
            if f"branch {self._repo.main_ref}".encode() in lines:
                return Path(os.fsdecode(lines[0].partition(b" ")[2]))
        return None

    async def _after_apply(self, previous: str, commit: str) -> CommandRun | None:
        if not self._settings.after_apply:
            return None
        return await run_founders_command(
            self._settings.after_apply,
            self._repo.app,
            {"SELFHEAL_COMMIT": commit, "SELFHEAL_PREVIOUS_COMMIT": previous},
            timeout_s=self._settings.timeout_s,
            clock=self._clock,
        )


def _mark(applied: str) -> str:
    return f"Self-Heal-Takes-Back: {applied}"


def _sql_note(patch: Patch) -> str:
    return "; its SQL is yours to run" if patch.sql else ""


# --- a checked-out MAIN ---------------------------------------------------------------------------


class _Tree:
    """A working tree and its index, driven by a git directory of our own: no filters, no hooks."""

    def __init__(self, path: Path, index: Path, control: Path, owner: Owner | None) -> None:
        self._path = path
        self._index = index
        self._control = control
        self._owner = owner

    @classmethod
    @asynccontextmanager
    async def at(cls, path: Path, app_git: Path) -> AsyncIterator["_Tree"]:
        """``Conflict`` (``busy_tree``) while a merge or rebase is unfinished there."""
        owner = Owner.of(path)
        found = await run_git(
            ["rev-parse", "--path-format=absolute", "--git-dir"], cwd=path, owner=owner
        )
        git_dir = Path(os.fsdecode(found.stdout.rstrip(b"\n")))
        for name in _UNFINISHED:
            if (git_dir / name).exists():
                raise Conflict(f"{path} is in the middle of something ({name}); finish that first",
                               code="busy_tree")  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="selfheal-apply-") as folder:
            control = Path(folder) / "control.git"
            if owner is not None:
                os.chown(folder, owner.uid, owner.gid)
            made = await run_git(
                ["init", "--quiet", "--bare", str(control)], cwd=Path(folder), owner=owner
            )
            if made.code:
                raise Unavailable(f"git init failed: {made.stderr[:300]}")
            (control / "objects" / "info" / "alternates").write_text(f"{app_git}/objects\n")
            yield cls(path, git_dir / "index", control, owner)

    async def _git(self, *args: str) -> Completed:
        return await run_git(
            args,
            git_dir=self._control,
            work_tree=self._path,
            index=self._index,
            owner=self._owner,
        )

    async def is_clean_at(self, commit: str) -> bool:
        """Index equals ``commit`` and the tracked files equal the index."""
        staged = await self._git("diff-index", "--cached", "--quiet", commit, "--")
        if staged.code:
            return False
        await self._git("update-index", "-q", "--refresh")
        files = await self._git("diff-files", "--quiet", "--ignore-submodules=all")
        return files.code == 0

    async def dirty(self, commit: str) -> list[str]:
        listed = await self._git("diff-index", "--name-only", "-z", commit, "--")
        return [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]

    async def check_plain(self, paths: Sequence[str]) -> None:
        """Refuse files that a filter of the app's own configuration would have to write."""
        found = await self._git("check-attr", "-z", "--cached", "filter", "--", *paths)
        fields = found.stdout.split(b"\0")
        for path, value in zip(fields[0::3], fields[2::3], strict=False):
            if value not in (b"unspecified", b"unset"):
                name = one_line(os.fsdecode(path))
                raise Conflict(
                    f"{name} passes a filter of the repository ({one_line(value.decode())}), which "
                    f"the sidecar never runs; apply the branch by hand",
                    code="filtered_path",
                )

    async def advance(self, old: str, new: str) -> None:
        """Two-way merge of index and tree: refuses to overwrite anything that is not ``old``."""
        moved = await self._git("read-tree", "-m", "-u", old, new)
        if moved.code:
            raise Conflict(
                f"the checkout cannot be moved: {one_line(moved.stderr[:300])}", code="dirty_tree"
            )


async def run_founders_command(
    command: str, cwd: Path, env: dict[str, str], *, timeout_s: float, clock: Clock
) -> CommandRun:
    """The founder's own words, run as the checkout's owner, outside the jail, in bounded time."""
    started = clock.monotonic()
    owner = Owner.of(cwd)
    who = {"user": owner.uid, "group": owner.gid, "extra_groups": []} if owner else {}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SELFHEAL_")}
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        command,
        cwd=cwd,
        env={**inherited, **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        **who,  # type: ignore[arg-type]  # three optional keywords, kept together
    )
    reason, output = None, b""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(timeout_s):
            while chunk := await process.stdout.read(65536):
                output = (output + chunk)[-4 * OUTPUT_CHARS_MAX :]
            await process.wait()
    except TimeoutError:
        reason = f"stopped after {timeout_s:.0f} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return CommandRun(
        ran=True,
        ok=process.returncode == 0 and reason is None,
        exit_code=process.returncode,
        duration_s=round(clock.monotonic() - started, 3),
        output=visible(output.decode("utf-8", "replace"))[-OUTPUT_CHARS_MAX:],
        reason=reason,
    )
