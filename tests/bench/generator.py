"""A load generator of our own: keep-alive connections, as fast as answers come or at a steady rate.

``python generator.py PORT PATH POST_BYTES CONNECTIONS SECONDS RATE`` prints one JSON document. With
a rate it keeps the schedule: what was late is made up for, and what could not be is seen in the
count.
"""

import asyncio
import json
import re
import sys
import time
from collections import deque
from typing import cast

import uvloop

TICK_S = 0.001
DRAIN_S = 5.0
CONNECT_S = 20.0
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Run:
    """What all connections of one run share."""

    def __init__(self, request: bytes, rate: float) -> None:
        self.request = request
        self.rate = rate
        self.idle: deque[Client] = deque()
        self.sent = self.requests = self.bad = self.broken = 0
        self.is_over = False

    def answered(self, client: "Client") -> None:
        self.requests += 1
        if self.is_over:
            return
        if self.rate:
            self.idle.append(client)
        else:
            self.send(client)

    def send(self, client: "Client") -> None:
        self.sent += 1
        client.ask(self.request)


class Client(asyncio.Protocol):
    def __init__(self, run: Run) -> None:
        self._run = run
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's, so there is nothing to check
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> None:
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head, rest, self._head = self._head[:end], len(self._head) - end - 4, b""
            if head[9:10] not in (b"2", b"3"):
                self._run.bad += 1
            found = LENGTH.search(head)
            self._left = (int(found[1]) if found else 0) - rest
        if not self._left:
            self._run.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._run.is_over:
            self._run.broken += 1


async def steady(run: Run, began: float, seconds: float) -> None:
    """A request whenever one is due and a connection is free."""
    while (now := time.perf_counter()) < began + seconds:
        due = int((now - began) * run.rate) - run.sent
        for _ in range(min(due, len(run.idle))):
            run.send(run.idle.popleft())
        await asyncio.sleep(TICK_S)


async def main(
    port: int, path: str, post_bytes: int, connections: int, seconds: float, rate: float
) -> None:
    head = f"{'POST' if post_bytes else 'GET'} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    head += f"Content-Length: {post_bytes}\r\n\r\n" if post_bytes else "\r\n"
    run = Run(head.encode() + b"p" * post_bytes, rate)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_S):
        clients = [
            (await loop.create_connection(lambda: Client(run), "127.0.0.1", port))[1]
            for _ in range(connections)
        ]
    began = time.perf_counter()
    if rate:
        run.idle.extend(clients)
        await steady(run, began, seconds)
        last = time.perf_counter() + DRAIN_S
        while run.requests < run.sent and time.perf_counter() < last:
            await asyncio.sleep(TICK_S)
    else:
        for client in clients:
            run.send(client)
        await asyncio.sleep(seconds)
    run.is_over = True
    found = {
        "requests": run.requests,
        "seconds": time.perf_counter() - began,
        "bad": run.bad,
        "broken": run.broken,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    port, path, post_bytes, connections, seconds, rate = sys.argv[1:]
    uvloop.run(
        main(int(port), path, int(post_bytes), int(connections), float(seconds), float(rate))
    )
