"""What is ambiguous or malformed in a request is refused, and nothing of it goes on."""

import pytest

from proxy.dataplane.faults import Refused
from proxy.dataplane.request_head import check_unfinished_request, read_request
from tests.support.dataplane import GET, OK, rig
from tests.support.wire import wire

H = b"Host: a\r\n"
POST = b"POST / HTTP/1.1\r\n" + H
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED: list[tuple[int, bytes]] = [
    # two lengths, or none that is clear
    (400, POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    (400, POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    (400, POST + b"Content-Length: 5, 5\r\n\r\nhello"),
    *[
        (400, POST + b"Content-Length: " + value + b"\r\n\r\nhello")
        for value in (
            b"+5",
            b"-5",
            b"0x5",
            b"5 5",
            b"5a",
            b"",
            b"1_0",
            b"9223372036854775808",
            b"9" * 30,
            b"\xb2",
            b"5;",
        )
    ],
    *[
        (501, POST + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n")
        for value in (b"gzip", b"identity", b"xchunked", b"gzip, chunked", b"chunkedx")
    ],
    *[
        (400, POST + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n")
        for value in (
            b"chunked, gzip",
            b"chunked, chunked",
            b"",
            b"\x0bchunked",
            b'"chunked"',
            b"chunked,",
            b"chun ked",
        )
    ],
    (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding:\n chunked\r\n\r\n0\r\n\r\n"),
    (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    # chunk framing
    *[
        (400, CHUNKED + body)
        for body in (
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"5 \r\nhello\r\n0\r\n\r\n",
            b"5_0\r\nhello\r\n0\r\n\r\n",
            b"-1\r\n\r\n",
            b"\r\nhello\r\n0\r\n\r\n",
            b"g\r\nhello\r\n0\r\n\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhelloo\r\n0\r\n\r\n",
            b"5;a\nb\r\nhello\r\n0\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
            b"5;\x00\r\nhello\r\n0\r\n\r\n",
            b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
            b"00000000000000005\r\nhello\r\n0\r\n\r\n",
            b"ffffffffffffffff\r\nhello",
            b"8000000000000000\r\nhello",
            b"10000000000000000\r\nhello",
            b"5\r\rhello\r\n0\r\n\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\n X: y\r\n\r\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\nX\r\n\r\n",
            b"0\r\nX: \x00\r\n\r\n",
            b"0\r\nX: " + b"t" * 70000 + b"\r\n\r\n",
        )
    ],
    # request line
    *[
        (400, line + b"\r\n" + H + b"\r\n")
        for line in (
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
            b"GET\t/ HTTP/1.1",
            b"GET /a b HTTP/1.1",
            b"GET /a\tb HTTP/1.1",
            b"GET /\x00 HTTP/1.1",
            b"GET /\x7f HTTP/1.1",
            b"GET /\x01 HTTP/1.1",
            b"GET /\r HTTP/1.1",
            b"GET / http/1.1",
            b"GET / HTTP/1.1x",
            b"GET / HTTP/11",
            b"GET / HTTP/1.",
            b"GET / HTTP/01.1",
            b"GET / HTTPS/1.1",
            b"GET / XTTP/1.1",
            b"GET /",
            b"GET",
            b"GET HTTP/1.1",
            b"G(T / HTTP/1.1",
            b"G\xc9T / HTTP/1.1",
            b"GET a HTTP/1.1",
            b"GET * HTTP/1.1",
            b"GET ftp://a/ HTTP/1.1",
            b"GET http:///x HTTP/1.1",
            b"GET http://u@a/ HTTP/1.1",
            b"GET http://a b/ HTTP/1.1",
            b"GET http:/a HTTP/1.1",
        )
    ],
    (505, b"GET / HTTP/2.0\r\n" + H + b"\r\n"),
    (505, b"GET / HTTP/0.9\r\n" + H + b"\r\n"),
    (505, b"GET / HTTP/1.2\r\n" + H + b"\r\n"),
    (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (405, b"CONNECT a:443 HTTP/1.1\r\n" + H + b"\r\n"),
    (414, b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\n" + H + b"\r\n"),
    (414, b"GET /" + b"x" * 70000),
    # header lines
    *[
        (400, b"GET / HTTP/1.1\r\n" + H + lines + b"\r\n")
        for lines in (
            b"X : y\r\n",
            b"X\t: y\r\n",
            b" X: y\r\n",
            b"X: y\r\n z\r\n",
            b"X: y\r\n\tz\r\n",
            b"X\r\n",
            b": y\r\n",
            b"X(: y\r\n",
            b"X\xff: y\r\n",
            b"X: \x00\r\n",
            b"X: a\rb\r\n",
            b"X: a\nb\r\n",
            b"X: a\n",
            b"X: \x01\r\n",
            b"X: \x7f\r\n",
            b"X: \x0b\r\n",
            b"X: a\r\r\n",
        )
    ],
    (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    (400, b"\nGET / HTTP/1.1\r\n" + H + b"\r\n"),
    (400, b"\r\n" * 10 + GET),
    (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    (431, b"GET / HTTP/1.1\r\n" + H + b"X: " + b"y" * 70000 + b"\r\n\r\n"),
    (431, b"GET / HTTP/1.1\r\n" + H + b"X: " + b"y" * 70000),
    (431, b"GET / HTTP/1.1\r\n" + H + b"X: y\r\n" * 1100 + b"\r\n"),
    # Host
    (400, b"GET / HTTP/1.1\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"),
    (400, b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    (400, b"GET http://a/ HTTP/1.1\r\n\r\n"),
    *[
        (400, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        for host in (
            b"",
            b"a b",
            b"a/b",
            b"u@a",
            b"a:b",
            b"a:99999",
            b"a?b",
            b"a#b",
            b"[::1",
            b"a\xe9",
            b"a,\tb",
            b"a:1:2",
            b"<a>",
        )
    ],
]

MORE: list[bytes] = [
    *[
        CHUNKED + value
        for value in (
            b"\t5\r\nhello\r\n0\r\n\r\n",
            b"5\t\r\nhello\r\n0\r\n\r\n",
            b"-5\r\nhello\r\n0\r\n\r\n",
            b"5g\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhell\r\n0\r\n\r\n",
            b"6\r\nhello\r\n0\r\n\r\n",
            b"10000000000000005\r\nhello\r\n0\r\n\r\n",
            b"5\rhello\r\n0\r\n\r\n",
            b"5\r\n\r\nhello\r\n0\r\n\r\n",
            b"\xb5\r\nhello\r\n0\r\n\r\n",
            b"5\x0b\r\nhello\r\n0\r\n\r\n",
            b"5 x\r\nhello\r\n0\r\n\r\n",
            b"0\n\r\n",
            b"0\r\n\n",
            b"0\r\r\n",
            b"5,\r\nhello\r\n0\r\n\r\n",
            b"5.0\r\nhello\r\n0\r\n\r\n",
            b"'5'\r\nhello\r\n0\r\n\r\n",
            b"0\r\n: y\r\n\r\n",
            b"0\r\nX: y\r\n z\r\n\r\n",
            b"0\r\nX: a\rb\r\n\r\n",
            b"0\r\nX(: y\r\n\r\n",
            b"0\r\nX: \x01\r\n\r\n",
        )
    ],
    *[
        POST + b"Content-Length: %b\r\n\r\nhello" % value
        for value in (
            b"-0",
            b"+0",
            b"18446744073709551621",
            b"5,",
            b",5",
            b"5, 6",
            b"5 ,6",
            b"5.0",
            b"5e0",
            b"5\x0b",
            b"\x0c5",
            b"\xa05",
            b"5\x00",
            b"five",
            b"0b101",
            b'"5"',
            b"5\t6",
            b"\xef\xbc\x95",
            b"5\r\nContent-Length : 6",
        )
    ],
    *[
        POST + b"Transfer-Encoding: %b\r\n\r\n0\r\n\r\n" % value
        for value in (
            b"chunked\x0b",
            b"\x0cchunked",
            b"chunked, identity",
            b"identity, chunked",
            b"x",
            b"chunked;q=1",
            b"chunked\x00",
            b"chunke\xc4\x8f",
            b"cow, chunked",
            b"deflate",
            b"\xa0chunked",
            b"'chunked'",
            b"chunked\xff",
            b"chunked ,x",
            b"identity\r\nTransfer-Encoding: chunked",
            b"gzip,\r\n chunked",
        )
    ],
    *[
        POST + value
        for value in (
            b"Content-Length: 6\r\ncontent-length: 5\r\n\r\nhello!",
            b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"Content-Length : 5\r\n\r\nhello",
            b"Content-Length\t: 5\r\n\r\nhello",
            b"Content-Length:\r\n 5\r\n\r\nhello",
            b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding\x00: chunked\r\n\r\n0\r\n\r\n",
            b"\x00Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        )
    ],
    *[
        b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % value
        for value in (
            b"a\tb",
            b"a/",
            b"/",
            b"@a",
            b"a@",
            b"a:65536",
            b"a:-1",
            b"a:+1",
            b"a:0x50",
            b"a:80:80",
            b"a:80a",
            b"a: 80",
            b"a :80",
            b"a\\b",
            b"a^b",
            b"a`b",
            b"a{b",
            b"a|b",
            b'a"b',
            b"::1",
            b"[::1]]",
            b"[::1]x",
            b"[zz]",
            b"[]",
            b"[:::]",
            b"a]",
            b"a[b",
            b"\xff",
            b"a, b",
            b"a\x00b",
            b"a\x01",
            b"a\x7f",
            b"%zz",
            b"a%",
            b"a%0",
            b"%00\x00",
            b"http://a",
            b"http://a/",
            b":80",
            b":",
            b"a\x0b",
        )
    ],
    *[
        b"GET / HTTP/1.1\r\n" + H + value + b"\r\n"
        for value in (
            b"\tX: y\r\n",
            b"X: y\r\n \r\n",
            b" \r\n",
            b"\t\r\n",
            b"X y\r\n",
            b" : y\r\n",
            b"X\x00: y\r\n",
            b"X\x01Y: y\r\n",
            b"X Y: y\r\n",
            b"X,Y: y\r\n",
            b"X;: y\r\n",
            b'"X": y\r\n',
            b"X/Y: y\r\n",
            b"X@Y: y\r\n",
            b"X=Y: y\r\n",
            b"X[0]: y\r\n",
            b"X{}: y\r\n",
            b"X\\: y\r\n",
            b"X?: y\r\n",
            b"X<>: y\r\n",
            b"X\x7f: y\r\n",
            b"X: a\x00b\r\n",
            b"X: \x1b[2J\r\n",
            b"X: \x08\r\n",
            b"X\r: y\r\n",
            b"X\n: y\r\n",
            b"\xef\xbb\xbfX: y\r\n",
            b" b\r\n",
        )
    ],
    *[
        b"GET / HTTP/1.1\r\n" + value + H + b"\r\n"
        for value in (
            b"X : y\r\n",
            b"X\t: y\r\n",
            b" X: y\r\n",
            b"\tX: y\r\n",
            b"X: y\r\n z\r\n",
            b"X: y\r\n\tz\r\n",
            b"X: y\r\n \r\n",
            b" \r\n",
            b"\t\r\n",
            b"X\r\n",
            b"X y\r\n",
            b": y\r\n",
            b" : y\r\n",
            b"X(: y\r\n",
            b"X\xff: y\r\n",
            b"X\x00: y\r\n",
            b"X\x01Y: y\r\n",
            b"X Y: y\r\n",
            b"X,Y: y\r\n",
            b"X;: y\r\n",
            b'"X": y\r\n',
            b"X/Y: y\r\n",
            b"X@Y: y\r\n",
            b"X=Y: y\r\n",
            b"X[0]: y\r\n",
            b"X{}: y\r\n",
            b"X\\: y\r\n",
            b"X?: y\r\n",
            b"X<>: y\r\n",
            b"X\x7f: y\r\n",
            b"X: \x00\r\n",
            b"X: a\x00b\r\n",
            b"X: a\rb\r\n",
            b"X: a\nb\r\n",
            b"X: a\n",
            b"X: a\r\r\n",
            b"X: \x01\r\n",
            b"X: \x7f\r\n",
            b"X: \x0b\r\n",
            b"X: \x1b[2J\r\n",
            b"X: \x08\r\n",
            b"X\r: y\r\n",
            b"X\n: y\r\n",
            b"\xef\xbb\xbfX: y\r\n",
        )
    ],
    *[
        value + b"\r\n" + H + b"\r\n"
        for value in (
            b"GET / HTTP/1.1\t",
            b"\tGET / HTTP/1.1",
            b"GET /\tHTTP/1.1",
            b"GET /\x0bHTTP/1.1",
            b"GET /\x1f HTTP/1.1",
            b"GET / Http/1.1",
            b"GET / HTTP/1",
            b"GET / HTTP/.1",
            b"GET / HTTP/1.01",
            b"GET / HTTP/1.10",
            b"GET / HTTP/1.1.1",
            b"GET / HTTP/1,1",
            b"GET / HTTP 1.1",
            b"GET / HTTP/ 1.1",
            b"GET / HTTP/-1.1",
            b"GET / HTTP/+1.1",
            b"GET / HTTP/1.x",
            b"GET / HTTP/2",
            b"GET / HTTP/3.0",
            b"GET / HTTP/9.9",
            b"/ HTTP/1.1",
            b"HTTP/1.1 200 OK",
            b"GE,T / HTTP/1.1",
            b'"GET" / HTTP/1.1',
            b"G\x00T / HTTP/1.1",
            b"GET: / HTTP/1.1",
            b"GET/ / HTTP/1.1",
            b"GET ../a HTTP/1.1",
            b"GET ?a HTTP/1.1",
            b"GET #a HTTP/1.1",
            b"GET \\a HTTP/1.1",
            b"POST * HTTP/1.1",
            b"GET http:// HTTP/1.1",
            b"GET http:a HTTP/1.1",
            b"GET http://a:x/ HTTP/1.1",
            b"GET http://a:99999/ HTTP/1.1",
            b"GET http://[::1/ HTTP/1.1",
            b"GET a:80 HTTP/1.1",
            b"GET *a HTTP/1.1",
            b"OPTIONS ** HTTP/1.1",
            b"CONNECT / HTTP/1.1",
            b"CONNECT http://a/ HTTP/1.1",
            b"",
            b"GET / HTTP/1.1\r",
            b"\rGET / HTTP/1.1",
        )
    ],
    b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /\r\n",
    b"GET /\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\r\n\r\n",
    b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    b"GET / HTTP/1.1\rHost: a\r\r",
    b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    # from a second, independent list, made to be run through nginx and HAProxy as well
    *[
        CHUNKED + value
        for value in (
            b"5\xa0\r\nhello\r\n0\r\n\r\n",
            b"%35\r\nhello\r\n0\r\n\r\n",
            b";a\r\nhello\r\n0\r\n\r\n",
            b"5\x00\r\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\r\r\n0\r\n\r\n",
            b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
            b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
            b"5\r\nhello\r\n0\r\nX: a\r b\r\n\r\n",
            b"5\r\nhello\r\n0 \r\n\r\n",
            b"5\r\nhello\r\n0\n\n",
            b"5\r\nhello\r\n-0\r\n\r\n",
        )
    ],
    POST + b"Content_Length: 5\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: trailers\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: x\n chunked\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: " + b"0" * 65 + b"5\r\n\r\nhello",
    b"GET / HTTP/1.1\r\n" + H + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
]
"""Further messages; each is refused with some 4xx or 5xx, and only the fact matters."""
PIECE_MAX = 400
"""Longer messages are not sent byte by byte."""


@pytest.mark.parametrize("step", [0, 1], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_a_malformed_request_is_refused_and_the_upstream_sees_none_of_it(
    hot: bool, step: int
) -> None:
    wrong: list[object] = []
    async with wire(hot=hot) as w:
        for status, raw in [*REFUSED, *((0, raw) for raw in MORE)]:
            if step and len(raw) > PIECE_MAX:
                continue
            w.told.raw.clear()
            w.kept.exchanges.clear()
            heard = await w.ask(raw, until=None, step=step)
            if (
                (heard.status != status if status else not 400 <= heard.status < 600)
                or b"\r\nConnection: close\r\n" not in heard.raw
                or heard.end != "closed"
                or (w.told.raw and not CHUNKED.startswith(w.told.raw[: len(CHUNKED)]))
                or _is_complete(bytes(w.told.raw))
                or [e.status for e in w.kept.exchanges] != [heard.status]
            ):
                wrong.append((raw[:120], heard, bytes(w.told.raw)))
            if not step and w.told.raw:
                wrong.append((raw[:120], bytes(w.told.raw)))
    assert not wrong


def _is_complete(raw: bytes) -> bool:
    """A body whose end the upstream would believe: with a first piece in hand, a head and some data
    may have gone up before the fault came.
    """
    return raw.endswith(b"0\r\n\r\n")


async def test_bytes_after_a_refused_request_are_never_a_request() -> None:
    async with wire() as w:
        for status, raw in REFUSED:
            if len(raw) < PIECE_MAX and raw.endswith((b"\r\n\r\n", b"hello")):
                heard = await w.ask(raw + GET, until=None)
                assert (heard.status, heard.raw.count(b"HTTP/1.1 ")) == (status, 1), raw
        assert not w.told.raw


async def test_requests_before_a_bad_one_are_answered_first() -> None:
    async with wire() as w:
        for status, raw in REFUSED[:150:3]:
            w.told.raw.clear()
            heard = await w.ask(GET + CHUNKED + b"0\r\n\r\n" + raw + GET, until=None)
            assert heard.raw.startswith(OK + OK + b"HTTP/1.1 %d " % status), raw
            assert heard.end == "closed"
            assert bytes(w.told.raw) == GET + CHUNKED + b"0\r\n\r\n"


async def test_broken_framing_in_the_middle_of_a_body_never_completes_it_upstream() -> None:
    async with rig() as r:
        client = await r.connect()
        await client.send(CHUNKED + b"5\r\nhello\r\n")
        await r.until(lambda: r.upstream.peers and b"hello" in r.upstream.peers[0].raw)
        await client.send(b"zz\r\n")
        assert (await client.got()).status == 400
        await r.until(lambda: r.upstream.peers[0].got_eof)
        assert not r.upstream.seen
        assert not r.upstream.peers[0].raw.endswith(b"0\r\n\r\n")


def test_line_and_fields_have_a_cap_each() -> None:
    line, cap = b"GET /%b HTTP/1.1\r\n", 1024
    longest = line % (b"t" * (cap - len(line % b"") + 2))
    for extra in (0, 1):
        fields = H + b"X: " + b"y" * (cap - len(H) - 5 + extra) + b"\r\n"
        if extra:
            with pytest.raises(Refused) as refused:
                read_request(longest + fields + b"\r\n", cap, 100)
            assert refused.value.status == 431
        else:
            assert read_request(longest + fields + b"\r\n", cap, 100).names == [b"host", b"x"]
            check_unfinished_request(longest + fields + b"\r", cap)
    with pytest.raises(Refused) as refused:
        read_request(longest.replace(b"/", b"/t", 1) + H + b"\r\n", cap, 100)
    assert refused.value.status == 414
