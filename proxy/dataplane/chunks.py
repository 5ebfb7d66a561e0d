"""The strict reader of chunked bodies (RFC 9112 section 7.1). It decodes; what is written is
framed anew.

Knows nothing of connections or of who sent the bytes; its errors are plain sentences.
"""

import re

from proxy.dataplane.fields import valid_block

EXTENSION_BYTES_MAX = 4096
"""Of one whole message; nobody legitimate comes near, and unread bytes must not be free."""
SIZE_LINE_MAX = 1024

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*)?\r\n\Z")
_SIZE_START = re.compile(rb"(?:[0-9A-Fa-f]{1,16}(?:(?:;[\t\x20-\x7e\x80-\xff]*)?\r?)?)?\Z")
_SIZE_LIMIT = 1 << 63

LAST_CHUNK = b"0\r\n\r\n"
_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)


class BadChunk(Exception):
    """The chunk framing is broken; the message has no trustworthy end."""


class ChunkReader:
    """Feed it bytes; it hands back the data they carry and stops exactly at the end of the
    message."""

    __slots__ = (
        "_extension_bytes",
        "_held",
        "_left",
        "_state",
        "_trailer_max",
        "has_extensions",
        "trailers",
    )

    def __init__(self, trailer_bytes_max: int) -> None:
        self._state = _SIZE
        self._left = 0
        self._held = b""
        self._extension_bytes = 0
        self._trailer_max = trailer_bytes_max
        self.has_extensions = False
        """A chunk extension began; they are checked, and end here (section 7.1.1)."""
        self.trailers: list[bytes] = []
        """Trailer lines without their CRLF, complete when ``done``."""

    @property
    def done(self) -> bool:
        return self._state == _DONE

    @property
    def has_trailers(self) -> bool:
        """A trailer section with something in it has begun."""
        return bool(self.trailers) or (self._state == _TRAILER and bool(self._held))

    def feed(self, data: bytes) -> tuple[list[bytes], int]:
        """Return the data pieces and how many bytes of ``data`` were used; fewer than all only at
        the end."""
        pieces: list[bytes] = []
        position, size = 0, len(data)
        while position < size and self._state != _DONE:
            if self._state == _DATA:
                end = min(size, position + self._left)
                pieces.append(data if end - position == size else data[position:end])
                self._left -= end - position
                position = end
                if self._left == 0:
                    self._state = _DATA_END
            elif self._state == _DATA_END:
                position = self._data_end(data, position)
            elif self._state == _SIZE:
                position = self._size_line(data, position)
            else:
                position = self._trailer(data, position)
        return pieces, position

    def _data_end(self, data: bytes, position: int) -> int:
        take = data[position : position + 2 - len(self._held)]
        held = self._held + take
        if not b"\r\n".startswith(held):
            raise BadChunk("chunk data is not followed by CRLF")
        if held == b"\r\n":
            self._held, self._state = b"", _SIZE
        else:
            self._held = held
        return position + len(take)

    def _size_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position, position + SIZE_LINE_MAX)
        if end < 0:
            held = self._held + data[position : position + SIZE_LINE_MAX]
            if len(held) >= SIZE_LINE_MAX:
                raise BadChunk("a chunk size line is too long")
            if not _SIZE_START.match(held):
                raise BadChunk("a chunk size is malformed")
            self._held = held
            self.has_extensions |= b";" in held
            return len(data)
        line = self._held + data[position : end + 1]
        match = _SIZE_LINE.match(line)
        if match is None or len(line) > SIZE_LINE_MAX:
            raise BadChunk("a chunk size is malformed")
        self._held = b""
        if match[2] is not None:
            self.has_extensions = True
            self._extension_bytes += len(match[2])
            if self._extension_bytes > EXTENSION_BYTES_MAX:
                raise BadChunk("too many bytes of chunk extensions")
        self._left = int(match[1], 16)
        if self._left >= _SIZE_LIMIT:
            raise BadChunk("a chunk size does not fit")
        self._state = _DATA if self._left else _TRAILER
        return end + 1

    def _trailer(self, data: bytes, position: int) -> int:
        before = len(self._held)
        block = self._held + data[position : position + self._trailer_max + 4]
        if block[:2] == b"\r\n":
            end = 2
        else:
            found = block.find(b"\r\n\r\n", max(0, before - 3))
            end = found + 4 if found >= 0 else -1
        if end < 0 and len(block) <= self._trailer_max:
            # whole lines that were here before passed before
            start = block.rfind(b"\r\n", 0, before) + 2 if before > 1 else 0
            if not valid_block(block[start if start > 1 else 0 :], partial=True):
                raise BadChunk("the trailer section is malformed")
            self._held = block
            return len(data)
        if end < 0 or end > self._trailer_max + 4:
            raise BadChunk("the trailer section is too long")
        lines = block[: end - 2]
        if not valid_block(lines):
            raise BadChunk("the trailer section is malformed")
        self.trailers = lines.split(b"\r\n")[:-1]
        self._held, self._state = b"", _DONE
        return position + end - before


def frame(piece: bytes) -> bytes:
    """One chunk around ``piece``, which is not empty."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)
