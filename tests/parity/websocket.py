"""One forwarded handshake, and then a raw tunnel (RFC 6455; RFC 9110 section 7.8)."""

import base64
import hashlib

from tests.parity.case import Answers, Case, Do, Saw, Script, Step, Until, Want
from tests.parity.messages import OK, STREAM, always, answer, get, in_turn, pieces, sized
from tests.parity.wants import (
    NOTHING,
    bad_gateway,
    down,
    either,
    ended,
    every,
    let_go,
    refused,
    statuses,
    tunnelled,
)

_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
_PROOF = base64.b64encode(
    hashlib.sha1(_KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
)
_KEY_LINE = b"Sec-WebSocket-Key: " + _KEY + b"\r\n"
_VERSION = b"Sec-WebSocket-Version: 13\r\n"
_UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
_ASK = get(fields=_UPGRADE + _KEY_LINE + _VERSION)
_YES = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + _PROOF + b"\r\n"
)
_HELLO = b"\x81\x85abcd" + bytes(a ^ b for a, b in zip(b"hello", b"abcda", strict=True))
_WISHES = (
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    b"Sec-WebSocket-Extensions: x\r\nSec-WebSocket-Protocol: a, b\r\n"
)
_CLOSE = b"\x88\x82abcd" + bytes(a ^ b for a, b in zip(b"\x03\xe8", b"ab", strict=True))
_SWITCHED = Until(b"\r\n\r\n")
_ECHO: Answers = always(_YES + b"\r\n", Do.ECHO)


def _handshake(name: str, want: Want) -> Case:
    """What the upstream got, while the tunnel echoes."""
    return Case(name, (_ASK,), want, _ECHO)


def _sent(*, has: tuple[bytes, ...] = NOTHING, lacks: tuple[bytes, ...] = NOTHING) -> Want:
    def want(saw: Saw) -> str:
        if len(saw.requests) != 1:
            return f"{len(saw.requests)} handshakes went up"
        lines = saw.requests[0].split(b"\r\n")
        if saw.by_meaning:
            lines, wanted = [line.lower() for line in lines], [line.lower() for line in has]
        else:
            wanted = list(has)
        missing = [line for line in wanted if line not in lines]
        extra = [name for name in lacks if name in saw.requests[0].lower()]
        return f"missing {missing}, extra {extra}" if missing or extra else ""

    return want


def _talk(name: str, *steps: Step, fields: bytes = b"", yes: bytes = b"", end: str = "") -> Case:
    """The client speaks behind the 101 and gets back exactly what it sent."""
    sent = b"".join(step for step in steps if isinstance(step, bytes))
    ask = get(fields=_UPGRADE + _KEY_LINE + _VERSION + fields)
    return Case(
        name,
        (ask, _SWITCHED, *steps),
        tunnelled(sent, end=end),
        always(_YES + yes + b"\r\n", Do.ECHO),
    )


def _asked(name: str, fields: bytes) -> Case:
    """Another spelling of a whole handshake."""
    send = (get(fields=fields), _SWITCHED, _HELLO)
    return Case(name, send, tunnelled(_HELLO), _ECHO)


def _refusal(name: str, status: int, reply: bytes, *more: Step) -> Case:
    """An answer that is no 101 arrives as it is."""
    return Case(name, (_ASK,), down(status, body=b"nono"), always(reply, *more))


def _no_switch(number: int, request: bytes) -> Script:
    asked = b"\r\nupgrade: websocket" in request.lower()
    return (_YES + b"\r\n", Do.ECHO) if asked else (answer(line=b"400 Bad Request"),)


def _incomplete(name: str, request: bytes) -> Case:
    """Not a handshake: an app that is asked to switch all the same must not become a tunnel to
    somebody who never asked for one; plain HTTP or a refusal.
    """
    return Case(name, (request,), either(statuses(400), refused(), bad_gateway), _no_switch)


def _lie(name: str, reply: bytes) -> Case:
    """A 101 that answers nothing that was asked."""
    return Case(name, (_ASK,), bad_gateway, always(reply))


_PLAIN = get(b"/2")
_NO = answer(b"Sec-WebSocket-Version: 13\r\nWWW-Authenticate: x\r\n", b"nono", b"%d No")

CASES = [
    _handshake(
        "the handshake goes up",
        every(
            _sent(
                has=(b"Upgrade: websocket", b"Connection: Upgrade", _KEY_LINE[:-2], _VERSION[:-2])
            ),
            tunnelled(b""),
        ),
    ),
    Case(
        "the 101 comes down",
        (_ASK,),
        down(
            101,
            has=(b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + _PROOF),
        ),
        _ECHO,
    ),
    _talk("a frame", _HELLO),
    _talk("every byte", bytes(range(256)) * 64),
    _talk("1 MiB", b"\x82\xff" + b"z" * (1 << 20)),
    _talk(
        "fragments with a ping between",
        b"\x01\x82abcdxx",
        0.05,
        b"\x89\x80abcd",
        0.05,
        b"\x80\x82abcdyy",
    ),
    _talk("ping and pong", b"\x89\x80abcd", 0.05, b"\x8a\x80abcd"),
    _talk("a frame byte by byte", *pieces(_HELLO, 1)),
    _talk("an unmasked frame", b"\x81\x05hello"),
    _talk("reserved bits", b"\xf1\x85abcdhello"),
    _talk("a close frame", _CLOSE),
    _talk("bytes that look like HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0.1, b"POST"),
    _talk("a length of 63 bits", b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"),
    _talk("100 frames", *(_HELLO,) * 100),
    _talk(
        "extensions and a subprotocol",
        _HELLO,
        fields=_WISHES,
        yes=b"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
    ),
    _talk(
        "Origin and a cookie",
        _HELLO,
        fields=b"Origin: http://x\r\nCookie: a=1\r\n",
        yes=b"Set-Cookie: b=2\r\n",
    ),
    _talk("half-close by the client", _HELLO, Do.HALF, end="closed"),
    Case(
        "half-close by the client before the 101",
        (_ASK + _HELLO, Do.HALF),
        every(tunnelled(_HELLO, end="closed"), let_go),
        always(0.05, _YES + b"\r\n", Do.ECHO),
    ),
    Case(
        "extensions go up",
        (get(fields=_UPGRADE + _KEY_LINE + _VERSION + _WISHES),),
        _sent(has=(*_WISHES.split(b"\r\n")[:3],)),
        _ECHO,
    ),
    Case(
        "extensions come down",
        (_ASK,),
        down(
            101, has=(b"Sec-WebSocket-Protocol: a", b"Sec-WebSocket-Extensions: permessage-deflate")
        ),
        always(
            _YES
            + b"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            Do.ECHO,
        ),
    ),
    Case("a frame right behind the request", (_ASK + _HELLO,), tunnelled(_HELLO), _ECHO),
    Case(
        "a frame right behind the 101",
        (_ASK,),
        tunnelled(b"\x81\x02hi"),
        always(_YES + b"\r\n\x81\x02hi", Do.SINK),
    ),
    Case(
        "a frame soon behind the 101",
        (_ASK,),
        tunnelled(b"\x81\x02hi"),
        always(_YES + b"\r\n", 0.1, b"\x81\x02hi", Do.SINK),
    ),
    Case(
        "the handshake byte by byte",
        (*pieces(_ASK, 1), _SWITCHED, _HELLO),
        tunnelled(_HELLO),
        _ECHO,
    ),
    Case(
        "the 101 byte by byte",
        (_ASK, _SWITCHED, _HELLO),
        tunnelled(_HELLO),
        always(*pieces(_YES + b"\r\n", 1), Do.ECHO),
    ),
    Case(
        "the app ends",
        (_ASK,),
        tunnelled(b"bye", end="closed"),
        always(_YES + b"\r\nbye", Do.CLOSE),
    ),
    Case(
        "the app sends a close frame and ends",
        (_ASK, _SWITCHED, _CLOSE),
        tunnelled(b"\x88\x02\x03\xe8", end="closed"),
        always(_YES + b"\r\n", 0.1, b"\x88\x02\x03\xe8", Do.CLOSE),
    ),
    Case(
        "the app half-closes",
        (_ASK, Until(b"bye"), 0.2, b"more"),
        every(down(101, body=b"bye"), ended("closed")),
        always(_YES + b"\r\nbye", Do.HALF, Do.SINK),
    ),
    Case(
        "the app resets",
        (_ASK,),
        every(down(101), ended("reset", "closed")),
        always(_YES + b"\r\nbye", 0.2, Do.RESET),
    ),
    Case("the client leaves", (_ASK, _SWITCHED, 0.1, Do.CLOSE), let_go, _ECHO),
    Case("the client resets", (_ASK, _SWITCHED, _HELLO, 0.1, Do.RESET), let_go, _ECHO),
    Case(
        "quiet beyond the time-outs of HTTP",
        (_ASK, _SWITCHED, 3.5, _HELLO),
        tunnelled(_HELLO),
        _ECHO,
    ),
    Case(
        "behind a plain request",
        (_PLAIN, Until(b"ok"), _ASK, Until(b" 101 "), 0.1, _HELLO),
        every(statuses(200, 101), down(101, body=_HELLO)),
        in_turn((OK,), (_YES + b"\r\n", Do.ECHO)),
    ),
    Case(
        "pipelined behind a plain request",
        (_PLAIN + _ASK,),
        every(statuses(200, 101), down(101, body=b"hi")),
        in_turn((OK,), (_YES + b"\r\nhi", Do.SINK)),
    ),
    _asked("capitals", b"UPGRADE: WebSocket\r\nCONNECTION: upgrade\r\n" + _KEY_LINE + _VERSION),
    _asked(
        "Connection is a list",
        b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" + _KEY_LINE + _VERSION,
    ),
    _asked(
        "two Connection lines",
        b"Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + _KEY_LINE
        + _VERSION,
    ),
    _asked(
        "blanks behind the values",
        b"Upgrade: websocket \r\nConnection:\tUpgrade \r\n" + _KEY_LINE + _VERSION,
    ),
    _asked(
        "offered among others",
        b"Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n" + _KEY_LINE + _VERSION,
    ),
    _asked("length 0", b"Content-Length: 0\r\n" + _UPGRADE + _KEY_LINE + _VERSION),
    _asked(
        "another order", _VERSION + _KEY_LINE + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    ),
    *(
        _refusal(f"refused {status}", status, _NO.replace(b"%d", b"%d" % status))
        for status in (200, 301, 302, 400, 401, 403, 404, 426, 429, 500, 503)
    ),
    _refusal(
        "refused in chunks",
        403,
        STREAM.replace(b"200 OK", b"403 No") + b"\r\n4\r\nnono\r\n0\r\n\r\n",
    ),
    _refusal("refused until close", 403, b"HTTP/1.1 403 No\r\n\r\nnono", Do.CLOSE),
    Case(
        "a refusal keeps the connection HTTP",
        (_ASK, Until(b"nono"), _PLAIN),
        statuses(403, 200),
        in_turn((_NO.replace(b"%d", b"403"),), (OK,)),
    ),
    Case(
        "another version",
        (get(fields=_UPGRADE + _KEY_LINE + b"Sec-WebSocket-Version: 8\r\n"),),
        down(426, has=(b"Sec-WebSocket-Version: 13",)),
        always(answer(b"Sec-WebSocket-Version: 13\r\n", line=b"426 x")),
    ),
    _incomplete("no key", get(fields=_UPGRADE + _VERSION)),
    _incomplete("no version", get(fields=_UPGRADE + _KEY_LINE)),
    _incomplete("two keys", get(fields=_UPGRADE + _KEY_LINE * 2 + _VERSION)),
    _incomplete("POST", sized(b"", _UPGRADE + _KEY_LINE + _VERSION)),
    _incomplete("HTTP/1.0", get(fields=_UPGRADE + _KEY_LINE + _VERSION, minor=0)),
    _incomplete("no Connection", get(fields=b"Upgrade: websocket\r\n" + _KEY_LINE + _VERSION)),
    _incomplete("h2c", get(fields=b"Upgrade: h2c\r\nConnection: Upgrade\r\n")),
    _incomplete(
        "another protocol", get(fields=b"Upgrade: foo\r\nConnection: Upgrade\r\n" + _KEY_LINE)
    ),
    _incomplete("HEAD", get(fields=_UPGRADE + _KEY_LINE + _VERSION, method=b"HEAD")),
    _lie("101 without Upgrade", b"HTTP/1.1 101 x\r\n\r\n"),
    _lie(
        "101 to another protocol", b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
    ),
    _lie("101 with a malformed field", _YES + b"X : y\r\n\r\n"),
    *(
        Case(
            f"101 {name}",
            (_ASK, Until(b" 101 "), 0.1, _HELLO),
            tunnelled(_HELLO),
            always(reply + b"\r\n", Do.ECHO),
        )
        for name, reply in (
            (
                "with another reason",
                _YES.replace(b"Switching Protocols", b"WebSocket Protocol Handshake"),
            ),
            ("without a reason", _YES.replace(b"Switching Protocols", b"")),
            (
                "with a list",
                _YES.replace(b"Connection: Upgrade", b"Connection: keep-alive, upgrade"),
            ),
            ("in capitals", _YES.replace(b"Upgrade: websocket", b"UPGRADE: WebSocket")),
            ("with length 0", _YES + b"Content-Length: 0\r\n"),
            ("with a wrong proof", _YES.replace(_PROOF[:4], b"xxxx")),
            ("without a proof", _YES.partition(b"Sec-")[0]),
            ("with Date and Server", _YES + b"Date: x\r\nServer: y\r\n"),
            ("after 103", b"HTTP/1.1 103 x\r\nLink: a\r\n\r\n" + _YES),
        )
    ),
]
