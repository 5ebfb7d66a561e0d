"""The supervisor's care of the database: start the embedded one or find the other, migrate it,
bring the embedded one back.

Traffic never waits for any of it.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proxy.app.channel import Message
from proxy.app.children import INSTALLER_DSN
from proxy.config import Config
from proxy.errors import ConfigError, SelfHealError
from proxy.store.embedded import Cluster

_log = logging.getLogger("selfheal.supervisor")

POLL_S = 0.5
RETRY_MAX_S = 10.0


def install_environ(config: Config) -> dict[str, str]:
    """The three settings `proxy.app.migrate` reads; in the environment, because a DSN holds a
    password.
    """
    return {
        INSTALLER_DSN: config.database.url,
        "SELFHEAL_DATABASE__SCHEMA": config.database.schema,
        "SELFHEAL_FOUNDER__AUTO_APPROVE_SANDBOX": str(config.founder.auto_approve_sandbox),
    }


class DatabaseKeeper:
    def __init__(
        self, data_dir: Path, settings: Callable[[], Config], found: Callable[[Message], None]
    ) -> None:
        """``settings`` are those in force; ``found`` is told once what children need to know."""
        self._data_dir = data_dir
        self._settings = settings
        self._found = found
        self._is_found = False
        self._cluster = None if settings().database.url else Cluster(data_dir)
        self._starting: asyncio.Future[Any] | None = None

    def check(self) -> None:
        """``ConfigError`` when no installed server can open what lies there; starts nothing."""
        if self._cluster is not None:
            try:
                self._cluster.check()
            except SelfHealError as error:
                raise ConfigError(f"--data-dir {self._data_dir}: {error}") from None

    async def run(self) -> None:
        """Until there is nothing more to keep: an embedded server is watched for ever."""
        pause = POLL_S
        while True:
            try:
                await self._once()
                pause = POLL_S
            except Exception as error:
                # whatever it was, nobody else would ever start the database again
                unexpected = not isinstance(error, SelfHealError | OSError)
                _log.error(
                    "database: %s; traffic flows on, trying again in %.1f s",
                    error,
                    pause,
                    exc_info=error if unexpected else None,
                )
                pause = min(pause * 2, RETRY_MAX_S)
            if self._cluster is None and self._is_found:
                return
            await asyncio.sleep(pause)
            while self._cluster and self._is_found and self._cluster.is_alive():  # noqa: ASYNC110 - a process has no event
                await asyncio.sleep(POLL_S)
            if self._is_found:
                _log.warning("the embedded database is gone; starting it again")

    async def _once(self) -> None:
        if self._cluster is not None:
            loop = asyncio.get_running_loop()
            self._starting = loop.run_in_executor(None, self._cluster.ensure_running)
            await asyncio.shield(self._starting)
        if not self._is_found:
            message = await self._migrate()
            self._is_found = True
            self._found(message)

    async def _migrate(self) -> Message:
        """The installer's credential lives in this child only, and only as long as it runs."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy.app.migrate", str(self._data_dir)),
            env={**os.environ, **install_environ(self._settings())},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            lines = err.decode(errors="replace").strip().splitlines()
            raise SelfHealError(lines[-1] if lines else f"migrate ended with {process.returncode}")
        if err:
            sys.stderr.write(err.decode(errors="replace"))
        result: Message = json.loads(out)
        return result

    async def settle(self) -> None:
        """After ``run`` was cancelled: a thread cannot be, and a server it starts after our last
        look would stay behind.
        """
        if self._starting is not None:
            await asyncio.wait({self._starting})

    def detach(self) -> None:
        """Give up our share; the last sidecar stops the server."""
        if self._cluster is not None:
            self._cluster.detach()
