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
_YEAR_2000_S = 946_684_800
_IN_REACH_S = 2_000_000_000
"""From 1936 to 2063 times are rounded the quick way."""
_MIDDLE = 3 << 51
_ROUNDED = _MIDDLE - _YEAR_2000_US
_ROUND = float(_ROUNDED)
"""Added to microseconds since 1970 it makes those since 2000, from the middle between 2**52 and
2**53; there floats are whole numbers, so the sum is the nearest.
"""
_HIGH = bytes(range(0x30, 0x40))
"""The second byte of such a sum, 0x38 in the middle; the first is 0x43."""
_TOP = bytes((byte - 0x38) & 0xFF for byte in range(256))
_SIGN = bytes(0xFF if byte < 0x38 else 0 for byte in range(256))
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
        alike: list[Any] = []
        route: Any = None
        method, status, is_bare = "", 0, False
        for row in rows:
            # the usual one first: to find out that a tuple is no Exchange takes longer
            if isinstance(row, tuple):
                # one of the kind before it is found without asking for its kind
                if (
                    row[9] is not route
                    or row[2] is not method
                    or row[4] != status
                    or (row[7] is None) is not is_bare
                ):
                    route, method, status, is_bare = row[9], row[2], row[4], row[7] is None
                    alike = kinds.setdefault((route, method, status, is_bare), [])
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
        times = _times(rows)
        if times is None:
            return self._singly(rows)
        if rows[0][7] is None:
            trace_column = (_TRACE_AT + 16, ids.hex().encode())
        else:
            traces = [row[7] for row in rows]
            trace_ids = storable("".join(traces)).encode()
            # what is stored of hostile text may be longer than the text
            if len(trace_ids) != _TRACE_CHARS * count or not all(map(_is_usual, traces)):
                return self._singly(rows)
            trace_column = (_TRACE_AT, trace_ids)
        columns = (
            (_ID_AT, ids),
            (_LATENCY_AT, pack(f">{count}d", *[row[1] for row in rows])),
            trace_column,
        )
        template = self._answer(rows[0])
        stride = len(template)
        packed = bytearray(template * count)
        for byte, piece in enumerate(times, _CREATED_AT):
            packed[byte::stride] = piece
        for at, column in columns:
            width = len(column) // count
            for byte in range(width):
                packed[at + byte :: stride] = column[byte::width]
        return packed

    def _singly(self, rows: list[Any]) -> bytes:
        return b"".join([self._answer(row) for row in rows])

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
    if -_IN_REACH_S < seconds - _YEAR_2000_S < _IN_REACH_S:
        return int(seconds * 1e6 + _ROUND) - _ROUNDED
    return round(seconds * 1e6)


def _times(rows: list[Any]) -> list[bytes] | None:
    """The eight columns of bytes of created_at, the same as ``_micros`` says; None when one of them
    is out of reach.

    To make a whole number of a float costs more than all else here, so none is made: of a sum
    between 2**52 and 2**53 the last bits are the nearest whole number, in two's complement.
    """
    packed = pack(f">{len(rows)}d", *[row[0] * 1e6 + _ROUND for row in rows])
    high = packed[1::8]
    if packed[::8].strip(b"\x43") or high.translate(None, _HIGH):
        return None
    return [high.translate(_SIGN), high.translate(_TOP), *[packed[n::8] for n in range(2, 8)]]


def _text(text: str) -> bytes:
    encoded = storable(text).encode()
    return _LENGTH.pack(len(encoded)) + encoded
