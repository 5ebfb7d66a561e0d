"""Incidents into the database, in order and as soon as it is there; a latency incident also
becomes a job.
"""

import asyncio
import logging
import re
import socket
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

from proxy.domain.anomaly import Anomaly
from proxy.domain.failure import Severity
from proxy.errors import Unavailable
from proxy.observability.common import WORSE
from proxy.observability.incident import IncidentEnd
from proxy.observability.majority import size_of
from proxy.observability.sentences import as_part

_log = logging.getLogger("selfheal.incidents")

WAITING_MAX = 1000
RETRY_S = 1.0

Connect = Callable[[], AbstractAsyncContextManager[Any]]
Key = tuple[str, str, str, float]


def sidecar_name(data_dir: Path) -> str:
    """Who holds an incident open: this machine and data directory, the same after a restart."""
    return name_of(str(data_dir.resolve()))


def name_of(place: str) -> str:
    """This machine and a place on it, as part of a holder's name."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:60]
    return f"{host}-{blake2b(place.encode(), digest_size=6).hexdigest()}"


class IncidentBook:
    """``opened`` and ``ended`` never wait; ``run`` writes them down one after the other."""

    def __init__(
        self,
        service: str,
        holder: str,
        connect: Connect,
        on_stored: Callable[[Anomaly, UUID | None], None],
    ) -> None:
        self._service = service
        self._holder = holder
        self._connect = connect
        self._on_stored = on_stored
        self._waiting: deque[Anomaly | IncidentEnd] = deque()
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._ids: dict[Key, UUID] = {}
        self.dropped = 0

    def opened(self, anomaly: Anomaly) -> None:
        self._put(anomaly)

    def ended(self, end: IncidentEnd) -> None:
        self._put(end)

    async def written(self) -> None:
        """Until nothing waits any more; with the database away that may be for ever."""
        await self._idle.wait()

    def _put(self, item: Anomaly | IncidentEnd) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(item)
        self._some.set()
        self._idle.clear()

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
            self._idle.set()

    def give_up(self) -> None:
        """The end, and the database is away: the row of an incident is lost, its job is not."""
        while self._waiting:
            item = self._waiting.popleft()
            self.dropped += 1
            if isinstance(item, Anomaly) and item.kind == "latency":
                self._on_stored(_for_its_job(item), None)

    async def _store(self, item: Anomaly | IncidentEnd) -> None:
        from proxy.store import incidents

        if isinstance(item, Anomaly):
            tied: list[int] = []
            key = _key(item)
            async with self._connect() as conn:
                await incidents.take_turns(conn, self._service, item.kind)
                item = await self._of_one_cause(conn, item)
                stored = await incidents.open_anomaly(conn, self._service, item, self._holder)
                if item.head is not None and _key(item.head) in self._ids:
                    # while it is open it counts its parts and names them
                    await incidents.open_anomaly(conn, self._service, item.head, self._holder)
                if item.kind == "error_rate":
                    # its jobs are there already, made failing exchange by failing exchange
                    await incidents.link_jobs(conn, stored)
                    tied = await incidents.tied_jobs(conn, stored)
            self._ids[key] = stored
            await self._raise(tied, item.severity)
            if item.kind == "latency":
                # one cause, one job: a part is one more occurrence of the job of its head
                self._on_stored(_for_its_job(item), stored)
            return
        known = self._ids.get(_key(item.anomaly))
        ended = datetime.fromtimestamp(item.ended_at, UTC)
        async with self._connect() as conn:
            if known is None:
                # told before a restart: what the detector remembers, the rows know
                known = await incidents.held(conn, self._service, item.anomaly, self._holder)
            if known is None:
                return
            if item.anomaly.kind == "error_rate":
                await incidents.link_jobs(conn, known)
            await incidents.close_anomaly(conn, known, self._holder, ended, item.reason)
        self._ids.pop(_key(item.anomaly), None)

    async def _of_one_cause(self, conn: Any, item: Anomaly) -> Anomaly:
        """Under what another proxy told of most routes a moment ago, as one proxy has it. What was
        told here before and is told again is news.
        """
        from proxy.store import incidents

        if item.head is not None:
            head = await incidents.head_of(conn, self._service, item.head)
        elif _key(item) in self._ids:
            head = None
        else:
            least = size_of(item) / WORSE
            head = await incidents.same_cause(conn, self._service, item, self._holder, least)
        return item if head is None else as_part(item, head)

    async def _raise(self, tied: list[int], severity: Severity) -> None:
        """A job is at least as severe as its incident, whatever one such failure is called, also
        when the incident gets worse. One job a transaction: its severity locks the head of the
        audit.
        """
        from proxy.store import jobs

        for job in tied:
            async with self._connect() as conn:
                await jobs.raise_severity(conn, job, severity)


def _for_its_job(item: Anomaly) -> Anomaly:
    """What was told for it, as severe as the worst of both."""
    head = item.head
    if head is None or head.severity.rank >= item.severity.rank:
        return head or item
    return replace(head, severity=item.severity)


def _key(anomaly: Anomaly) -> Key:
    return (anomaly.kind, anomaly.method, anomaly.route, anomaly.onset)
