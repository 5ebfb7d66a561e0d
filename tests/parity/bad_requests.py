"""Requests that are malformed, ambiguous or too large: refused, and not a byte of them becomes
somebody's request (RFC 9112 sections 2, 3, 5, 6, 7 and 11).
"""

from tests.parity.case import Case, Do, Script, Want
from tests.parity.messages import CHUNKED, HOST, OK, SMUGGLED, always, chunked, get, pieces, post
from tests.parity.short import named
from tests.parity.wants import either, refused, shut_out

_BODY = b"5\r\nhello\r\n0\r\n\r\n"


def _bad(name: str, request: bytes, want: Want | None = None) -> Case:
    """With something behind it that must never become a request."""
    return Case(name, (request + SMUGGLED,), want or refused(), always(OK))


def _field(block: bytes) -> Case:
    return _bad(named("field", block), get(fields=block + b"\r\n"))


def _line(line: bytes, *wanted: int) -> Case:
    return _bad(named("line", line), line + b"\r\n" + HOST + b"\r\n", refused(*wanted))


def _length(value: bytes) -> Case:
    return _bad(named("length", value), post(b"Content-Length: %b\r\n" % value, b"hello"))


def _coding(value: bytes) -> Case:
    return _bad(named("coding", value), post(b"Transfer-Encoding: %b\r\n" % value, _BODY))


def _framing(name: str, fields: bytes, body: bytes = _BODY) -> Case:
    return _bad(name, post(fields, body))


def _chunk(body: bytes) -> Case:
    """The head may be up already; the request must never become whole there."""
    return _bad(named("chunk", body), chunked(body + b"0\r\n\r\n"))


def _trailer(block: bytes) -> Case:
    return _bad(named("trailer", block), chunked(b"5\r\nhello\r\n0\r\n" + block))


def _host(value: bytes) -> Case:
    return _bad(named("Host", value), b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % value)


def _cut(name: str, request: bytes) -> Case:
    """The client ends its sending in the middle."""
    return Case(name, (request, 0.1, Do.HALF), shut_out, always(OK))


def _apart(name: str, request: bytes, size: int) -> Case:
    send: Script = pieces(request + SMUGGLED, size)
    return Case(name, send, refused(), always(OK))


_LENGTHS = (
    *(b"+5", b"-5", b"-0", b"0x5", b"0b11", b"5 5", b"5a", b"a5", b"", b" ", b"1_0", b"5;", b"5,5"),
    *(b"5, 5", b"5,6", b"5,", b",5", b"5.0", b"5e0", b"NaN", b'"5"', b"5\x00", b"\x0b5", b"5\t5"),
    *(b"9223372036854775808", b"18446744073709551621", b"9" * 30, b"9" * 300, b"\xb2", b"\xd9\xa5"),
    *(b"5\xa0", b"(5)", b"5\x0c", b"'5'", b"chunked", b"5\r6"),
)
_CODINGS = (
    *(b"gzip", b"identity", b"compress", b"xchunked", b"chunkedx", b"chunk", b"trailers", b""),
    *(b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked, identity", b"chunked,"),
    *(
        b",chunked",
        b"chun ked",
        b'"chunked"',
        b"'chunked'",
        b"chunked;a=b",
        b"chunked;",
        b"\x0bchunked",
    ),
    *(b"chunked\x00", b"chunked\x0b", b"chunked\x0c", b"chunked identity", b"deflate, chunked"),
    *(
        b"\xa0chunked",
        b"Chunked, Identity",
        b"chunked\r\n\tgzip",
        b"(x) chunked",
        b"=chunked",
        b"x",
    ),
)
_FRAMINGS = (
    ("two lengths", b"Content-Length: 5\r\nContent-Length: 6\r\n"),
    ("two lengths apart", b"Content-Length: 5\r\nX: y\r\ncontent-length: 0\r\n"),
    ("two equal lengths", b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    ("length and coding", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    ("coding and length", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    ("coding and length 0", b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
    ("two codings", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    ("identity and chunked", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
    ("chunked and x", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n"),
    ("an empty coding and a length", b"Transfer-Encoding:\r\nContent-Length: 5\r\n"),
    ("identity and a length", b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n"),
    ("coding, blank before the colon", b"Transfer-Encoding : chunked\r\n"),
    ("coding, tab before the colon", b"Transfer-Encoding\t: chunked\r\n"),
    ("length, blank before the colon", b"Content-Length : 5\r\n"),
    ("coding folded", b"Transfer-Encoding:\r\n chunked\r\n"),
    ("coding behind a fold", b"X: y\r\n Transfer-Encoding: chunked\r\n"),
    ("coding behind LF", b"X: y\nTransfer-Encoding: chunked\r\n"),
    ("coding behind CR", b"X: y\rTransfer-Encoding: chunked\r\n"),
    ("coding behind NUL", b"X: y\x00Transfer-Encoding: chunked\r\n"),
    ("coding with NUL in its name", b"Transfer-Encoding\x00: chunked\r\n"),
    ("coding with a byte before", b"\xffTransfer-Encoding: chunked\r\n"),
    ("coding with CR before", b"\rTransfer-Encoding: chunked\r\n"),
    ("coding with VT behind", b"Transfer-Encoding\x0b: chunked\r\n"),
    ("length with LF behind its name", b"Content-Length\n: 5\r\n"),
)
_CHUNKS = (
    *(b"+5\r\nhello\r\n", b"-1\r\n", b"-5\r\nhello\r\n", b"0x5\r\nhello\r\n", b" 5\r\nhello\r\n"),
    *(
        b"5 \r\nhello\r\n",
        b"5\t\r\nhello\r\n",
        b"5_0\r\nhello\r\n",
        b"\r\nhello\r\n",
        b"g\r\nhello\r\n",
    ),
    *(b"5\nhello\r\n", b"5\r\nhello\n", b"5\rhello\r\n", b"5\r\nhello\r", b"5\r\nhelloo\r\n"),
    *(
        b"5\r\nhell\r\n",
        b"5\r\nhello",
        b"5\r\nhello\r\r\n",
        b"5\r\rhello\r\n",
        b"5;a\nb\r\nhello\r\n",
    ),
    *(b"5;a\rb\r\nhello\r\n", b"5;\x00\r\nhello\r\n", b"00000000000000005\r\nhello\r\n"),
    *(
        b"ffffffffffffffff\r\nhello",
        b"8000000000000000\r\nhello",
        b"10000000000000005\r\nhello\r\n",
    ),
    *(b"f" * 20 + b"\r\nhello\r\n", b"5;" + b"a" * 70000 + b"\r\nhello\r\n", b"5,\r\nhello\r\n"),
    *(b"5\xa0\r\nhello\r\n", b"5\x0b\r\nhello\r\n", b"5h\r\nhello\r\n", b"%35\r\nhello\r\n"),
    *(b";a\r\nhello\r\n", b"5\x00\r\nhello\r\n", b"5 5\r\nhello\r\n", b'"5"\r\nhello\r\n'),
    *(
        b"5.0\r\nhello\r\n",
        b"1;a\r\nx\r\n" * 5000,
        b"0" * 5000 + b"5\r\nhello\r\n",
        b"\x005\r\nhello\r\n",
    ),
)
_TRAILERS = (
    *(b"X : y\r\n\r\n", b" X: y\r\n\r\n", b"X: y\n\r\n", b"X\r\n\r\n", b"X: \x00\r\n\r\n", b"\n"),
    *(b"\r\r\n", b"X(: y\r\n\r\n", b"X: a\r b\r\n\r\n", b": y\r\n\r\n", b"A: b\r\n c\r\n\r\n"),
    *(b"X: " + b"t" * 70000 + b"\r\n\r\n", b"X: y\r\n" * 20000 + b"\r\n", b"X\xff: y\r\n\r\n"),
)
_LINES = (
    *(
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET\t/ HTTP/1.1",
    ),
    *(b"GET /a b HTTP/1.1", b"GET /a\tb HTTP/1.1", b"GET /\tHTTP/1.1", b"GET /\x00 HTTP/1.1"),
    *(b"GET /\x7f HTTP/1.1", b"GET /\x01 HTTP/1.1", b"GET /\x1f HTTP/1.1", b"GET /\r HTTP/1.1"),
    *(
        b"GET /\n HTTP/1.1",
        b"GET / http/1.1",
        b"GET / HTTP/1.1x",
        b"GET / HTTP/11",
        b"GET / HTTP/1.",
    ),
    *(
        b"GET / HTTP/.1",
        b"GET / HTTP/01.1",
        b"GET / HTTPS/1.1",
        b"GET / HTTP/1.10",
        b"GET / HTTP/1",
    ),
    *(
        b"GET / HTTP /1.1",
        b"GET / HTTP/ 1.1",
        b"GET / HTTP/-1.1",
        b"GET / HTTP/1,1",
        b"GET /",
        b"GET",
    ),
    *(
        b"GET / HTTP/1.1.1",
        b"GET / HTTP/a.b",
        b"GET / HTTP/1.1\x00",
        b"GET / HTTP/1.1\x0b",
        b"\x00GET / HTTP/1.1",
    ),
    *(
        b"GET HTTP/1.1",
        b"G(T / HTTP/1.1",
        b"G\xc9T / HTTP/1.1",
        b"GET: / HTTP/1.1",
        b"{} / HTTP/1.1",
    ),
    *(
        b"GET a HTTP/1.1",
        b"GET ? HTTP/1.1",
        b"GET #f HTTP/1.1",
        b"GET * HTTP/1.1",
        b"POST * HTTP/1.1",
    ),
    *(
        b"GET \\ HTTP/1.1",
        b"GET ftp://a/ HTTP/1.1",
        b"GET http:///x HTTP/1.1",
        b"GET http:/a HTTP/1.1",
    ),
    *(
        b"GET http://u:p@a/ HTTP/1.1",
        b"GET http://a:b/ HTTP/1.1",
        b"GET http:// HTTP/1.1",
        b"GET : HTTP/1.1",
    ),
    *(b"GET a.com:80 HTTP/1.1", b"GET /\x0b HTTP/1.1", b"GET / ICY/1.0", b"HTTP/1.1 200 OK"),
    *(b"GET / HTTP/1.1 HTTP/1.1", b"GET / HTTP/1.1\tx", b"\xef\xbb\xbfGET / HTTP/1.1"),
)
_FIELDS = (
    *(
        b"X : y",
        b"X\t: y",
        b"X: y\r\n z",
        b"X: y\r\n\tz",
        b"X",
        b": y",
        b"X(: y",
        b"X\xff: y",
        b"X Y: z",
    ),
    *(
        b"X: \x00",
        b"X: a\x00b",
        b"X: a\rb",
        b"X: a\r",
        b"X: a\r\n\r",
        b"X: \x01",
        b"X: \x7f",
        b"X: \x0b",
    ),
    *(
        b"X: \x1b[0m",
        b"X: \x08",
        b'X"Y: z',
        b"X\x00Y: z",
        b"\x00: z",
        b"X/Y: z",
        b"X@: z",
        b"X[]: z",
    ),
    *(
        b"=: z",
        b"X\x7f: y",
        b" ",
        b"\t",
        b"X;: y",
        b"X\r: y",
        b"X,Y: z",
        b"X{}: y",
        b"X\\: y",
        b"<X>: y",
    ),
    *(b"X: a\nY: b", b"X: y\n", b"\nX: y", b"X?: y", b"GET / HTTP/1.1", b"\xe2\x84\xaa: y"),
)
_HOSTS = (
    *(
        b"",
        b" ",
        b"a b",
        b"a/b",
        b"u@a",
        b"a:b",
        b"a:99999",
        b"a?b",
        b"a#b",
        b"[::1",
        b"a\xe9",
        b"a:1:2",
    ),
    *(
        b"<a>",
        b"a\\b",
        b"a\x01",
        b"http://a",
        b"[::g]",
        b"a:-1",
        b"a:+80",
        b"a: 80",
        b"@",
        b'a"',
        b"::1",
    ),
    *(
        b"a%zz",
        b":80",
        b"a, a",
        b"a\x00",
        b"a\tb",
        b"a^",
        b"{a}",
        b"[]",
        b"a:80a",
        b"[::1]a",
        b"a|b",
        b"`",
    ),
)
_OTHERS = (
    ("bare LF", b"GET / HTTP/1.1\nHost: a\n\n"),
    ("LF behind the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    ("LF behind a field", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    ("LF as the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    ("CR CR LF", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
    ("a blank before the first field", b"GET / HTTP/1.1\r\n X: b\r\nHost: a\r\n\r\n"),
    ("a blank before Host", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("LF before the line", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("CR before the line", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n"),
    ("no Host, absolute", b"GET http://a/ HTTP/1.1\r\n\r\n"),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("two Hosts that differ", b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"),
    ("two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("HTTP/1.0 in chunks", post(CHUNKED, _BODY, minor=0)),
    ("HTTP/0.9", b"GET /x\r\n\r\n"),
    ("PROXY protocol", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + get()),
    ("70 KiB of target", get(b"/" + b"a" * 70000)),
    ("70 KiB of one field", get(fields=b"X: %b\r\n" % (b"y" * 70000))),
    ("70 KiB of many fields", get(fields=b"X-Long-Name: value\r\n" * 3600)),
    ("70 KiB of a name", get(fields=b"X" * 70000 + b": y\r\n")),
    ("1 MiB of a method", get(method=b"A" * (1 << 20))),
    ("1 MiB of target", get(b"/" + b"a" * (1 << 20))),
    ("10,000 fields", get(fields=b"X: y\r\n" * 10000)),
    ("random bytes", bytes(range(255, 0, -7)) * 8 + b"\r\n\r\n"),
    ("a request behind CR LF LF", b"GET / HTTP/1.1\r\nHost: a\r\n\nGET /smuggled HTTP/1.1\r\n\r\n"),
)

CASES = [
    *map(_length, _LENGTHS),
    *map(_coding, _CODINGS),
    *(_framing(name, fields) for name, fields in _FRAMINGS),
    _framing("GET with length and coding", b"Content-Length: 4\r\n" + CHUNKED, b"1\r\nZ\r\nQ"),
    *map(_chunk, _CHUNKS),
    *map(_trailer, _TRAILERS),
    *map(_line, _LINES),
    *(_line(b"GET / HTTP/" + version, 505) for version in (b"2.0", b"0.9", b"3.0", b"9.9", b"1.2")),
    _line(b"CONNECT a:443 HTTP/1.1", 405, 501, 400),
    _line(b"CONNECT / HTTP/1.1", 405, 501, 400),
    *map(_field, _FIELDS),
    *map(_host, _HOSTS),
    *(_bad(name, request) for name, request in _OTHERS),
    Case("HTTP/2 preface", (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), refused(400, 505), always(OK)),
    Case(
        "a TLS hello",
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60,),
        shut_out,
        always(OK),
    ),
    Case("SOCKS", (b"\x05\x01\x00",), shut_out, always(OK)),
    Case("a null byte", (b"\x00",), shut_out, always(OK)),
    Case(
        "a good one before",
        (get() + b"BAD\r\n\r\n" + SMUGGLED,),
        refused(400, answered=1),
        always(OK),
    ),
    Case(
        "a good POST before",
        (post(b"Content-Length: 2\r\n", b"ab") + b"G\x00T / HTTP/1.1\r\n\r\n" + SMUGGLED,),
        refused(400, answered=1),
        always(OK),
    ),
    _cut("cut in the line", b"GET / HT"),
    _cut("cut in the head", b"GET / HTTP/1.1\r\nHo"),
    _cut("cut before the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n"),
    _cut("cut before the body", post(b"Content-Length: 10\r\n", b"")),
    _cut("cut in the body", post(b"Content-Length: 10\r\n", b"hello")),
    _cut("cut in a size", chunked(b"5")),
    _cut("cut in a chunk", chunked(b"5\r\nhel")),
    _cut("cut between chunks", chunked(b"5\r\nhello\r\n")),
    _cut("cut before the last CRLF", chunked(b"5\r\nhello\r\n0\r\n")),
    _cut("cut in a trailer", chunked(b"5\r\nhello\r\n0\r\nX: ")),
    *(
        _apart(
            f"length and coding, {size} bytes at a time",
            post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
            size,
        )
        for size in (1, 3, 7)
    ),
    _apart("a bad chunk byte by byte", chunked(b"5\r\nhello\r\n+1\r\na\r\n0\r\n\r\n"), 1),
    Case(
        "Expect and two lengths",
        (post(b"Expect: 100-continue\r\nContent-Length: 5\r\nContent-Length: 6\r\n", b""),),
        refused(),
        always(OK),
    ),
    Case("a blank line of blanks", (b"  \r\n" + get(),), either(refused(), shut_out), always(OK)),
]
