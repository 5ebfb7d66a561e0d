"""What goes up of a legal body, by length and in chunks, and what ``Expect: 100-continue`` means
for it (RFC 9110 section 10.1.1, RFC 9112 sections 6 and 7).
"""

from tests.parity.case import Case, Do, Until
from tests.parity.messages import (
    CHUNKED,
    OK,
    STREAM,
    always,
    answer,
    chunked,
    get,
    pieces,
    post,
    sized,
)
from tests.parity.short import asked
from tests.parity.wants import down, either, every, passed, statuses, up

_LONG = b"q" * 1024

_HELLO = b"5\r\nhello\r\n0\r\n\r\n"
_REQUEST_BODIES = [
    *(
        asked(
            f"{method.decode()} with a length",
            sized(b"hello", method=method),
            up(has=[b"Content-Length: 5"], body=b"hello"),
        )
        for method in (b"POST", b"GET", b"DELETE", b"PUT", b"PATCH", b"OPTIONS", b"FOO")
    ),
    *(
        asked(
            f"{method.decode()} in chunks",
            chunked(_HELLO, method=method),
            up(has=[CHUNKED[:-2]], body=b"hello"),
        )
        for method in (b"POST", b"GET", b"PUT", b"FOO")
    ),
    asked("length 0", sized(b""), up(has=[b"Content-Length: 0"])),
    asked("POST without a length", post(b"", b"")),
    asked(
        "length with leading zeros", post(b"Content-Length: 005\r\n", b"hello"), up(body=b"hello")
    ),
    asked("length between blanks", post(b"Content-Length: \t 5 \r\n", b"hello"), up(body=b"hello")),
    asked("content-LENGTH", post(b"content-LENGTH:5\r\n", b"hello"), up(body=b"hello")),
    asked("no chunks", chunked(b"0\r\n\r\n")),
    asked("extension", chunked(b'5;a=b;c="d;e"\r\nhello\r\n0;x\r\n\r\n'), up(body=b"hello")),
    asked(
        "extension between blanks",
        chunked(b"5; a = b\r\nhello\r\n0\r\n\r\n"),
        up(body=b"hello"),
    ),
    asked(
        "trailer",
        chunked(b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", b"Trailer: X-T\r\n"),
        up(order=[b"\r\n0\r\nX-T: 1\r\n\r\n"], body=b"hello"),
    ),
    asked(
        "trailer unannounced",
        chunked(b"5\r\nhello\r\n0\r\nX-T: 1\r\nx-t: 2\r\n\r\n"),
        up(order=[b"X-T: 1\r\n", b"x-t: 2\r\n\r\n"], body=b"hello"),
    ),
    asked(
        "trailer that is no trailer",
        chunked(b"5\r\nhello\r\n0\r\nContent-Length: 9\r\nHost: b\r\n\r\n"),
        up(body=b"hello"),
    ),
    asked(
        "Chunked",
        post(b"Transfer-Encoding: Chunked\r\n", b"A\r\n0123456789\r\n00\r\n\r\n"),
        up(body=b"0123456789"),
    ),
    asked(
        "Transfer-Encoding between blanks",
        post(b"transfer-encoding: \tchunked \r\n", _HELLO),
        up(body=b"hello"),
    ),
    asked(
        "16 digits of size",
        chunked(b"0000000000000005\r\nhello\r\n0000\r\n\r\n"),
        up(body=b"hello"),
    ),
    asked(
        "one byte a chunk",
        chunked(b"".join(b"1\r\n%c\r\n" % n for n in range(33, 127)) + b"0\r\n\r\n"),
    ),
    asked("a chunk of 1 MiB", chunked(b"100000\r\n" + _LONG * 1024 + b"\r\n0\r\n\r\n")),
    asked("1 MiB", sized(_LONG * 1024), up(body=_LONG * 1024)),
    asked(
        "a gzip body",
        sized(b"\x1f\x8b\x08\x00junk", b"Content-Encoding: gzip\r\n"),
        up(has=[b"Content-Encoding: gzip"], body=b"\x1f\x8b\x08\x00junk"),
    ),
    Case("byte by byte", pieces(sized(b"x" * 20), 1), passed, always(OK)),
    Case(
        "chunks byte by byte",
        pieces(chunked(b"5;a\r\nhello\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n"), 1),
        passed,
        always(OK),
    ),
    Case(
        "head, then body",
        (post(b"Content-Length: 5\r\n", b""), 0.3, b"hello"),
        up(body=b"hello"),
        always(OK),
    ),
]

_EXPECT = b"Expect: 100-continue\r\nContent-Length: 2\r\n"
_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
_EXPECTING = [
    Case(
        "100 from the app",
        (post(_EXPECT, b""), Until(b" 100 "), b"ab"),
        every(passed, down(interim=[100])),
        always(_GO_ON, Do.BODY, OK),
        at_head=True,
    ),
    Case(
        "100 late",
        (post(_EXPECT, b""), Until(b" 100 "), b"ab"),
        passed,
        always(0.6, _GO_ON, Do.BODY, OK),
        at_head=True,
    ),
    Case(
        "no 100, the client waits", (post(_EXPECT, b""), Until(b" 100 "), b"ab"), passed, always(OK)
    ),
    Case("no 100, the client goes on", (post(_EXPECT, b""), 0.3, b"ab"), passed, always(OK)),
    Case("the client does not wait", (post(_EXPECT, b"ab"),), passed, always(_GO_ON, OK)),
    Case(
        "100 and the answer together",
        (post(_EXPECT, b""), Until(b" 100 "), b"ab"),
        down(),
        always(_GO_ON + OK),
        at_head=True,
    ),
    Case(
        "417 at once",
        (post(_EXPECT, b""),),
        down(417, interim=[]),
        always(answer(line=b"417 No")),
        at_head=True,
    ),
    Case(
        "401 at once, closing",
        (post(_EXPECT, b""),),
        down(401, interim=[]),
        always(answer(b"Connection: close\r\n", line=b"401 No"), Do.CLOSE),
        at_head=True,
    ),
    Case(
        "413 after a while",
        (post(_EXPECT, b""),),
        down(413, interim=[]),
        always(0.4, answer(line=b"413 No")),
        at_head=True,
    ),
    Case(
        "413 in chunks",
        (post(_EXPECT, b""),),
        down(413, body=b"no", interim=[]),
        always(STREAM.replace(b"200 OK", b"413 No") + b"\r\n2\r\nno\r\n0\r\n\r\n"),
        at_head=True,
    ),
    Case(
        "Expect and chunks",
        (
            post(b"Expect: 100-continue\r\n" + CHUNKED, b""),
            Until(b" 100 "),
            b"2\r\nab\r\n0\r\n\r\n",
        ),
        up(body=b"ab"),
        always(_GO_ON, Do.BODY, OK),
        at_head=True,
    ),
    Case(
        "100-Continue", (post(_EXPECT.replace(b"c", b"C", 1), b""), 0.2, b"ab"), passed, always(OK)
    ),
    asked("Expect without a body", get(fields=b"Expect: 100-continue\r\n")),
    asked("another expectation", sized(b"ab", b"Expect: x\r\n"), either(passed, statuses(417))),
    Case(
        "100, then 417",
        (post(_EXPECT, b""), Until(b" 100 "), b"ab"),
        down(417),
        always(_GO_ON, Do.BODY, answer(line=b"417 No")),
        at_head=True,
    ),
]

CASES = [*_REQUEST_BODIES, *_EXPECTING]
