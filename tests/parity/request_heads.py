"""What goes up of a legal head: every byte as it came, but for what is this hop's own (RFC 9110
sections 5 to 8, RFC 9112 sections 2, 3 and 5).
"""

from tests.parity.messages import HOST, OK, always, chunked, get, sized
from tests.parity.short import asked, named
from tests.parity.wants import down, every, passed, up

_LONG = b"q" * 1024

_TARGETS = (
    *(b"/%2F", b"/a%2fb", b"/%41", b"/%7Euser", b"/%00", b"/%", b"/%zz", b"/%e4", b"/%C3%A9"),
    *(b"//", b"//a//b", b"/a//../b", b"/a/../b", b"/a/./b", b"/..", b"/../../etc/passwd", b"/."),
    *(b"/;p=1", b"/a;v=1/b", b"/?", b"/a?", b"/a?b?c", b"/a?x=1&x=2", b"/a?&&", b"/a?/../b"),
    *(b"/a+b%20c", b"/~a", b"/!$&'()*+,;=:@", b"/[1]", b"/{a}", b"/|", b"/^", b"/`", b'/"'),
    *(b"/<a>", b"/\\a", b"/..\\a", b'/a?q={"x":1}', b"/a#f", b"/a?b#c", b"/\xc3\xa9", b"/\xff"),
    *(b"/a?\xe9", b"/%3F", b"/a%23b", b"/a%0d%0aX:%20y", b"/http://b/", b"/*", b"/:80", b"/@"),
    *(b"/" + _LONG * 8, b"/?" + _LONG * 30),
)
_METHODS = (
    *(b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"PROPFIND", b"REPORT", b"MKCOL"),
    *(b"PURGE", b"get", b"Get", b"QUERY", b"M-SEARCH", b"FOO", b"X!#$%&'*+-.^_`|~0", b"A" * 40),
)
_FIELDS = (
    *(b"X-A: 1\r\nX-A: 2\r\nX-A: 1", b"x-lower: A", b"X-UPPER: a", b"X_Under: 1", b"x: y"),
    *(b"X-Obs: \xe9\xff\x80", b"X-Utf: \xe2\x82\xac", b"X-Empty:", b"X-Empty: ", b"X-Tab:\ta"),
    *(b"X-In: a\tb", b"X-None:a", b"X-Many:   a   b  ", b"X-Comma: a,,b, ,c", b'X-Q: "a\\"b, c"'),
    *(b"Accept-Encoding: gzip, br", b"Cookie: a=1; b=2\r\nCookie: c=3", b"Authorization: Bearer x"),
    *(b"Range: bytes=0-1,5-", b'If-None-Match: W/"x"', b"X-Forwarded-For: 1.2.3.4"),
    *(b"Forwarded: for=1.2.3.4", b"Via: 1.0 x", b"User-Agent:", b"X.: 1", b"Origin: null"),
    *(b"X!#$%&'*+-.^_`|~0: 1", b"Proxy-Authorization: Basic eA==", b"Max-Forwards: 0", b"1: 2"),
    *(b"Content-Type: application/grpc", b"Content-Encoding: gzip", b"Early-Data: 1"),
    *(b"Sec-WebSocket-Key: x", b"X-Real-IP: 1.2.3.4", b"Trailer: X-T", b"Date: now", b"From: a@b"),
    *(b"X-Long: " + _LONG * 16, b"Accept: */*;q=0.1\r\naccept: text/html", b"X: \x80"),
)


def _lines(block: bytes) -> tuple[bytes, ...]:
    return tuple(block.split(b"\r\n"))


_REQUEST_LINES = [
    *(
        asked(named("target", target), get(target), up(line=b"GET %b HTTP/1.1" % target))
        for target in _TARGETS
    ),
    *(
        asked(named("method", method), get(method=method), up(line=method + b" / HTTP/1.1"))
        for method in _METHODS
    ),
    asked("OPTIONS *", get(b"*", method=b"OPTIONS"), up(line=b"OPTIONS * HTTP/1.1")),
    asked("HEAD", get(method=b"HEAD"), every(passed, down(body=b"")), always(OK[:-2])),
    asked("absolute", get(b"http://a/x?y"), up(has=[b"Host: a"])),
    asked("absolute, no path", get(b"http://a")),
    asked("absolute, query only", get(b"http://a?x")),
    asked("absolute, another Host", get(b"http://other:81/x"), up(has=[b"Host: other:81"])),
    asked("absolute https", get(b"https://a/x")),
    asked("absolute in capitals", get(b"HTTP://A/x")),
    asked("absolute, IPv6", get(b"http://[::1]:80/x"), up(has=[b"Host: [::1]:80"])),
    asked("leading CRLF", b"\r\n" + get()),
    asked("two leading CRLF", b"\r\n\r\n" + get()),
    *(
        asked(
            named("Host", host),
            b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host,
            up(has=[b"Host: " + host]),
        )
        for host in (
            b"a:80",
            b"a.b.c",
            b"[::1]:80",
            b"1.2.3.4",
            b"a:",
            b"A.B",
            b"a_b",
            b"a.",
            b"xn--a",
        )
    ),
    asked("hOST", b"GET / HTTP/1.1\r\nhOST:a\r\n\r\n", up(has=[b"hOST:a"])),
    asked(
        "Host last", b"GET / HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n", up(order=[b"X: y", b"Host: a"])
    ),
]

_ORDER = b"".join(b"X-%d: %d\r\n" % (n * 7 % 30, n) for n in range(30))
_EXACT = (get(), get(fields=b"Connection: keep-alive\r\n"))

_REQUEST_FIELDS = [
    *(
        asked(named("field", block), get(fields=block + b"\r\n"), up(has=_lines(block)))
        for block in _FIELDS
    ),
    asked("nothing is invented", get(), up(exactly=_EXACT)),
    asked("order", get(fields=_ORDER), up(order=_ORDER.split(b"\r\n"))),
    asked("100 fields", get(fields=b"".join(b"X-%d: y\r\n" % n for n in range(100)))),
    asked("500 fields", get(fields=b"".join(b"X-%d: y\r\n" % n for n in range(500)))),
    asked(
        "60 KiB in one field",
        get(fields=b"X: %b\r\n" % (_LONG * 60)),
        up(has=[b"X: " + _LONG * 60]),
    ),
    asked(
        "60 KiB in many fields",
        get(fields=(b"X: %b\r\n" % _LONG[:-5]) * 60),
    ),
    asked("64 KiB of fields", get(fields=b"X: %b\r\n" % (_LONG * 64)[: 65536 - len(HOST) - 5])),
    asked(
        "32 KiB of target, 40 KiB of fields", get(b"/" + _LONG * 32, b"X: %b\r\n" % (_LONG * 40))
    ),
    asked(
        "Connection names a field",
        get(fields=b"Connection: X-Hop\r\nX-Hop: 1\r\n"),
        up(lacks=[b"x-hop"]),
    ),
    asked(
        "Connection: close, X-Hop",
        get(fields=b"Connection: close, X-Hop\r\nX-Hop: 1\r\n"),
        up(lacks=[b"x-hop"]),
    ),
    asked("Connection names Host", get(fields=b"Connection: Host\r\n"), up(has=[b"Host: a"])),
    asked(
        "Connection names Cookie",
        get(fields=b"Connection: x, y\r\nCookie: a\r\n"),
        up(has=[b"Cookie: a"]),
    ),
    asked("empty Connection", get(fields=b"Connection:\r\nConnection: ,\r\n")),
    asked("Keep-Alive", get(fields=b"Keep-Alive: timeout=1\r\n"), up(lacks=[b"keep-alive"])),
    asked(
        "Proxy-Connection",
        get(fields=b"Proxy-Connection: keep-alive\r\n"),
        up(lacks=[b"proxy-connection"]),
    ),
    asked("TE", get(fields=b"TE: trailers\r\nConnection: TE\r\n")),
    asked(
        "h2c",
        get(
            fields=b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
            b"Connection: Upgrade, HTTP2-Settings\r\n"
        ),
        up(lacks=[b"http2-settings"]),
    ),
    asked(
        "Connection names Content-Length",
        sized(b"hello", b"Connection: Content-Length\r\n"),
        up(body=b"hello"),
    ),
    asked(
        "Connection names Transfer-Encoding",
        chunked(b"5\r\nhello\r\n0\r\n\r\n", b"Connection: Transfer-Encoding\r\n"),
        up(body=b"hello"),
    ),
]

CASES = [*_REQUEST_LINES, *_REQUEST_FIELDS]
