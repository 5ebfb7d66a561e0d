"""What is legal passes, and passes as it came, through both planes, whole or in pieces."""

import asyncio

import pytest

from tests.support.dataplane import OK
from tests.support.wire import wire

HOST = b"Host: a\r\n"
TARGETS = [
    b"/", b"/?", b"/a?b?c", b"//", b"//a//b", b"/./a", b"/a/../b", b"/../..", b"/%2e%2e/",
    b"/%2F%2f", b"/%7Euser", b"/%zz", b"/%", b"/%00", b"/%0d%0a", b"/a;b=c;d", b"/a+b%20c",
    b"/a'\"<>{}|\\^`", b"/*", b"/caf\xc3\xa9", b"/\xff", b"/:80", b"/@", b"/[x]", b"/a#frag",
    b"/?q=http://x/y?z", b"/?a=1&a=2", b"/" + b"x" * 30000, b"/?" + b"q" * 60000, b"/a//",
    b"/a/.", b"/..;/", b"/%u0041", b"/?%", b"/.", b"/..", b"/\\..\\", b"/http://evil/",
    b"http://a/", b"http://a/x?y", b"https://a/", b"http://a", b"http://a?x", b"HTTP://a/",
    b"http://a/%2F//../",
]  # fmt: skip
METHODS = [
    b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND",
    b"MKCOL", b"LOCK", b"REPORT", b"M-SEARCH", b"PURGE", b"LINK", b"QUERY", b"FOO", b"get", b"Get",
    b"x", b"A!#$%&'*+-.^_`|~9", b"M" * 64, b"PRI",
]  # fmt: skip
HOSTS = [
    b"a", b"A.Example.COM", b"a:80", b"a:", b"localhost:8080", b"127.0.0.1", b"[::1]",
    b"[::1]:80", b"[2001:db8::1]:8443", b"[::ffff:1.2.3.4]", b"[v1.fe80::a]", b"a_b.example",
    b"a.", b"1", b"a%20b", b"a~b!$&'()*+,;=", b"h" * 250,
]  # fmt: skip
LINES = [
    b"X: y", b"x: y", b"X:y", b"X:", b"X: ", b"X:   y   z  ", b"X:\ty\t", b"X: a\tb",
    b"X: a\r\nX: b\r\nx: c", b"X: a\r\nY: b\r\nX: c", b"X: caf\xc3\xa9", b"X: \xff\x80", b"X_Y: z",
    b"X.Y: z", b"!#$%&'*+-.^_`|~: z", b"9: z", b"X: a:b:c", b"X: ::", b"X: a, b,, c",
    b'X: "a\\"b"', b"X: {json: [1]}", b"Cookie: a=b; c=d\r\nCookie: e=f",
    b"Authorization: Basic xyz==", b"Proxy-Authorization: Basic x", b"User-Agent: x (y; z)",
    b"Accept-Encoding:", b"Accept-Encoding: gzip, br", b"Range: bytes=0-1,5-",
    b'If-None-Match: W/"x"', b"Referer: http://x/y#z", b"Date: yesterday", b"Server: x",
    b"Via: 1.1 x", b"Forwarded: for=1.2.3.4", b"X-Forwarded-For: 1.2.3.4, 5.6.7.8",
    b"X-Forwarded-Proto: https", b"X-Real-IP: 1", b"Max-Forwards: 5", b"Content-Type: text/plain",
    b"Content-Encoding: gzip", b"Expect: 200-ok", b"Expect: 100-continue", b"Trailer: X",
    b"Sec-WebSocket-Key: x", b"HTTP2-Settings: x", b"Content-Length: 0",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=b",
    b"sentry-trace: 0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1\r\nbaggage: a=b",
    b"X: " + b"y" * 60000, b"X" * 5000 + b": y",
    b"\r\n".join(b"X-%d: %d" % (n, n) for n in range(900)),
]  # fmt: skip
HOP_BY_HOP = [
    b"Connection: keep-alive", b"Connection: close", b"Connection:", b"Connection: ,",
    b"Connection: KEEP-ALIVE", b"Connection: Host", b"Connection: host, close",
    b"Connection: X-A, x-b\r\nX-A: 1\r\nX-B: 2", b"Connection: close, X-A\r\nX-A: 1",
    b"Connection: x-a\r\nConnection: x-b\r\nX-A: 1\r\nX-B: 2", b"X-A: 1\r\nConnection: x-a",
    b"Connection: Cookie\r\nCookie: a",
    b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive", b"TE: trailers",
    b"TE: gzip;q=0.5\r\nConnection: TE", b"Upgrade: foo", b"Upgrade: h2c",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAM",
    b"Upgrade: websocket", b"Upgrade: websocket\r\nConnection: Upgrade",
]  # fmt: skip


def request(
    lines: bytes = b"",
    target: bytes = b"/",
    method: bytes = b"GET",
    version: bytes = b"1.1",
    host: bytes = HOST,
) -> bytes:
    return b"%b %b HTTP/%b\r\n%b%b\r\n" % (method, target, version, host, lines)


POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"
BODIES: list[tuple[bytes, bytes | None]] = [
    *[(request(b"Content-Length: 5\r\n", method=m) + b"hello", None) for m in METHODS],
    *[
        (request(b"Transfer-Encoding: chunked\r\n", method=m) + b"5\r\nhello\r\n0\r\n\r\n", None)
        for m in METHODS
    ],
    (POST + b"Content-Length: 256\r\n\r\n" + bytes(range(256)), None),
    (POST + b"Content-Length: 31\r\n\r\nGET /evil HTTP/1.1\r\nHost: b\r\n\r\n", None),
    (POST + b"content-length: 5\r\n\r\nhello", None),
    (POST + b"Content-Length: \t5 \r\n\r\nhello", POST + b"Content-Length: 5\r\n\r\nhello"),
    (POST + b"Content-Length: 005\r\n\r\nhello", POST + b"Content-Length: 5\r\n\r\nhello"),
    (POST + b"Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello",
     POST + b"Content-Length: 5\r\n\r\nhello"),
    (POST + b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"5\r\nhello\r\n0\r\n\r\n", HELLO),
    *[
        (POST + b"Transfer-Encoding: %b\r\n\r\n5\r\nhello\r\n0\r\n\r\n" % v, HELLO)
        for v in (b"Chunked", b"CHUNKED", b" \tchunked", b"chunked \t")
    ],
    (CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", CHUNKED + b"a\r\n0123456789\r\n0\r\n\r\n"),
    (CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n", HELLO),
    (CHUNKED + b"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", HELLO),
    (CHUNKED + b'5;a=b;c="d e"\r\nhello\r\n0;x\r\n\r\n', HELLO),
    (CHUNKED + b"5; a = b\r\nhello\r\n0\r\n\r\n", HELLO),
    (CHUNKED + b"".join(b"1\r\n%c\r\n" % c for c in range(256)) + b"0\r\n\r\n", None),
    (CHUNKED + b"0\r\n\r\n", None),
    (CHUNKED + b"5\r\nhello\r\n0\r\nX-T: 1\r\nx-t:2\r\nX-O: \xff\r\nX-E:\r\n\r\n", None),
    (CHUNKED + b"0\r\nX-T: 1\r\nHost: b\r\nConnection: x\r\nTE: x\r\n\r\n",
     CHUNKED + b"0\r\nX-T: 1\r\n\r\n"),
    (POST + b"Trailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n", None),
    (POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", None),
    (POST + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\nhello", None),
]  # fmt: skip
ODD: list[tuple[bytes, bytes | None]] = [
    (request(target=b"*", method=b"OPTIONS"), None),
    (request(host=b"Host:a\r\n"), None),
    (request(host=b"HOST: \t a \t\r\n"), None),
    (request(host=b"", lines=b"X: y\r\nhost: a\r\n"), None),
    (request(target=b"http://b:8/p"), request(target=b"http://b:8/p", host=b"Host: b:8\r\n")),
    (request(target=b"http://a:80/"), request(target=b"http://a:80/", host=b"Host: a:80\r\n")),
    (b"\r\n" + request(), request()),
    (b"\r\n\r\n" + request(), request()),
    (request(version=b"1.0"), request()),
    (request(b"Connection: keep-alive\r\n", version=b"1.0"), request()),
    (request(b"Content-Length: 2\r\n", method=b"POST", version=b"1.0") + b"ab",
     request(b"Content-Length: 2\r\n", method=b"POST") + b"ab"),
    (request(b"Expect: 100-continue\r\nContent-Length: 2\r\n", method=b"POST", version=b"1.0")
     + b"ab", request(b"Content-Length: 2\r\n", method=b"POST") + b"ab"),
]  # fmt: skip

UP: list[tuple[bytes, bytes | None]] = [
    *[(request(target=t), None) for t in TARGETS],
    *[(request(method=m), None) for m in METHODS],
    *[(request(host=b"Host: %b\r\n" % h), None) for h in HOSTS],
    *[(request(lines + b"\r\n"), None) for lines in LINES],
    *[(request(h + b"\r\nX-Keep: 1\r\n"), request(b"X-Keep: 1\r\n")) for h in HOP_BY_HOP],
    *BODIES,
    *ODD,
]
"""A request, and what the upstream gets of it; None: the same bytes."""


def joined(message: bytes | bytearray) -> bytes:
    """``message`` with its chunks made one: where they are cut is nobody's promise."""
    head, mark, body = bytes(message).partition(b"Transfer-Encoding: chunked\r\n\r\n")
    content = b""
    while mark:
        size, _, rest = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        if length == 0:
            break
        content += rest[:length]
        body = rest[length + 2 :]
    return head + mark + content + body


@pytest.mark.parametrize("step", [0, 7], ids=["whole", "in pieces"])
@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_requests_reach_the_upstream_as_they_came(hot: bool, step: int) -> None:
    wrong = []
    async with wire(hot=hot) as w:
        for raw, expected in UP:
            if step and len(raw) > 3000:
                continue
            w.told.raw.clear()
            end = b"\r\n\r\n" if raw.startswith(b"HEAD") else b"\r\n\r\nok"
            heard = await w.ask(raw, until=end, step=step)
            if joined(w.told.raw) != joined(raw if expected is None else expected):
                wrong.append((raw[:200], bytes(w.told.raw[:200]), heard))
    assert not wrong


def answer(lines: bytes = b"", body: bytes = b"ok", line: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (line, lines, len(body), body)


STATUSES = [
    200, 201, 202, 203, 205, 206, 207, 226, 299, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403,
    404, 405, 408, 409, 410, 413, 416, 417, 418, 421, 426, 429, 431, 451, 499, 500, 501, 502, 503,
    504, 505, 511, 599, 600, 999,
]  # fmt: skip
ANSWER_LINES = [
    *[lines for lines in LINES if not lines.lower().startswith((b"content-length", b"upgrade"))],
    b"Set-Cookie: a=1; Expires=Mon, 23 Nov 2026 00:00:00 GMT\r\nSet-Cookie: b=2\r\nset-cookie: c",
    b"Location: http://127.0.0.1/x", b"WWW-Authenticate: Basic realm=x\r\nWWW-Authenticate: Digest",
    b"Cache-Control: no-store", b"X-Accel-Redirect: /zz", b"X-Accel-Buffering: no", b"Age: 5",
    b'Alt-Svc: h2=":1"', b"Status: 200", b"Proxy-Status: x", b"Proxy-Authenticate: Basic",
]  # fmt: skip
ANSWER_HOPS = [
    b"Connection: keep-alive", b"Connection: close", b"Keep-Alive: timeout=5", b"TE: x",
    b"Connection: X-A\r\nX-A: 1", b"Connection: x-a, x-b, close\r\nX-A: 1\r\nX-B: 2",
    b"Proxy-Connection: x", b"Upgrade: h2c", b"Upgrade: h2c\r\nConnection: upgrade",
]  # fmt: skip
CHUNKED_ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 %b\r\n%b\r\n"
FRAMED: list[tuple[bytes, bytes | None]] = [
    (answer(line=b"200 "), None),
    (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", answer(line=b"200 ")),
    (answer(line=b"200 caf\xe9\ttab !"), None),
    (answer(line=b"200 " + b"r" * 3000), None),
    (answer(body=b""), None),
    (answer(body=bytes(range(256)) * 300), None),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 02\r\n\r\nok", answer()),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", answer()),
    (CHUNKED_ANSWER + b"2\r\nok\r\n0\r\n\r\n", None),
    (CHUNKED_ANSWER + b"0\r\n\r\n", None),
    (CHUNKED_ANSWER + b"2\r\nok\r\n0\r\nX-T: 1\r\nx-t:2\r\n\r\n", None),
    (CHUNKED_ANSWER + b"2;a=b\r\nok\r\n0;c\r\n\r\n", CHUNKED_ANSWER + b"2\r\nok\r\n0\r\n\r\n"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked \r\n\r\n2\r\nok\r\n0\r\n\r\n",
     b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    (NO_CONTENT % (b"204 N", b"X: y\r\n"), None),
    (NO_CONTENT % (b"304 N", b"X: y\r\n"), None),
    (NO_CONTENT % (b"304 N", b"Content-Length: 100\r\nETag: x\r\n"), None),
    (NO_CONTENT % (b"304 N", b"Transfer-Encoding: chunked\r\n"), None),
    *[
        (NO_CONTENT % (b"%d Info" % s, b"Link: </a>\r\n") + answer(), None)
        for s in (100, 102, 103, 104, 199)
    ],
    (HINT * 3 + answer(), None),
    (HINT + answer(line=b"404 N"), None),
    (HINT + CHUNKED_ANSWER + b"2\r\nok\r\n0\r\n\r\n", None),
    (answer(b"Content-Range: bytes 0-1/10\r\n", line=b"206 P"), None),
]  # fmt: skip
DOWN: list[tuple[bytes, bytes | None]] = [
    *[(answer(line=b"%d Reason" % status), None) for status in STATUSES],
    *[(answer(lines + b"\r\n"), None) for lines in ANSWER_LINES],
    *[(answer(h + b"\r\nX-Keep: 1\r\n"), answer(b"X-Keep: 1\r\n")) for h in ANSWER_HOPS],
    *FRAMED,
]
"""An answer, and what the client gets of it; None: the same bytes."""
ENDED: list[tuple[bytes, bytes]] = [
    (b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nto the end",
     b"HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\na\r\nto the end\r\n0\r\n\r\n"),
    (b"HTTP/1.1 200 OK\r\n\r\n", CHUNKED_ANSWER + b"0\r\n\r\n"),
    (b"HTTP/1.0 200 OK\r\n\r\nzz", CHUNKED_ANSWER + b"2\r\nzz\r\n0\r\n\r\n"),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", answer()),
    (answer(b"Connection: close\r\n"), answer()),
]  # fmt: skip
"""The same for answers that the upstream ends by closing."""


async def _wrong_answers(
    hot: bool, step: int, table: list[tuple[bytes, bytes | None]], *, end: str, head: bool = False
) -> list[object]:
    wrong: list[object] = []
    async with wire(hot=hot) as w:
        w.told.end, w.told.step = end, step
        for raw, same in table:
            if step and len(raw) > 3000:
                continue
            w.told.answer, expected = raw, raw if same is None else same
            ask = request(method=b"HEAD" if head else b"GET")
            end = b"0\r\n\r\n" if step and expected.endswith(b"0\r\n\r\n") else len(expected)
            heard = await w.ask(ask, until=end)
            if joined(heard.raw) != joined(expected) or heard.end != "open":
                wrong.append((raw[:200], heard))
    return wrong


@pytest.mark.parametrize("step", [0, 7], ids=["whole", "in pieces"])
@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_answers_reach_the_client_as_they_came(hot: bool, step: int) -> None:
    assert not await _wrong_answers(hot, step, DOWN, end="open")
    # the cuts would show where one read ends; whole is enough here
    assert not await _wrong_answers(hot, 0, [*ENDED], end="close")


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_answers_to_head_end_at_their_head(hot: bool) -> None:
    heads: list[tuple[bytes, bytes | None]] = [
        (NO_CONTENT % (line, lines), None)
        for line in (b"200 OK", b"404 N", b"206 P", b"304 N", b"500 E")
        for lines in (
            b"Content-Length: 100\r\n",
            b"Content-Length: 0\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"X: y\r\n",
        )
    ]
    assert not await _wrong_answers(hot, 0, heads, end="open", head=True)


async def test_a_connection_carries_request_after_request_of_every_kind() -> None:
    kinds = [request(), HELLO, request(version=b"1.1", method=b"FOO"), POST + b"\r\n", HELLO]
    async with wire() as w:
        reader, writer = await asyncio.open_connection("127.0.0.1", w.port)
        writer.write(b"".join(kinds) * 20)
        for _ in range(len(kinds) * 20):
            assert await asyncio.wait_for(reader.readexactly(len(OK)), 5) == OK
        assert bytes(w.told.raw) == b"".join(kinds) * 20
        writer.close()
