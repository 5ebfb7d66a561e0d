"""What every head has: strict field lines, and the one length of its message (RFC 9112 sections 5
and 6).

The lines are kept as they came. Whoever reads a head says which fault a wrong one is. Knows nothing
of connections, of pooling or of what is forwarded.
"""

import re
from collections.abc import Callable

from proxy.dataplane.faults import Fault
from proxy.dataplane.fields import TOKEN, has_lone_break, valid_block
from proxy.dataplane.judge import Judge

NO_BODY, LENGTH, CHUNKED, UNTIL_CLOSE = range(4)
"""How a body ends."""

_DIGITS_MAX = 64
"""Of a Content-Length; leading zeros change nothing and are legal (RFC 9110 section 8.6)."""

HEAD_END = b"\r\n\r\n"
LONE_BREAK = "a line break is not CRLF, or there is a NUL"

_NOTABLE = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sentry-trace",
        b"traceparent",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields every head is asked about; found in one pass."""
_NONE: list[bytes] = []
_NO_OPTIONS: frozenset[bytes] = frozenset()
_NAMES = re.compile(rb"([^:]+):[^\n]*\n")


class Head:
    """``lines`` are the raw field lines, ``names`` their lower-cased names."""

    __slots__ = (
        "_notable",
        "close",
        "connection",
        "judge",
        "kind",
        "length",
        "lines",
        "minor",
        "names",
    )

    judge: Judge

    def __init__(self, minor: int, block: bytes) -> None:
        """``block`` is nothing but valid field lines, each with its CRLF."""
        self.minor = minor
        self.lines = lines = block.split(b"\r\n")
        lines.pop()
        self.names = names = _NAMES.findall(block.lower())
        self.kind = NO_BODY
        self.length = 0
        self._notable: dict[bytes, list[bytes]] = {}
        if not _NOTABLE.isdisjoint(names):
            for name, line in zip(names, lines, strict=True):
                if name in _NOTABLE:
                    self._notable.setdefault(name, []).append(value_of(line))
        self._read_connection()

    def _read_connection(self) -> None:
        values = self.values(b"connection")
        self.connection = named = options(values) if values else _NO_OPTIONS
        self.close = b"close" in named or (self.minor == 0 and b"keep-alive" not in named)

    def values(self, name: bytes) -> list[bytes]:
        """The values of every field called ``name`` (lower case), without surrounding blanks. Not
        to be changed.
        """
        if name in _NOTABLE:
            return self._notable.get(name, _NONE)
        if name not in self.names:
            return _NONE
        pairs = zip(self.names, self.lines, strict=True)
        return [value_of(line) for known, line in pairs if known == name]


def options(values: list[bytes]) -> frozenset[bytes]:
    """The members of a list-valued field, in lower case (RFC 9110 section 5.6.1)."""
    parts = b",".join(values).lower().split(b",")
    return frozenset([part.strip(b" \t") for part in parts])


def value_of(line: bytes) -> bytes:
    return line.partition(b":")[2].strip(b" \t")


def read_block(head: bytes, start: int, malformed: Callable[[str], Fault]) -> bytes:
    """The field lines of ``head`` from ``start`` on. Raises ``malformed`` with the reason."""
    block = head[start:-2]
    if not valid_block(block):
        raise malformed(_what_is_wrong(block))
    return block


def _what_is_wrong(block: bytes) -> str:
    if has_lone_break(block):
        return LONE_BREAK
    for line in block.split(b"\r\n"):
        if line[:1] in (b" ", b"\t"):
            return "a header line is folded"
        if re.match(TOKEN + rb"[ \t]+:", line):
            return "a blank stands before the colon of a header"
    return "a header line is malformed"


def plain_length(values: list[bytes]) -> int | None:
    """The one Content-Length, or None when it is no plain number of at most 63 bits or there are
    several.
    """
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > _DIGITS_MAX:
        return None
    length = int(values[0])
    return length if length < 1 << 63 else None


def is_chunked(codings: list[bytes]) -> bool:
    """True when the transfer coding is exactly one, ``chunked``."""
    return len(codings) == 1 and codings[0].lower() == b"chunked"


def for_the_judge(head: bytes, lines: list[bytes], names: list[bytes]) -> bytes:
    """``head`` without the blanks behind ``chunked``: legal, but llhttp refuses them."""
    line = lines[names.index(b"transfer-encoding")]
    return head.replace(line, line.rstrip(b" \t")) if line[-1:] in (b" ", b"\t") else head
