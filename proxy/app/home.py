"""The data directory as the running sidecar's home: one at a time lives there, and tells others
where it listens.

For an upgrade in place two share it for a while; the lock then goes to the one that stays.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from proxy.errors import ConfigError
from proxy.locations import DataDir

LOCK_EVERY_S = 0.5


class Home:
    def __init__(self, files: DataDir, *, takeover: bool) -> None:
        self.files = files
        self.run_dir = Path()
        """Sockets between our own processes: a short path, gone with the sidecar."""
        self._takeover = takeover
        self._lock: IO[str] | None = None
        self._is_locked = False
        self._before: dict[Path, str] = {}
        """What the sidecar before us told, as long as it may have to be told again."""

    def enter(self) -> None:
        """Make the directory and lock it. ``ConfigError`` when it cannot be written, or when a
        sidecar lives there and this one was not told to take over.
        """
        path = self.files.path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = self.files.lock_file.open("a+")
        except OSError as error:
            raise ConfigError(
                f"--data-dir {path}: cannot be written: {error.strerror}; choose another directory"
            ) from None
        if not self._try_lock() and not self._takeover:
            self._lock.close()
            raise ConfigError(
                f"--data-dir {path}: a sidecar already runs there; stop it, use --takeover for"
                " an upgrade in place, or give this one a directory of its own"
            )
        self.run_dir = Path(tempfile.mkdtemp(prefix="selfheal-"))

    def _try_lock(self) -> bool:
        assert self._lock is not None
        if self._is_locked:
            return True
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._is_locked = True
        return self._is_locked

    async def keep_lock(self) -> None:
        """After a take-over: the lock is ours once the sidecar before us has left."""
        while not self._try_lock():  # noqa: ASYNC110 - a lock file has no event
            await asyncio.sleep(LOCK_EVERY_S)

    def _told(self) -> tuple[Path, ...]:
        files = self.files
        return files.takeover, files.control_url, files.data_url, files.pid_file

    def tell(self, data_url: str, control_url: str) -> None:
        """Leave word where this sidecar listens, and who it is."""
        if not self._is_locked:
            for path in self._told():
                with contextlib.suppress(OSError):
                    self._before[path] = path.read_text("utf-8")
        self.files.data_url.write_text(f"{data_url}\n", "utf-8")
        self.files.control_url.write_text(f"{control_url}\n", "utf-8")
        self.files.pid_file.write_text(f"{os.getpid()}\n", "utf-8")

    def leave(self) -> None:
        """After a take-over the files name the sidecar that took over, and stay. One that took over
        and leaves first puts back what it found.
        """
        with contextlib.suppress(OSError):
            if self.files.pid_file.read_text().strip() == str(os.getpid()):
                before = {} if self._try_lock() else self._before
                for path in self._told():
                    if path in before:
                        path.write_text(before[path], "utf-8")
                    else:
                        path.unlink(missing_ok=True)
        if self.run_dir != Path():
            shutil.rmtree(self.run_dir, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
