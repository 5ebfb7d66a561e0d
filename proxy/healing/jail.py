"""The jail: a foreign command in bubblewrap, with no network, no credentials and hard limits.

It sees read-only system folders, the interpreter's and tools' prefixes, one throw-away tree at
``/src`` and what its caller binds; its environment is written from nothing. Started as root it runs
as an ordinary service user without capabilities. Without bubblewrap nothing is run at all.
"""

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.clock import Clock, SystemClock
from proxy.healing.gitrepo import Owner
from proxy.store import binaries
from proxy.tasks import spawn

OUTPUT_BYTES_MAX = 262144
"""The tail that is kept of one command's output."""
FILE_BYTES_MAX = 512 << 20
TMP_BYTES_MAX = 512 << 20
OPEN_FILES_MAX = 1024
PROCESSES_MAX = 512
SRC = "/src"
HOME = "/tmp/home"

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl/certs", "/etc/ssl/openssl.cnf")
_TOOLS = ("node", "npm", "npx", "deno", "bun", "ruby", "bundle", "php", "go", "java", "dotnet")
_INSTALL = "install bubblewrap (Debian: apt-get install bubblewrap)"


@dataclass(frozen=True, slots=True)
class Limits:
    """For one run: wall seconds, and address space per process in bytes."""

    timeout_s: float = 120.0
    memory_bytes: int = 2048 << 20


@dataclass(frozen=True, slots=True)
class Bind:
    """A host path shown in the jail at ``target`` (default: at its own path), read-only or not."""

    source: str
    target: str = ""
    writable: bool = False


@dataclass(frozen=True, slots=True)
class JailSpec:
    """What one jail looks like. ``path`` are folders of programs, searched before the system's."""

    tree: Path
    root: str = SRC
    """Where the tree is seen in the jail. At the app's own path its stack traces name the files
    they name in production, so that signatures can be compared.
    """
    binds: tuple[Bind, ...] = ()
    path: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    user: Owner | None = None
    """Whom to run as when we are root."""


@dataclass(frozen=True, slots=True)
class JailResult:
    exit_code: int | None
    """None when it was stopped for time."""
    output: bytes
    """stdout; with ``merge`` stderr as well. The last ``OUTPUT_BYTES_MAX`` bytes."""
    errors: bytes
    duration_s: float
    timed_out: bool


def service_user() -> Owner | None:
    """Whom root runs foreign code as: the owner of the embedded server, so that a throw-away
    database of it can be reached by its socket. None when we are not root and stay who we are.
    """
    found = binaries.service_user()
    return None if found is None else Owner(found.uid, found.gid)


_availability: dict[str, str | None] = {}


def bwrap_available(user: Owner | None = None) -> str | None:
    """None when a jail can be made here, else why not, as a sentence that names the fix.

    Tried for real, once per process and user: a container may have bwrap and no namespaces.
    """
    key = f"{user}"
    if key not in _availability:
        _availability[key] = _try_bwrap(user)
    return _availability[key]


def _try_bwrap(user: Owner | None) -> str | None:
    if sys.platform != "linux":
        return f"no sandbox on {sys.platform}: bubblewrap needs Linux; run the sidecar there"
    if shutil.which("bwrap") is None:
        return f"no sandbox: {_INSTALL}, then run the sandbox again"
    command = command_line(JailSpec(Path("/usr"), user=user), ["/bin/true"])
    try:
        tried = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no sandbox: bwrap does not start ({error}); {_INSTALL}"
    if tried.returncode == 0:
        return None
    said = tried.stderr.decode("utf-8", "replace").strip()[:300]
    return (
        f"no sandbox: bwrap cannot make its namespaces here ({said}); allow user namespaces "
        f"(sysctl kernel.unprivileged_userns_clone=1, or the container's security options)"
    )


def command_line(spec: JailSpec, command: Sequence[str]) -> list[str]:
    """The whole bwrap call around ``command``.

    As root, mounts are made with root's eyes (a pyenv below a 0700 home is still found), then
    ``setpriv`` drops to the service user for good, then a second bwrap forbids namespaces inside.
    """
    words = ["bwrap", "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    words += ["--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"]
    words += _filesystem(spec)
    for name, value in _environment(spec).items():
        words += ["--setenv", name, value]
    words += ["--chdir", spec.root]
    inner = ["bwrap", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
    limited = [*_rlimits(spec.limits), *command]
    if spec.user is None:
        return [*words, "--unshare-user", "--disable-userns", "--cap-drop", "ALL", "--", *limited]
    for capability in ("SETUID", "SETGID", "SETPCAP"):
        words += ["--cap-add", f"CAP_{capability}"]
    drop = [
        "setpriv", f"--reuid={spec.user.uid}", f"--regid={spec.user.gid}", "--clear-groups",
        "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--",
    ]  # fmt: skip
    return [
        *words,
        "--",
        *drop,
        *inner,
        "--dev-bind",
        "/",
        "/",
        "--chdir",
        spec.root,
        "--",
        *limited,
    ]


def _rlimits(limits: Limits) -> list[str]:
    return [
        "prlimit",
        f"--as={limits.memory_bytes}",
        f"--cpu={int(limits.timeout_s) + 1}",
        f"--fsize={FILE_BYTES_MAX}",
        f"--nofile={OPEN_FILES_MAX}",
        f"--nproc={PROCESSES_MAX}",
        "--core=0",
        "--",
    ]


def _filesystem(spec: JailSpec) -> list[str]:
    words: list[str] = []
    for path in _SYSTEM:
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            words += ["--ro-bind", path, path]
    words += ["--perms", "0755", "--dir", "/etc"]
    for path in _ETC:
        words += ["--ro-bind-try", path, path]
    words += ["--proc", "/proc", "--dev", "/dev"]
    words += ["--perms", "1777", "--size", str(TMP_BYTES_MAX), "--tmpfs", "/tmp"]
    words += ["--perms", "1777", "--size", str(TMP_BYTES_MAX), "--tmpfs", "/dev/shm"]
    if spec.user is None:
        words += ["--dir", HOME]
    made: set[str] = set()
    tree = Bind(str(spec.tree), spec.root, writable=True)
    # a rewritten .git would redirect the next git call made on this tree
    git = spec.tree / ".git"
    own = (tree, Bind(str(git), f"{spec.root}/.git")) if git.exists() else (tree,)
    for bind in (*own, *spec.binds):
        target = bind.target or bind.source
        for parent in reversed(Path(target).parents):
            if (
                str(parent) not in made
                and str(parent) != "/"
                and not _inside(parent, spec.root, "/usr")
            ):
                # bwrap makes missing parents for its own user alone
                words += ["--perms", "0755", "--dir", str(parent)]
                made.add(str(parent))
        words += ["--bind" if bind.writable else "--ro-bind", bind.source, target]
    if spec.root != SRC:
        words += ["--symlink", spec.root, SRC]
    return words


def _inside(path: Path, *folders: str) -> bool:
    return any(path == Path(f) or path.is_relative_to(f) for f in folders)


def _environment(spec: JailSpec) -> dict[str, str]:
    return {
        "PATH": ":".join((*spec.path, "/usr/local/bin", "/usr/bin", "/bin")),
        "HOME": HOME if spec.user is None else "/tmp",
        "TMPDIR": "/tmp",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "USER": "sandbox",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "SELFHEAL_SANDBOX": "1",
        **spec.env,
    }


async def run_jailed(
    spec: JailSpec,
    command: Sequence[str],
    *,
    stdin: bytes = b"",
    merge: bool = True,
    clock: Clock | None = None,
) -> JailResult:
    """Run ``command`` in a fresh jail until it ends or its time is over; then nothing of it lives.

    The caller has asked ``bwrap_available`` before. ``OSError`` when bwrap cannot be started.
    """
    clock = clock or SystemClock()
    started = clock.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command_line(spec, command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT if merge else asyncio.subprocess.PIPE,
        start_new_session=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
    )
    timed_out = False
    tails = [_Tail(), _Tail()]
    readers = [
        spawn(tail.read(pipe), name="jail output")
        for tail, pipe in zip(tails, (process.stdout, process.stderr), strict=True)
        if pipe is not None
    ]
    try:
        async with asyncio.timeout(spec.limits.timeout_s):
            await _feed(process, stdin)
            await asyncio.gather(*readers)
            await process.wait()
    except TimeoutError:
        timed_out = True
    finally:
        _kill(process)
        await process.wait()
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    return JailResult(
        None if timed_out else process.returncode,
        tails[0].bytes(),
        tails[1].bytes(),
        clock.monotonic() - started,
        timed_out,
    )


def _kill(process: asyncio.subprocess.Process) -> None:
    """The first bwrap is pid 1's parent: with it every process of the jail ends."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError, RuntimeError):
        pass  # it ended before it had read everything; uvloop says that with a RuntimeError
    finally:
        process.stdin.close()


class _Tail:
    """The last bytes of an endless stream."""

    def __init__(self) -> None:
        self._kept = bytearray()

    async def read(self, pipe: asyncio.StreamReader) -> None:
        while chunk := await pipe.read(65536):
            self._kept += chunk
            del self._kept[:-OUTPUT_BYTES_MAX]

    def bytes(self) -> bytes:
        return bytes(self._kept)


# --- what a command needs to see --------------------------------------------------------------


def tool_prefixes(commands: Sequence[str]) -> tuple[tuple[Bind, ...], tuple[str, ...]]:
    """Read-only binds and program folders for the tools of ``commands`` and this very Python.

    A prefix is the folder above a program's ``bin``; where that would be a home directory or the
    root, only the program's own folder is shown.
    """
    programs = [*(w for c in commands for w in _words(c)), sys.executable, *_TOOLS]
    prefixes: dict[str, None] = {}
    folders: dict[str, None] = {}
    for program in programs:
        found = shutil.which(program)
        if found is None or "/shims/" in found:
            continue
        # the name first: a virtual environment's python is a link out of it
        for path in (found, os.path.realpath(found)):
            folder = os.path.dirname(path)
            if not _is_system(folder):
                prefixes[_prefix(folder)] = None
                folders[folder] = None
    prefixes |= {sys.prefix: None, sys.base_prefix: None}
    binds = tuple(Bind(p) for p in prefixes if not _is_system(p) and os.path.isdir(p))
    return binds, tuple(f for f in folders if not _is_system(f))


def _words(command: str) -> list[str]:
    """Words of a shell line that may be programs; a wrong guess binds nothing."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    return [w for w in words[:32] if w and "=" not in w and not w.startswith(("-", "{"))]


def _prefix(folder: str) -> str:
    above = os.path.dirname(folder)
    home = os.path.expanduser("~")
    if os.path.basename(folder) != "bin" or above in ("/", home, os.path.join(home, ".local")):
        return folder
    return above


def _is_system(path: str) -> bool:
    return path == "/" or any(path == s or path.startswith(f"{s}/") for s in _SYSTEM)


def root_for(app: Path) -> str:
    """Where the tree of ``app`` is shown: at its own path, unless that is the system's."""
    path = str(app.resolve())
    return SRC if _is_system(path) or path.startswith(("/proc", "/dev", "/etc")) else path


def shared_folders(app: Path, names: Sequence[str], root: str = SRC) -> tuple[Bind, ...]:
    """Ignored dependency folders of the app, read-only, in the tree and at their own place.

    Scripts of a virtual environment name its absolute path, hence both. A link or a path that
    leaves the checkout is not followed.
    """
    binds: list[Bind] = []
    home = app.resolve()
    for name in names:
        folder = home / name
        if folder.is_dir() and folder.resolve() == folder and name not in ("", ".", ".git"):
            binds += dict.fromkeys(
                [Bind(str(folder), f"{root}/{name}"), Bind(str(folder), str(folder))]
            )
            binds += _venv_home(folder)
    return tuple(binds)


def _venv_home(folder: Path) -> list[Bind]:
    """A virtual environment lives on its base interpreter: ``home`` in ``pyvenv.cfg``."""
    try:
        text = (folder / "pyvenv.cfg").read_text("utf-8", "replace")
    except OSError:
        return []
    for line in text.splitlines()[:50]:
        key, equals, value = line.partition("=")
        if equals and key.strip() == "home":
            prefix = _prefix(value.strip())
            if os.path.isdir(prefix) and not _is_system(prefix):
                return [Bind(prefix)]
    return []


def make_mount_points(
    tree: Path, binds: Sequence[Bind], user: Owner | None, root: str = SRC
) -> None:
    """Folders below the tree's root to mount on: a jail without rights cannot make them itself."""
    for bind in binds:
        if bind.target.startswith(f"{root}/"):
            point = tree / bind.target.removeprefix(f"{root}/")
            point.mkdir(parents=True, exist_ok=True)
            if user is not None:
                os.chown(point, user.uid, user.gid)
