"""Plain heads: what the hot plane may read itself, and that llhttp refuses what it does not look
at.
"""

from types import SimpleNamespace

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dataplane.plain import (
    LINE_BYTES_MAX,
    LINES_MAX,
    ODD,
    SHORT,
    STATUSES_MAX,
    Notes,
    answer_length,
    request_length,
    status_of,
    without,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"


def asked(*lines: bytes) -> int:
    """What a head means must not depend on whether its lines were seen before."""
    known: dict[bytes, int] = {}
    first, again = (request_length([b"Host: a", *lines], known, Notes()) for _ in range(2))
    assert first == again
    return first


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ([], 0),
        ([b"Content-Length: 0"], 0),
        ([b"content-length: 17", b"X-Content-Length: 9"], 17),
        ([b"CONTENT-LENGTH: 5"], 5),
        ([b"Content-Length:5"], ODD),
        ([b"Content-Length:\t5"], ODD),
        ([b"Content-Length:  5"], ODD),
        ([b"Content-Length: 999999999999999999"], 999999999999999999),
        ([b"Content-Length: 1000000000000000000"], ODD),
        ([b"Content-Length: 5", b"Content-Length: 5"], ODD),
        ([b"Content-Length: 05"], ODD),
        ([b"Content-Length: +5"], ODD),
        ([b"Content-Length: 5 "], ODD),
        ([b"Content-Length:"], ODD),
        ([b"Content-Length: 5,5"], ODD),
        ([b"Content-Length: \xb2"], ODD),
        ([b"Transfer-Encoding: chunked"], ODD),
        ([b"tRANSFER-eNCODING: identity"], ODD),
        ([b"TE: trailers"], ODD),
        ([b"Upgrade: h2c"], ODD),
        ([b"Expect: 100-continue"], ODD),
        ([b"Keep-Alive: 5"], ODD),
        ([b"Proxy-Connection: close"], ODD),
        ([b"Connection: keep-alive"], 0),
        ([b"connection:Keep-Alive"], 0),
        ([b"Connection: close"], ODD),
        ([b"Connection: keep-alive, X"], ODD),
        ([b"Connection:"], ODD),
        ([b"host: b"], ODD),
        ([b"X: a", b" folded: 1"], ODD),
        ([b"X: a", b"\tfolded"], ODD),
        ([b"Content-Type: x", b"cookie: c", b"Cookie2: c", b"Upgrade-Me: no", b"Tea: pot"], 0),
    ],
)
def test_requests(lines: list[bytes], length: int) -> None:
    assert asked(*lines) == length
    assert asked(*lines[::-1]) == length, "order means nothing"


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ([], ODD),
        ([b"Content-Length: 3"], 3),
        ([b"Content-Length: 3", b"content-length: 3"], ODD),
        ([b"Content-Length: 3", b"Transfer-Encoding: chunked"], ODD),
        ([b"Content-Length: 3", b"Connection: close"], ODD),
        ([b"Content-Length: 3", b"Connection: keep-alive", b"Keep-Alive: timeout=5"], 3),
        ([b"Content-Length: 3", b"Upgrade: h2c"], ODD),
        ([b"Content-Length: 3", b"Content-Encoding: gzip", b"Host: x", b"Expect: y"], 3),
        ([b"Content-Length: 3", b" folded"], ODD),
    ],
)
def test_answers(lines: list[bytes], length: int) -> None:
    known: dict[bytes, int] = {}
    for _ in range(2):
        assert answer_length([b"HTTP/1.1 200 OK", *lines], known, Notes()) == length


def test_a_request_names_one_valid_host() -> None:
    known: dict[bytes, int] = {}
    assert request_length([], known, Notes()) == ODD
    for value in (b"a", b"Example.com:8080", b"10.0.0.1:6553"):
        assert request_length([b"Host: " + value], known, Notes()) == 0
        assert b"Host: " + value in known
    for value in (b"", b"a b", b"a/b", b"[::1]", b"a:70000", b"a,b", b"a\xe9"):
        assert request_length([b"Host: " + value], known, Notes()) == ODD


def test_lines_are_learned_up_to_a_bound() -> None:
    known: dict[bytes, int] = {}
    for n in range(2 * LINES_MAX + 3):
        assert request_length([b"Host: h%d" % n], known, Notes()) == 0
    assert len(known) == 3, "full, it begins anew"
    assert request_length([b"Host: h", b"Cookie: " + b"c" * LINE_BYTES_MAX], known, Notes()) == 0
    assert len(known) == 4


def test_notes_say_which_lines_are_of_this_hop_and_which_trace() -> None:
    notes = Notes()
    request_length([b"Host: a", b"Connection: keep-alive"], {}, notes)
    assert (notes.hop_lines, notes.take_trace()) == ([b"Connection: keep-alive"], None)
    notes = Notes()
    answer_length([b"Content-Length: 0", b"Keep-Alive: 5"], {}, notes)
    assert notes.hop_lines == [b"Keep-Alive: 5"]
    notes = Notes()
    lines = [
        b"Host: a",
        b"sentry-trace: " + b"1" * 32 + b"-" + b"2" * 16,
        b"Traceparent: rubbish",
        b"traceparent: 00-" + TRACE.encode() + b"-b7ad6b7169203331-01 ",
    ]
    assert request_length(lines, {}, notes) == 0
    assert notes.take_trace() == TRACE


def test_lines_of_this_hop_go_and_nothing_else() -> None:
    kept, timed = b"Connection: keep-alive", b"Keep-Alive: timeout=5"
    head = b"\r\n".join(
        [b"HTTP/1.1 200 OK", b"X-" + kept, kept, timed, b"Content-Length: 9", b"", b""]
    )
    body = b"\r\n" + kept + b"\r\n"
    left = head.replace(b"\r\n" + kept, b"").replace(b"\r\n" + timed, b"")
    assert without(head + body, [kept, timed]) == left + body
    assert without(head + body, []) == head + body
    long = body * SHORT
    assert without(head + long, [kept, timed]) == left + long
    twice = head.replace(b"\r\n" + kept, 2 * (b"\r\n" + kept))
    assert without(twice + body, [kept, kept, timed]) == left + body


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


def accepts(head: bytes) -> bool:
    still_open = [True]
    parser = httptools.HttpRequestParser(SimpleNamespace(on_message_complete=still_open.clear))
    try:
        parser.feed_data(head)
    except httptools.HttpParserError:
        return False
    return not still_open


@pytest.mark.parametrize("place", [b"/", b"/a", b"/?", b"/?a", b"/#", b"/a?b#c"])
def test_llhttp_alone_lets_no_byte_into_a_target_that_does_not_belong_there(place: bytes) -> None:
    for byte in {*range(256)} - {*range(0x21, 0x7F)}:
        assert not accepts(b"GET " + place + bytes([byte]) + b"z HTTP/1.1\r\nHost: a\r\n\r\n")


@given(st.sampled_from([b"\n", b"\r", b"\r\n ", b"\r\n\t", b"\0", b"\x7f", b"\x0b\n"]), st.data())
def test_llhttp_alone_refuses_what_would_hide_a_line(hidden: bytes, data: st.DataObject) -> None:
    value = data.draw(st.text("ab:", max_size=4)).encode()
    line = b"X: " + value + hidden + b"Content-Length: 5"
    assert not accepts(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n")
