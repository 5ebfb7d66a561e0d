"""One exchange as a row of the request log: as values for the spool, and as the very bytes COPY
takes.

The bytes are made here and not by the driver: it would look at every cell of every row, which costs
a data worker several times as much per request, and holds up its loop as long. What seldom differs
(service, route, method, status, outcome) is encoded once.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any
from uuid import UUID

from proxy.domain.exchange import Exchange
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

    def row(self, exchange: Exchange) -> Row:
        """The values, for a batch that may be written twice. Same id and same time as ``pack``."""
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

    def pack(self, exchanges: Sequence[Exchange]) -> bytearray:
        """One whole binary COPY of ``PACKED_COLUMNS``."""
        high, first_low, fixed, labels = self._high, self._low, _FIXED.pack, self._labels
        upper_hex = b"%016x" % high
        parts = [_BEGIN]
        add = parts.append
        for exchange in exchanges:
            low = first_low + exchange.sequence
            trace = exchange.trace_id
            trace_id = storable(trace).encode() if trace else upper_hex + b"%016x" % low
            at_us = _micros(exchange.started_at) - _YEAR_2000_US
            add(fixed(10, 16, high, low, 8, at_us, 8, exchange.duration_ms, len(trace_id)))
            add(trace_id)
            key = (exchange.route, exchange.method, exchange.status, exchange.outcome)
            label = labels.get(key)
            add(self._label(exchange, key) if label is None else label)
            error = exchange.error
            add(_text(self._redacted(error)) if error else _NULL)
        add(_END)
        return bytearray().join(parts)

    def _label(self, exchange: Exchange, key: tuple[str, str, int, int]) -> bytes:
        if len(self._labels) >= LABELS_MAX:
            self._labels.clear()
        label = (
            _text(self._service)
            + _text(exchange.route)
            + _text(exchange.method)
            + _STATUS.pack(4, exchange.status)
            + _text(exchange.outcome.name.lower())
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
