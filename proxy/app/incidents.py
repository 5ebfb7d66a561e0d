"""Incidents into the database, in order and as soon as it is there; a latency incident also
becomes a job.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from proxy.domain.anomaly import Anomaly
from proxy.errors import Unavailable
from proxy.observability.incident import IncidentEnd

_log = logging.getLogger("selfheal.incidents")

WAITING_MAX = 1000
RETRY_S = 1.0

Connect = Callable[[], AbstractAsyncContextManager[Any]]
Key = tuple[str, str, str, float]


class IncidentBook:
    """``opened`` and ``ended`` never wait; ``run`` writes them down one after the other."""

    def __init__(
        self, service: str, connect: Connect, on_stored: Callable[[Anomaly, UUID | None], None]
    ) -> None:
        self._service = service
        self._connect = connect
        self._on_stored = on_stored
        self._waiting: deque[Anomaly | IncidentEnd] = deque()
        self._some = asyncio.Event()
        self._ids: dict[Key, UUID] = {}
        self.dropped = 0

    def opened(self, anomaly: Anomaly) -> None:
        self._put(anomaly)

    def ended(self, end: IncidentEnd) -> None:
        self._put(end)

    def _put(self, item: Anomaly | IncidentEnd) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(item)
        self._some.set()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                item = self._waiting[0]
                try:
                    await self._store(item)
                except (Unavailable, OSError) as error:
                    _log.debug("an incident waits for the database: %s", error)
                    await asyncio.sleep(RETRY_S)
                    continue
                except Exception:
                    # one that cannot be stored must not hold up the others for ever
                    self.dropped += 1
                    _log.exception("an incident was not taken")
                if self._waiting and self._waiting[0] is item:
                    # a full queue may have given it up meanwhile
                    self._waiting.popleft()

    def give_up(self) -> None:
        """The end, and the database is away: the row of an incident is lost, its job is not."""
        while self._waiting:
            item = self._waiting.popleft()
            self.dropped += 1
            if isinstance(item, Anomaly) and item.kind == "latency":
                self._on_stored(item, None)

    async def _store(self, item: Anomaly | IncidentEnd) -> None:
        from proxy.store import metrics

        if isinstance(item, Anomaly):
            async with self._connect() as conn:
                stored = await metrics.open_anomaly(conn, self._service, item)
            self._ids[_key(item)] = stored
            if item.kind == "latency":
                # An error-rate incident already made its jobs, failing exchange by failing
                # exchange.
                self._on_stored(item, stored)
            return
        known = self._ids.pop(_key(item.anomaly), None)
        if known is None:
            return
        async with self._connect() as conn:
            await metrics.close_anomaly(conn, known, datetime.fromtimestamp(item.ended_at, UTC))


def _key(anomaly: Anomaly) -> Key:
    return (anomaly.kind, anomaly.method, anomaly.route, anomaly.onset)
