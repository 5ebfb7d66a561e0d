"""Between the recorder and Postgres, inside a data worker: many failures in, few writes out.

``offer`` never waits: equal bugs merge while they wait, with their counts added up (``waiting``).
While the database is away everything stays here within its bound, and at the end on disk; what is
beyond the bound is counted as a storm. A 5xx makes a job at once; other 4xx only as a jump
(``jump``).
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import asyncpg

from proxy.clock import Clock, SystemClock
from proxy.config import Healing
from proxy.domain.failure import Classification, Failure
from proxy.domain.job import Job
from proxy.errors import Conflict, SelfHealError, Unavailable
from proxy.healing.blast import BlastLimits, due_severity
from proxy.healing.jump import ClientErrors
from proxy.healing.shelf import Shelf
from proxy.healing.waiting import LINKED_MAX, Waiting, WaitingRoom
from proxy.store import grouping, jobs
from proxy.store.jobs import RecordedJob, StormLimit

__all__ = ["LINKED_MAX", "Intake", "Limits"]

PAUSE_S = 0.05
"""Between two sweeps: a burst of one bug becomes one write."""
RETRY_S, RETRY_MAX_S = 0.25, 5.0
STORM_S = 5.0
"""So long nothing new is told one by one, once the database has said that it is too much."""
STORMS_MAX = 2
"""The storm's own entries, of failures and of noise, may come behind all others in a sweep."""
SPLITS_S = 2.0
"""How old the list of split signatures may be."""
_log = logging.getLogger("selfheal.intake")

AsSidecar = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]
"""A transaction as the sidecar's own role; ``Unavailable`` while there is no database."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings of ``[healing]`` mean to whoever records failures."""

    storm: StormLimit
    blast: BlastLimits

    @classmethod
    def of(cls, settings: Healing) -> "Limits":
        return cls(
            StormLimit(settings.storm_signatures, settings.storm_window_s),
            BlastLimits(settings.blast_clients, settings.blast_share),
        )


async def raise_by_reach(conn: asyncpg.Connection, job: Job, limits: BlastLimits) -> None:
    """The job's severity, as high as those it hits make it."""
    due = due_severity(job, limits)
    if due is not None:
        await jobs.raise_severity(conn, job.id, due)


class Intake:
    """One per data worker. ``offer`` from the event loop only; ``run`` delivers until cancelled."""

    def __init__(
        self,
        as_sidecar: AsSidecar,
        *,
        shelf: Shelf | None = None,
        clock: Clock | None = None,
        settings: Healing | None = None,
    ) -> None:
        """``shelf`` is what outlives this process; without one, ``save`` can only drop."""
        self._as_sidecar = as_sidecar
        self._shelf = shelf
        self._clock = clock or SystemClock()
        self._client_errors = ClientErrors(self._clock)
        self._limits = Limits.of(settings or Healing())
        self._room = WaitingRoom(self._limits.storm)
        self._storm_until = self._splits_at = 0.0
        self._wake = asyncio.Event()
        self._sweeping = asyncio.Lock()
        self.dropped = 0
        """Failures lost because Postgres refused them, or at the end for want of a shelf."""
        self.stormed = 0
        """Failures counted on a storm's job alone."""
        self.delivered = 0
        self.reload(settings or Healing())

    def reload(self, settings: Healing) -> None:
        self._limits = Limits.of(settings)
        self._room.storm = self._limits.storm
        self._client_errors.reload(settings)

    @property
    def waiting(self) -> int:
        """Failures, not signatures, that are not stored yet."""
        return self._room.failures

    def offer(self, failure: Failure, classification: Classification) -> None:
        """Take one failure; never waits, never raises for what it holds."""
        count = self._client_errors.due(failure, classification)
        if count:
            self._calm()
            self._room.add(Waiting.of(failure, classification, count))
            self._wake.set()

    def overflow(self, failure: Failure) -> None:
        """One failure too many to be read: counted with the storm, not classified."""
        self._room.add_unread(failure)
        self._wake.set()

    async def run(self) -> None:
        """Deliver what waits, as soon as it comes or as soon as the database is back; what an
        earlier process left on the shelf first.
        """
        retry_s = RETRY_S
        if self._shelf is not None and self._shelf.rows:
            self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._sweep()
                retry_s = RETRY_S
                await asyncio.sleep(PAUSE_S)
            except Unavailable as error:
                _log.debug("%d failures wait: %s", self.waiting, error)
                self._wake.set()
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, RETRY_MAX_S)

    async def finish(self) -> None:
        """Deliver what still waits, once; what the database does not take now goes on the
        shelf.
        """
        try:
            await self._sweep()
        except SelfHealError as error:
            _log.warning("%d failures wait for the next start: %s", self.waiting, error)
        finally:
            self.save()

    def save(self) -> None:
        """Put what waits on the shelf, the last thing before the end. Without a shelf, or beyond
        its bound, it is counted as dropped.
        """
        while (entry := self._room.pop()) is not None:
            if self._shelf is None or not self._shelf.put([entry.entry()]):
                self.dropped += entry.count

    async def _sweep(self) -> None:
        """Deliver everything that waits now; ``Unavailable`` keeps the rest for later."""
        async with self._sweeping:
            await self._empty_shelf()
            for _ in range(len(self._room) + STORMS_MAX):
                await self._look_around()
                entry = self._room.pop()
                if entry is None:
                    return
                if self._room.is_too_much(entry):
                    self._room.add(entry)
                    continue
                try:
                    await self._deliver_or_drop(entry)
                except BaseException:
                    self._room.add(entry)
                    raise

    async def _look_around(self) -> None:
        """What was split since, and whether the storm is over."""
        self._calm()
        now = self._clock.monotonic()
        if now >= self._splits_at:
            self._splits_at = now + SPLITS_S
            async with self._as_sidecar() as conn:
                self._room.splits = await grouping.split_signatures(conn)

    def _calm(self) -> None:
        """The storm is over until the database says otherwise."""
        if self._room.known is not None and self._clock.monotonic() >= self._storm_until:
            self._room.known = None

    async def _empty_shelf(self) -> None:
        """What an earlier process could not store. Told at least once: an end between the commit
        and ``done`` counts one entry again, and that is better than not at all.
        """
        while self._shelf is not None and (rows := self._shelf.peek()) is not None:
            for failure, classification, count, log_ids, clients in rows:
                await self._deliver_or_drop(
                    Waiting(failure, classification, count, list(log_ids), list(clients))
                )
            self._shelf.done()

    async def _deliver_or_drop(self, entry: Waiting) -> None:
        """``Unavailable`` when it must be tried again."""
        try:
            await self._deliver(entry)
        except (Unavailable, OSError, TimeoutError) as error:
            raise Unavailable(str(error)) from None
        except Exception as error:
            if isinstance(error, Conflict) and error.code == "retry":
                # a deadlock or a lock that was not had says nothing about this failure
                raise Unavailable(str(error)) from None
            # one text that Postgres cannot take must not hold up all others for ever
            self.dropped += entry.count
            _log.exception(
                "a failure with signature %s was not taken", entry.classification.signature
            )

    async def _deliver(self, entry: Waiting) -> None:
        async with self._as_sidecar() as conn:
            recorded = await jobs.record_failure(
                conn,
                entry.failure,
                entry.classification,
                count=entry.count,
                clients=entry.clients,
                storm=self._limits.storm,
            )
            others = [i for i in entry.log_ids if i != entry.failure.log_id]
            if others:
                await jobs.link_logs(conn, recorded.job.id, others)
            await raise_by_reach(conn, recorded.job, self._limits.blast)
            await self._brace(conn, recorded)
        self.delivered += entry.count
        self.stormed += entry.count if recorded.stormed else 0

    async def _brace(self, conn: asyncpg.Connection, recorded: RecordedJob) -> None:
        """A storm: for a while only what has a job already is told one by one."""
        if recorded.stormed:
            job = recorded.job
            self._storm_until = self._clock.monotonic() + STORM_S
            self._room.known = await grouping.known_signatures(conn, job.service, job.environment)
