"""The event-stream parser, cut anywhere (WHATWG HTML, section 9.2)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.sse import LINE_BYTES_MAX, Beat, BrokenStream, Message, Parser

STREAM = (
    b": hi\r\nid: 7\nevent: job\ndata: a\ndata:b\r\r\ndata: \xe2\x98\x83\n\n"
    b"id\n\nevent: x\n\ndata\n\n"
)
WANTED = [Message("7", "job", "a\nb"), Message("7", "message", "☃"), Message("", "message", "")]


def read(*chunks: bytes) -> list[Message]:
    parser = Parser()
    out = [item for chunk in chunks for item in parser.feed(chunk)]
    return [item for item in out if isinstance(item, Message)]


def test_whole() -> None:
    assert read(STREAM) == WANTED


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_cut_anywhere_means_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[a:b] for a, b in itertools.pairwise(edges))) == WANTED


def test_comments_are_beats() -> None:
    assert [type(item) for item in Parser().feed(b": x\n\n:\n\n")] == [Beat, Beat]


def test_an_unfinished_event_is_not_dispatched() -> None:
    assert read(b"data: a\n") == []


def test_the_last_id_survives_a_reconnect() -> None:
    parser = Parser("41")
    assert list(parser.feed(b"data: a\n\n")) == [Message("41", "message", "a")]


@pytest.mark.parametrize("chunk", [b"x" * (LINE_BYTES_MAX + 1), b"data: aaaaaaaa\n" * 40_000])
def test_endless_events_are_dropped(chunk: bytes) -> None:
    with pytest.raises(BrokenStream):
        list(Parser().feed(chunk))
