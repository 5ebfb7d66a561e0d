"""Which header lines go on and which stay (RFC 9110 section 7.6.1), and the two documented
additions.

Pure functions on lists of raw lines and their lower-cased names. Framing lines are never passed
through: they are written anew from what was decided, in their old place and spelling.
"""

import re
import secrets

from proxy.dataplane.framing import CHUNKED, LENGTH, Head, value_of
from proxy.dataplane.request_head import RequestHead
from proxy.dataplane.response_head import ResponseHead
from proxy.domain.exchange import Headers

HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade"})
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_PROTECTED = _FRAMING | {b"host"}
"""A Connection option must not be able to remove these."""
_NEVER_TRAILERS = HOP_BY_HOP | _PROTECTED | {b"trailer"}

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?\Z")
_SENTRY_TRACE = re.compile(rb"([0-9a-f]{32})-[0-9a-f]{16}(?:-[01])?\Z")


def _dropped(connection: frozenset[bytes]) -> frozenset[bytes]:
    return HOP_BY_HOP | (connection - _PROTECTED) if connection else HOP_BY_HOP


def request_block(
    request: RequestHead, host: bytes, added: list[bytes], replaced: frozenset[bytes]
) -> bytes:
    """The head to send upstream. ``host`` is named when an HTTP/1.0 request came without one.

    ``added`` lines replace those of ours that came under the names in ``replaced``.
    """
    dropped = _dropped(request.connection) | replaced
    if request.minor == 0:
        dropped |= {b"expect"}
    out = [b"%b %b HTTP/1.1" % (request.method, request.target)]
    if request.minor == 0 and b"host" not in request.names:
        out.append(b"Host: " + (request.authority or host))
    names, lines = request.names, request.lines
    if request.is_websocket:
        names, lines = _upgrading(names, lines)
    for name, line in zip(names, lines, strict=True):
        if name in _FRAMING:
            out.append(_framing_line(line, name, request.kind, request.length))
        elif name == b"host" and request.authority is not None:
            out.append(
                line if value_of(line) == request.authority else b"Host: " + request.authority
            )
        elif name not in dropped:
            out.append(line)
    out += added
    out.append(b"\r\n")
    return b"\r\n".join(out)


def _upgrading(names: list[bytes], lines: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The two lines that make an upgrade stay, in their place and spelling; neither names anything
    else any more.
    """
    names, lines = names.copy(), lines.copy()
    connection, upgrade = names.index(b"connection"), names.index(b"upgrade")
    names[connection] = names[upgrade] = b""
    lines[connection] = lines[connection][: len(b"connection")] + b": Upgrade"
    if value_of(lines[upgrade]).lower() != b"websocket":
        lines[upgrade] = lines[upgrade][: len(b"upgrade")] + b": websocket"
    return names, lines


def _offers_websocket(response: ResponseHead) -> bool:
    return [value.lower() for value in response.values(b"upgrade")] == [b"websocket"]


def _framing_line(line: bytes, name: bytes, kind: int, length: int) -> bytes:
    spelled = line[: len(name)]
    return spelled + (b": chunked" if kind == CHUNKED else b": %d" % length)


def closing_block(request: RequestHead) -> bytes:
    """The head as it came, but asking for the connection to be closed after the answer."""
    out = [b"%b %b HTTP/1.%d" % (request.method, request.target, request.minor)]
    pairs_ = zip(request.names, request.lines, strict=True)
    out += [line for name, line in pairs_ if name not in (b"connection", b"upgrade")]
    return b"\r\n".join([*out, b"Connection: close", b"", b""])


def response_block(
    response: ResponseHead,
    *,
    minor: int,
    close: bool,
    keep_alive: bool,
    chunk: bool,
    added: list[bytes],
) -> bytes:
    """The head to send to a client that speaks HTTP/1.``minor``.

    ``close`` and ``keep_alive`` add that Connection option; ``chunk`` adds chunked framing where
    none came.
    """
    dropped = _dropped(response.connection)
    out = [b"HTTP/1.1 %d %b" % (response.status, response.reason)]
    names, lines = response.names, response.lines
    if response.status == 101:
        names, lines = _upgrading(names, lines)
    elif response.status == 426 and _offers_websocket(response):
        # the one protocol we do pass on; the refusal must name it (RFC 9110 section 15.5.22)
        dropped -= {b"upgrade"}
        added = [b"Connection: Upgrade", *added]
    for name, line in zip(names, lines, strict=True):
        if name in _FRAMING:
            if name == b"content-length":
                if response.status >= 200 and response.status != 204:
                    # 304 and answers to HEAD state the length the body would have (RFC 9110
                    # section 8.6)
                    out.append(_framing_line(line, name, LENGTH, int(value_of(line))))
            elif minor and response.status >= 200 and response.status != 204:
                out.append(_framing_line(line, name, CHUNKED, 0))
        elif name not in dropped:
            out.append(line)
    if chunk:
        out.append(b"Transfer-Encoding: chunked")
    if close:
        out.append(b"Connection: close")
    elif keep_alive:
        out.append(b"Connection: keep-alive")
    out += added
    out.append(b"\r\n")
    return b"\r\n".join(out)


def trailer_block(lines: list[bytes]) -> bytes:
    """The last chunk with those trailers that may be trailers (RFC 9110 section 6.5.1)."""
    kept = [line for line in lines if line[: line.index(b":")].lower() not in _NEVER_TRAILERS]
    return b"\r\n".join([b"0", *kept, b"", b""])


def pairs(lines: list[bytes]) -> Headers:
    """Raw lines as (name, value)."""
    return [
        (name, value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)
    ]


def trace_id(head: Head) -> str | None:
    """The 32 hex digits of ``traceparent`` (W3C Trace Context section 3.2) or of
    ``sentry-trace``."""
    for name, expression in ((b"traceparent", _TRACEPARENT), (b"sentry-trace", _SENTRY_TRACE)):
        for value in head.values(name):
            match = expression.match(value)
            if match is not None and match[1] != b"0" * 32:
                return match[1].decode()
    return None


def trace_of(value: bytes) -> str | None:
    """The trace id in one value of either header."""
    match = _TRACEPARENT.match(value) or _SENTRY_TRACE.match(value)
    return match[1].decode() if match is not None and match[1] != b"0" * 32 else None


def begin_trace() -> tuple[str, list[bytes], bytes]:
    """A new trace: its id, the lines for the upstream, and the Server-Timing line that names it to
    the browser.

    The sampled flag of ``sentry-trace`` is left to the app's own SDK.
    """
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    ours = [f"traceparent: 00-{trace}-{span}-01".encode(), f"sentry-trace: {trace}-{span}".encode()]
    return trace, ours, f'Server-Timing: sentry-trace;desc="{trace}-{span}-1"'.encode()


_SHARED = re.compile(rb"public|s-maxage|max-age=[\"']?0*[1-9]|immutable", re.IGNORECASE)


def is_fresh_page(response: ResponseHead) -> bool:
    """An HTML page no cache may keep: the only answer that may name a trace, or it would name it
    to others."""
    kinds = response.values(b"content-type")
    if not kinds or not kinds[0].lower().startswith(b"text/html") or b"expires" in response.names:
        return False
    return not any(_SHARED.search(value) for value in response.values(b"cache-control"))
