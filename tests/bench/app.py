"""Our own upstream: one small uvloop protocol with fixed answers, a sink for bodies of any length
and a source of them. ``python app.py PORT``

The source and the sink keep nothing, so that 512 MiB cost this process nothing either. It also
stands in where nginx is not installed.
"""

import asyncio
import re
import sys
from typing import Any, cast

import uvloop

BLOCK = b"z" * 65536
SMALL = b"y" * 200
FAIL_EVERY = 100
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def answer(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


ANSWERS = {
    b"/200": answer(b"200 OK", SMALL),
    b"/post": answer(b"200 OK", SMALL),
    b"/16k": answer(b"200 OK", b"x" * 16384),
    b"/1m": answer(b"200 OK", b"x" * (1 << 20)),
}
FAILURE = ANSWERS[b"/broken"] = answer(
    b"500 Internal Server Error", b"ZeroDivisionError: division by zero\n"
)


class App(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self) -> None:
        self._head = b""
        self._skip = 0
        self._owed = b""
        self._left = 0
        self._paused = False
        self._count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's, so there is nothing to check
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._skip:
            taken = min(self._skip, len(data))
            self._skip -= taken
            data = data[taken:]
            if self._skip:
                return
            self._reply()
        self._head += data
        while (end := self._head.find(b"\r\n\r\n")) >= 0:
            head, self._head = self._head[:end], self._head[end + 4 :]
            self._owed = head[: head.find(b"\r\n")].split(b" ")[1]
            found = LENGTH.search(head)
            length = int(found[1]) if found else 0
            self._skip = max(0, length - len(self._head))
            self._head = self._head[length:]
            if self._skip:
                return
            self._reply()

    def _reply(self) -> None:
        path = self._owed
        if path.startswith(b"/big/"):
            self._left = int(path[5:])
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self._left)
            self._pour()
        elif path == b"/mixed":
            self._count += 1
            self._transport.write(FAILURE if self._count % FAIL_EVERY == 0 else ANSWERS[b"/200"])
        else:
            self._transport.write(ANSWERS.get(path, ANSWERS[b"/200"]))

    def _pour(self) -> None:
        while self._left and not self._paused:
            block = BLOCK[: self._left]
            self._left -= len(block)
            self._transport.write(block)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pour()


async def main(port: int) -> None:
    server: Any = await asyncio.get_running_loop().create_server(
        App, "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
