"""The bytes that cases are put together from."""

from tests.parity.case import Answers, Do, Script, Step

HOST = b"Host: a\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
STREAM = b"HTTP/1.1 200 OK\r\n" + CHUNKED
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def get(
    target: bytes = b"/", fields: bytes = b"", *, method: bytes = b"GET", minor: int = 1
) -> bytes:
    return b"%b %b HTTP/1.%d\r\n%b%b\r\n" % (method, target, minor, HOST, fields)


def post(fields: bytes, body: bytes, *, method: bytes = b"POST", minor: int = 1) -> bytes:
    return get(b"/", fields, method=method, minor=minor) + body


def sized(body: bytes, fields: bytes = b"", *, method: bytes = b"POST", minor: int = 1) -> bytes:
    return post(fields + b"Content-Length: %d\r\n" % len(body), body, method=method, minor=minor)


def chunked(body: bytes, fields: bytes = b"", *, method: bytes = b"POST") -> bytes:
    """``body`` is in chunks already."""
    return post(fields + CHUNKED, body, method=method)


def answer(fields: bytes = b"", body: bytes = b"ok", line: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (line, fields, len(body), body)


def always(*steps: Step) -> Answers:
    """The same to every request."""
    return lambda number, request: steps


def in_turn(*scripts: Script) -> Answers:
    """The n-th to the n-th request; the last is repeated."""
    return lambda number, request: scripts[min(number, len(scripts)) - 1]


def pieces(data: bytes, size: int, pause_s: float = 0.001) -> Script:
    """``data`` in writes of ``size``, with pauses, so that they arrive apart."""
    cut = [data[at : at + size] for at in range(0, len(data), size)]
    return tuple(step for piece in cut for step in (piece, pause_s))


def closing(*steps: Step) -> Answers:
    return always(*steps, 0.05, Do.CLOSE)
