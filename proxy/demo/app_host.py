"""Keeps the shop running behind one listening socket that never closes.

The socket is bound here and handed down, so a restart after an apply loses no connection: what
arrives in between waits in the backlog.
"""

import asyncio
import socket
import sys
from pathlib import Path

import aiohttp

from proxy.clock import Clock, SystemClock
from proxy.demo.children import Child, plain_environment
from proxy.errors import SelfHealError

BACKLOG = 256
START_TIMEOUT_S = 20.0
_POLL_S = 0.05


class AppHost:
    """``start`` … ``restart`` … ``stop``. The port is known from the beginning."""

    def __init__(self, repo: Path, log: Path, *, clock: Clock | None = None) -> None:
        self._repo, self._clock = repo, clock or SystemClock()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._child = Child("shop", log)
        self._changing = asyncio.Lock()
        self._environment: dict[str, str] = {}
        self.restarts = 0

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, **environment: str) -> None:
        """Start the shop and wait until it answers.

        ``SelfHealError`` with its last words if it does not.
        """
        async with self._changing:
            self._environment = environment
            await self._launch()

    async def restart(self) -> None:
        """The new code on the same socket; returns when it answers."""
        async with self._changing:
            await self._child.stop()
            await self._launch()
            self.restarts += 1

    async def stop(self) -> None:
        async with self._changing:
            await self._child.stop()
            self._socket.close()

    async def _launch(self) -> None:
        fd = self._socket.fileno()
        await self._child.start(
            [sys.executable, "app.py", "--fd", str(fd)],
            cwd=self._repo,
            env=plain_environment(**self._environment),
            pass_fds=(fd,),
        )
        deadline = self._clock.monotonic() + START_TIMEOUT_S
        while not await self._answers():
            if self._child.ended is not None or self._clock.monotonic() > deadline:
                raise SelfHealError(f"the shop did not start: {self._child.last_words()}")
            await asyncio.sleep(_POLL_S)

    async def _answers(self) -> bool:
        limit = aiohttp.ClientTimeout(total=1)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.get(f"{self.url}/about") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
