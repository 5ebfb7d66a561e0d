"""One body, read to its exact end by our own count and by llhttp. Used for both directions."""

from proxy.dataplane.chunks import BadChunk, ChunkReader
from proxy.dataplane.framing import CHUNKED, LENGTH, NO_BODY, UNTIL_CLOSE, Head
from proxy.dataplane.judge import Judge

_DISAGREE = "the two readers disagree about the end of the message"


class BodyReader:
    __slots__ = ("_chunks", "_judge", "_left", "done", "kind", "size")

    def __init__(self, kind: int, length: int, judge: Judge, trailer_bytes_max: int) -> None:
        self.kind = kind
        self._left = length
        self._chunks = ChunkReader(trailer_bytes_max) if kind == CHUNKED else None
        self._judge = judge
        self.size = 0
        """Body bytes read so far."""
        self.done = kind == NO_BODY

    @property
    def trailers(self) -> list[bytes]:
        return self._chunks.trailers if self._chunks is not None else []

    def skip(self, size: int) -> None:
        """Count ``size`` bytes as read: the hot plane counted them, and no parser is left
        in the middle of them."""
        self._judge.retire()
        self._left -= size
        self.size += size
        self.done = self._left == 0

    def feed(self, data: bytes) -> tuple[list[bytes], int]:
        """Return the pieces of content and the number of bytes used. Raises ``ValueError`` on
        broken framing.
        """
        if self._chunks is None:
            pieces, used = self._take(data)
        else:
            pieces, used = self._decode(data, self._chunks)
        self._judge.feed(data if used == len(data) else data[:used])
        self._compare()
        for piece in pieces:
            self.size += len(piece)
        return pieces, used

    def _take(self, data: bytes) -> tuple[list[bytes], int]:
        used = len(data)
        if self.kind == LENGTH:
            used = min(used, self._left)
            self._left -= used
            self.done = self._left == 0
        return [data if used == len(data) else data[:used]], used

    def _decode(self, data: bytes, chunks: ChunkReader) -> tuple[list[bytes], int]:
        try:
            pieces, used = chunks.feed(data)
        except BadChunk as error:
            raise ValueError(str(error)) from None
        self.done = chunks.done
        if chunks.has_extensions or chunks.has_trailers:
            # llhttp refuses blanks that RFC 9112 section 7.1.1 tells us to bear, and trailers that
            # section 7.1.2 lets us drop; ours has judged
            self._judge.retire()
        return pieces, used

    def _compare(self) -> None:
        judge = self._judge
        if self.done:
            if not judge.complete:
                raise ValueError(_DISAGREE)
            judge.retire()
        elif judge.complete and self.kind != UNTIL_CLOSE and not judge.retired:
            raise ValueError(_DISAGREE)


def reader_of(head: Head, trailer_bytes_max: int) -> BodyReader:
    """What reads the body that ``head`` announces; one serves every message without."""
    if head.kind == NO_BODY:
        return _NOTHING
    return BodyReader(head.kind, head.length, head.judge, trailer_bytes_max)


_NOTHING = BodyReader(NO_BODY, 0, Judge(), 0)
