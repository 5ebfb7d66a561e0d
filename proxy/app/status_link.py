"""Data workers tell the control process how they are: JSON lines over a unix socket in the run
directory.

Every second and at once when something critical happened. Either side may die; the other goes on
and finds it again. A report replaces the one before, so nothing has to be delivered twice.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from proxy.clock import Clock
from proxy.tasks import spawn

_log = logging.getLogger("selfheal.status")

Report = dict[str, Any]

SOCKET_NAME = "status.sock"
REPORT_EVERY_S = 1.0
RETRY_S = 0.25
REPORT_BYTES_MAX = 16 << 20
ROUTES_A_LINE = 10
"""One route costs up to a tenth of a millisecond to sum up and write down."""
STALE_AFTER_S = 5.0
"""A worker that has been silent this long is not counted as accepting."""


class Reporter:
    """The worker's side."""

    def __init__(
        self,
        run_dir: Path,
        report: Callable[[], Report],
        routes: Callable[[], Iterable[dict[str, Any]]],
    ) -> None:
        """``routes`` belong to the report's snapshot; they go ahead of it, a few at a time, so that
        traffic is served between.
        """
        self._path = run_dir / SOCKET_NAME
        self._report = report
        self._routes = routes
        self._now = asyncio.Event()

    def hurry(self) -> None:
        """Something happened that must not wait for the second."""
        self._now.set()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_unix_connection(str(self._path))
                try:
                    await self._send_until_broken(writer)
                finally:
                    writer.close()
            await asyncio.sleep(RETRY_S)

    async def _send_until_broken(self, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            routes = iter(self._routes())
            while some := list(islice(routes, ROUTES_A_LINE)):
                await _send(writer, {"routes": some})
                await asyncio.sleep(0)
            await _send(writer, self._report())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), REPORT_EVERY_S)
            self._now.clear()


async def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
    await writer.drain()


class Desk:
    """The control process's side: the newest report of every worker."""

    def __init__(self, run_dir: Path, clock: Clock) -> None:
        self._path = run_dir / SOCKET_NAME
        self._clock = clock
        self._reports: dict[str, tuple[float, Report]] = {}
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._on_connect, str(self._path), limit=REPORT_BYTES_MAX
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def reports(self) -> list[Report]:
        """The newest report of every worker that still speaks."""
        now = self._clock.monotonic()
        return [report for at, report in self._reports.values() if now - at < STALE_AFTER_S]

    def _on_connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _ = spawn(self._read(reader, writer), name="status")

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = None
        routes: list[Any] = []
        try:
            while line := await reader.readline():
                report = json.loads(line)
                if "worker" not in report:
                    routes += report["routes"]
                    continue
                name = str(report["worker"])
                report["snapshot"]["routes"] = routes
                routes = []
                self._reports[name] = (self._clock.monotonic(), report)
        except (OSError, ValueError, KeyError) as error:
            _log.warning("a worker's report could not be read: %s", error)
        finally:
            if name is not None:
                self._reports.pop(name, None)
            writer.close()
