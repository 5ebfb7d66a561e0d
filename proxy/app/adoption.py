"""Rows of other programs on their way to jobs: read, classified, and counted together with the mark
that they were read, so that a restart loses none and tells none twice.

Runs in the control process, beside any number of other sidecars on the same database.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import asyncpg

from proxy.clock import Clock
from proxy.config import Config
from proxy.domain.failure import Classification, Failure
from proxy.domain.redact import Redactor
from proxy.errors import Conflict, SelfHealError, Unavailable
from proxy.healing.jump import ClientErrors
from proxy.healing.service import SelfHealingService
from proxy.ingest.adopt import Adopted, anomaly_failure, log_failure
from proxy.ingest.event import Context
from proxy.store import adopted, jobs
from proxy.store.adopted import ForeignRow, ForeignTable

_log = logging.getLogger("selfheal.adoption")

POLL_S = 1.0
BATCH = 200
LOOK_BACK = timedelta(hours=1)
"""How far back every poll looks; what was written with an older time is found by the sweep."""
SWEEP_SHARE = 50.0
"""A sweep of a whole table waits this many times as long as the last one took: at most 2 % of one
connection, however large the table is.
"""
SWEEP_S, SWEEP_S_MAX = 2.0, 3600.0
FORGET_S = 3600.0
SOURCES_MAX = 50
LINKED_MAX = 50

AsSidecar = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]
Key = tuple[str, str, str]


@dataclass(slots=True)
class _Group:
    """Rows of one batch that are the same bug; ``failure`` is the newest of them."""

    failure: Failure
    classification: Classification
    rows: list[ForeignRow] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    log_ids: list[UUID] = field(default_factory=list)

    def add(self, row: ForeignRow, failure: Failure, said: Classification, count: int) -> None:
        self.rows.append(row)
        self.counts[row.source, row.key] = count
        if failure.log_id is not None:
            self.log_ids.append(failure.log_id)
        if failure.occurred_at > self.failure.occurred_at:
            self.failure, self.classification = failure, said


@dataclass(slots=True)
class _Sweep:
    due_at: float = 0.0
    forget_at: float = 0.0


class Adoption:
    """``run`` until cancelled; ``poll`` is one round and says how many rows it took."""

    def __init__(
        self,
        as_sidecar: AsSidecar,
        service: SelfHealingService,
        config: Config,
        *,
        clock: Clock,
        client_key: Callable[[str], str | None],
    ) -> None:
        self._as_sidecar = as_sidecar
        self._service = service
        self._clock = clock
        self._client_key = client_key
        self._jumps = ClientErrors(clock, config.healing)
        self._sweeps: dict[str, _Sweep] = {}
        self.taken = 0
        self.refused = 0
        """Rows that could not become a failure; they are not tried again."""
        self.reload(config)

    def reload(self, config: Config) -> None:
        self._config = config
        self._jumps.reload(config.healing)
        self._redactor = Redactor(config.capture.redact_names)

    async def run(self) -> None:
        while True:
            pause = POLL_S
            try:
                if await self.poll() >= BATCH:
                    pause = 0.0
            except SelfHealError as error:
                _log.debug("rows of other programs wait: %s", error)
            except Exception:
                _log.exception("rows of other programs could not be read")
            await asyncio.sleep(pause)

    async def poll(self) -> int:
        """One round over our own tables and all others that may be read."""
        async with self._as_sidecar() as conn:
            found = await adopted.inbox(conn, BATCH)
            tables = (await adopted.tables(conn))[:SOURCES_MAX]
        taken = await self._tell(found)
        for table in tables:
            taken += await self._tell(await self._unread(table))
        return taken

    async def _unread(self, table: ForeignTable) -> list[ForeignRow]:
        now = self._clock.monotonic()
        sweep = self._sweeps.setdefault(table.source, _Sweep(forget_at=now + FORGET_S))
        whole = now >= sweep.due_at
        since = None if whole else self._clock.now() - LOOK_BACK
        async with self._as_sidecar() as conn:
            rows = await adopted.unread(conn, table, since, BATCH)
            if now >= sweep.forget_at:
                await adopted.forget(conn, table.source)
                sweep.forget_at = now + FORGET_S
        if whole and len(rows) < BATCH:
            took = self._clock.monotonic() - now
            sweep.due_at = now + min(max(SWEEP_S, SWEEP_SHARE * took), SWEEP_S_MAX)
        return rows

    async def _tell(self, rows: Sequence[ForeignRow]) -> int:
        groups: dict[Key, _Group] = {}
        silent: list[ForeignRow] = []
        for row in rows:
            if not self._sort(row, groups):
                silent.append(row)
        if silent:
            async with self._as_sidecar() as conn:
                self.taken += len(await adopted.take(conn, silent))
        for group in groups.values():
            await self._record_or_refuse(group)
        return len(rows)

    def _sort(self, row: ForeignRow, groups: dict[Key, _Group]) -> bool:
        """Put the row with its like; False where it is nothing to count now."""
        try:
            found = self._read(row)
            if found is None:
                return False
            failure, said = found.failure, self._service.classify(found.failure)
            if found.severity is not None and found.severity.rank > said.severity.rank:
                said = replace(said, severity=found.severity)
            count = self._jumps.due(failure, said)
        except Exception:
            self.refused += 1
            _log.exception("a row of %s could not be read", row.source or "our own tables")
            return False
        if not count:
            return False
        key = (failure.service, failure.environment, str(said.signature))
        groups.setdefault(key, _Group(failure, said)).add(row, failure, said, count)
        return True

    def _read(self, row: ForeignRow) -> Adopted | None:
        context = Context(
            self._config.app.service,
            self._config.app.environment,
            self._clock.now(),
            self._redactor.text,
        )
        if row.kind == "log":
            return log_failure(row.content, context, self._client_key)
        return anomaly_failure(row.content, context)

    async def _record_or_refuse(self, group: _Group) -> None:
        try:
            await self._record(group)
        except (Unavailable, OSError, TimeoutError):
            raise
        except Exception as error:
            if isinstance(error, Conflict) and error.code == "retry":
                raise
            # one text that Postgres cannot take must not hold up all others for ever
            _log.exception("rows of %s were not taken", group.classification.signature)
            async with self._as_sidecar() as conn:
                self.refused += len(await adopted.take(conn, group.rows))

    async def _record(self, group: _Group) -> None:
        async with self._as_sidecar() as conn:
            mine = await adopted.take(conn, group.rows)
            count = sum(group.counts[row.source, row.key] for row in mine)
            if count:
                await self._count(conn, group, count)
        self.taken += len(mine)

    async def _count(self, conn: asyncpg.Connection, group: _Group, count: int) -> None:
        recorded = await self._service.record_on(conn, group.failure, group.classification, count)
        others = [i for i in group.log_ids if i != group.failure.log_id][-LINKED_MAX:]
        if others:
            await jobs.link_logs(conn, recorded.job.id, others)
