"""Long bodies and readers that stop: the worker's memory hardly grows, and every byte arrives."""

import asyncio
import contextlib
import random
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.campaign import SEED, TIMEOUT_S, amount
from tests.support.worker import DataWorker, data_worker

BODY_BYTES = amount(16, 512) << 20
WARM_BYTES = 4 << 20
GROWTH_KIB = 4096
BLOCK = random.Random(SEED).randbytes(65521)
"""A prime length: no buffer on the way ends where a block does."""
LOOKS = amount(4, 40)
LOOK_S = 0.05
LIMIT = 1 << 18


class Flow:
    """One body on its way: what its sender wrote and its reader got. The reader may be held."""

    def __init__(self) -> None:
        self.sent = self.got = self.sent_crc = self.got_crc = 0
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def send(self, writer: asyncio.StreamWriter, size: int, *, chunked: bool) -> None:
        while self.sent < size:
            piece = BLOCK[: size - self.sent]
            self.sent_crc = zlib.crc32(piece, self.sent_crc)
            self.sent += len(piece)
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
        if chunked:
            writer.write(b"0\r\n\r\n")

    async def read(self, reader: asyncio.StreamReader, size: int, *, chunked: bool) -> None:
        while chunked or self.got < size:
            await self.may_read.wait()
            if chunked:
                length = int(await reader.readline(), 16)
                piece = (await reader.readexactly(length + 2))[:-2]
            else:
                piece = await reader.read(min(1 << 16, size - self.got))
            if not piece:
                return
            self.got_crc = zlib.crc32(piece, self.got_crc)
            self.got += len(piece)

    async def stall(self) -> None:
        """Until the sender has found every buffer full and could not write for a while."""
        before, quiet = -1, 0
        while quiet < LOOKS:
            await asyncio.sleep(LOOK_S)
            quiet = quiet + 1 if self.sent == before else 0
            before = self.sent


class Ends:
    """The app and the client of one body at a time; ``flow`` is the body under way."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                chunked, size = b"/chunked" in head, int(head.split(b" ")[1].rpartition(b"/")[2])
                if head.startswith(b"post"):
                    await self.flow.read(reader, size, chunked=chunked)
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\n" + framing(size, chunked=chunked))
                    await self.flow.send(writer, size, chunked=chunked)
        writer.close()

    async def carry(self, port: int, size: int, *, up: bool, chunked: bool, stalls: bool) -> None:
        """One body through the proxy, checked at its end."""
        flow = self.flow = Flow()
        if stalls:
            flow.may_read.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LIMIT)
        path = b"/%b/%d" % (b"chunked" if chunked else b"length", size)
        if up:
            writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\n" % path + framing(size, chunked=chunked))
            moving = asyncio.ensure_future(flow.send(writer, size, chunked=chunked))
        else:
            writer.write(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            moving = asyncio.ensure_future(self._answer(reader, size, chunked=chunked))
        if stalls:
            await flow.stall()
            assert flow.got < size
            flow.may_read.set()
        await moving
        if up:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(2) == b"ok"
        writer.close()
        await writer.wait_closed()
        assert (flow.got, flow.got_crc) == (size, flow.sent_crc)

    async def _answer(self, reader: asyncio.StreamReader, size: int, *, chunked: bool) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        await self.flow.read(reader, size, chunked=chunked)


def framing(size: int, *, chunked: bool) -> bytes:
    return (
        b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % size
    )


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ends = Ends()
    server = await asyncio.start_server(ends.serve, "127.0.0.1", 0, limit=LIMIT)
    ends.port = server.sockets[0].getsockname()[1]
    yield ends
    server.close()


@pytest.fixture
def worker(tmp_path: Path, ends: Ends) -> Iterator[DataWorker]:
    with data_worker(tmp_path, ends.port) as worker:
        worker.wait_until_it_rests()
        yield worker


@pytest.mark.campaign
@pytest.mark.timeout(TIMEOUT_S)
async def test_a_long_body_passes_in_little_memory(ends: Ends, worker: DataWorker) -> None:
    for up in (False, True):
        for chunked in (False, True):
            for stalls in (False, True):
                await ends.carry(worker.port, WARM_BYTES, up=up, chunked=chunked, stalls=False)
                before = worker.memory()
                worker.forget_peak()
                await ends.carry(worker.port, BODY_BYTES, up=up, chunked=chunked, stalls=stalls)
                grown = worker.peak_memory() - before
                print(f"{up=} {chunked=} {stalls=} {BODY_BYTES >> 20} MiB: peak +{grown} KiB")
                assert grown <= GROWTH_KIB, (up, chunked, stalls)
