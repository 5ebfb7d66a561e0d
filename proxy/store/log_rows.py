"""One exchange as a row of the request log: as values for the spool, and as the very bytes COPY
takes.

The bytes are made here and not by the driver: it would look at every cell of every row, which costs
a data worker several times as much per request, and holds up its loop as long. What seldom differs
(service, route, method, status, outcome) is encoded once.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct, pack
from typing import Any
from uuid import UUID

from proxy.domain.exchange import Answer, Exchange, Outcome, exchange_of
from proxy.store.text import storable

# Compiled, a tuple of known types is taken apart and put together again wherever it is handed on:
# here, where a few of eleven values are read, an ``Answer`` is ``Any``.

Row = tuple[Any, ...]
"""In the order of ``store.metrics.LOG_COLUMNS``."""

ERROR_CHARS = 2000
LABELS_MAX = 4096
"""Remembered encodings; methods are the client's to invent."""
ALIKE_MIN = 8
"""So many rows of one route and status are worth being packed column by column."""

PACKED_COLUMNS = (
    "id",
    "created_at",
    "latency_ms",
    "trace_id",
    "service",
    "route_path",
    "method",
    "status_code",
    "outcome",
    "error_message",
)
"""Columns of ``LogRows.pack``, those of fixed length first; what it leaves out is null."""

# Binary COPY (PostgreSQL documentation, COPY, File Formats): signature, flags, extension; per row
# the number of fields, per field its length and its bytes; -1 is null, and -1 fields end it.
_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_FIXED = Struct(">hiQQiqidi")
"""Field count, id, created_at, latency_ms, and the length of trace_id."""
_ID_AT, _CREATED_AT, _LATENCY_AT, _TRACE_AT = 14, 26, 38, 50
"""In such a row: the lower half of id, created_at, latency_ms, trace_id."""
_TRACE_CHARS = 32
_LENGTH = Struct(">i")
_STATUS = Struct(">ii")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_2000_US = 946_684_800_000_000
"""PostgreSQL counts microseconds from there."""
_ANSWERED = int(Outcome.ANSWERED)


class LogRows:
    """``first_id`` is the id of sequence 0: every other id is it plus the sequence, and only the
    lower half of its bits changes. ``redact`` is asked for every error text.
    """

    def __init__(self, service: str, first_id: UUID, redact: Callable[[str], str]) -> None:
        self._service = service
        self._first_id = first_id.int
        self._high, self._low = divmod(first_id.int, 1 << 64)
        self._redact = redact
        self._labels: dict[tuple[str, str, int, int], bytes] = {}

    def row(self, one: Exchange | Answer) -> Row:
        """The values, for a batch that may be written twice. Same id and same time as ``pack``."""
        exchange = exchange_of(one)
        log_id, error = UUID(int=self._first_id + exchange.sequence), exchange.error
        return (
            log_id,
            _EPOCH + timedelta(microseconds=_micros(exchange.started_at)),
            self._service,
            exchange.route,
            exchange.method,
            exchange.status,
            exchange.duration_ms,
            exchange.outcome.name.lower(),
            self._redacted(error) if error else None,
            None,
            exchange.trace_id or log_id.hex,
            None,
            None,
        )

    def copy(self, rows: Sequence[Exchange | Answer], at_once: int) -> Iterator[bytes]:
        """One binary COPY of ``PACKED_COLUMNS``, piece by piece; none packs more rows than
        ``at_once``.
        """
        yield _BEGIN
        for first in range(0, len(rows), at_once):
            yield self.pack(rows[first : first + at_once])
        yield _END

    def pack(self, rows: Sequence[Exchange | Answer]) -> bytes:
        """The rows alone, without what begins and ends a COPY, in an order of their own."""
        parts: list[bytes | bytearray] = []
        row: Any
        kinds: dict[Any, list[Any]] = {}
        for row in rows:
            # the usual one first: to find out that a tuple is no Exchange takes longer
            if isinstance(row, tuple):
                kind = (row[9], row[2], row[4], row[7] is None)
                alike = kinds.get(kind)
                if alike is None:
                    kinds[kind] = [row]
                else:
                    alike.append(row)
                continue
            key = (row.route, row.method, row.status, int(row.outcome))
            times = (row.started_at, row.duration_ms)
            parts.append(self._one(row.sequence, times, row.trace_id, key, row.error))
        for alike in kinds.values():
            if len(alike) < ALIKE_MIN:
                parts += [self._answer(row) for row in alike]
            else:
                parts.append(self._many(alike))
        return b"".join(parts)

    def _answer(self, row: Any) -> bytes:
        at, ms, method, _, status, _, _, trace, _, route, sequence = row
        return self._one(sequence, (at, ms), trace, (route, method, status, _ANSWERED), None)

    def _one(
        self,
        sequence: int,
        times: tuple[float, float],
        trace: str | None,
        key: tuple[str, str, int, int],
        error: str | None,
    ) -> bytes:
        """One row, all of it."""
        low, (at, ms) = self._low + sequence, times
        trace_id = storable(trace).encode() if trace else b"%016x%016x" % (self._high, low)
        label = self._labels.get(key) or self._label(key)
        at_us = _micros(at) - _YEAR_2000_US
        head = _FIXED.pack(10, 16, self._high, low, 8, at_us, 8, ms, len(trace_id))
        return head + trace_id + label + (_text(self._redacted(error)) if error else _NULL)

    def _many(self, rows: list[Any]) -> bytes | bytearray:
        """Answers of one kind, with or without trace ids: as they differ in a few numbers alone,
        all are written at once and the numbers then put in, column by column. Half the work.
        """
        low, count = self._low, len(rows)
        ids = pack(f">{count}Q", *[low + row[10] for row in rows])
        times = [int(row[0] * 1e6 + 0.5) - _YEAR_2000_US for row in rows]
        traces = [row[7] for row in rows if row[7] is not None]
        if traces:
            trace_ids = storable("".join(traces)).encode()
            # what is stored of hostile text may be longer than the text
            if len(trace_ids) != _TRACE_CHARS * count or not all(map(_is_usual, traces)):
                return b"".join([self._answer(row) for row in rows])
            trace_column = (_TRACE_AT, trace_ids)
        else:
            trace_column = (_TRACE_AT + 16, ids.hex().encode())
        columns = (
            (_ID_AT, ids),
            (_CREATED_AT, pack(f">{count}q", *times)),
            (_LATENCY_AT, pack(f">{count}d", *[row[1] for row in rows])),
            trace_column,
        )
        template = self._answer(rows[0])
        stride = len(template)
        packed = bytearray(template * count)
        for at, column in columns:
            width = len(column) // count
            for byte in range(width):
                packed[at + byte :: stride] = column[byte::width]
        return packed

    def _label(self, key: tuple[str, str, int, int]) -> bytes:
        """What follows the trace id of all rows of a kind, up to the error."""
        if len(self._labels) >= LABELS_MAX:
            self._labels.clear()
        route, method, status, outcome = key
        label = (
            _text(self._service)
            + _text(route)
            + _text(method)
            + _STATUS.pack(4, status)
            + _text(Outcome(outcome).name.lower())
        )
        self._labels[key] = label
        return label

    def _redacted(self, error: str) -> str:
        return self._redact(error)[:ERROR_CHARS]


def _is_usual(trace: str) -> bool:
    return len(trace) == _TRACE_CHARS and trace.isascii()


def _micros(seconds: float) -> int:
    """One rounding for both forms: a replayed row is recognised by its id and its time. ``round``
    takes four times as long.
    """
    return int(seconds * 1e6 + 0.5)


def _text(text: str) -> bytes:
    encoded = storable(text).encode()
    return _LENGTH.pack(len(encoded)) + encoded
