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
HOSTS_MAX: Final = 256
STATUSES_MAX: Final = 256
"""Host values and status lines remembered as valid; of a flood the others are only checked each
time.
"""

_HARMLESS: Final = 0
_HOST: Final = 1
_LENGTH: Final = 2
_CONNECTION: Final = 3
_KEEP_ALIVE: Final = 4
_TRACEPARENT: Final = 5
_SENTRY_TRACE: Final = 6
_ODD: Final = 7

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
    b"keep-alive": _KEEP_ALIVE,
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


def _first_bytes(kinds: dict[bytes, int]) -> bytes:
    """256 flags: what a line that matters may begin with; a blank would be a folded line."""
    first = {first for name in kinds for first in (name[0], name[0] - 32)} | {9, 32}
    return bytes(byte in first for byte in range(256))


_REQUEST_FIRST: Final = _first_bytes(_REQUEST_KINDS)
_ANSWER_FIRST: Final = _first_bytes(_ANSWER_KINDS)
_both_spellings(_REQUEST_KINDS)
_both_spellings(_ANSWER_KINDS)

_HOST_VALUE: Final = re.compile(
    rb"[ \t]*[A-Za-z0-9.-]+(?::(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?[ \t]*\Z"
)
_KEPT: Final = b" keep-alive"
"""As nearly everybody writes it."""
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 (2[0-9][0-9]) [\t\x20-\x7e\x80-\xff]*\Z")


class Notes:
    """What a head said beside its length."""

    __slots__ = ("hop_lines", "traces")

    def __init__(self) -> None:
        self.hop_lines = 0
        """``Connection: keep-alive`` counts once, any further line of this hop alone twice."""
        self.traces: list[bytes] = []
        """Values of ``traceparent``, and behind them of ``sentry-trace``."""

    def trace(self) -> str | None:
        """The id of the first value that is one."""
        for value in self.traces:
            found = trace_of(value)
            if found is not None:
                return found
        return None


def request_length(lines: list[bytes], hosts: set[bytes], notes: Notes) -> int:
    """The body's length by the field lines of a request, ``ODD`` when it is not plain.

    ``hosts`` are values known to be valid, with the blanks before them, and learns.
    """
    found_hosts = lengths = length = traceparents = 0
    for line in lines:
        first = line[0]
        if not _REQUEST_FIRST[first]:
            continue
        name, _, value = line.partition(b":")
        kind = _REQUEST_KINDS.get(name)
        if kind is None:
            kind = _kind_of(name, _REQUEST_KINDS)
        if kind == _HARMLESS:
            continue
        if kind == _LENGTH:
            lengths += 1
            length = _number(value)
            if length < 0:
                return ODD
            continue
        if kind == _HOST:
            found_hosts += 1
            if value not in hosts and not _learn_host(value, hosts):
                return ODD
        elif kind == _CONNECTION:
            if value != _KEPT and value.lstrip(b" \t").lower() != b"keep-alive":
                return ODD
            notes.hop_lines += 1
        elif kind == _TRACEPARENT:
            traceparents += 1
            notes.traces.insert(traceparents - 1, value.strip(b" \t"))
        elif kind == _SENTRY_TRACE:
            notes.traces.append(value.strip(b" \t"))
        else:
            return ODD
    return length if found_hosts == 1 and lengths < 2 else ODD


def answer_length(lines: list[bytes], notes: Notes) -> int:
    """The body's length by the field lines of an answer, ``ODD`` when it is not plain."""
    lengths = length = 0
    for line in lines:
        first = line[0]
        if not _ANSWER_FIRST[first]:
            continue
        name, _, value = line.partition(b":")
        kind = _ANSWER_KINDS.get(name)
        if kind is None:
            kind = _kind_of(name, _ANSWER_KINDS)
        if kind == _HARMLESS:
            continue
        if kind == _LENGTH:
            lengths += 1
            length = _number(value)
            if length < 0:
                return ODD
        elif kind == _CONNECTION:
            if value != _KEPT and value.strip(b" \t").lower() != b"keep-alive":
                return ODD
            notes.hop_lines += 1
        elif kind == _KEEP_ALIVE:
            notes.hop_lines += 2
        else:
            return ODD
    return length if lengths == 1 else ODD


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


def _kind_of(name: bytes, kinds: dict[bytes, int]) -> int:
    """A name in neither of the usual spellings. A folded line has a blank for its first byte."""
    return _ODD if name[:1] in (b" ", b"\t") else kinds.get(name.lower(), _HARMLESS)


def _number(value: bytes) -> int:
    """Canonical as the general plane would write it: one blank, digits, no leading zero."""
    digits = value[1:]
    if value[:1] != b" " or not digits.isdigit() or len(digits) > DIGITS_MAX:
        return ODD
    if digits[0] == 48 and len(digits) > 1:
        return ODD
    return int(digits)


def _learn_host(value: bytes, hosts: set[bytes]) -> bool:
    if not _HOST_VALUE.match(value):
        return False
    if len(hosts) < HOSTS_MAX:
        hosts.add(value)
    return True
