"""The sidecar as a stranger would run it: `selfheal up` as a child, everything else through the
public commands.

Knows the command line and the files `up` leaves in its data directory, nothing behind them.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from proxy.clock import Clock, SystemClock
from proxy.demo.children import Child, plain_environment
from proxy.errors import SelfHealError, Unavailable
from proxy.locations import DataDir

READY_TIMEOUT_S = 30.0
DATABASE_TIMEOUT_S = 60.0
COMMAND_TIMEOUT_S = 180.0
POLL_S = 0.2


class Sidecar:
    """One `selfheal up` in its data directory."""

    def __init__(self, data_dir: Path, *, clock: Clock | None = None) -> None:
        self.files = DataDir(data_dir)
        self._clock = clock or SystemClock()
        self._child = Child("selfheal up", data_dir / "up.log")

    async def start(self, upstream: str, config: Path, repo: Path) -> None:
        """Start it and wait until it forwards.

        ``SelfHealError`` with its last words if it does not.
        """
        await self._child.start(
            [
                *(sys.executable, "-m", "proxy", "up", "--upstream", upstream),
                *("--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"),
                *("--data-dir", str(self.files.path), "--config", str(config)),
                *("--repo", str(repo)),
            ],
            cwd=Path.cwd(),
            env=plain_environment(),
        )
        await self._until("ready", READY_TIMEOUT_S, "/readyz", lambda status, _: status == 200)

    async def wait_for_database(self) -> None:
        await self._until(
            "with its database",
            DATABASE_TIMEOUT_S,
            "/healthz",
            lambda _, body: _state(body) == "ok",
        )

    @property
    def pid(self) -> int | None:
        return self._child.pid

    @property
    def data_url(self) -> str:
        return self.files.data_url.read_text("utf-8").strip()

    @property
    def control_url(self) -> str:
        return self.files.control_url.read_text("utf-8").strip()

    async def stop(self) -> None:
        await self._child.stop()

    def check_alive(self) -> None:
        if self._child.ended is not None:
            raise SelfHealError(f"`selfheal up` ended by itself: {self._child.last_words()}")

    async def ask(self, *words: str) -> list[Any]:
        """Run one command with ``--json``; its JSON lines. ``SelfHealError`` unless it exits 0."""
        code, found, errors = await self.run(*words)
        if code != 0:
            raise SelfHealError(f"`selfheal {' '.join(words[:2])}` ended with {code}: {errors}")
        return found

    async def run(self, *words: str) -> tuple[int, list[Any], str]:
        """Exit code, JSON lines of stdout, last words of stderr."""
        self.check_alive()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy", *words, "--json"),
            *("--data-dir", str(self.files.path)),
            env=plain_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                out, err = await process.communicate()
        except TimeoutError:
            raise Unavailable(f"`selfheal {words[0]}` did not end in time") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        lines = [json.loads(line) for line in out.decode().splitlines() if line.strip()]
        return process.returncode or 0, lines, err.decode("utf-8", "replace").strip()[-600:]

    async def _until(
        self, what: str, limit_s: float, path: str, met: Callable[[int, Any], bool]
    ) -> None:
        deadline = self._clock.monotonic() + limit_s
        last = "it did not answer"
        while True:
            self.check_alive()
            try:
                status, body = await self._get(path)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                last = str(error) or type(error).__name__
            else:
                if met(status, body):
                    return
                last = f"{path} answered {status} {json.dumps(body)[:300]}"
            if self._clock.monotonic() > deadline:
                raise Unavailable(f"the sidecar was not {what} in {limit_s:.0f} s: {last}")
            await asyncio.sleep(POLL_S)

    async def _get(self, path: str) -> tuple[int, Any]:
        limit = aiohttp.ClientTimeout(total=3)
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(self.control_url + path) as answer,
        ):
            return answer.status, await answer.json(content_type=None)


def _state(body: Any) -> str:
    storage = body.get("storage") if isinstance(body, dict) else None
    state = storage.get("state") if isinstance(storage, dict) else storage
    return str(state)
