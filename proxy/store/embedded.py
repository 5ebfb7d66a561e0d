"""The embedded PostgreSQL: one cluster per data directory, started, found again, brought back,
stopped.

Stdlib only and blocking: the supervisor runs it before the heavy imports. It knows processes and
files and no table. Several sidecars may share a data directory; whoever comes first starts the
server, whoever leaves last stops it, and a server that outlived a killed starter is simply used
again.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxy.errors import SelfHealError
from proxy.store import binaries as pg

SOCKET_PATH_BYTES_MAX = 106
"""``sun_path`` holds 107 bytes and a terminating NUL on Linux, 103 on macOS."""
START_TIMEOUT_S = 60
START_ATTEMPTS = 3
LEFTOVER_WAIT_S = 2.0
DATABASE = "selfheal"
_SUPERUSER = "postgres"
_PORT = 5432
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Statements carry data; a failed one must not end up in a log file.
    "log_min_error_statement": "panic",
    "max_connections": "200",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. ``started`` is False when it was already there."""

    dsn: str
    socket_dir: Path
    pid: int
    major: int
    started: bool


class Cluster:
    """The server of one data directory. Not thread-safe; many processes may each hold one."""

    def __init__(
        self,
        data_dir: Path,
        *,
        installations: list[pg.Binaries] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """``installations`` in place of those found; ``settings`` beside ours, for throw-away
        servers.
        """
        self.data_dir = data_dir
        self._settings = _SETTINGS | dict(settings or {})
        self._installations = installations
        self._user = pg.service_user()
        self.home = self._home()
        self.data = self.home / "data"
        self._users_fd: int | None = None

    def ensure_running(self) -> Running:
        """Attach to the running server or start it; holds a share of it until ``detach``.

        Raises ``SelfHealError`` with the fix: no binaries, another major version, a server that
        will not start.
        """
        self._make_home()
        with self._locked():
            if self._users_fd is None:
                self._users_fd = os.open(self.home / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(self._users_fd, fcntl.LOCK_SH)
            try:
                return self._attach_or_start()
            except BaseException:
                self._release_share()
                raise

    def check(self) -> None:
        """``SelfHealError`` when no installed server can open what is there; starts nothing."""
        if self.data.is_dir():
            found = pg.find_all() if self._installations is None else self._installations
            pg.choose(found, self._data_major())

    def is_alive(self) -> bool:
        """Whether the postmaster of this data directory runs; reads files only."""
        return self._server_pid() is not None

    def stop(self) -> bool:
        """Stop the server whoever uses it (`selfheal db stop`). False when it was not running."""
        if not self.data.is_dir():
            return False
        with self._locked():
            return self._stop()

    def detach(self) -> bool:
        """Give up our share; the last one stops the server. True when it was stopped."""
        if self._users_fd is None:
            return False
        with self._locked():
            try:
                fcntl.flock(self._users_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return False  # somebody else still uses it
            else:
                return self._stop()
            finally:
                self._release_share()

    def installer_dsn(self) -> str:
        """The superuser's DSN, for `migrate` and member commands only. ``SelfHealError`` before a
        first start.
        """
        try:
            secret = self._secret_file.read_text("ascii").strip()
        except OSError as error:
            raise SelfHealError(
                f"no embedded database in {self.data_dir} yet; `selfheal up` makes it "
                f"({error.strerror})"
            ) from None
        host = quote(str(self.socket_dir), safe="/")
        return f"postgresql://{_SUPERUSER}:{secret}@/{DATABASE}?host={host}&port={_PORT}"

    @property
    def socket_dir(self) -> Path:
        """0700, and short enough for a socket address; outside the data directory where that is too
        deep.
        """
        inside = self.home / "run"
        if len(os.fsencode(inside / f".s.PGSQL.{_PORT}")) <= SOCKET_PATH_BYTES_MAX - 4:
            return inside
        return Path("/tmp", f"selfheal-{os.geteuid()}-{self._key}")

    @property
    def log_file(self) -> Path:
        return self.home / "server.log"

    @property
    def _secret_file(self) -> Path:
        return self.home / "installer.secret"

    @property
    def _key(self) -> str:
        return hashlib.sha256(os.fsencode(os.path.realpath(self.data_dir))).hexdigest()[:12]

    def _home(self) -> Path:
        return pg.STATE_ROOT / self._key if self._user else self.data_dir.absolute() / "postgres"

    # --- under the lock -----------------------------------------------------------------------

    def _attach_or_start(self) -> Running:
        if not self.data.is_dir():
            self._init()
        major = self._data_major()
        started = False
        if (pid := self._server_pid()) is None:
            self._start(self._binaries(major))
            started = True
            pid = self._server_pid()
        if pid is None:
            raise SelfHealError(f"PostgreSQL ended right after its start; see {self.log_file}")
        return Running(self.installer_dsn(), self.socket_dir, pid, major, started)

    def _binaries(self, data_major: int | None) -> pg.Binaries:
        found = pg.find_all() if self._installations is None else self._installations
        return pg.for_user(pg.choose(found, data_major), self._user)

    def _data_major(self) -> int:
        try:
            return int((self.data / "PG_VERSION").read_text("ascii").split(".")[0])
        except (OSError, ValueError):
            raise SelfHealError(
                f"{self.data} is no PostgreSQL data directory; "
                "move it away or choose another --data-dir"
            ) from None

    def _init(self) -> None:
        """initdb beside the final name, renamed when complete: a killed first start leaves nothing
        half-made.
        """
        binaries = self._binaries(None)
        part = self.home / "data.new"
        self._stop(part)  # of a starter that was killed between initdb and the rename
        shutil.rmtree(part, ignore_errors=True)
        self._own_dir(part)
        secret = secrets.token_urlsafe(32)
        fd, password_file = tempfile.mkstemp(prefix="pw-", dir=self.home)
        try:
            os.write(fd, f"{secret}\n".encode())
            if self._user:
                os.fchown(fd, self._user.uid, self._user.gid)
            os.close(fd)
            self._run(
                [
                    *(binaries["initdb"], "-D", str(part), "-U", _SUPERUSER, "-E", "UTF8", "-k"),
                    *("--locale=C", "--auth=scram-sha-256", f"--pwfile={password_file}"),
                    *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
                ],
                "initdb failed",
            )
        finally:
            os.unlink(password_file)
        self._write_secret(secret)
        self._start(binaries, part)
        self._run(
            [
                binaries["createdb"],
                "-h",
                str(self.socket_dir),
                "-p",
                str(_PORT),
                "-U",
                _SUPERUSER,
                DATABASE,
            ],
            "the database could not be created",
            {"PGPASSWORD": secret},
        )
        self._stop(part)
        part.rename(self.data)

    def _start(self, binaries: pg.Binaries, data: Path | None = None) -> None:
        data = data or self.data
        self._own_dir(self.socket_dir)
        for attempt in range(1, START_ATTEMPTS + 1):
            self._remove_leftovers(data)
            options = " ".join(
                ["-k", shlex.quote(str(self.socket_dir)), "-p", str(_PORT)]
                + [f"-c {key}={shlex.quote(value)}" for key, value in self._settings.items()]
            )
            command = [
                binaries["pg_ctl"],
                "start",
                "-D",
                str(data),
                "-w",
                "-s",
                "-t",
                str(START_TIMEOUT_S),
            ]
            with open(self.log_file, "ab", opener=lambda p, f: os.open(p, f, 0o600)) as log:
                if log.tell() > 8_000_000:
                    log.truncate(0)
                done = subprocess.run(
                    [*command, "-o", options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    check=False,
                    start_new_session=True,
                    cwd="/",
                    env=_environment(),
                    **self._as_user(),
                )
            if done.returncode == 0:
                return
            if attempt < START_ATTEMPTS:
                time.sleep(0.2 * attempt)
        raise SelfHealError(
            f"the embedded PostgreSQL does not start: {_last_line(self.log_file)} "
            f"(more in {self.log_file})"
        )

    def _stop(self, data: Path | None = None) -> bool:
        data = data or self.data
        if self._server_pid(data) is None:
            return False
        binaries = self._binaries(int((data / "PG_VERSION").read_text("ascii")))
        self._run(
            [
                binaries["pg_ctl"],
                "stop",
                "-D",
                str(data),
                "-m",
                "fast",
                "-w",
                "-s",
                "-t",
                str(START_TIMEOUT_S),
            ],
            "PostgreSQL does not stop",
        )
        return True

    def _server_pid(self, data: Path | None = None) -> int | None:
        """The live postmaster of this data directory: a pid alone proves nothing, it may be
        anybody's by now.
        """
        data = data or self.data
        try:
            pid = int((data / "postmaster.pid").read_text("ascii", "replace").split("\n")[0])
        except (OSError, ValueError):
            return None
        command = _command_line(pid)
        return pid if command is not None and str(data) in command else None

    def _remove_leftovers(self, data: Path) -> None:
        """After kill -9: stale pid files, and backends that still hold the old shared memory."""
        limit = LEFTOVER_WAIT_S
        while left := list(_orphans(data)):
            if limit <= 0:
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
            limit -= 0.02
            if limit < -LEFTOVER_WAIT_S:
                break
        for stale in (data / "postmaster.pid", self.socket_dir / f".s.PGSQL.{_PORT}.lock"):
            stale.unlink(missing_ok=True)

    # --- files and users ----------------------------------------------------------------------

    def _make_home(self) -> None:
        if self._user:
            pg.ensure_state_root()
            self.home.mkdir(mode=0o711, exist_ok=True)
            self.home.chmod(0o711)  # umask may have taken the x bits the server's user needs
        else:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _own_dir(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        owner = self._user.uid if self._user else os.geteuid()
        if path.is_symlink() or path.lstat().st_uid not in (owner, os.geteuid()):
            raise SelfHealError(f"{path} belongs to somebody else; remove it and start again")
        if self._user:
            os.chown(path, self._user.uid, self._user.gid)
        path.chmod(0o700)

    def _write_secret(self, secret: str) -> None:
        part = self._secret_file.with_suffix(".new")
        part.unlink(missing_ok=True)
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(secret)
        part.rename(self._secret_file)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self.home / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _release_share(self) -> None:
        if self._users_fd is not None:
            os.close(self._users_fd)
            self._users_fd = None

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.uid, "group": self._user.gid, "extra_groups": []}

    def _run(self, command: list[str], failure: str, env: dict[str, str] | None = None) -> None:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            start_new_session=True,
            cwd="/",
            env=_environment() | (env or {}),
            **self._as_user(),
        )
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise SelfHealError(f"{failure}: {lines[-1]}")


def _environment() -> dict[str, str]:
    """Nothing of ours: a PGHOST, PGDATA or LC_ALL of the caller must not steer the server."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/nonexistent", "TZ": "UTC"}


def _command_line(pid: int) -> str | None:
    """The command of a living process; None when it is gone or a zombie."""
    proc = Path("/proc", str(pid))
    if proc.parent.joinpath("self").exists():
        try:
            state = (proc / "stat").read_text("latin-1").rpartition(")")[2].split()[0]
            return (
                None
                if state in "ZX"
                else (proc / "cmdline").read_text("utf-8", "replace").replace("\0", " ")
            )
        except (OSError, IndexError):
            return None
    run = subprocess.run(
        ["/bin/ps", "-o", "stat=,command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if run.returncode != 0 or run.stdout.strip().startswith("Z") else run.stdout


def _orphans(data: Path) -> Iterator[int]:
    """Server processes whose working directory is this data directory (every backend's is)."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (
                os.readlink(entry / "cwd") == str(data)
                and b"postgres" in (entry / "cmdline").read_bytes()
            ):
                yield int(entry.name)
        except OSError:
            continue


def _last_line(file: Path) -> str:
    try:
        lines = [
            line for line in file.read_text("utf-8", "replace")[-4000:].splitlines() if line.strip()
        ]
    except OSError:
        return "no log"
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return (fatal or lines or ["no message"])[-1][:300]
