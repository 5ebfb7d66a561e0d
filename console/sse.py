"""Server-sent events (WHATWG HTML, section 9.2): bytes in, messages and beats out. Pure, bounded,
opens nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

LINE_BYTES_MAX = 256 * 1024
"""A longer line is no event of ours; the stream is dropped instead of remembered."""


class BrokenStream(ValueError):
    """What came is no event stream."""


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    """The last id seen, as the standard wants it, so also on messages that carried none."""
    event: str
    data: str


class Beat:
    """A comment: the other side is alive and has nothing to say."""


BEAT = Beat()


class Parser:
    """``feed`` chunks cut anywhere; out come whole messages, and ``BEAT`` for each comment line."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self._rest = b""
        self._after_cr = False
        self._event = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Message | Beat]:
        for line in self._lines(chunk):
            out = self._line(line)
            if out is not None:
                yield out

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        text = (self._rest + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *whole, self._rest = text.split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            raise BrokenStream("an event of the stream has no end")
        yield from whole

    def _line(self, line: bytes) -> Message | Beat | None:
        if not line:
            return self._dispatch()
        if line.startswith(b":"):
            return BEAT
        name, _, value = line.decode("utf-8", "replace").partition(":")
        self._field(name, value.removeprefix(" "))
        return None

    def _field(self, name: str, value: str) -> None:
        if name == "data":
            self._size += len(value)
            if self._size > LINE_BYTES_MAX:
                raise BrokenStream("an event of the stream has no end")
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self.last_id = value

    def _dispatch(self) -> Message | None:
        data, event = self._data, self._event
        self._data, self._event, self._size = [], "", 0
        return Message(self.last_id, event or "message", "\n".join(data)) if data else None
