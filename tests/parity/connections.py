"""One connection, many requests: pipelining, keep-alive, half-close, and clients of HTTP/1.0
(RFC 9112 section 9).
"""

from tests.parity.case import Case, Do, Saw, Script, Want
from tests.parity.messages import OK, STREAM, always, answer, chunked, get, in_turn, sized
from tests.parity.short import asked
from tests.parity.wants import down, every, passed, reached, statuses, up

_HELLO = b"5\r\nhello\r\n0\r\n\r\n"


def _bodies(*wanted: bytes) -> Want:
    def want(saw: Saw) -> str:
        got = [reply.body for reply in saw.finals]
        return "" if got == list(wanted) else f"the bodies are {got}"

    return want


def _numbered(number: int, request: bytes) -> Script:
    return (answer(body=b"%d" % number),)


_CONNECTION = [
    asked("two pipelined", get() * 2, _bodies(b"1", b"2"), _numbered),
    asked("20 pipelined", get() * 20, _bodies(*(b"%d" % n for n in range(1, 21))), _numbered),
    asked(
        "pipelined, every kind",
        (get() + sized(b"ab") + chunked(_HELLO) + get(method=b"DELETE")) * 5,
        statuses(*[200] * 20),
    ),
    asked(
        "pipelined HEAD",
        get(method=b"HEAD") + get(),
        statuses(200, 200),
        in_turn((OK[:-2],), (OK,)),
    ),
    asked(
        "pipelined, then close",
        get() + get(fields=b"Connection: close\r\n"),
        every(statuses(200, 200), down(end="closed")),
    ),
    asked(
        "nothing after close",
        get(fields=b"Connection: close\r\n") + get(b"/2"),
        every(statuses(200), reached(1), down(end="closed")),
    ),
    asked("CRLF between", sized(b"hello") + b"\r\n" + get(), statuses(200, 200)),
    Case(
        "keep-alive",
        (get(), 0.1, get(), 0.1, sized(b"ab"), 0.1, get()),
        statuses(200, 200, 200, 200),
        always(OK),
    ),
    Case("half-close", (get(), Do.HALF), passed, always(0.3, OK)),
    Case("half-close, a late answer", (get(), Do.HALF), passed, always(1.2, OK)),
    Case("half-close at once", (get(), Do.HALF), passed, always(OK)),
    Case("half-close after a body", (sized(b"ab"), Do.HALF), passed, always(0.3, OK)),
    Case("half-close after chunks", (chunked(_HELLO), 0.1, Do.HALF), passed, always(0.3, OK)),
    Case("half-close, pipelined", (get() * 3, Do.HALF), statuses(200, 200, 200), always(0.05, OK)),
    Case(
        "half-close, a long answer",
        (get(), Do.HALF),
        down(body=b"abcd"),
        always(0.1, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", 0.5, b"cd"),
    ),
]

_OLD = b"HTTP/1.1 200 OK\r\n\r\nuntil"
_OLD_CLIENTS = [
    *(
        asked(
            f"1.0 {fields!r}", get(fields=fields, minor=0), every(passed, down(body=b"ok", end=end))
        )
        for fields, end in (
            (b"", "closed"),
            (b"Connection: close\r\n", "closed"),
            (b"Connection: keep-alive\r\n", "open"),
        )
    ),
    *(
        asked(
            f"1.0 and chunks {fields!r}",
            get(fields=fields, minor=0),
            down(body=b"ok", lacks=[b"transfer-encoding"], end="closed"),
            always(STREAM + b"\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n"),
        )
        for fields in (b"", b"Connection: keep-alive\r\n")
    ),
    asked("1.0 without Host", b"GET / HTTP/1.0\r\n\r\n"),
    asked("1.0 POST", sized(b"ab", minor=0), up(body=b"ab")),
    Case(
        "1.0 keep-alive twice",
        (get(fields=b"Connection: keep-alive\r\n", minor=0), 0.1) * 2,
        statuses(200, 200),
        always(OK),
    ),
    asked(
        "1.0 until close", get(minor=0), down(body=b"until", end="closed"), always(_OLD, Do.CLOSE)
    ),
    asked(
        "1.0 keep-alive until close",
        get(fields=b"Connection: keep-alive\r\n", minor=0),
        down(body=b"until", end="closed"),
        always(_OLD, Do.CLOSE),
    ),
    asked(
        "1.0 and 103",
        get(minor=0),
        down(interim=[]),
        always(b"HTTP/1.1 103 x\r\nLink: 1\r\n\r\n" + OK),
    ),
    asked(
        "1.0 and Expect",
        sized(b"ab", b"Expect: 100-continue\r\n", minor=0),
        every(passed, down(interim=[])),
    ),
    asked("1.0 HEAD", get(method=b"HEAD", minor=0), passed, always(OK[:-2])),
]

CASES = [*_CONNECTION, *_OLD_CLIENTS]
