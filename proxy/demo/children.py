"""Processes the demo starts:

each in a session of its own, its words in a log, ended by its own id.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

TERM_GRACE_S = 20.0
"""A sidecar that drains and stops its database needs a few seconds; then it is killed."""


class Child:
    """One process. ``log`` gets everything it says."""

    def __init__(self, name: str, log: Path) -> None:
        self.name, self.log = name, log
        self._process: asyncio.subprocess.Process | None = None

    async def start(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
    ) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=cwd,
                env=dict(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=pass_fds,
                # a Ctrl-C at the terminal is for the demo, which then ends its children in order
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def ended(self) -> int | None:
        """The exit code, or None while it runs (or was never started)."""
        return self._process.returncode if self._process else None

    async def stop(self) -> None:
        """SIGTERM, and after the grace SIGKILL to its whole session. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), TERM_GRACE_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    def last_words(self, lines: int = 5) -> str:
        """The end of the log, for an error's sentence."""
        try:
            text = self.log.read_text("utf-8", "replace")
        except OSError:
            return ""
        return " | ".join(text.strip().splitlines()[-lines:])


def plain_environment(**more: str) -> dict[str, str]:
    """The caller's environment without what would steer the sidecar or Python's own output."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SELFHEAL_", "PG"))}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"} | more
