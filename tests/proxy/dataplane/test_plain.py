"""Plain heads: what each line means to the hot plane, and that whatever it takes llhttp and the
general plane take as well, and read the same way.
"""

import os
import random
from collections.abc import Iterator
from typing import Any

import httptools
import pytest

from proxy.dataplane.headers import pairs
from proxy.dataplane.hot import IDLE, Hot
from proxy.dataplane.plain import (
    HARMLESS,
    HOST,
    LINE_BYTES_MAX,
    LINES_MAX,
    NAMES_MAX,
    ODD,
    OF_THIS_HOP,
    SHORT,
    STATUSES_MAX,
    TRACE,
    Lines,
    answer_lines,
    request_lines,
    status_of,
    trace_in,
    without,
)
from proxy.dataplane.request_head import RequestHead, read_request
from proxy.dataplane.response_head import ResponseHead, read_response
from proxy.dataplane.upstream import Link
from tests.support.memory import Pipe, World

MESSAGES = 300_000 if os.environ.get("SELFHEAL_CAMPAIGN") == "full" else 20_000
NO_LIMIT = 1 << 30
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def meaning_of(lines: Lines, line: bytes) -> int:
    """What a line means must not depend on whether it, or its name, was seen before."""
    first = lines.learn(line)
    assert lines.known.get(line, first) == lines.learn(line) == first
    return first


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        (b"Content-Length: 0", 1),
        (b"content-length: 17", 18),
        (b"CONTENT-LENGTH: 5", 6),
        (b"X-Content-Length: 9", HARMLESS),
        (b"Content-Length:5", ODD),
        (b"Content-Length:\t5", ODD),
        (b"Content-Length:  5", ODD),
        (b"Content-Length: 999999999999999999", 10**18),
        (b"Content-Length: 1000000000000000000", ODD),
        (b"Content-Length: 05", ODD),
        (b"Content-Length: +5", ODD),
        (b"Content-Length: 5 ", ODD),
        (b"Content-Length:", ODD),
        (b"Content-Length: 5,5", ODD),
        (b"Content-Length: \xb2", ODD),
        (b"Content-Length : 5", ODD),
        (b"Transfer-Encoding: chunked", ODD),
        (b"tRANSFER-eNCODING: identity", ODD),
        (b"TE: trailers", ODD),
        (b"Upgrade: h2c", ODD),
        (b"Expect: 100-continue", ODD),
        (b"Keep-Alive: 5", ODD),
        (b"Proxy-Connection: close", ODD),
        (b"Connection: keep-alive", OF_THIS_HOP),
        (b"connection:Keep-Alive", OF_THIS_HOP),
        (b"Connection: close", ODD),
        (b"Connection: keep-alive, X", ODD),
        (b"Connection:", ODD),
        (b"host: b", HOST),
        (b"Host: Example.com:8080", HOST),
        (b"Host: 10.0.0.1:6553", HOST),
        (b"Host: ", ODD),
        (b"Host: a b", ODD),
        (b"Host: a/b", ODD),
        (b"Host: [::1]", ODD),
        (b"Host: a:70000", ODD),
        (b"Host: a,b", ODD),
        (b"Host: a\xe9", ODD),
        (b"X: a", HARMLESS),
        (b"X:", HARMLESS),
        (b"X:\t\xe9 \xff", HARMLESS),
        (b" folded: 1", ODD),
        (b"\tfolded", ODD),
        (b"", ODD),
        (b":", ODD),
        (b": a", ODD),
        (b"X", ODD),
        (b"X\xe9: a", ODD),
        (b"X: \x7f", ODD),
        (b"X: a\r", ODD),
        (b"X: a\nb", ODD),
        (b"X: \x00", ODD),
        (b"Content-Type: x", HARMLESS),
        (b"cookie: c", HARMLESS),
        (b"Cookie2: c", HARMLESS),
        (b"Upgrade-Me: no", HARMLESS),
        (b"Tea: pot", HARMLESS),
        (b"traceparent: x", TRACE),
        (b"Sentry-Trace:", TRACE),
    ],
)
def test_lines_of_a_request(line: bytes, meaning: int) -> None:
    assert meaning_of(request_lines(), line) == meaning


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        (b"Content-Length: 3", 4),
        (b"Connection: close", ODD),
        (b"Connection: keep-alive", OF_THIS_HOP),
        (b"Keep-Alive: timeout=5", OF_THIS_HOP),
        (b"Transfer-Encoding: chunked", ODD),
        (b"Upgrade: h2c", ODD),
        (b"TE: x", ODD),
        (b"Host: a b", HARMLESS),
        (b"Expect: y", HARMLESS),
        (b"traceparent: x", HARMLESS),
        (b"Content-Encoding: gzip", HARMLESS),
        (b" folded", ODD),
        (b"HTTP/1.1 200 OK", ODD),
    ],
)
def test_lines_of_an_answer(line: bytes, meaning: int) -> None:
    assert meaning_of(answer_lines(), line) == meaning


def test_lines_are_learned_up_to_a_bound() -> None:
    lines = request_lines()
    for n in range(2 * LINES_MAX + 3):
        assert lines.learn(b"Host: h%d" % n) == HOST
    assert len(lines.known) == 3, "full, it begins anew"
    assert lines.learn(b"X: " + b"c" * LINE_BYTES_MAX) == HARMLESS
    assert len(lines.known) == 3


def test_a_flood_of_names_changes_no_meaning() -> None:
    lines = request_lines()
    for n in range(2 * NAMES_MAX + 3):
        assert lines.learn(b"X-%d: a" % n) == HARMLESS
        assert lines.learn(b"X-%d a" % n) == lines.learn(b"X %d: a" % n) == ODD
    assert lines.learn(b"X" * 100 + b": a") == HARMLESS
    assert lines.learn(b"Transfer-Encoding: chunked") == ODD


@pytest.mark.parametrize("name", [b"Cookie", b"AUTHORIZATION", b"Referer", b"If-None-Match"])
def test_what_opens_doors_or_is_always_new_is_not_remembered(name: bytes) -> None:
    lines = request_lines()
    assert lines.learn(name + b": abc") == HARMLESS
    assert lines.learn(name + b": a\x00c") == ODD
    assert lines.known == {}


def test_the_trace_is_the_first_that_is_one_and_traceparent_goes_first() -> None:
    parent = b"traceparent: 00-" + TRACE_ID.encode() + b"-b7ad6b7169203331-01 "
    sentry = b"Sentry-Trace: " + b"1" * 32 + b"-" + b"2" * 16
    rubbish = b"Traceparent: rubbish"
    assert trace_in([sentry, rubbish, parent, parent.replace(b"af", b"bf")]) == TRACE_ID
    assert trace_in([rubbish, sentry]) == "1" * 32
    assert trace_in([rubbish]) is None


def test_a_line_of_this_hop_goes_and_nothing_else() -> None:
    kept, timed = b"Connection: keep-alive", b"Keep-Alive: timeout=5"
    head = b"\r\n".join(
        [b"HTTP/1.1 200 OK", b"X-" + kept, kept, timed, b"Content-Length: 9", b"", b""]
    )
    body = b"\r\n" + kept + b"\r\n"
    left = head.replace(b"\r\n" + kept, b"").replace(b"\r\n" + timed, b"")
    assert without(without(head + body, kept), timed) == left + body
    long = body * SHORT
    assert without(without(head + long, kept), timed) == left + long
    twice = head.replace(b"\r\n" + kept, 2 * (b"\r\n" + kept))
    assert without(without(without(twice + body, kept), kept), timed) == left + body


def test_status_lines_are_learned_up_to_a_bound() -> None:
    known: dict[bytes, int] = {}
    assert status_of(b"HTTP/1.1 200 OK", known) == 200
    assert known == {b"HTTP/1.1 200 OK": 200}
    assert status_of(b"HTTP/1.1 206 \xe9\t", known) == 206
    for line in (
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 200",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 302 Found",
        b"HTTP/1.1 200 O\x00K",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 2000 OK",
        b"",
    ):
        assert status_of(line, known) == 0
    for n in range(2 * STATUSES_MAX):
        assert status_of(b"HTTP/1.1 200 reason %d" % n, known) == 200
    assert len(known) == STATUSES_MAX


# What the hot plane takes, llhttp takes.


class Told:
    """What llhttp says about one message."""

    parser: Any

    def __init__(self) -> None:
        self.stays = False
        self.url = self.body = self.reason = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.ends = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.stays = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.ends += 1


class HandedOver(Exception):
    """The hot plane gave the message to the general one."""


class Door(Pipe):
    def set_protocol(self, protocol: object) -> None:
        raise HandedOver


class Field:
    """A hot plane without sockets, whose memory of lines lives from one message to the next."""

    def __init__(self) -> None:
        self.world = World(random.Random(1), lambda _: (b"", False), hot=True, cuts=0)
        self.plane = self.world.plane

    def taken(self, raw: bytes) -> Hot | None:
        """A connection with the request ``raw`` under way, or None when it was handed over."""
        hot = Hot(self.plane)
        hot.connection_made(Door(self.world))
        self.plane.connections.clear()
        self.world.later.clear()
        try:
            hot.data_received(raw)
        except HandedOver:
            return None
        return hot

    def answered(self, raw: bytes) -> Hot | None:
        """A connection after the answer ``raw``, whole or not, or None when it was handed over."""
        hot = self.taken(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert hot is not None
        link = Link(self.plane.upstream)
        link.connection_made(Door(self.world))  # type: ignore[arg-type] # as much as is used
        hot.link_ready(link)
        try:
            link.data_received(raw)
        except HandedOver:
            return None
        finally:
            link.abort()
        return hot


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    field = Field()
    yield field
    field.world.close()


def by_llhttp(raw: bytes, parser_of: Any) -> tuple[Told, Any]:
    """What llhttp hears; fails when it refuses ``raw``, or leaves at an upgrade."""
    told = Told()
    told.parser = parser = parser_of(told)
    parser.feed_data(raw)
    assert parser.get_http_version() == "1.1"
    assert told.stays
    return told, parser


def check_both(
    raw: bytes, told: Told, parser: Any, head: RequestHead | ResponseHead, left: int
) -> None:
    """The fields, the bytes of the body and its end are the same to llhttp and to ``head``."""
    end = raw.index(b"\r\n\r\n") + 4
    assert head.lines == raw[: end - 4].split(b"\r\n")[1:]
    assert [(name, value.strip(b" \t")) for name, value in told.fields] == pairs(head.lines)
    assert not head.close
    assert told.body == raw[end:]
    assert head.length == len(told.body) + left
    assert told.ends == (0 if left else 1)
    if left:
        parser.feed_data(b"b" * min(left - 1, 1000))
        assert told.ends == 0
        if left <= 1000:
            parser.feed_data(b"b")
            assert told.ends == 1


def check_request(field: Field, raw: bytes) -> bool:
    """True when the hot plane took it; then all three readers read the same."""
    hot = field.taken(raw)
    if hot is None:
        return False
    told, parser = by_llhttp(raw, httptools.HttpRequestParser)
    request = read_request(raw[: raw.index(b"\r\n\r\n") + 4], NO_LIMIT, NO_LIMIT)
    assert parser.get_method() == request.method == hot.method.encode()
    assert told.url == request.target == hot.target
    assert request.length == hot.length
    check_both(raw, told, parser, request, hot.left)
    return True


def check_answer(field: Field, raw: bytes) -> bool:
    """The same of an answer to GET."""
    hot = field.answered(raw)
    if hot is None:
        return False
    told, parser = by_llhttp(raw, httptools.HttpResponseParser)
    response = read_response(raw[: raw.index(b"\r\n\r\n") + 4], b"GET", NO_LIMIT, NO_LIMIT)
    assert parser.get_status_code() == response.status == hot.status
    assert told.reason == response.reason
    assert response.length == hot.answer_length
    check_both(raw, told, parser, response, 0 if hot.state == IDLE else hot.answer_left)
    return True


REQUEST = (
    b"POST /a?b#c HTTP/1.1\r\nHost: a\r\nX-N: v w\r\nConnection: keep-alive\r\n"
    b"Content-Length: 3\r\n\r\nabc"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nX-N: v w\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n"
    b"Content-Length: 3\r\n\r\nabc"
)


@pytest.mark.parametrize("gone", [0, 1], ids=["put in", "in place of another"])
@pytest.mark.parametrize("is_answer", [False, True], ids=["request", "answer"])
def test_no_byte_at_any_place_makes_the_readers_differ(
    field: Field, is_answer: bool, gone: int
) -> None:
    check, base = (check_answer, ANSWER) if is_answer else (check_request, REQUEST)
    end = base.index(b"\r\n\r\n") + 4
    taken = tried = 0
    for place in range(end + 1):
        for byte in range(256):
            tried += 1
            taken += check(field, base[:place] + bytes([byte]) + base[place + gone :])
    assert check(field, base)
    # a reader that refuses all, or takes all, would pass everything above
    assert tried // 16 < taken < tried // 2


NAMES = [
    b"Host", b"Content-Length", b"Content-length", b"Connection", b"Keep-Alive", b"Cookie", b"X",
    b"Transfer-Encoding", b"Upgrade", b"Proxy-Connection", b"TE", b"Expect", b"Trailer", b"ETag",
    b"Content-Lengt", b"Content-Lengthx", b"Connectio", b"Upgrades", b"traceparent",
    b"!#$%&'*+-.^_`|~",
]  # fmt: skip
VALUES = [
    b"", b" ", b" a", b"a", b" 0", b" 3", b" 3 ", b" 5", b" 03", b" +3", b" 3,3", b" keep-alive",
    b" Keep-Alive ", b" close", b" keep-alive, x", b" chunked", b" \xe9\xff", b"\ta\t", b" h2c",
    b" 99999999999999999", b" 18446744073709551617", b" a:80", b" a b",
]  # fmt: skip
NOISE = [
    b"HTTP/1.1 2000 x",
    b"",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n ",
    b"\r\n\t",
    b"\0",
    b"\x7f",
    b"\x0b",
    b" ",
    b"\t",
    b":",
    b"\xa0",
]
STARTS = [
    b"GET / HTTP/1.1", b"POST /a HTTP/1.1", b"DELETE /?#? HTTP/1.1", b"OPTIONS /* HTTP/1.1",
    b"PUT //h/../%zz\\|^`{}\"<>' HTTP/1.1", b"PATCH /a HTTP/1.1", b"OPTIONS * HTTP/1.1",
    b"GET  / HTTP/1.1", b"get / HTTP/1.1", b"GET /\xe9 HTTP/1.1", b"GET / HTTP/1.0", b"",
    b"GET / HTTP/1.1 ", b"FOO / HTTP/1.1", b"CONNECT / HTTP/1.1", b"GET http://a/ HTTP/1.1", b"GET",
]  # fmt: skip
STATUSES = [
    b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ", b"HTTP/1.1 200", b"HTTP/1.1 205 \xe9\t", b"",
    b"HTTP/1.1 299 x", b"HTTP/1.1 204 No", b"HTTP/1.1 304 x", b"HTTP/1.1 100 x", b"HTTP/1.0 200 OK",
    b"HTTP/1.1 2000 x",
]  # fmt: skip
PLAIN = [b"Connection: keep-alive", b"Cookie: a", b"X-N:", b"Accept: \xe9\t", b'ETag: "a"']
BODIES = [b"", b"abc", b"ab", b"abc", b"abcde", b"abc\r\n"]


def near_the_border(rng: random.Random, starts: list[bytes], needed: list[bytes]) -> bytes:
    """A message that is plain but for a line or a byte or two, and often is."""
    start = rng.choice(starts[:2]) if rng.random() < 0.5 else rng.choice(starts)
    lines = [*rng.choices(PLAIN, k=rng.randrange(3)), *needed]
    if rng.random() < 0.5:
        colon = rng.choice([b":", b":", b":", b" :", b""])
        lines.append(rng.choice(NAMES) + colon + rng.choice(VALUES))
    rng.shuffle(lines)
    raw = b"\r\n".join([start, *lines, b"", b""])
    for _ in range(rng.choice([0, 0, 1, 2])):
        at = rng.randrange(len(raw))
        noise = rng.choice(NOISE) if rng.random() < 0.7 else rng.randbytes(1)
        raw = raw[:at] + noise + raw[at + rng.randrange(3) :]
    return raw + rng.choice(BODIES)


@pytest.mark.campaign
@pytest.mark.parametrize("is_answer", [False, True], ids=["requests", "answers"])
def test_what_it_takes_the_others_read_the_same(field: Field, is_answer: bool) -> None:
    rng = random.Random(int(is_answer))
    length = b"Content-Length: 3"
    taken = 0
    for _ in range(MESSAGES):
        if is_answer:
            taken += check_answer(field, near_the_border(rng, STATUSES, [length]))
        else:
            needed = rng.choice([[b"Host: a"], [b"Host: a", length]])
            taken += check_request(field, near_the_border(rng, STARTS, needed))
    assert MESSAGES // 12 < taken < MESSAGES // 2
