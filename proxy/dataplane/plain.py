"""Is a head plain? The fields that decide anything, read from its lines; every other field goes on
as it came.

For the hot plane only: llhttp has accepted, or will accept, the syntax of every byte. What is not
plain and canonical is nobody's fault here, it is left to the general plane. Pure; compiled with the
hot plane, so plain types and no closures.
"""

import re
from typing import Final

from proxy.dataplane.headers import trace_of

ODD: Final = -1
"""Instead of a length: a field, or a value, that the general plane must read."""
DIGITS_MAX: Final = 18
"""Of a Content-Length: more would not fit in 63 bits."""
LINES_MAX: Final = 1024
LINE_BYTES_MAX: Final = 64
"""Lines remembered with what they mean, and how long one may be: hosts, content types and
connection lines come again and again, cookies and traces do not. A flood only makes us begin anew.
"""
SHORT: Final = 4096
"""Of so short a message a part is cut off more quickly than its place is found."""
STATUSES_MAX: Final = 256
"""Status lines remembered as valid; of a flood the others are checked each time."""

# What a line means. Anything from 0 up is the value of a Content-Length.
_ODD: Final = ODD
_HARMLESS: Final = -2
_HOST: Final = -3
_LENGTH: Final = -4
_CONNECTION: Final = -5
_OF_THIS_HOP: Final = -6
_TRACEPARENT: Final = -7
_SENTRY_TRACE: Final = -8

_REQUEST_KINDS: Final[dict[bytes, int]] = {
    b"host": _HOST,
    b"content-length": _LENGTH,
    b"connection": _CONNECTION,
    b"traceparent": _TRACEPARENT,
    b"sentry-trace": _SENTRY_TRACE,
    b"keep-alive": _ODD,
    b"proxy-connection": _ODD,
    b"transfer-encoding": _ODD,
    b"te": _ODD,
    b"upgrade": _ODD,
    b"expect": _ODD,
    # often sent and without meaning to us: found at once they need not be lower-cased
    b"user-agent": _HARMLESS,
    b"content-type": _HARMLESS,
    b"cookie": _HARMLESS,
    b"cache-control": _HARMLESS,
    b"pragma": _HARMLESS,
    b"upgrade-insecure-requests": _HARMLESS,
    b"sec-fetch-dest": _HARMLESS,
    b"sec-fetch-mode": _HARMLESS,
    b"sec-fetch-site": _HARMLESS,
}
_ANSWER_KINDS: Final[dict[bytes, int]] = {
    b"content-length": _LENGTH,
    b"connection": _CONNECTION,
    b"keep-alive": _OF_THIS_HOP,
    b"proxy-connection": _ODD,
    b"transfer-encoding": _ODD,
    b"te": _ODD,
    b"upgrade": _ODD,
    b"content-type": _HARMLESS,
    b"cache-control": _HARMLESS,
    b"content-encoding": _HARMLESS,
}


def _both_spellings(kinds: dict[bytes, int]) -> None:
    """Add every name as most programs write it: ``Content-Length``."""
    kinds.update({name.title(): kind for name, kind in kinds.items()})


def _first_bytes(kinds: dict[bytes, int]) -> tuple[bool, ...]:
    """256 flags: what a line that matters may begin with; a blank would be a folded line. A tuple:
    the interpreter finds its way into one more quickly than into bytes.
    """
    first = {first for name in kinds for first in (name[0], name[0] - 32)} | {9, 32}
    return tuple(byte in first for byte in range(256))


_REQUEST_FIRST: Final = _first_bytes(_REQUEST_KINDS)
_ANSWER_FIRST: Final = _first_bytes(_ANSWER_KINDS)
_both_spellings(_REQUEST_KINDS)
_both_spellings(_ANSWER_KINDS)

_HOST_VALUE: Final = re.compile(
    rb"[ \t]*[A-Za-z0-9.-]+(?::(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?[ \t]*\Z"
)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 (2[0-9][0-9]) [\t\x20-\x7e\x80-\xff]*\Z")


class Notes:
    """What a head said beside its length."""

    __slots__ = ("hop_lines", "traces")

    def __init__(self) -> None:
        self.hop_lines: list[bytes] = []
        """Whole lines that are of this hop alone: ``Connection``, ``Keep-Alive``."""
        self.traces: list[bytes] = []
        """Values of ``traceparent``, and behind them of ``sentry-trace``."""

    def take_trace(self) -> str | None:
        """The id of the first value that is one; the values are gone then."""
        traces, self.traces = self.traces, []
        for value in traces:
            found = trace_of(value)
            if found is not None:
                return found
        return None


def request_length(lines: list[bytes], known: dict[bytes, int], notes: Notes) -> int:
    """The body's length by the field lines of a request, ``ODD`` when it is not plain.

    ``known`` are lines with what they mean in a request, and learns.
    """
    hosts = lengths = length = traceparents = 0
    for line in lines:
        if not _REQUEST_FIRST[line[0]]:
            continue
        meaning = known.get(line)
        if meaning is None:
            meaning = _learn(line, _REQUEST_KINDS, known)
        if meaning == _HOST:
            hosts += 1
        elif meaning >= 0:
            lengths += 1
            length = meaning
        elif meaning == _HARMLESS:
            continue
        elif meaning == _OF_THIS_HOP:
            notes.hop_lines.append(line)
        elif meaning == _TRACEPARENT:
            notes.traces.insert(traceparents, _value_of(line))
            traceparents += 1
        elif meaning == _SENTRY_TRACE:
            notes.traces.append(_value_of(line))
        else:
            return ODD
    return length if hosts == 1 and lengths < 2 else ODD


def answer_length(lines: list[bytes], known: dict[bytes, int], notes: Notes) -> int:
    """The body's length by the field lines of an answer, ``ODD`` when it is not plain.

    ``known`` are lines with what they mean in an answer, and learns.
    """
    lengths = length = 0
    for line in lines:
        if not _ANSWER_FIRST[line[0]]:
            continue
        meaning = known.get(line)
        if meaning is None:
            meaning = _learn(line, _ANSWER_KINDS, known)
        if meaning >= 0:
            lengths += 1
            length = meaning
        elif meaning == _OF_THIS_HOP:
            notes.hop_lines.append(line)
        elif meaning != _HARMLESS:
            return ODD
    return length if lengths == 1 else ODD


def without(data: bytes, hop_lines: list[bytes]) -> bytes:
    """The bytes to send on: as they came, without these lines of their head."""
    for line in hop_lines:
        # each stands in the head, so the first that reads so is no part of the body
        gone = b"\r\n" + line + b"\r\n"
        if len(data) < SHORT:
            # searched once and copied twice; "replace" searches twice
            data = b"\r\n".join(data.split(gone, 1))
        else:
            data = data.replace(gone, b"\r\n", 1)
    return data


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


def _learn(line: bytes, kinds: dict[bytes, int], known: dict[bytes, int]) -> int:
    meaning = _meaning(line, kinds)
    if len(line) <= LINE_BYTES_MAX:
        if len(known) >= LINES_MAX:
            known.clear()
        known[line] = meaning
    return meaning


def _meaning(line: bytes, kinds: dict[bytes, int]) -> int:
    if line[:1] in (b" ", b"\t"):
        return ODD  # a folded line
    name, _, value = line.partition(b":")
    kind = kinds.get(name)
    if kind is None:
        kind = kinds.get(name.lower(), _HARMLESS)
    if kind == _LENGTH:
        return _number(value)
    if kind == _HOST and not _HOST_VALUE.match(value):
        return ODD
    if kind == _CONNECTION:
        return _OF_THIS_HOP if value.strip(b" \t").lower() == b"keep-alive" else ODD
    return kind


def _value_of(line: bytes) -> bytes:
    return line[line.find(b":") + 1 :].strip(b" \t")


def _number(value: bytes) -> int:
    """Canonical as the general plane would write it: one blank, digits, no leading zero."""
    digits = value[1:]
    if value[:1] != b" " or not digits.isdigit() or len(digits) > DIGITS_MAX:
        return ODD
    if digits[0] == 48 and len(digits) > 1:
        return ODD
    return int(digits)
