"""The background loop that empties the buffer into the database; it persists and detects nothing.

Every minute, and as soon as the buffer fills, in small batches: requests are served between two of
them. A batch that the database refuses goes to the spool on disk and is delivered later, in order.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from proxy.domain.waiting import Waiting, count_of, in_pieces
from proxy.errors import Invalid
from proxy.observability.spool import Row

PIECES = 8
"""``copy_rows`` go to the database together so many times: to begin and to end a transaction costs
as much as packing hundreds of rows.
"""

_log = logging.getLogger("selfheal.flusher")


class Buffer(Protocol):
    @property
    def is_due(self) -> bool: ...
    def drain(self, count: int) -> list[Waiting]: ...
    def __len__(self) -> int: ...


class Writer(Protocol):
    """Where rows go. Both raise when nothing was stored, or when that is not known."""

    async def copy(self, waiting: Sequence[Waiting]) -> None:
        """Exchanges that were never sent before, the quick way."""
        ...

    async def copy_again(self, rows: Sequence[Row]) -> None:
        """Rows that may already be there; none is doubled."""
        ...


class Kept(Protocol):
    """Batches the database did not take, oldest first, within a bound: ``Spool`` or ``Held``."""

    def recover(self, orphans: Iterable[Path] = ()) -> int: ...
    def put(self, rows: Iterable[Any]) -> bool: ...
    def peek(self) -> list[Row] | None: ...
    def done(self) -> None: ...


def decode_row(item: Sequence[object]) -> Row:
    """A row of what ``kept`` made of it."""
    return (UUID(str(item[0])), datetime.fromtimestamp(float(str(item[1])), UTC), *item[2:])


class Flusher:
    """Until ``writer`` answers with a database, exchanges wait in the buffer. ``rows`` makes what
    the writer takes a second time, ``kept`` what the spool takes.
    """

    def __init__(
        self,
        buffer: Buffer,
        writer: Callable[[], Writer | None],
        spool: Kept,
        *,
        rows: Callable[[Iterable[Waiting]], Iterable[Row]],
        kept: Callable[[Iterable[Waiting]], Iterable[Any]],
        flush_s: float,
        copy_rows: int,
        spill_at: int,
    ) -> None:
        self._buffer = buffer
        self._writer = writer
        self._spool = spool
        self._rows = rows
        self._kept = kept
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
        """Store what there is. Without a database rows wait in the buffer; when it fills up, or
        with ``last`` (the process is ending), they go to disk.

        What comes meanwhile waits for the next flush, unless it is due already: under load there
        always is something, and a transaction for every few rows would never end.
        """
        writer = self._writer()
        if writer is not None and not await self._deliver_spooled(writer):
            writer = None
        left = len(self._buffer)
        while len(self._buffer) and (left > 0 or last or self._buffer.is_due):
            if writer is None and len(self._buffer) < self._spill_at and not last:
                return
            batch = self._buffer.drain(PIECES * self._copy_rows)
            left -= count_of(batch)
            if writer is None:
                await self._keep(batch)
            elif not await self._attempt_or_keep(writer, batch):
                writer = None

    async def _keep(self, batch: Sequence[Waiting]) -> None:
        """Requests have their turn between two pieces; cancelled, it keeps the rest at once."""
        pieces = in_pieces(batch, self._copy_rows)
        try:
            for piece in pieces:
                self._spool.put(self._kept(piece))
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._keep_now(pieces)
            raise

    def _keep_now(self, pieces: Iterable[Sequence[Waiting]]) -> None:
        for piece in pieces:
            self._spool.put(self._kept(piece))

    def _spill(self) -> None:
        while len(self._buffer):
            self._keep_now([self._buffer.drain(self._copy_rows)])

    async def _attempt_or_keep(self, writer: Writer, batch: Sequence[Waiting]) -> bool:
        """What was not stored, or of which that is not known, goes to disk."""
        try:
            stored = await self._attempt_new(writer, batch)
        except asyncio.CancelledError:
            self._keep_now(in_pieces(batch, self._copy_rows))
            raise
        if not stored:
            await self._keep(batch)
        return stored

    async def _attempt_new(self, writer: Writer, batch: Sequence[Waiting]) -> bool:
        try:
            await writer.copy(batch)
        except Invalid:
            # one row spoils a COPY; row by row it is found, and the others are stored
            stored = True
            for piece in in_pieces(batch, self._copy_rows):
                stored = await self._attempt(writer, list(self._rows(piece))) and stored
            return stored
        except Exception as error:
            return self._failed(error, count_of(batch))
        return self._done(count_of(batch))

    async def _deliver_spooled(self, writer: Writer) -> bool:
        while (rows := self._spool.peek()) is not None:
            if not await self._attempt(writer, rows):
                return False
            self._spool.done()
        return True

    async def _attempt(self, writer: Writer, rows: Sequence[Row]) -> bool:
        try:
            await writer.copy_again(rows)
        except Invalid as error:
            return await self._attempt_halves(writer, rows, error)
        except Exception as error:
            return self._failed(error, len(rows))
        return self._done(len(rows))

    def _done(self, count: int) -> bool:
        self.stored += count
        self.last_error = None
        return True

    def _failed(self, error: Exception, count: int) -> bool:
        self.failed_flushes += 1
        self.last_error = f"{type(error).__name__}: {error}"
        _log.warning("storing %d rows failed, they wait on disk: %s", count, error)
        return False

    async def _attempt_halves(self, writer: Writer, rows: Sequence[Row], error: Invalid) -> bool:
        """One row that the database can never take must not hold up all others for ever."""
        if len(rows) == 1:
            self.refused += 1
            _log.error("a row of %s was refused for good: %s", rows[0][3], error)
            return True
        half = len(rows) // 2
        first = await self._attempt(writer, rows[:half])
        return await self._attempt(writer, rows[half:]) and first
