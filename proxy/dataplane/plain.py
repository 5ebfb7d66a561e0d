"""Is a head plain? Read line by line, each line once and for all.

For the hot plane only, which asks no other parser: a line is remembered, or passes, only when it is
a token, a colon right behind it, and a value of bytes that may stand in one. Every reader accepts
that, llhttp and the general plane's among them (``test_plain.py`` proves it byte by byte), so a
head made of such lines means the same to all. What is not plain and canonical is nobody's fault
here, it is left to the general plane. Pure; compiled with the hot plane, so plain types and no
closures.
"""

import re
from typing import Final

from proxy.dataplane.fields import TOKEN_ONLY
from proxy.dataplane.headers import trace_of

DIGITS_MAX: Final = 18
"""Of a Content-Length: more would not fit in 63 bits."""
LINES_MAX: Final = 1024
LINE_BYTES_MAX: Final = 256
"""Lines remembered with what they mean, and how long one may be: hosts, browsers, content types and
connection lines come again and again. A flood only makes us begin anew.
"""
NAMES_MAX: Final = 512
NAME_BYTES_MAX: Final = 64
"""The same of names that are tokens, for lines which are new each time."""
SHORT: Final = 4096
"""Of so short a message a part is cut off more quickly than its place is found."""
STATUSES_MAX: Final = 256
"""Status lines remembered as valid; of a flood the others are checked each time."""

# What a line means. Anything above 0 is a Content-Length, and one more than it says.
HARMLESS: Final = 0
HOST: Final = -1
OF_THIS_HOP: Final = -2
TRACE: Final = -3
ODD: Final = -4
"""The general plane must read this head."""
UNKNOWN: Final = -5
_LENGTH: Final = -6
_CONNECTION: Final = -7
_FORGOTTEN: Final = -8
"""Harmless, and not remembered: what opens a door, or is new with every message."""

_REQUEST_KINDS: Final[dict[bytes, int]] = {
    b"host": HOST,
    b"content-length": _LENGTH,
    b"connection": _CONNECTION,
    b"traceparent": TRACE,
    b"sentry-trace": TRACE,
    b"keep-alive": ODD,
    b"proxy-connection": ODD,
    b"transfer-encoding": ODD,
    b"te": ODD,
    b"upgrade": ODD,
    b"expect": ODD,
    b"authorization": _FORGOTTEN,
    b"baggage": _FORGOTTEN,
    b"cookie": _FORGOTTEN,
    b"idempotency-key": _FORGOTTEN,
    b"if-modified-since": _FORGOTTEN,
    b"if-none-match": _FORGOTTEN,
    b"proxy-authorization": _FORGOTTEN,
    b"referer": _FORGOTTEN,
    b"tracestate": _FORGOTTEN,
    b"x-api-key": _FORGOTTEN,
    b"x-csrf-token": _FORGOTTEN,
    b"x-request-id": _FORGOTTEN,
}
_ANSWER_KINDS: Final[dict[bytes, int]] = {
    b"content-length": _LENGTH,
    b"connection": _CONNECTION,
    b"keep-alive": OF_THIS_HOP,
    b"proxy-connection": ODD,
    b"transfer-encoding": ODD,
    b"te": ODD,
    b"upgrade": ODD,
    b"etag": _FORGOTTEN,
    b"last-modified": _FORGOTTEN,
    b"location": _FORGOTTEN,
    b"set-cookie": _FORGOTTEN,
    b"x-request-id": _FORGOTTEN,
}


def _but(allowed: bytes) -> bytes:
    """A table for ``bytes.translate`` that leaves these bytes, and only these, as they are."""
    return bytes(byte if byte in allowed else byte ^ 0x80 for byte in range(256))


_VALUE_BYTES: Final = _but(bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)]))
TARGET_BYTES: Final = _but(bytes(range(0x21, 0x7F)))
"""Of a target: leaves what belongs there as it is."""

_HOST_VALUE: Final = re.compile(
    rb"[ \t]*[A-Za-z0-9.-]+(?::(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?[ \t]*\Z"
)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 (2[0-9][0-9]) [\t\x20-\x7e\x80-\xff]*\Z")


class Lines:
    """The field lines of one direction: ``known`` says what each means that was seen before, and
    ``learn`` reads any other.
    """

    __slots__ = ("_kinds", "_names", "known")

    def __init__(self, kinds: dict[bytes, int]) -> None:
        self.known: dict[bytes, int] = {}
        self._kinds = kinds
        self._names: dict[bytes, int] = {}
        """Names that are tokens, as they are spelled, with the kind of their lines."""

    def learn(self, line: bytes) -> int:
        """What a line means that is not known yet; never ``UNKNOWN``."""
        name, colon, value = line.partition(b":")
        kind = self._names.get(name, UNKNOWN)
        if kind == UNKNOWN:
            kind = self._kind(name)
        if not colon or value.translate(_VALUE_BYTES) != value:
            return ODD
        if kind == _FORGOTTEN:
            return HARMLESS
        if kind == TRACE:
            return TRACE
        meaning = _meaning(kind, value)
        if len(line) <= LINE_BYTES_MAX:
            known = self.known
            if len(known) >= LINES_MAX:
                known.clear()
            known[line] = meaning
        return meaning

    def _kind(self, name: bytes) -> int:
        if not TOKEN_ONLY.match(name):
            return ODD
        kind = self._kinds.get(name.lower(), HARMLESS)
        if len(name) <= NAME_BYTES_MAX:
            if len(self._names) >= NAMES_MAX:
                self._names.clear()
            self._names[name] = kind
        return kind


def request_lines() -> Lines:
    return Lines(_REQUEST_KINDS)


def answer_lines() -> Lines:
    return Lines(_ANSWER_KINDS)


def without(data: bytes, line: bytes) -> bytes:
    """The bytes to send on: as they came, without this line of their head."""
    # it stands in the head, so the first that reads so is no part of the body
    gone = b"\r\n" + line + b"\r\n"
    if len(data) < SHORT:
        # searched once and copied twice; "replace" searches twice
        return b"\r\n".join(data.split(gone, 1))
    return data.replace(gone, b"\r\n", 1)


def status_of(line: bytes, known: dict[bytes, int]) -> int:
    """200-299 for a plain status line, 0 for any other and for 204. ``known`` learns."""
    status = known.get(line)
    if status is not None:
        return status
    match = _STATUS_LINE.match(line)
    if match is None or match[1] == b"204":
        return 0
    if len(known) < STATUSES_MAX:
        known[line] = int(match[1])
    return int(match[1])


def _meaning(kind: int, value: bytes) -> int:
    if kind == _LENGTH:
        return _number(value)
    if kind == HOST and not _HOST_VALUE.match(value):
        return ODD
    if kind == _CONNECTION:
        return OF_THIS_HOP if value.strip(b" \t").lower() == b"keep-alive" else ODD
    return kind


def _number(value: bytes) -> int:
    """Canonical as the general plane would write it: one blank, digits, no leading zero. One more
    than it says.
    """
    digits = value[1:]
    if value[:1] != b" " or not digits.isdigit() or len(digits) > DIGITS_MAX:
        return ODD
    if digits[0] == 48 and len(digits) > 1:
        return ODD
    return int(digits) + 1


def trace_in(lines: list[bytes]) -> str | None:
    """The id that ``TRACE`` lines name: the first ``traceparent`` that is one, or else the first
    ``sentry-trace``.
    """
    for initial in (b"t", b"s"):
        for line in lines:
            name, _, value = line.partition(b":")
            if name[:1].lower() == initial:
                found = trace_of(value.strip(b" \t"))
                if found is not None:
                    return found
    return None
