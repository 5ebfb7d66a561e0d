"""Git, kept at arm's length: commits and worktrees made in a bare repository of our own.

The app's repository lends its objects (alternates) and nothing else: its config, hooks, filters and
attributes never run. Only refs and loose objects are ever written into it, and its working tree is
touched by ``applier`` alone. Everything git prints is hostile text.
"""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from proxy.errors import Conflict, Invalid, NotFound, Unavailable
from proxy.healing.diff import Diff

COMMAND_TIMEOUT_S = 60.0
OUTPUT_BYTES_MAX = 32 << 20
BRANCH_PREFIX = "sandbox/self-heal/J-"
_COMMIT = re.compile(r"^[0-9a-f]{40}([0-9a-f]{24})?$")
_IDENTITY = "Self-Heal <self-heal@localhost>"

SAFE_OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=false",
    "core.attributesFile=/dev/null",
    "core.quotePath=true",
    "core.pager=cat",
    "protocol.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "safe.directory=*",
)
"""Given to every git call: nothing of a repository's own may run or reach out. ``safe.directory``
is open because ownership is judged here, by running as the owner, not by git."""


@dataclass(frozen=True, slots=True)
class Completed:
    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace").strip()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a command runs as; only root can change it."""

    uid: int
    gid: int

    @classmethod
    def of(cls, path: Path) -> "Owner | None":
        """The owner of ``path`` when we are root and it is somebody else's, else None."""
        stat = path.stat()
        if os.geteuid() != 0 or stat.st_uid == 0:
            return None
        return cls(stat.st_uid, stat.st_gid)


async def run_git(
    args: Sequence[str],
    *,
    git_dir: Path | None = None,
    work_tree: Path | None = None,
    index: Path | None = None,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    owner: Owner | None = None,
    cwd: Path | None = None,
) -> Completed:
    """One git call with no config but ours. ``Unavailable`` when git is missing or hangs."""
    environ = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        **(env or {}),
    }
    if index is not None:
        environ["GIT_INDEX_FILE"] = str(index)
    command = ["git"]
    for option in SAFE_OPTIONS:
        command += ["-c", option]
    if git_dir is not None:
        command.append(f"--git-dir={git_dir}")
    if work_tree is not None:
        command.append(f"--work-tree={work_tree}")
    who = {"user": owner.uid, "group": owner.gid, "extra_groups": []} if owner else {}
    # a file, not a pipe: git may end before it has read its input, and then uvloop's pipe raises
    given = tempfile.TemporaryFile() if stdin else None  # noqa: SIM115 - closed once git has it
    try:
        if given is not None:
            given.write(stdin)
            given.seek(0)
        process = await asyncio.create_subprocess_exec(
            *command,
            *args,
            stdin=given or asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ,
            cwd=cwd or work_tree or git_dir or "/",
            **who,  # type: ignore[arg-type]  # three optional keywords, kept together
        )
    except FileNotFoundError as error:
        raise Unavailable(f"git could not be started: {error}; install git") from None
    finally:
        if given is not None:
            given.close()
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            stdout, stderr = await process.communicate()
    except BaseException as error:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if isinstance(error, TimeoutError):
            raise Unavailable(f"git {args[0]} took over {COMMAND_TIMEOUT_S:.0f} s") from None
        raise
    if len(stdout) > OUTPUT_BYTES_MAX:
        raise Unavailable(f"git {args[0]} printed over {OUTPUT_BYTES_MAX} bytes")
    return Completed(process.returncode or 0, stdout, stderr.decode("utf-8", "replace").strip())


class GitRepo:
    """The app's checkout, seen through a bare repository of our own below ``home``."""

    def __init__(self, app: Path, home: Path, *, main: str = "main") -> None:
        self.app = app
        self.home = home
        self.main_ref = f"refs/heads/{main}"
        self.main = main
        self.bare = home / "objects.git"
        self.trees = home / "trees"
        self._app_git: Path | None = None
        self._lock = asyncio.Lock()

    # --- the app's repository, read ---------------------------------------------------------

    async def app_git(self) -> Path:
        """The app's common git directory. ``NotFound`` when ``repo.path`` is no checkout."""
        if self._app_git is None:
            if not self.app.is_dir():
                raise NotFound(f"{self.app} is no directory; set repo.path to the app's checkout")
            found = await run_git(
                ["rev-parse", "--path-format=absolute", "--git-common-dir"], cwd=self.app
            )
            if found.code:
                raise NotFound(f"{self.app} is no git checkout; set repo.path to one")
            self._app_git = Path(os.fsdecode(found.stdout.rstrip(b"\n")))
        return self._app_git

    async def in_app(self, *args: str, stdin: bytes = b"") -> Completed:
        """A git call on the app's refs and objects, as their owner. Never on its working tree."""
        git_dir = await self.app_git()
        return await run_git(args, git_dir=git_dir, stdin=stdin, owner=Owner.of(git_dir))

    async def resolve(self, revision: str) -> str:
        """Full commit id of ``revision`` in the app's repository, else ``NotFound``."""
        found = await self.in_app("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if found.code or not _COMMIT.match(found.text):
            raise NotFound(f"{revision!r} is no commit of {self.app}")
        return found.text

    async def head(self) -> str:
        """The commit MAIN points at."""
        try:
            return await self.resolve(self.main_ref)
        except NotFound:
            raise NotFound(
                f"{self.app} has no branch {self.main!r}; set repo.main to the branch that is MAIN"
            ) from None

    async def contains(self, ancestor: str, commit: str) -> bool:
        """True when ``ancestor`` is part of the history of ``commit``."""
        return (await self.in_app("merge-base", "--is-ancestor", ancestor, commit)).code == 0

    # --- our own repository -----------------------------------------------------------------

    async def in_bare(
        self,
        *args: str,
        stdin: bytes = b"",
        index: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        await self._prepare()
        return await run_git(args, git_dir=self.bare, stdin=stdin, index=index, env=env)

    async def _prepare(self) -> None:
        async with self._lock:
            alternates = self.bare / "objects" / "info" / "alternates"
            objects = f"{await self.app_git()}/objects\n"
            if alternates.is_file() and alternates.read_text() == objects:
                return
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.trees.mkdir(mode=0o700, exist_ok=True)
            made = await run_git(["init", "--quiet", "--bare", str(self.bare)], cwd=self.home)
            if made.code:
                raise Unavailable(f"git init failed below {self.home}: {made.stderr[:500]}")
            alternates.parent.mkdir(parents=True, exist_ok=True)
            alternates.write_text(objects)

    async def check(self, base: str, diff: Diff, text: str) -> None:
        """Raise ``Invalid`` unless git reads the same files, none of them through a link."""
        counted = await self.in_bare("apply", "--numstat", "-z", "-", stdin=text.encode())
        if counted.code:
            raise Invalid(f"git cannot read the diff: {counted.stderr[:500]}", code="malformed")
        if _numstat(counted.stdout) != _own_count(diff):
            raise Invalid("git reads other files from this diff than it shows", code="malformed")
        ancestry = sorted({a for path in diff.files for a in _ancestry(path)})
        listed = await self.in_bare("ls-tree", "-z", base, "--", *ancestry)
        for entry in listed.stdout.split(b"\0"):
            mode, _, rest = entry.partition(b" ")
            name = os.fsdecode(rest.partition(b"\t")[2])
            if mode == b"120000":
                raise Invalid(f"{name!r} is a symbolic link in the base commit", code="symlink")
            if mode == b"160000":
                raise Invalid(f"{name!r} is a submodule in the base commit", code="submodule")

    async def commit_patch(
        self, base: str, diff: Diff, text: str, *, message: str, when: datetime
    ) -> str:
        """Commit ``text`` on ``base`` without a working tree; same input, same commit id.

        ``Invalid`` with ``does_not_apply`` names the hunk; ``empty`` when nothing would change.
        """
        await self.check(base, diff, text)
        async with self._index(base) as index:
            applied = await self.in_bare(
                "apply", "--cached", "--whitespace=nowarn", "-", stdin=text.encode(), index=index
            )
            if applied.code:
                raise Invalid(_why_not(diff, applied.stderr, base), code="does_not_apply")
            return await self._commit_index(index, base, base, message, when)

    async def commit_reverse(
        self, onto: str, text: str, diff: Diff, *, message: str, when: datetime
    ) -> str:
        """Commit the reverse of ``text`` on ``onto``; ``Conflict`` when later work stands on it."""
        async with self._index(onto) as index:
            applied = await self.in_bare(
                "apply", "--cached", "-R", "--whitespace=nowarn", "-",
                stdin=text.encode(), index=index,
            )  # fmt: skip
            if applied.code:
                raise Conflict(
                    f"the patch cannot be taken back by itself, revert it by hand: "
                    f"{_why_not(diff, applied.stderr, onto)}",
                    code="cannot_revert",
                )
            return await self._commit_index(index, onto, onto, message, when)

    @asynccontextmanager
    async def _index(self, commit: str) -> AsyncIterator[Path]:
        await self._prepare()
        with tempfile.TemporaryDirectory(dir=self.home, prefix="index-") as folder:
            index = Path(folder) / "index"
            read = await self.in_bare("read-tree", commit, index=index)
            if read.code:
                raise NotFound(f"commit {commit[:12]} cannot be read: {read.stderr[:300]}")
            yield index

    async def _commit_index(
        self, index: Path, parent: str, than: str, message: str, when: datetime
    ) -> str:
        tree = (await self.in_bare("write-tree", index=index)).text
        before = (await self.in_bare("rev-parse", f"{than}^{{tree}}")).text
        if tree == before:
            raise Invalid("the patch changes nothing", code="empty")
        name, _, email = _IDENTITY.partition(" <")
        date = f"@{int(when.timestamp())} +0000"
        env = {
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": email.rstrip(">"),
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": email.rstrip(">"),
            "GIT_COMMITTER_DATE": date,
        }
        made = await self.in_bare(
            "commit-tree", tree, "-p", parent, "-F", "-", stdin=message.encode(), env=env
        )
        if made.code or not _COMMIT.match(made.text):
            raise Unavailable(f"git could not write the commit: {made.stderr[:500]}")
        return made.text

    async def set_branch(self, branch: str, commit: str) -> None:
        """Point our own ``branch`` at ``commit`` (worktrees of it must be gone)."""
        await self.in_bare("update-ref", f"refs/heads/{branch}", commit)

    @asynccontextmanager
    async def worktree(self, revision: str, *, owner: Owner | None = None) -> AsyncIterator[Path]:
        """A throw-away checkout of a commit or of one of our own branches; gone afterwards."""
        await self._prepare()
        folder = Path(tempfile.mkdtemp(dir=self.trees, prefix="tree-"))
        tree = folder / "src"
        try:
            added = await self.in_bare("worktree", "add", "--quiet", "--force", str(tree), revision)
            if added.code:
                raise Unavailable(f"git worktree failed: {added.stderr[:500]}")
            if owner is not None:
                await asyncio.to_thread(_give, tree, owner)
            yield tree
        finally:
            await asyncio.to_thread(_remove, folder)
            await self.in_bare("worktree", "prune", "--expire=now")

    async def restore(self, tree: Path, commit: str, paths: Sequence[str]) -> None:
        """Bring ``paths`` of a worktree back to what they are in ``commit``."""
        for path in paths:
            shown = await self.in_bare("cat-file", "blob", f"{commit}:{path}")
            target = tree / path
            if shown.code == 0:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(shown.stdout)

    async def changed_files(self, tree: Path) -> tuple[str, ...]:
        """Tracked files that differ from the checkout: what a test run wrote into the tree."""
        pointer = await asyncio.to_thread(_own_gitdir, tree, self.bare)
        status = await run_git(
            ["status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all"],
            git_dir=pointer,
            work_tree=tree,
        )
        return tuple(os.fsdecode(e[3:]) for e in status.stdout.split(b"\0") if len(e) > 3)

    # --- handing over -----------------------------------------------------------------------

    async def publish(self, commit: str, base: str, branch: str | None = None) -> None:
        """Copy ``commit`` into the app's objects and, if named, point ``branch`` there at it."""
        packed = await self.in_bare(
            "pack-objects", "--quiet", "--revs", "--stdout", stdin=f"{commit}\n^{base}\n".encode()
        )
        if packed.code:
            raise Unavailable(f"git could not pack {commit[:12]}: {packed.stderr[:500]}")
        taken = await self.in_app("unpack-objects", "-q", stdin=packed.stdout)
        if taken.code:
            raise Conflict(f"{self.app} took no objects: {taken.stderr[:500]}", code="repo_write")
        if branch is not None:
            moved = await self.in_app(
                "update-ref", "-m", "self-heal", f"refs/heads/{branch}", commit
            )
            if moved.code:
                raise Conflict(f"branch {branch}: {moved.stderr[:500]}", code="repo_write")


def sandbox_home(data_dir: Path) -> Path:
    """Where our bare repository and the throw-away checkouts of a data directory live.

    Mounts are made with our own eyes, so the folder need not be open to the jail's user.
    """
    return data_dir / "sandbox"


def branch_for(job_id: int) -> str:
    return f"{BRANCH_PREFIX}{job_id}"


def _ancestry(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _numstat(output: bytes) -> dict[str, tuple[int, int]]:
    """``git apply --numstat -z``: ``added TAB removed TAB path NUL``; ``-`` stands for binary."""
    counts: dict[str, tuple[int, int]] = {}
    for record in output.split(b"\0"):
        if not record:
            continue
        added, _, rest = record.partition(b"\t")
        removed, _, path = rest.partition(b"\t")
        if not added.isdigit() or not removed.isdigit():
            raise Invalid("binary patches are not taken", code="binary")
        counts[os.fsdecode(path)] = (int(added), int(removed))
    return counts


def _own_count(diff: Diff) -> dict[str, tuple[int, int]]:
    return {change.path: (change.added, change.removed) for change in diff.changes}


_FAILED = re.compile(r"error: patch failed: (.+):(\d+)")
_REASON = re.compile(r"error: (?!patch failed)(.+)")


def _why_not(diff: Diff, stderr: str, base: str) -> str:
    """One sentence from git's complaint, naming file, line and hunk where it can."""
    if failed := _FAILED.search(stderr):
        path, line = failed[1], int(failed[2])
        number = diff.hunk_at(path, line)
        where = f"hunk {number} of {path}" if number else path
        return f"the diff does not apply to {base[:12]}: {where} (line {line}) does not fit there"
    reason = _REASON.search(stderr)
    return f"the diff does not apply to {base[:12]}: {(reason[1] if reason else stderr)[:300]}"


def _give(tree: Path, owner: Owner) -> None:
    """Hand a fresh checkout to the jail's user; ``.git`` stays ours."""
    for folder, _, names in os.walk(tree):
        os.chown(folder, owner.uid, owner.gid, follow_symlinks=False)
        for name in names:
            if name != ".git" or Path(folder) != tree:
                os.chown(os.path.join(folder, name), owner.uid, owner.gid, follow_symlinks=False)


def _remove(folder: Path) -> None:
    # code in the jail may leave folders it took its own rights from
    def insist(function: object, path: str, _: object) -> None:
        del function
        os.chmod(os.path.dirname(path), 0o700)
        if os.path.islink(path) or not os.path.isdir(path):
            os.unlink(path)
        else:
            os.chmod(path, 0o700)
            shutil.rmtree(path, ignore_errors=True)

    shutil.rmtree(folder, onerror=insist)


def _own_gitdir(tree: Path, bare: Path) -> Path:
    """The worktree's git dir as *we* know it; the tree's ``.git`` file could have been
    rewritten.
    """
    for entry in (bare / "worktrees").iterdir():
        if (entry / "gitdir").read_text().strip() == str(tree / ".git"):
            return entry
    raise NotFound(f"{tree} is no worktree of {bare}")
