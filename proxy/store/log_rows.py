"""One exchange as a row of the request log: as values for the spool, and as the very bytes COPY
takes.

The bytes are made here and not by the driver: it would look at every cell of every row, which costs
a data worker several times as much per request, and holds up its loop as long. What seldom differs
(service, route, method, status, outcome) is encoded once.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import attrgetter
from struct import Struct, pack
from typing import Any
from uuid import UUID

from proxy.domain.exchange import Exchange, Outcome
from proxy.domain.waiting import Answers, Waiting, exchanges_of, in_pieces
from proxy.store.text import storable

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
_WHOLE_BYTES = 6
"""So many bytes of such a sum are nothing but the whole number."""
_RISING = bytes(range(256))
_HIGH_DIGIT = bytes(b"0123456789abcdef"[byte >> 4] for byte in range(256))
_LOW_DIGIT = bytes(b"0123456789abcdef"[byte & 15] for byte in range(256))
_ANSWERED = int(Outcome.ANSWERED)
_ROUTE: Callable[[Waiting], str] = attrgetter("route")
_STATUS_PLACE, _TRACE_PLACE = 4, 7
"""Which columns of ``Answers`` they are."""


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

    def rows(self, waiting: Iterable[Waiting]) -> Iterator[Row]:
        """The values, for a batch that may be written twice. Same ids and times as ``pack``."""
        return map(self.row, exchanges_of(waiting))

    def kept(self, waiting: Iterable[Waiting]) -> Iterator[Any]:
        """The same as JSON takes it, for what waits on disk: id as text, time in seconds."""
        for some in waiting:
            if isinstance(some, Answers):
                at, ms, _, _, status, _, _, traces, _ = some.columns
                for place, trace in enumerate(traces):
                    key = (some.route, some.method, status[place], "answered")
                    times = (at[place], ms[place])
                    yield self._kept(some.first + place, times, key, None, trace)
            else:
                key = (some.route, some.method, some.status, some.outcome.name.lower())
                times, error = (some.started_at, some.duration_ms), some.error
                error = self._redacted(error) if error else None
                yield self._kept(some.sequence, times, key, error, some.trace_id)

    def _kept(
        self,
        sequence: int,
        times: tuple[float, float],
        key: tuple[str, str, int, str],
        error: str | None,
        trace: str | None,
    ) -> list[Any]:
        log_id = f"{self._first_id + sequence:032x}"
        route, method, status, outcome = key
        return [
            f"{log_id[:8]}-{log_id[8:12]}-{log_id[12:16]}-{log_id[16:20]}-{log_id[20:]}",
            _micros(times[0]) / 1e6,
            self._service,
            route,
            method,
            status,
            times[1],
            outcome,
            error,
            None,
            trace or log_id,
            None,
            None,
        ]

    def row(self, exchange: Exchange) -> Row:
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

    def copy(self, waiting: Iterable[Waiting], at_once: int) -> Iterator[bytes]:
        """One binary COPY of ``PACKED_COLUMNS``, piece by piece; none packs more rows than
        ``at_once``. What is alike comes together: of few rows of many kinds each costs more.
        """
        yield _BEGIN
        for piece in in_pieces(sorted(waiting, key=_ROUTE), at_once):
            yield self.pack(piece)
        yield _END

    def pack(self, waiting: Iterable[Waiting]) -> bytes:
        """The rows alone, without what begins and ends a COPY, in an order of their own."""
        parts: list[bytes | bytearray] = []
        kinds: dict[Any, _Kind] = {}
        for some in waiting:
            if isinstance(some, Answers):
                _sort(some, kinds)
                continue
            key = (some.route, some.method, some.status, int(some.outcome))
            times = (some.started_at, some.duration_ms)
            parts.append(self._one(some.sequence, times, some.trace_id, key, some.error))
        for key, kind in kinds.items():
            if len(kind.starts) < ALIKE_MIN:
                parts.append(self._singly(key, kind))
            else:
                parts.append(self._many(key, kind))
        return b"".join(parts)

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

    def _many(self, key: Any, kind: "_Kind") -> bytes | bytearray:
        """Answers of one kind, with or without trace ids: as they differ in a few numbers alone,
        all are written at once and the numbers then put in, byte by byte of all. Only bytes that
        differ are: the others are the same as in the first. Half the work and less.
        """
        times, counters = _times(kind.starts), _counters(self._low, kind.ranges)
        count = len(kind.starts)
        if times is None or counters is None:
            return self._singly(key, kind)
        if kind.is_bare:
            digits = [c.translate(table) for c in counters for table in (_HIGH_DIGIT, _LOW_DIGIT)]
            traces = enumerate(digits, _TRACE_AT + _TRACE_CHARS - len(digits))
        else:
            text = "".join(kind.traces)
            # what is stored of hostile text may be longer than the text
            if [*map(len, kind.traces)].count(_TRACE_CHARS) < count or not _is_plain(text):
                return self._singly(key, kind)
            traces = enumerate(_bytes_of(text.encode(), _TRACE_CHARS), _TRACE_AT)
        durations = _bytes_of(pack(f">{count}d", *kind.durations), 8)
        template = self._row_of(key, kind, 0, kind.ranges[0].start)
        stride = len(template)
        packed = bytearray(template) * count
        for at, column in chain(
            enumerate(counters, _ID_AT + 8 - len(counters)),
            enumerate(times, _CREATED_AT + 8 - len(times)),
            enumerate(durations, _LATENCY_AT),
            traces,
        ):
            packed[at::stride] = column
        return packed

    def _singly(self, key: Any, kind: "_Kind") -> bytes:
        sequences = enumerate(chain.from_iterable(kind.ranges))
        return b"".join([self._row_of(key, kind, place, each) for place, each in sequences])

    def _row_of(self, key: Any, kind: "_Kind", place: int, sequence: int) -> bytes:
        route, method, status, _ = key
        return self._one(
            sequence,
            (kind.starts[place], kind.durations[place]),
            kind.traces[place],
            (route, method, status, _ANSWERED),
            None,
        )

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


class _Kind:
    """Answers of one route, method and status, all of them with a trace id or none: in columns."""

    __slots__ = ("durations", "is_bare", "ranges", "starts", "traces")

    def __init__(self, is_bare: bool) -> None:
        self.is_bare = is_bare
        self.ranges: list[range] = []
        """Their sequences."""
        self.starts: list[float] = []
        self.durations: list[float] = []
        self.traces: list[Any] = []


def _sort(some: Answers, kinds: dict[Any, _Kind]) -> None:
    """To its kind all of it, as they usually are alike, or each."""
    columns, count = some.columns, len(some)
    statuses, traces = columns[_STATUS_PLACE], columns[_TRACE_PLACE]
    status, bare = statuses[0], traces.count(None)
    sequences = range(some.first, some.first + count)
    if statuses.count(status) == count and bare in (0, count):
        kind = _kind(kinds, some, status, bare > 0)
        kind.ranges.append(sequences)
        kind.starts += columns[0]
        kind.durations += columns[1]
        kind.traces += traces
        return
    for place, sequence in enumerate(sequences):
        trace = traces[place]
        kind = _kind(kinds, some, statuses[place], trace is None)
        kind.ranges.append(range(sequence, sequence + 1))
        kind.starts.append(columns[0][place])
        kind.durations.append(columns[1][place])
        kind.traces.append(trace)


def _kind(kinds: dict[Any, _Kind], some: Answers, status: int, is_bare: bool) -> _Kind:
    key = (some.route, some.method, status, is_bare)
    found = kinds.get(key)
    if found is None:
        found = kinds[key] = _Kind(is_bare)
    return found


def _bytes_of(column: bytes, width: int, first: int = 0) -> list[bytearray]:
    """The first byte of each of its values, the second of each, and so on."""
    # to put in bytes, a bytearray would be made of them first
    values = bytearray(column)
    return [values[byte::width] for byte in range(first, width)]


def _is_plain(text: str) -> bool:
    return text.isascii() and storable(text) == text


def _counters(low: int, ranges: list[range]) -> tuple[bytearray, bytearray] | None:
    """The last two bytes of each id, in columns; None when more of them differ."""
    first, last = low + ranges[0].start, low + ranges[0].stop - 1
    for some in ranges:
        first, last = min(first, low + some.start), max(last, low + some.stop - 1)
    if first >> 16 != last >> 16:
        return None
    highs, lows = bytearray(), bytearray()
    for some in ranges:
        begins, count = low + some.start, len(some)
        skipped = begins & 0xFF
        rounds = range(begins >> 8, (begins + count + 0xFF) >> 8)
        lows += (_RISING * len(rounds))[skipped : skipped + count]
        high = b"".join([bytes((number & 0xFF,)) * 256 for number in rounds])
        highs += high[skipped : skipped + count]
    return highs, lows


def _micros(seconds: float) -> int:
    """One rounding for both forms: a replayed row is recognised by its id and its time. ``round``
    takes four times as long.
    """
    if -_IN_REACH_S < seconds - _YEAR_2000_S < _IN_REACH_S:
        return int(seconds * 1e6 + _ROUND) - _ROUNDED
    return round(seconds * 1e6)


def _times(starts: list[float]) -> list[bytearray] | None:
    """The last bytes of created_at in columns, as many as differ, the same as ``_micros`` says;
    None when one of them is out of reach.

    To make a whole number of a float costs more than all else here, so none is made: of a sum
    between 2**52 and 2**53 the last bits are the nearest whole number, in two's complement.
    """
    in_turn = sorted(starts)
    first, last = in_turn[0] - _YEAR_2000_S, in_turn[-1] - _YEAR_2000_S
    if not (first > -_IN_REACH_S and last < _IN_REACH_S):
        return None
    # what lies between two numbers begins as both do
    differ = int(in_turn[0] * 1e6 + _ROUND) - _MIDDLE ^ int(in_turn[-1] * 1e6 + _ROUND) - _MIDDLE
    count = (differ.bit_length() + 7) >> 3
    if differ < 0 or count > _WHOLE_BYTES:
        return None
    packed = pack(f">{len(starts)}d", *[at * 1e6 + _ROUND for at in starts])
    return _bytes_of(packed, 8, 8 - count)


def _text(text: str) -> bytes:
    encoded = storable(text).encode()
    return _LENGTH.pack(len(encoded)) + encoded
