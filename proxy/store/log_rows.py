"""One exchange as a row of the request log: as values for the spool, and as the very bytes COPY
takes.

The bytes are made here and not by the driver: it would look at every cell of every row, which costs
a data worker several times as much per request, and holds up its loop as long. What seldom differs
(service, route, method, status, outcome) is encoded once.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any
from uuid import UUID

from proxy.domain.exchange import Answer, Exchange, Outcome, exchange_of
from proxy.store.text import storable

Row = tuple[Any, ...]
"""In the order of ``store.metrics.LOG_COLUMNS``."""

ERROR_CHARS = 2000
LABELS_MAX = 4096
"""Remembered encodings; methods are the client's to invent."""

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
_LENGTH = Struct(">i")
_STATUS = Struct(">ii")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_2000_US = 946_684_800_000_000
"""PostgreSQL counts microseconds from there."""


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
        """The rows alone, without what begins and ends a COPY."""
        high, first_low, fixed, labels = self._high, self._low, _FIXED.pack, self._labels
        upper_hex, answered = b"%016x" % high, int(Outcome.ANSWERED)
        parts: list[bytes] = []
        add = parts.append
        for row in rows:
            error = None
            if isinstance(row, Exchange):
                at, ms, trace, error = row.started_at, row.duration_ms, row.trace_id, row.error
                low = first_low + row.sequence
                key = (row.route, row.method, row.status, int(row.outcome))
            else:
                at, ms, method, _, status, _, _, trace, _, route, sequence = row
                low = first_low + sequence
                key = (route, method, status, answered)
            trace_id = storable(trace).encode() if trace else upper_hex + b"%016x" % low
            at_us = round(at * 1e6) - _YEAR_2000_US
            label = labels.get(key)
            add(fixed(10, 16, high, low, 8, at_us, 8, ms, len(trace_id)))
            add(trace_id)
            add(self._label(key) if label is None else label)
            add(_text(self._redacted(error)) if error else _NULL)
        return b"".join(parts)

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


def _micros(seconds: float) -> int:
    """One rounding for both forms: a replayed row is recognised by its id and its time."""
    return round(seconds * 1e6)


def _text(text: str) -> bytes:
    encoded = storable(text).encode()
    return _LENGTH.pack(len(encoded)) + encoded
