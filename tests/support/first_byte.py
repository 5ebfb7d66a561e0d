"""A program: a data worker whose rooms never open forwards one request, and then the names of all
modules loaded by that moment are printed as JSON. What is not among them the first byte needs not.
"""

import asyncio
import json
import socket
import sys
import tempfile

from proxy.app import child, worker
from proxy.config import Config

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Closed(worker.Worker):
    async def _open_rooms(self) -> None:
        pass


async def forwarded_once(directory: str) -> list[str]:
    upstream = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}"
    listener = socket.create_server(("127.0.0.1", 0))
    ours, theirs = socket.socketpair()
    start = {
        "name": worker.FIRST_WORKER,
        "config": Config.of({"upstream": {"url": url}, "downstream": {"drain_s": 1}}).dump(),
        "pem": {"certificate": "", "key": "", "upstream_ca": ""},
        "data_dir": directory,
        "run_dir": directory,
        "database": None,
    }
    running = asyncio.ensure_future(Closed(start, [listener]).run(theirs))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.readexactly(len(ANSWER))) == ANSWER
    loaded = sorted(sys.modules)
    writer.close()
    ours.close()
    await running
    upstream.close()
    return loaded


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(ANSWER)
    await reader.read()
    writer.close()


if __name__ == "__main__":
    assert child.unfit() is None
    import uvloop

    with tempfile.TemporaryDirectory() as directory:
        json.dump(uvloop.run(forwarded_once(directory)), sys.stdout)
