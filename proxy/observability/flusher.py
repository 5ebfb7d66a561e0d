"""The background loop that empties the buffer into the database; it persists and detects nothing.

Every minute, and as soon as the buffer fills, in small batches: one 10,000-row COPY stalls the loop
for 29-44 ms, one of 500 rows for 5. A batch that the database refuses goes to the spool on disk and
is delivered later, in order.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from proxy.domain.exchange import Exchange
from proxy.errors import Invalid
from proxy.observability.spool import Row, Spool

_log = logging.getLogger("selfheal.flusher")

ERROR_CHARS = 2000


class Buffer(Protocol):
    def drain(self, count: int) -> list[Exchange]: ...
    def __len__(self) -> int: ...


class Writer(Protocol):
    """Where rows go. Both raise when nothing was stored, or when that is not known."""

    async def copy(self, rows: Sequence[Row]) -> None:
        """Plain COPY: rows that were never sent before."""
        ...

    async def copy_again(self, rows: Sequence[Row]) -> None:
        """Rows that may already be there; none is doubled."""
        ...


def to_row(exchange: Exchange, log_id: UUID, service: str, redact: Callable[[str], str]) -> Row:
    """id, created_at, service, route_path, method, status_code, latency_ms, outcome, error_message,
    error_stack, trace_id, user_id, workspace_id: the order of ``copy_logs``.
    """
    error = exchange.error
    return (
        log_id,
        datetime.fromtimestamp(exchange.started_at, UTC),
        service,
        exchange.route,
        exchange.method,
        exchange.status,
        exchange.duration_ms,
        exchange.outcome.name.lower(),
        redact(error)[:ERROR_CHARS] if error else None,
        None,
        exchange.trace_id or log_id.hex,
        None,
        None,
    )


def encode_row(row: Row) -> list[object]:
    return [str(row[0]), row[1].timestamp(), *row[2:]]


def decode_row(item: Sequence[object]) -> Row:
    return (UUID(str(item[0])), datetime.fromtimestamp(float(str(item[1])), UTC), *item[2:])


class Flusher:
    """Until ``writer`` answers with a database, exchanges wait in the buffer."""

    def __init__(
        self,
        buffer: Buffer,
        writer: Callable[[], Writer | None],
        spool: Spool,
        *,
        row: Callable[[Exchange], Row],
        flush_s: float,
        copy_rows: int,
        spill_at: int,
    ) -> None:
        self._buffer = buffer
        self._writer = writer
        self._spool = spool
        self._row = row
        self.flush_s = flush_s
        self._copy_rows = copy_rows
        self._spill_at = spill_at
        self._wake = asyncio.Event()
        self._stopping = False
        self.stored = 0
        self.failed_flushes = 0
        self.refused = 0
        """Rows lost because the database will never take them."""
        self.last_error: str | None = None

    def recover(self, orphans: Iterable[Path] = ()) -> int:
        """Take up what an earlier process left on disk; how many rows that is."""
        return self._spool.recover(orphans)

    def wake(self) -> None:
        """The buffer is filling up: do not wait for the minute."""
        self._wake.set()

    async def run(self) -> None:
        """Until ``stop``; the last flush takes everything along. Cancelled, it leaves on disk what
        the database has not taken.
        """
        try:
            while not self._stopping:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self.flush_s)
                self._wake.clear()
                await self._flush_safely()
            # once more, whatever the flush before it was told: it may have begun before the stop
            await self.flush(last=True)
        except asyncio.CancelledError:
            self._spill()
            raise

    async def _flush_safely(self) -> None:
        """A fault of our own in one batch must not end the loop that empties the buffer."""
        try:
            await self.flush()
        except Exception:
            self.failed_flushes += 1
            _log.exception("a flush failed")

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def flush(self, *, last: bool = False) -> None:
        """Store everything there is. Without a database rows wait in the buffer; when it fills up,
        or with ``last`` (the process is ending), they go to disk.
        """
        writer = self._writer()
        if writer is not None and not await self._deliver_spooled(writer):
            writer = None
        while len(self._buffer):
            if writer is None and len(self._buffer) < self._spill_at and not last:
                return
            rows = [self._row(exchange) for exchange in self._buffer.drain(self._copy_rows)]
            if writer is None:
                self._spool.put(rows)
            elif not await self._attempt_or_keep(writer, rows):
                writer = None

    def _spill(self) -> None:
        while len(self._buffer):
            self._spool.put([self._row(e) for e in self._buffer.drain(self._copy_rows)])

    async def _attempt_or_keep(self, writer: Writer, rows: list[Row]) -> bool:
        """Rows that were not stored, or of which that is not known, go to disk."""
        try:
            stored = await self._attempt(writer.copy, rows)
        except asyncio.CancelledError:
            self._spool.put(rows)
            raise
        if not stored:
            self._spool.put(rows)
        return stored

    async def _deliver_spooled(self, writer: Writer) -> bool:
        while (rows := self._spool.peek()) is not None:
            if not await self._attempt(writer.copy_again, rows):
                return False
            self._spool.done()
        return True

    async def _attempt(
        self, write: Callable[[Sequence[Row]], Awaitable[None]], rows: Sequence[Row]
    ) -> bool:
        try:
            await write(rows)
        except Invalid as error:
            return await self._attempt_halves(write, rows, error)
        except Exception as error:
            self.failed_flushes += 1
            self.last_error = f"{type(error).__name__}: {error}"
            _log.warning("storing %d rows failed, they wait on disk: %s", len(rows), error)
            return False
        self.stored += len(rows)
        self.last_error = None
        return True

    async def _attempt_halves(
        self,
        write: Callable[[Sequence[Row]], Awaitable[None]],
        rows: Sequence[Row],
        error: Invalid,
    ) -> bool:
        """One row that the database can never take must not hold up all others for ever."""
        if len(rows) == 1:
            self.refused += 1
            _log.error("a row of %s was refused for good: %s", rows[0][3], error)
            return True
        half = len(rows) // 2
        first = await self._attempt(write, rows[:half])
        return await self._attempt(write, rows[half:]) and first
