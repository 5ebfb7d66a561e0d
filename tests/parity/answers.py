"""What comes down of a legal answer: every byte, at once (RFC 9110 sections 6 and 15, RFC 8297)."""

from tests.parity.case import Case, Do, Until
from tests.parity.messages import CHUNKED, OK, STREAM, always, answer, get, in_turn, pieces, post
from tests.parity.short import answered, named
from tests.parity.wants import down, every, said, statuses

_LONG = b"q" * 1024

_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
_OLD = b"HTTP/1.1 200 OK\r\n\r\nuntil"
_ORDER = b"".join(b"X-%d: %d\r\n" % (n * 7 % 30, n) for n in range(30))
_ANSWER_FIELDS = (
    *(
        b"Set-Cookie: a=1\r\nSet-Cookie: b=2; Path=/",
        b"x-lower: 1",
        b"X-Obs: \xe9\xff",
        b"X-Empty:",
    ),
    *(b"Server: app/1", b"Date: whatever", b"Content-Encoding: gzip", b"Via: x", b"X_Under: 1"),
    *(b"X-Accel-Expires: 5", b"X-Accel-Redirect: /x", b"X-Accel-Buffering: no", b"Age: 0"),
    *(b"WWW-Authenticate: Basic\r\nWWW-Authenticate: Negotiate", b"Proxy-Authenticate: Basic"),
    *(b"Location: /a b", b"Location: http://other/", b'ETag: "x"', b"Cache-Control: no-store"),
    *(b"Expires: 0", b"Vary: *", b'Alt-Svc: h2=":443"', b"Trailer: X-T", b"Link: </a>", b"X:a"),
    *(
        b"Content-Type: text/html\r\nContent-Type: text/plain",
        b"X-Tab: a\tb",
        b"Accept-Ranges: bytes",
    ),
    *(b"X-Long: " + _LONG * 16, b"Content-Location: /a\r\nX-Same: 1\r\nx-same: 1", b"Status: 500"),
)
_STATUS_LINES = (
    *(
        b"200 OK",
        b"200 ",
        b"200",
        b"299 Odd Thing",
        b"201 Created",
        b"202 x",
        b"206 Partial Content",
    ),
    *(
        b"404 Not Found",
        b"500 x",
        b"503 \xe9",
        b"302 Found",
        b"301 x",
        b"307 x",
        b"308 x",
        b"418 x",
    ),
    *(b"401 x", b"407 x", b"426 x", b"451 x", b"599 x", b"600 x", b"999 x", b"416 x", b"421 x"),
    *(b"400 x", b"408 x", b"425 x", b"502 x", b"504 x", b"205 x", b"200 " + b"r" * 500, b"300 x"),
)
"""What follows the version."""


def _lines(block: bytes) -> tuple[bytes, ...]:
    return tuple(block.split(b"\r\n"))


_STATUSES = [
    *(
        answered(
            named("status", line),
            down(
                int(line[:3]), line=b"HTTP/1.1 " + (line if line[3:] else line + b" "), body=b"ok"
            ),
            answer(line=line),
        )
        for line in _STATUS_LINES
    ),
    *(
        answered(
            named("answer", block), down(has=_lines(block), body=b"ok"), answer(block + b"\r\n")
        )
        for block in _ANSWER_FIELDS
    ),
    answered(
        "nothing is added to an answer",
        lambda saw: "" if saw.by_meaning or saw.raw == OK else f"came as {saw.raw!r}",
        OK,
    ),
    answered("order of an answer", down(order=_ORDER.split(b"\r\n")), answer(_ORDER)),
    answered(
        "100 cookies",
        down(order=[b"Set-Cookie: c%d=1" % n for n in range(100)]),
        answer(b"".join(b"Set-Cookie: c%d=1\r\n" % n for n in range(100))),
    ),
    answered(
        "60 KiB of fields in an answer",
        down(has=[b"X: " + _LONG * 60]),
        answer(b"X: %b\r\n" % (_LONG * 60)),
    ),
    answered(
        "64 KiB of fields in an answer",
        down(),
        answer(b"X: %b\r\n" % (_LONG * 64)[: 65536 - len(b"Content-Length: 2\r\n") - 5]),
    ),
    answered("204", down(204), b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"),
    answered("204, length 0", down(204), b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
    answered(
        "304", down(304, has=[b'ETag: "x"']), b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n'
    ),
    answered(
        "304 with a length",
        down(304, has=[b"Content-Length: 5"]),
        b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n",
    ),
    Case(
        "304 with a length, and on",
        (get(), 0.1, get()),
        statuses(304, 200),
        in_turn((b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n",), (OK,)),
    ),
    Case(
        "204 with a length, and on",
        (get(), 0.1, get()),
        statuses(204, 200),
        in_turn((b"HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n",), (OK,)),
    ),
    Case(
        "HEAD with a length, and on",
        (get(method=b"HEAD"), 0.1, get()),
        statuses(200, 200),
        in_turn((answer(body=b"").replace(b": 0", b": 500"),), (OK,)),
    ),
    answered(
        "HEAD with a length",
        down(has=[b"Content-Length: 500"], body=b""),
        answer(body=b"").replace(b": 0", b": 500"),
        ask=get(method=b"HEAD"),
    ),
    answered("HEAD with chunks", down(body=b""), STREAM + b"\r\n", ask=get(method=b"HEAD")),
    answered(
        "HEAD with nothing",
        down(body=b"", lacks=[b"content-length"]),
        b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\n",
        ask=get(method=b"HEAD"),
    ),
    answered(
        "206, two ranges",
        down(206, body=b"--x\r\nContent-Range: bytes 0-0/2\r\n\r\no\r\n--x--\r\n"),
        answer(
            b"Content-Type: multipart/byteranges; boundary=x\r\n",
            b"--x\r\nContent-Range: bytes 0-0/2\r\n\r\no\r\n--x--\r\n",
            b"206 Partial Content",
        ),
    ),
    answered(
        "426 names websocket",
        down(426, has=[b"Upgrade: websocket"]),
        answer(b"Upgrade: websocket\r\nConnection: Upgrade\r\n", line=b"426 Upgrade Required"),
    ),
    answered(
        "hop-by-hop of an answer",
        down(lacks=[b"x-hop", b"keep-alive"]),
        answer(b"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=3\r\n"),
    ),
    answered(
        "h2c is offered", down(lacks=[b"x-hop"]), answer(b"Upgrade: h2c\r\nConnection: Upgrade\r\n")
    ),
    answered("an answer with nothing in it", down(body=b""), answer(body=b"")),
    answered("an answer with leading zeros", down(body=b"ok"), OK.replace(b": 2", b": 002")),
    answered("two equal lengths", down(body=b"ok"), answer(b"Content-Length: 2\r\n")),
]

_ANSWER_BODIES = [
    answered("chunks", down(body=b"ok"), STREAM + b"\r\n2\r\nok\r\n0\r\n\r\n"),
    answered(
        "trailers",
        down(body=b"ok", trailers=[b"X-T: 1"]),
        STREAM + b"Trailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
    ),
    answered(
        "trailers unannounced",
        down(body=b"ok", trailers=[b"grpc-status: 0", b"X: y"]),
        STREAM + b"\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\nX: y\r\n\r\n",
    ),
    answered("extensions", down(body=b"ok"), STREAM + b"\r\n2;a=b\r\nok\r\n0;c\r\n\r\n"),
    answered("no chunks in an answer", down(body=b""), STREAM + b"\r\n0\r\n\r\n"),
    answered(
        "chunks of one byte",
        down(body=b"ok" * 50),
        STREAM + b"\r\n" + b"1\r\no\r\n1\r\nk\r\n" * 50 + b"0\r\n\r\n",
    ),
    answered(
        "a chunk of 1 MiB down",
        down(body=_LONG * 1024),
        STREAM + b"\r\n100000\r\n" + _LONG * 1024 + b"\r\n0\r\n\r\n",
    ),
    answered("1 MiB down", down(body=_LONG * 1024), answer(body=_LONG * 1024)),
    answered(
        "chunks byte by byte down",
        down(body=b"ok"),
        *pieces(STREAM + b"\r\n2\r\nok\r\n0\r\n\r\n", 1),
    ),
    answered("an answer byte by byte", down(body=b"ok"), *pieces(OK, 1)),
    answered("until close", down(body=b"until"), _OLD, Do.CLOSE),
    answered("1.0 answer until close", down(body=b"until"), _OLD.replace(b"1.1", b"1.0"), Do.CLOSE),
    answered("1.0 answer with a length", down(body=b"ok"), OK.replace(b"1.1", b"1.0"), Do.CLOSE),
    answered(
        "an answer that closes",
        down(body=b"ok", end="open"),
        answer(b"Connection: close\r\n"),
        Do.CLOSE,
    ),
    answered(
        "gzip",
        down(body=b"\x1f\x8b\x08\x00junk", has=[b"Content-Encoding: gzip"]),
        answer(b"Content-Encoding: gzip\r\n", b"\x1f\x8b\x08\x00junk"),
    ),
    answered(
        "103",
        down(body=b"ok", interim=[103]),
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        0.1,
        OK,
    ),
    answered(
        "103 in one write",
        every(said(b"Link: </a>"), down(body=b"ok", interim=[103])),
        b"HTTP/1.1 103 x\r\nLink: </a>\r\n\r\n" + OK,
    ),
    answered(
        "five 102 and a 103",
        down(interim=[102] * 5 + [103]),
        b"HTTP/1.1 102 Processing\r\n\r\n" * 5 + b"HTTP/1.1 103 x\r\n\r\n",
        0.1,
        OK,
    ),
    answered("100 unasked", down(body=b"ok"), _GO_ON, OK),
    Case(
        "first event at once",
        (get(), 0.5),
        lambda saw: "" if b"data: 1\n\n" in saw.raw and saw.end == "open" else "no event",
        always(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n", 3.0),
        patience_s=0.1,
    ),
    Case(
        "first chunk at once",
        (get(), 0.5),
        said(b"data: 1\n\n"),
        always(STREAM + b"\r\n9\r\ndata: 1\n\n\r\n", 3.0),
        patience_s=0.1,
    ),
    Case(
        "the head at once",
        (get(), 0.4),
        said(b"X-Up: 1"),
        always(b"HTTP/1.1 200 OK\r\nX-Up: 1\r\nContent-Length: 2\r\n\r\n", 3.0),
        patience_s=0.1,
    ),
    Case(
        "a slow trickle",
        (get(),),
        down(body=b"x" * 6),
        always(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", *(0.5, b"x") * 6),
        patience_s=6.0,
    ),
    Case(
        "events for long",
        (get(),),
        down(body=b"data\n" * 6),
        always(b"HTTP/1.1 200 OK\r\n\r\n", *(0.5, b"data\n") * 6, Do.CLOSE),
        patience_s=6.0,
    ),
    Case(
        "an early answer",
        (post(b"Content-Length: 1000000\r\n", b"x" * 1000), 0.2),
        down(413, body=b"no"),
        always(answer(body=b"no", line=b"413 No")),
        at_head=True,
    ),
    Case(
        "an early answer to an upload that goes on",
        (post(b"Content-Length: 3000000\r\n", b"x" * 1000), 0.1, *pieces(b"y" * 300000, 10000)),
        down(413, body=b"no"),
        always(answer(b"Connection: close\r\n", b"no", b"413 No"), Do.CLOSE),
        at_head=True,
    ),
    Case(
        "both directions at once",
        (post(CHUNKED, b"1\r\na\r\n"), Until(b"first"), b"1\r\nb\r\n0\r\n\r\n"),
        down(body=b"firstlast"),
        always(STREAM + b"\r\n5\r\nfirst\r\n", Do.BODY, b"4\r\nlast\r\n0\r\n\r\n"),
        at_head=True,
    ),
]

CASES = [*_STATUSES, *_ANSWER_BODIES]
