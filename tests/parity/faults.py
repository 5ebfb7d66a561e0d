"""Slow, silent, dying and leaving ends: who is told what, and what is asked again (RFC 9110 section
9.2.2, RFC 9112 section 9). The waits fit ``doors.LIMIT_S``.
"""

from tests.parity.case import Case, Do, Saw, Script, Step, Until, Want
from tests.parity.messages import (
    CHUNKED,
    OK,
    STREAM,
    always,
    answer,
    chunked,
    get,
    in_turn,
    pieces,
    post,
    sized,
)
from tests.parity.wants import (
    cut,
    down,
    either,
    ended,
    every,
    let_go,
    nothing_went_up,
    passed,
    reached,
    said,
    shut_out,
    statuses,
    within,
)

_LATE_S = 4.0
_SOON_S = 3.0
"""A time-out of 1.5 s, and room for a busy machine."""
_HEAD = b"HTTP/1.1 200 OK\r\n"
_PART = _HEAD + b"Content-Length: 10\r\n\r\nhello"
_ONE = sized(b"ab")


def _timed_out(name: str, *steps: Step, ask: bytes = get()) -> Case:
    """The app is silent at first."""
    want = every(statuses(504), within(_SOON_S))
    return Case(name, (ask,), want, always(*steps), patience_s=_LATE_S)


def _stalls(name: str, *steps: Step, ask: bytes = get()) -> Case:
    """The app falls silent in the middle."""
    return Case(
        name, (ask,), every(cut, within(_SOON_S)), always(*steps, _LATE_S), patience_s=_LATE_S
    )


def _slow(name: str, *send: Step) -> Case:
    """The client falls silent: 408, or just the end, and nothing whole at the app."""
    want = every(shut_out, _only(408, 504), nothing_went_up, within(_SOON_S))
    return Case(name, send, want, always(OK), is_fresh=not send, patience_s=_LATE_S)


def _only(*allowed: int) -> Want:
    def want(saw: Saw) -> str:
        odd = [reply.status for reply in saw.finals if reply.status not in allowed]
        return f"answers {odd}" if odd else ""

    return want


def _leaves(name: str, ask: bytes, how: Do, *answers: Step, at_head: bool = False) -> Case:
    """The client goes; the app must hear of it soon."""
    script: Script = (ask, 0.3, how)
    return Case(name, script, let_go, always(*answers, Do.SINK), at_head=at_head, patience_s=0.6)


def _dies(name: str, ask: bytes, want: Want, *last: Step) -> Case:
    """A connection that served one request dies when it gets the next."""

    def answers(number: int, request: bytes) -> Script:
        return last if number == 2 else (OK,)

    return Case(name, (get(), Until(b"ok"), 0.1, ask), want, answers)


def _fresh(name: str, ask: bytes, *last: Step) -> Case:
    """A new connection dies over its first request: nobody knows what the app did; no retry."""
    return Case(name, (ask,), every(statuses(502), reached(1)), always(*last), is_fresh=True)


CASES = [
    _timed_out("the app is silent", _LATE_S, OK),
    _timed_out("the app is silent over a POST", _LATE_S, OK, ask=_ONE),
    _timed_out("the app is silent over chunks", _LATE_S, OK, ask=chunked(b"2\r\nab\r\n0\r\n\r\n")),
    _timed_out("half a head, then silence", _HEAD, _LATE_S, OK),
    _timed_out("an answer's head that drips", *pieces(_HEAD + b"X: " + b"y" * 20, 1, 0.3)),
    _timed_out("103, then silence", b"HTTP/1.1 103 x\r\n\r\n", _LATE_S),
    _stalls("a body stalls", _PART),
    _stalls("a body stalls at its start", _HEAD + b"Content-Length: 10\r\n\r\n"),
    _stalls("chunks stall", STREAM + b"\r\n5\r\nhello\r\n"),
    _stalls("a chunk stalls", STREAM + b"\r\n5\r\nhel"),
    _stalls("until close stalls", _HEAD + b"\r\nhello"),
    _stalls("until close stalls, 1.0 client", _HEAD + b"\r\nhello", ask=get(minor=0)),
    Case("a steady slow head", (get(),), passed, always(0.9, OK), patience_s=_LATE_S),
    Case(
        "a steady slow body",
        (get(),),
        down(body=b"xxxxx"),
        always(_HEAD + b"Content-Length: 5\r\n\r\n", *(0.8, b"x") * 5),
        patience_s=8.0,
    ),
    Case(
        "steady slow chunks",
        (get(),),
        down(body=b"xxxxx"),
        always(STREAM + b"\r\n", *(0.8, b"1\r\nx\r\n") * 5, b"0\r\n\r\n"),
        patience_s=8.0,
    ),
    _slow("silent from the first"),
    _slow("silent behind the line", b"GET / HTTP/1.1\r\n"),
    _slow("silent in the line", b"GET /"),
    _slow("silent before the empty line", get()[:-2]),
    _slow("a head that drips", *(step for byte in b"GET / HT" for step in (bytes([byte]), 0.4))),
    _slow("fields that drip", b"GET / HTTP/1.1\r\n", *(b"X: y\r\n", 0.4) * 6),
    _slow("silent before the body", post(b"Content-Length: 10\r\n", b"")),
    _slow("silent in the body", post(b"Content-Length: 10\r\n", b"hello")),
    _slow("silent in a chunk", chunked(b"5\r\nhel")),
    _slow("silent between chunks", chunked(b"5\r\nhello\r\n")),
    _slow("silent before the last CRLF", chunked(b"5\r\nhello\r\n0\r\n")),
    _slow("silent in a trailer", chunked(b"5\r\nhello\r\n0\r\nX: ")),
    Case(
        "a steady slow upload",
        (post(b"Content-Length: 5\r\n", b""), *(0.8, b"x") * 5),
        passed,
        always(OK),
    ),
    Case(
        "steady slow chunks up",
        (post(CHUNKED, b""), *(0.8, b"1\r\nx\r\n") * 4, b"0\r\n\r\n"),
        passed,
        always(OK),
    ),
    Case(
        "idle between requests", (get(), Until(b"ok"), 2.5, get()), statuses(200, 200), always(OK)
    ),
    Case("idle, then a POST", (_ONE, Until(b"ok"), 2.5, _ONE), statuses(200, 200), always(OK)),
    _leaves("leaves while it waits", get(), Do.CLOSE),
    _leaves("resets while it waits", get(), Do.RESET),
    _leaves("leaves while a POST waits", _ONE, Do.CLOSE),
    _leaves("leaves in an upload", post(b"Content-Length: 100\r\n", b"hello"), Do.CLOSE),
    _leaves("resets in an upload", post(b"Content-Length: 100\r\n", b"hello"), Do.RESET),
    _leaves("leaves in chunks", chunked(b"5\r\nhello\r\n"), Do.CLOSE),
    _leaves("leaves in a download", get(), Do.CLOSE, _PART),
    _leaves("resets in a download", get(), Do.RESET, _PART),
    _leaves(
        "leaves an endless stream", get(), Do.CLOSE, *(STREAM + b"\r\n", *(b"1\r\nx\r\n", 0.1) * 20)
    ),
    _leaves(
        "leaves before 100",
        post(b"Expect: 100-continue\r\nContent-Length: 2\r\n", b""),
        Do.CLOSE,
        at_head=True,
    ),
    Case(
        "an upload that was left is never completed",
        (post(b"Content-Length: 10\r\n", b"hello"), 0.2, Do.CLOSE),
        every(nothing_went_up, let_go),
        always(OK),
        patience_s=1.5,
    ),
    Case(
        "the app closes an idle connection",
        (get(), Until(b"ok"), 0.3, get()),
        statuses(200, 200),
        in_turn((OK, 0.1, Do.CLOSE), (OK,)),
    ),
    Case(
        "the app closes an idle connection before a POST",
        (get(), Until(b"ok"), 0.3, _ONE),
        statuses(200, 200),
        in_turn((OK, 0.1, Do.CLOSE), (OK,)),
    ),
    Case(
        "the app closes just after it answered",
        (get(), Until(b"ok"), get(), Until(b"okHTTP"), get()),
        statuses(200, 200, 200),
        always(OK, Do.CLOSE),
    ),
    *(
        _dies(
            f"{method.decode()} on a connection that dies",
            get(b"/2", method=method),
            every(statuses(200, 200), reached(3)),
            Do.CLOSE,
        )
        for method in (b"GET", b"DELETE", b"OPTIONS")
    ),
    _dies(
        "GET on a connection that resets",
        get(b"/2"),
        every(statuses(200, 200), reached(3)),
        Do.RESET,
    ),
    _dies(
        "PUT on a connection that dies",
        sized(b"ab", method=b"PUT"),
        either(every(statuses(200, 200), reached(3)), every(statuses(200, 502), reached(2))),
        Do.CLOSE,
    ),
    _dies("POST on a connection that dies", _ONE, every(statuses(200, 502), reached(2)), Do.CLOSE),
    _dies(
        "POST on a connection that resets", _ONE, every(statuses(200, 502), reached(2)), Do.RESET
    ),
    _dies(
        "PATCH on a connection that dies",
        sized(b"ab", method=b"PATCH"),
        every(statuses(200, 502), reached(2)),
        Do.CLOSE,
    ),
    _dies(
        "chunks on a connection that dies",
        chunked(b"2\r\nab\r\n0\r\n\r\n"),
        every(statuses(200, 502), reached(2)),
        Do.CLOSE,
    ),
    _dies(
        "GET on a connection that dies in the answer",
        get(b"/2"),
        every(reached(2), either(statuses(200, 502), ended("closed", "reset"))),
        _HEAD,
        Do.CLOSE,
    ),
    _fresh("GET on a new connection that dies", get(), Do.CLOSE),
    _fresh("GET on a new connection that resets", get(), Do.RESET),
    _fresh("POST on a new connection that dies", _ONE, Do.CLOSE),
    _fresh("POST on a new connection that resets", _ONE, Do.RESET),
    Case(
        "a GET that always dies is asked twice at most",
        (get(), Until(b"ok"), 0.1, get(b"/2")),
        every(statuses(200, 502), lambda saw: "" if len(saw.requests) <= 3 else "asked too often"),
        in_turn((OK,), (Do.CLOSE,)),
    ),
    Case(
        "the app leaves an upload without an answer",
        (post(b"Content-Length: 1000000\r\n", b"x" * 1000), *pieces(b"y" * 200000, 5000)),
        every(down(502), nothing_went_up),
        always(Do.CLOSE),
        at_head=True,
    ),
    Case(
        "the app refuses an upload and resets",
        (post(b"Content-Length: 1000000\r\n", b"x" * 1000), *pieces(b"y" * 100000, 5000)),
        either(down(413), down(502)),
        always(answer(line=b"413 No"), 0.05, Do.RESET),
        at_head=True,
    ),
    Case(
        "after a 504 the app's late answer is nobody's",
        (get(), Until(b" 504 "), get(b"/2")),
        lambda saw: "late" if b"LATE" in saw.raw else "",
        in_turn((2.5, answer(body=b"LATE")), (OK,)),
        patience_s=_LATE_S,
        least_s=2.8,
    ),
    Case(
        "a client that reads late",
        (get(), 2.5),
        down(body=b"z" * 3000000),
        always(answer(body=b"z" * 3000000)),
    ),
    Case(
        "an error page is no fault",
        (get(),),
        every(down(503, body=b"ok"), said(b"503")),
        always(answer(line=b"503 x")),
    ),
]
