"""Answers that are malformed, too large or cut: a 502 while nothing is out, a visible cut
afterwards, and never somebody else's answer (RFC 9112 sections 4, 6.3 and 8).
"""

from tests.parity.case import Case, Do, Saw, Script, Step, Until, Want
from tests.parity.messages import CHUNKED, OK, STREAM, always, answer, closing, get, in_turn, sized
from tests.parity.short import named
from tests.parity.wants import bad_gateway, cut, down, either, every, never, statuses

_REST = b"Content-Length: 2\r\n\r\nok"
_EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
_LONG = b"y" * 1024


def _bad(name: str, *steps: Step, want: Want = bad_gateway) -> Case:
    return Case(name, (get(),), want, closing(*steps))


def _line(line: bytes) -> Case:
    return _bad(named("status line", line), line + b"\r\n" + _REST)


def _field(block: bytes) -> Case:
    return _bad(named("field", block), b"HTTP/1.1 200 OK\r\n" + block + b"\r\n" + _REST)


def _length(value: bytes) -> Case:
    return _bad(named("length", value), b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\nok" % value)


def _framing(name: str, fields: bytes) -> Case:
    return _bad(name, b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n2\r\nok\r\n0\r\n\r\n")


def _chunk(body: bytes) -> Case:
    """Head and body in one write: nothing is out yet."""
    return _bad(named("chunk", body), STREAM + b"\r\n" + body, want=cut)


def _late_chunk(body: bytes) -> Case:
    """A good chunk is out before."""
    return _bad(named("late chunk", body), STREAM + b"\r\n2\r\nok\r\n", 0.1, body, want=cut)


def _broken(name: str, *steps: Step, ask: bytes = get()) -> Case:
    """The connection ends in the middle."""
    return Case(name, (ask,), cut, always(*steps))


def _stray(name: str, *evil: Step, ask: bytes = get()) -> Case:
    """What comes beyond the first answer is nobody's; the next request gets its own."""
    return _beyond(name, evil, (ask, 0.1, get(b"/2"), 0.1, get(b"/3")))


def _late(name: str, evil: bytes) -> Case:
    """The same on an idle connection, before the next request: that waits from the first answer
    on, or on a slow machine it would be the one that ``evil`` answers.
    """
    script: Script = (get(), Until(b"ok"), 0.3, get(b"/2"), 0.3, get(b"/3"))
    return _beyond(name, (OK, 0.15, evil), script)


def _beyond(name: str, evil: Script, script: Script) -> Case:
    good = answer(body=b"good")
    want = every(never(b"EVIL"), either(_ends_well(3), _ends_well(2), _ends_well(1)))
    return Case(name, script, want, in_turn(evil, (good,)), least_s=0.5)


def _first_is_whole(saw: Saw) -> str:
    return "" if any(reply.is_complete for reply in saw.finals[:1]) else "the first is not whole"


def _stray_at(size: int) -> Case:
    """The first answer ends where a proxy's read of ``size`` bytes may end; what lies behind it is
    still in the kernel when the next request, read long ago, wants a connection.
    """
    body = b"y" * (size - len(answer(body=b"")) - len(str(size)) + 1)
    return Case(
        f"two answers, the first of {size} bytes",
        (get() + get(b"/2"),),
        every(never(b"EVIL"), _first_is_whole),
        in_turn((answer(body=body) + _EVIL,), (OK,)),
        least_s=0.3,
    )


def _ends_well(count: int) -> Want:
    """So many answers, none but the first other than the app's own."""

    def want(saw: Saw) -> str:
        finals = saw.finals
        if len(finals) != count:
            return f"{len(finals)} answers"
        if count < 3 and saw.end == "open":
            return "no answer, and the connection is open"
        return "" if all(reply.body == b"good" for reply in finals[1:]) else "not its own answer"

    return want


_STATUS_LINES = (
    *(
        b"HTTP/1.1 200OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 abc OK",
    ),
    *(
        b"HTTP/1.1 -20 OK",
        b"HTTP/2 200 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/1.2 200 OK",
        b"HTTP/3.0 200 OK",
    ),
    *(
        b"HTTP/0.9 200 OK",
        b"http/1.1 200 OK",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTP/1.1 200 OK",
        b"200 OK",
    ),
    *(
        b"ICY 200 OK",
        b"HTTP/1.1\t200 OK",
        b" HTTP/1.1 200 OK",
        b"HTTP/1.1 200 O\x00K",
        b"HTTP/1.1 200 O\rK",
    ),
    *(
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 000 x",
        b"HTTP/1.1 2 0 OK",
        b"HTTP/11 200 OK",
        b"HTTP/1.1.1 200 OK",
    ),
    *(
        b"HTTP/1.1 0x1 x",
        b"HTTP/1.1 200 \x01",
        b"HTTPS/1.1 200 OK",
        b"HTTP/01.1 200 OK",
        b"HTTP/1.1 200\tOK",
    ),
    *(
        b"<html>hello</html>",
        b"\x16\x03\x01",
        b"",
        b"HTTP/1.1 +20 OK",
        b"HTTP/1.1 2.0 OK",
        b"GET / HTTP/1.1",
    ),
    *(b"SSH-2.0-OpenSSH_9.2", b"HTTP/1.1 \xb2\xb2\xb2 x", b"HTTP/1.1,200 OK"),
)
_FIELDS = (
    *(
        b"X : y",
        b"X\t: y",
        b"X: a\x00b",
        b"X: a\rb",
        b"X",
        b": y",
        b"X(: y",
        b"X Y: y",
        b"X: y\r\n z",
    ),
    *(
        b" X: y",
        b"X: \x01",
        b"X\x00: y",
        b"X: a\nY: b",
        b"X\xff: y",
        b"X: \x7f",
        b"Content-Length : 2",
    ),
    *(
        b"X: a\r",
        b"Set-Cookie: a\nb",
        b"HTTP/1.1 200 OK",
        b"\x00",
        b"X: \x1b[31m",
        b"Set Cookie: a",
    ),
)
_LENGTHS = (
    *(b"-1", b"+2", b"0x2", b"abc", b"", b"2 2", b"2,3", b"9" * 25, b"9223372036854775808", b"2;"),
    *(b"2.0", b"18446744073709551618", b"2_0", b"2\x0b", b'"2"', b"\xb2", b"-0", b"2, 2"),
)
_FRAMINGS = (
    ("two lengths", b"Content-Length: 2\r\nContent-Length: 3\r\n"),
    ("two lengths apart", b"Content-Length: 2\r\nX: y\r\ncontent-length: 0\r\n"),
    ("length and coding", b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"),
    ("coding and length", b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n"),
    ("coding gzip", b"Transfer-Encoding: gzip\r\n"),
    ("coding gzip, chunked", b"Transfer-Encoding: gzip, chunked\r\n"),
    ("coding chunked, gzip", b"Transfer-Encoding: chunked, gzip\r\n"),
    ("coding twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    ("coding identity", b"Transfer-Encoding: identity\r\n"),
    ("coding xchunked", b"Transfer-Encoding: xchunked\r\n"),
    ("coding folded", b"Transfer-Encoding:\r\n chunked\r\n"),
    ("coding, blank before the colon", b"Transfer-Encoding : chunked\r\n"),
    ("coding of nothing", b"Transfer-Encoding:\r\n"),
    ("coding behind VT", b"Transfer-Encoding: \x0bchunked\r\n"),
)
_CHUNKS = (
    *(b"+2\r\nok\r\n0\r\n\r\n", b"-2\r\nok\r\n", b"0x2\r\nok\r\n0\r\n\r\n", b"2\nok\r\n0\r\n\r\n"),
    *(
        b"2\r\nokk\r\n0\r\n\r\n",
        b"2\r\nok0\r\n\r\n",
        b"g\r\nok\r\n0\r\n\r\n",
        b"\r\nok\r\n",
        b"2 \r\nok\r\n0\r\n\r\n",
    ),
    *(
        b"ffffffffffffffff\r\nok",
        b"10000000000000002\r\nok\r\n0\r\n\r\n",
        b"2\r\nok\r\n0\r\nX : y\r\n\r\n",
    ),
    *(
        b"2\r\nok\r\n0\r\nX\r\n\r\n",
        b"2\r\nok\r\n0\r\n",
        b"2\r\nok\r\n0\r\nX: y\r\n",
        b"2\r\nok\r\n",
        b"2\r\no",
    ),
    *(
        b"2",
        b"",
        b"2;a\nb\r\nok\r\n0\r\n\r\n",
        b"2\r\nok\n0\r\n\r\n",
        b"2_\r\nok\r\n0\r\n\r\n",
        b"0\r\n\r",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ),
)
_HELLO = b"Content-Length: 10\r\n\r\nhello"
_HEAD = b"HTTP/1.1 200 OK\r\n"
_OLD = get(minor=0)

CASES = [
    *map(_line, _STATUS_LINES),
    *map(_field, _FIELDS),
    *map(_length, _LENGTHS),
    *(_framing(name, fields) for name, fields in _FRAMINGS),
    _bad("HTTP/1.0 in chunks", b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n"),
    _bad("LF head", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    _bad("LF as the empty line", _HEAD + b"Content-Length: 2\r\n\nok"),
    _bad("CRLF before", b"\r\n" + OK),
    _bad("body without a head", b"hello"),
    _bad("70 KiB of one field", _HEAD + b"X: " + _LONG * 70 + b"\r\n" + _REST),
    _bad("10,000 fields", _HEAD + b"X: y\r\n" * 20000 + _REST),
    _bad("endless head", _HEAD + b"X: ", *(_LONG * 10,) * 100),
    _bad("endless status line", b"HTTP/1.1 200 ", *(_LONG * 10,) * 100),
    _bad("endless 100", *(b"HTTP/1.1 100 Continue\r\n\r\n" * 100,) * 50),
    _bad("101 unasked", b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nEVIL"),
    _bad("101 and nothing", b"HTTP/1.1 101 x\r\n\r\n"),
    _bad("103 malformed", b"HTTP/1.1 103 x\r\nX : y\r\n\r\n" + OK),
    *map(_chunk, _CHUNKS),
    *map(_late_chunk, _CHUNKS),
    _broken("nothing, closed", Do.CLOSE),
    _broken("nothing, reset", Do.RESET),
    _broken("head cut", _HEAD + b"Conte", Do.CLOSE),
    _broken("head reset", _HEAD + b"Conte", 0.05, Do.RESET),
    _broken("line cut", b"HTTP/1.1 2", Do.CLOSE),
    _broken("empty line missing", _HEAD + b"Content-Length: 0\r\n", Do.CLOSE),
    _broken("100 and the end", b"HTTP/1.1 100 Continue\r\n\r\n", Do.CLOSE),
    _broken("103 and the end", b"HTTP/1.1 103 x\r\n\r\n", 0.1, Do.CLOSE),
    _broken("body cut", _HEAD + _HELLO, Do.CLOSE),
    _broken("body cut later", _HEAD + _HELLO, 0.1, b"hell", 0.1, Do.CLOSE),
    _broken("body reset", _HEAD + _HELLO, 0.1, Do.RESET),
    _broken("body missing", _HEAD + b"Content-Length: 10\r\n\r\n", 0.1, Do.CLOSE),
    _broken("chunk reset", STREAM + b"\r\n5\r\nhello\r\n", 0.1, Do.RESET),
    _broken("until close, reset", _HEAD + b"\r\nhello", 0.2, Do.RESET),
    _broken("1.0 until close, reset", b"HTTP/1.0 200 OK\r\n\r\nhello", 0.2, Do.RESET),
    _broken("1.0 client, chunks cut", STREAM + b"\r\n5\r\nhello\r\n", 0.1, Do.CLOSE, ask=_OLD),
    _broken(
        "1.0 client, bad chunk", STREAM + b"\r\n5\r\nhello\r\n", 0.1, b"zz\r\n", Do.SINK, ask=_OLD
    ),
    _broken("1.0 client, until close, reset", _HEAD + b"\r\nhello", 0.2, Do.RESET, ask=_OLD),
    _broken("1.0 client, body cut", _HEAD + _HELLO, 0.1, Do.CLOSE, ask=_OLD),
    _broken("half-close in the body", _HEAD + _HELLO, Do.HALF, Do.SINK),
    _stray("two answers", OK + _EVIL),
    _stray("two answers, the second in pieces", OK + _EVIL[:10], 0.02, _EVIL[10:]),
    _late("an answer later", _EVIL),
    _late("half an answer later", b"HTTP/1.1 200 OK\r\nX: EVIL"),
    _late("a byte later", b"E"),
    _stray("chunks and more", STREAM + b"\r\n2\r\nok\r\n0\r\n\r\n" + _EVIL),
    _stray("an answer to HEAD with a body", answer(body=b"EVIL"), ask=get(method=b"HEAD")),
    _stray(
        "an answer to HEAD in chunks",
        STREAM + b"\r\n4\r\nEVIL\r\n0\r\n\r\n",
        ask=get(method=b"HEAD"),
    ),
    _stray("204 with a body", answer(body=b"EVIL", line=b"204 x")),
    _stray("204 in chunks", STREAM.replace(b"200 OK", b"204 x") + b"\r\n4\r\nEVIL\r\n0\r\n\r\n"),
    _stray("204 without a length, and a body", b"HTTP/1.1 204 x\r\n\r\n" + _EVIL),
    _stray("304 with a body", answer(body=b"EVIL", line=b"304 x")),
    _stray("304 and another answer", b"HTTP/1.1 304 x\r\n\r\n" + _EVIL),
    _stray("a POST and two answers", OK + _EVIL, ask=sized(b"ab")),
    Case(
        "pipelined, two answers to the first",
        (get() + get(b"/2"),),
        never(b"EVIL"),
        in_turn((OK + _EVIL,), (OK,)),
        least_s=0.3,
    ),
    *map(_stray_at, (16384, 65536, 131072, 250000, 262144)),
    Case(
        "pipelined, the first is cut",
        (get() + get(b"/2"),),
        cut,
        in_turn((_HEAD + _HELLO, 0.1, Do.CLOSE), (OK,)),
    ),
    Case(
        "after a 502 another connection is served",
        (get(), Until(b" 502 "), 0.1),
        statuses(502),
        always(b"junk\r\n\r\n", Do.CLOSE),
    ),
    Case(
        "a length on 103",
        (get(),),
        either(bad_gateway, down(body=b"ok")),
        always(b"HTTP/1.1 103 x\r\nContent-Length: 5\r\n\r\n" + OK),
    ),
    Case(
        "1,000 interim answers",
        (get(),),
        either(bad_gateway, down(body=b"ok")),
        always(b"HTTP/1.1 102 x\r\n\r\n" * 999 + OK),
    ),
]
