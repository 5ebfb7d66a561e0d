"""Playing a case on real sockets: a raw upstream that follows its script, a raw client, and the
proxy between them.
"""

import asyncio
import contextlib
import socket
import struct
from typing import cast

from tests.parity.case import Arrival, Case, Do, Heard, Saw, Script, Step, Until
from tests.parity.messages import OK, always, get, pieces
from tests.parity.reading import head_size, methods_of, replies_of, whole_size

_READ = 65536
_POLL_S = 0.01
_FOREVER_S = 30.0
_PIECE_BYTES = 11
_LONG_BYTES = 3000
_WARM = Case("warm", (), lambda saw: "", always(OK))
SETTLE_S = 0.08
"""What must not come has this long to come."""


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cast("asyncio.Transport", writer.transport).abort()


class Upstream:
    """One app for one case after another; whatever is open when a case ends is dropped."""

    def __init__(self) -> None:
        self.links: list[Heard] = []
        self.port = 0
        self._case: Case | None = None
        self._number = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.begin(None)
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)

    def go_on(self, case: Case) -> None:
        """Another case on the connections that are open."""
        self._case, self._number = case, 0
        for heard in self.links:
            heard.requests.clear()

    def begin(self, case: Case | None) -> None:
        for writer in self._writers:
            cast("asyncio.Transport", writer.transport).abort()
        self._case, self._number = case, 0
        self.links, self._writers = [], []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = Heard()
        self.links.append(heard)
        self._writers.append(writer)
        try:
            while self._case is not None and heard.end == "open":
                request = await self._request(reader, heard)
                case = self._case
                if request is None or case is None:
                    heard.end = "closed"
                    break
                self._number += 1
                script = case.answers(self._number, request)
                await _follow(script, reader, writer, heard)
                if case.at_head and heard.rest.startswith(request):
                    # answered early: what still comes belongs to the same request
                    await _follow((Do.SINK,), reader, writer, heard)
        except (ConnectionError, RuntimeError):
            # the second is what uvloop raises
            heard.end = "reset"
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, heard: Heard) -> bytes | None:
        """The next request, or its head alone, which then stays in ``rest``; None at the end."""
        while True:
            size = whole_size(heard.rest)
            if size > 0:
                return _take(heard, size)
            at_head = self._case is not None and self._case.at_head
            if at_head and (end := head_size(heard.rest)):
                return heard.rest[:end]
            if not await _more(reader, heard):
                return None


async def _more(reader: asyncio.StreamReader, heard: Heard) -> bytes:
    data = await reader.read(_READ)
    heard.rest += data
    return data


def _take(heard: Heard, size: int) -> bytes:
    request, heard.rest = heard.rest[:size], heard.rest[size:]
    heard.requests.append(request)
    return request


async def _follow(
    script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Heard
) -> None:
    for step in script:
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case float() | int():
                await asyncio.sleep(step)
            case Do.BODY:
                while (size := whole_size(heard.rest)) <= 0:
                    if not await _more(reader, heard):
                        heard.end = "closed"
                        return
                _take(heard, size)
            case Do.ECHO | Do.SINK:
                while data := await _more(reader, heard):
                    if step is Do.ECHO:
                        writer.write(data)
                        await writer.drain()
                heard.end = "closed"
                return
            case Do.HALF:
                writer.write_eof()
            case Do.CLOSE:
                heard.end = "ours"
                writer.close()
            case Do.RESET:
                heard.end = "ours"
                _reset(writer)
            case _:
                raise ValueError(step)


class _Client:
    def __init__(self) -> None:
        self.raw = b""
        self.end = "open"
        self.sent = b""
        self.methods: list[bytes] = []
        self.last_step_at = 0.0
        self.ended_at = 0.0

    async def listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(_READ):
                self.raw += data
                self.ended_at = asyncio.get_running_loop().time()
            self.end = "closed"
        except ConnectionError:
            self.end = "reset"
        self.ended_at = asyncio.get_running_loop().time()

    async def speak(self, script: Script, writer: asyncio.StreamWriter) -> None:
        self.last_step_at = asyncio.get_running_loop().time()
        for step in script:
            match step:
                case bytes():
                    self.sent += step
                    self.methods = methods_of(self.sent)
                    # uvloop raises its own error where the connection is over already
                    with contextlib.suppress(ConnectionError, RuntimeError):
                        writer.write(step)
                        await writer.drain()
                case float() | int():
                    await asyncio.sleep(step)
                case Until(text):
                    while text not in self.raw and self.end == "open":
                        await asyncio.sleep(_POLL_S)
                case Do.HALF:
                    with contextlib.suppress(OSError, RuntimeError):
                        writer.write_eof()
                case Do.CLOSE:
                    writer.close()
                case Do.RESET:
                    _reset(writer)
                case _:
                    raise ValueError(step)
            self.last_step_at = asyncio.get_running_loop().time()


async def _warm_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One exchange that goes well; when it is over nothing of it is to be seen any more."""
    writer.write(get(b"/warm"))
    await asyncio.wait_for(reader.readuntil(b"ok"), _FOREVER_S)


def _apart(script: Script) -> Script:
    """Long writes stay: they arrive in pieces anyway."""
    steps: list[Step] = []
    for step in script:
        is_short = isinstance(step, bytes) and len(step) < _LONG_BYTES
        steps += pieces(step, _PIECE_BYTES) if is_short and isinstance(step, bytes) else (step,)
    return tuple(steps)


async def play(
    case: Case,
    port: int,
    upstream: Upstream,
    *,
    by_meaning: bool = False,
    arrival: Arrival = Arrival.WHOLE,
) -> tuple[Saw, str]:
    """What was seen, and what is wrong with it. As soon as all is well only ``SETTLE_S`` is waited
    for what should not come.
    """
    if case.is_fresh and arrival is Arrival.WARM:
        arrival = Arrival.WHOLE
    upstream.begin(_WARM if arrival is Arrival.WARM else case)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return Saw(end="none"), "no connection"
    if arrival is Arrival.WARM:
        await _warm_up(reader, writer)
        upstream.go_on(case)
    client = _Client()
    loop = asyncio.get_running_loop()
    script = _apart(case.send) if arrival is Arrival.APART else case.send
    started = loop.time()
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(client.listen(reader))
        speaking = group.create_task(client.speak(script, writer))
        settled = False
        while True:
            saw = _seen(client, upstream)
            saw.by_meaning = by_meaning
            words = case.want(saw)
            now = loop.time()
            if not words and settled:
                break
            ready = speaking.done() and now - started >= case.least_s
            if words and ready and now - client.last_step_at > case.patience_s:
                break
            if not ready and now - started > _FOREVER_S:
                words = "the client could not go on: " + (words or "all is well otherwise")
                break
            settled = bool(ready and not words)
            await asyncio.sleep(SETTLE_S if settled else _POLL_S)
        listening.cancel()
        speaking.cancel()
    cast("asyncio.Transport", writer.transport).abort()
    return saw, words


def _seen(client: _Client, upstream: Upstream) -> Saw:
    replies = replies_of(client.raw, client.methods, ended=client.end == "closed")
    now = client.ended_at or asyncio.get_running_loop().time()
    after = max(0.0, now - client.last_step_at) if client.last_step_at else 0.0
    return Saw(client.raw, client.end, replies, upstream.links, after_s=after)
