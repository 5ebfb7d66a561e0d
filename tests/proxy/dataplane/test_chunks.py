"""The chunk reader: the same content however the bytes are cut, and an exact end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dataplane.chunks import EXTENSION_BYTES_MAX, BadChunk, ChunkReader, frame

chunkings = st.lists(st.binary(min_size=1, max_size=50), max_size=8)
extensions = st.sampled_from([b"", b";a", b";a=b", b';a="b c"', b"; a = b"])


@given(
    chunkings,
    st.lists(extensions, min_size=9, max_size=9),
    st.binary(max_size=10),
    st.lists(st.integers(0, 600)),
)
def test_content_and_end_do_not_depend_on_the_cuts(
    chunks: list[bytes], exts: list[bytes], beyond: bytes, cuts: list[int]
) -> None:
    message = b"".join(
        b"%x%b\r\n%b\r\n" % (len(c), e, c) for c, e in zip(chunks, exts, strict=False)
    )
    message += b"0\r\nX-Sum: 1\r\nY:\r\n\r\n"
    data = message + beyond
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    reader, content, used = ChunkReader(1000), b"", 0
    for start, end in itertools.pairwise(places):
        if reader.done:
            break
        pieces, count = reader.feed(data[start:end])
        content += b"".join(pieces)
        used += count
    assert reader.done
    assert content == b"".join(chunks)
    assert used == len(message)
    assert reader.trailers == [b"X-Sum: 1", b"Y:"]


@given(chunkings)
def test_what_is_framed_is_read_back(chunks: list[bytes]) -> None:
    reader = ChunkReader(0)
    pieces, _ = reader.feed(b"".join(map(frame, chunks)) + b"0\r\n\r\n")
    assert b"".join(pieces) == b"".join(chunks)
    assert reader.done


def byte_by_byte(reader: ChunkReader, data: bytes) -> bytes:
    got = b""
    for byte in data:
        if not reader.done:
            got += b"".join(reader.feed(bytes([byte]))[0])
    return got


@given(st.binary(max_size=60))
def test_no_bytes_make_it_do_anything_but_read_or_refuse(data: bytes) -> None:
    whole, piecewise = ChunkReader(100), ChunkReader(100)
    try:
        expected = b"".join(whole.feed(data)[0])
    except BadChunk:
        with pytest.raises(BadChunk):
            byte_by_byte(piecewise, data)
        return
    got = byte_by_byte(piecewise, data)
    assert (got, piecewise.done) == (expected, whole.done)


def test_extensions_of_a_whole_message_are_bounded() -> None:
    reader = ChunkReader(100)
    line = b"1;" + b"e" * 500 + b"\r\nx\r\n"
    reader.feed(line * (EXTENSION_BYTES_MAX // 501))
    with pytest.raises(BadChunk, match="extensions"):
        reader.feed(line)
