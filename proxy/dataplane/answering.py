"""The upstream's answer, read strictly and framed anew for this client.

Bytes in, bytes out: knows no sockets, no pooling and no deadlines. Framing is decided once, when
the head is read; from there on only content passes.
"""

from proxy.dataplane import headers
from proxy.dataplane.bodies import BodyReader, reader_of
from proxy.dataplane.chunks import LAST_CHUNK, frame
from proxy.dataplane.copies import BodyCopy
from proxy.dataplane.faults import BadAnswer
from proxy.dataplane.framing import CHUNKED, HEAD_END, LENGTH, UNTIL_CLOSE
from proxy.dataplane.plane import Plane
from proxy.dataplane.response_head import ResponseHead, check_unfinished_response, read_response

INTERIM_MAX = 1000
"""1xx answers to one request; a long task may say every second that it goes on."""


class Answering:
    """One answer on its way down. ``head`` is None until a final head was read."""

    __slots__ = ("_checked", "_copy", "_interims", "_plane", "_tail", "body", "chunk_out", "head")

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._tail = b""
        self._checked = 0
        self._interims = 0
        self._copy: BodyCopy | None = None
        self.head: ResponseHead | None = None
        self.body: BodyReader | None = None
        self.chunk_out = False

    @property
    def has_begun(self) -> bool:
        """Some byte of an answer came: nobody may be asked again."""
        return self.head is not None or bool(self._tail) or self._interims > 0

    @property
    def is_half_head(self) -> bool:
        return bool(self._tail)

    def next_head(self, data: bytes, method: bytes) -> tuple[ResponseHead | None, bytes]:
        """The next head, interim or final, and what follows it; None while it is not whole."""
        plane = self._plane
        if self._tail:
            data, self._tail = self._tail + data, b""
        end = data.find(HEAD_END, max(0, self._checked - 3)) + 4
        if end == 3:
            check_unfinished_response(data, plane.header_bytes, self._checked)
            self._tail, self._checked = data, len(data)
            return None, b""
        self._checked = 0
        head = read_response(data[:end], method, plane.header_bytes, plane.header_count)
        if head.status < 200:
            self._interims += 1
            if self._interims > INTERIM_MAX:
                raise BadAnswer("too many interim answers")
        return head, data[end:]

    def begin(self, head: ResponseHead, minor: int) -> None:
        """``head`` is final; the client speaks HTTP/1.``minor``."""
        self.head = head
        self.body = reader_of(head, self._plane.header_bytes)
        self.chunk_out = head.kind in (CHUNKED, UNTIL_CLOSE) and minor == 1
        if head.status >= 400:
            self._copy = BodyCopy(self._plane.capture_bytes)

    @property
    def is_plain(self) -> bool:
        """Its end needed neither chunks nor the end of a connection."""
        return self.head is None or self.head.kind not in (CHUNKED, UNTIL_CLOSE)

    @property
    def shows_its_cut(self) -> bool:
        """A missing end is seen in the bytes themselves: there is a length, or a last chunk."""
        return self.chunk_out or (self.body is not None and self.body.kind == LENGTH)

    def relay(self, data: bytes, out: list[bytes]) -> int:
        """Append what the client gets for ``data`` to ``out``; how many bytes belonged to the
        answer. Raises ``BadAnswer`` on broken framing; then nothing was appended.
        """
        body = self.body
        assert body is not None
        if not data or body.done:
            self._finish(out)
            return 0
        try:
            pieces, used = body.feed(data)
        except ValueError as error:
            raise BadAnswer(str(error)) from None
        copy = self._copy
        for piece in pieces:
            if piece:
                out.append(frame(piece) if self.chunk_out else piece)
                if copy is not None:
                    copy.keep(piece)
        self._finish(out)
        return used

    def _finish(self, out: list[bytes]) -> None:
        body = self.body
        assert body is not None
        if body.done and self.chunk_out:
            trailers = body.trailers
            out.append(headers.trailer_block(trailers) if trailers else LAST_CHUNK)

    def end_of_link(self) -> list[bytes] | None:
        """The link ended cleanly: what that adds to the answer, or None when it was cut."""
        if self.head is None or self.head.kind != UNTIL_CLOSE:
            return None
        return [LAST_CHUNK] if self.chunk_out else []

    @property
    def size(self) -> int:
        return self.body.size if self.body is not None else 0

    @property
    def copied(self) -> tuple[bytes, bool]:
        """The kept part of the body, and whether there was more."""
        if self._copy is None:
            return b"", False
        return self._copy.whole(), self.size > self._copy.size
