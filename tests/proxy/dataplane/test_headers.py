"""What goes on and what stays, over any list of header lines."""

import re

import h11
from hypothesis import given
from hypothesis import strategies as st

from proxy.dataplane.framing import CHUNKED, LENGTH
from proxy.dataplane.headers import (
    HOP_BY_HOP,
    request_block,
    response_block,
    trace_of,
    trailer_block,
)
from proxy.dataplane.request_head import read_request
from proxy.dataplane.response_head import read_response

token = st.from_regex(rb"[A-Za-z!#$%&'*+.^_`|~0-9-]{1,12}", fullmatch=True)
value = st.from_regex(rb"([!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?", fullmatch=True)
DECIDES = {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"}
lines = st.lists(st.tuples(token, value).filter(lambda p: p[0].lower() not in DECIDES), max_size=20)
BIG = 1 << 20


@given(
    lines,
    st.lists(token, max_size=3),
    st.sampled_from([b"", b"Content-Length: 3", b"TRANSFER-encoding: Chunked"]),
)
def test_a_request_keeps_everything_but_this_hops_own(
    fields: list[tuple[bytes, bytes]], options: list[bytes], framing: bytes
) -> None:
    raw = [b"GET /x HTTP/1.1", b"Host: a", *(n + b":" + v for n, v in fields)]
    raw += [framing] if framing else []
    raw += [b"Connection: " + b", ".join(options)] if options else []
    request = read_request(b"\r\n".join([*raw, b"", b""]), BIG, 1000)
    block = request_block(request, b"up", [], frozenset())
    named = {o.lower() for o in options}
    kept = [n + b":" + v for n, v in fields if n.lower() not in HOP_BY_HOP | named]
    out = block.split(b"\r\n")
    assert out[2 : 2 + len(kept)] == kept
    assert out[:2] == raw[:2]
    expected = {
        b"": [],
        b"Content-Length: 3": [b"Content-Length: 3"],
        b"TRANSFER-encoding: Chunked": [b"TRANSFER-encoding: chunked"],
    }[framing]
    assert out[2 + len(kept) :] == [*expected, b"", b""]
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=BIG)
    parser.receive_data(block)
    assert isinstance(parser.next_event(), h11.Request)


@given(lines)
def test_an_answer_keeps_its_lines_in_order(fields: list[tuple[bytes, bytes]]) -> None:
    raw = b"\r\n".join(
        [b"HTTP/1.1 200 OK", *(n + b": " + v for n, v in fields), b"Content-Length: 1", b"", b""]
    )
    response = read_response(raw, b"GET", BIG, 1000)
    block = response_block(response, minor=1, close=False, keep_alive=False, chunk=False, added=[])
    kept = [n + b": " + v for n, v in fields if n.lower() not in HOP_BY_HOP]
    assert block.split(b"\r\n")[1:-3] == kept
    assert response.kind == LENGTH


def test_trailers_never_carry_what_frames_or_routes() -> None:
    block = trailer_block(
        [b"X: 1", b"Host: evil", b"Transfer-Encoding: chunked", b"Content-Length: 1", b"Y: 2"]
    )
    assert block == b"0\r\nX: 1\r\nY: 2\r\n\r\n"


@given(st.binary(max_size=80))
def test_a_trace_is_32_hex_digits_or_none(text: bytes) -> None:
    found = trace_of(text)
    assert found is None or re.fullmatch("[0-9a-f]{32}", found)


def test_chunked_answers_are_told_as_such() -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n"
    assert read_response(raw, b"GET", BIG, 100).kind == CHUNKED
