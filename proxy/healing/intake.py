"""Between the recorder and Postgres, inside a data worker: many failures in, few writes out.

``offer`` never waits: equal signatures merge while they wait, with their counts added up. While the
database is away everything stays here within its bound, and at the end on disk; beyond the bound
what is dropped is counted. A 5xx makes a job at once; other 4xx only as a jump (``jump``).
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from uuid import UUID

import asyncpg

from proxy.clock import Clock, SystemClock
from proxy.domain.failure import Classification, Failure
from proxy.errors import Conflict, SelfHealError, Unavailable
from proxy.healing.jump import ClientErrors
from proxy.healing.shelf import Shelf
from proxy.store import jobs

SIGNATURES_MAX = 2000
"""Distinct bugs that may wait at once; far more than any app has, so only an attack meets it."""
LINKED_MAX = 50
"""Log rows kept per waiting signature: as many as a job shows."""
PAUSE_S = 0.05
"""Between two sweeps: a burst of one bug becomes one write."""
RETRY_S, RETRY_MAX_S = 0.25, 5.0
_log = logging.getLogger("selfheal.intake")

AsSidecar = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]
"""A transaction as the sidecar's own role; ``Unavailable`` while there is no database."""
Key = tuple[str, str, str]


@dataclass(slots=True)
class _Waiting:
    failure: Failure
    classification: Classification
    count: int = 1
    log_ids: list[UUID] = field(default_factory=list)


class Intake:
    """One per data worker. ``offer`` from the event loop only; ``run`` delivers until cancelled."""

    def __init__(
        self, as_sidecar: AsSidecar, *, shelf: Shelf | None = None, clock: Clock | None = None
    ) -> None:
        """``shelf`` is what outlives this process; without one, ``save`` can only drop."""
        self._as_sidecar = as_sidecar
        self._shelf = shelf
        self._client_errors = ClientErrors(clock or SystemClock())
        self._waiting: dict[Key, _Waiting] = {}
        self._wake = asyncio.Event()
        self._sweeping = asyncio.Lock()
        self.dropped = 0
        """Failures lost because too many distinct bugs waited, or because Postgres refused them."""
        self.delivered = 0

    @property
    def waiting(self) -> int:
        """Failures, not signatures, that are not stored yet."""
        return sum(entry.count for entry in self._waiting.values())

    def offer(self, failure: Failure, classification: Classification) -> None:
        """Take one failure; never waits, never raises for what it holds."""
        count = self._client_errors.due(failure, classification)
        if count:
            self._add(_Waiting(failure, classification, count, _ids(failure)))
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
        for entry in self._waiting.values():
            row = (entry.failure, entry.classification, entry.count, tuple(entry.log_ids))
            if self._shelf is None or not self._shelf.put([row]):
                self.dropped += entry.count
        self._waiting.clear()

    async def _sweep(self) -> None:
        """Deliver everything that waits now; ``Unavailable`` keeps the rest for later."""
        async with self._sweeping:
            await self._empty_shelf()
            for key in list(self._waiting):
                entry = self._waiting.pop(key)
                try:
                    await self._deliver_or_drop(entry)
                except BaseException:
                    self._put_back(key, entry)
                    raise

    async def _empty_shelf(self) -> None:
        """What an earlier process could not store. Told at least once: an end between the commit
        and ``done`` counts one entry again, and that is better than not at all.
        """
        while self._shelf is not None and (rows := self._shelf.peek()) is not None:
            for failure, classification, count, log_ids in rows:
                await self._deliver_or_drop(_Waiting(failure, classification, count, list(log_ids)))
            self._shelf.done()

    async def _deliver_or_drop(self, entry: _Waiting) -> None:
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

    async def _deliver(self, entry: _Waiting) -> None:
        async with self._as_sidecar() as conn:
            recorded = await jobs.record_failure(
                conn, entry.failure, entry.classification, count=entry.count
            )
            others = [i for i in entry.log_ids if i != entry.failure.log_id]
            if others:
                await jobs.link_logs(conn, recorded.job.id, others)
        self.delivered += entry.count

    def _put_back(self, key: Key, entry: _Waiting) -> None:
        newer = self._waiting.pop(key, None)
        self._add(entry)
        if newer is not None:
            self._add(newer)

    def _add(self, new: _Waiting) -> None:
        key = (new.failure.service, new.failure.environment, str(new.classification.signature))
        known = self._waiting.get(key)
        if known is None:
            if len(self._waiting) >= SIGNATURES_MAX:
                self.dropped += new.count
                return
            self._waiting[key] = new
            return
        known.count += new.count
        if new.failure.occurred_at >= known.failure.occurred_at:
            known.failure = _with_request(new.failure, known.failure)
            known.classification = new.classification
        known.log_ids = [*known.log_ids, *new.log_ids][-LINKED_MAX:]


def _ids(failure: Failure) -> list[UUID]:
    return [] if failure.log_id is None else [failure.log_id]


def _with_request(newer: Failure, older: Failure) -> Failure:
    """The newest failure, with a request that can be replayed if either has one."""
    if newer.request is not None and not newer.request.truncated:
        return newer
    if older.request is None or (older.request.truncated and newer.request is not None):
        return newer
    return replace(newer, request=older.request)
