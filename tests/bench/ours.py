"""The data plane alone, as one process to be measured. ``python -m tests.bench.ours UPSTREAM_PORT
PORT``
"""

import asyncio
import signal
import socket
import sys

import uvloop

from proxy.clock import SystemClock
from proxy.config import Config
from proxy.dataplane.server import DataServer, serve
from proxy.domain.exchange import Exchange


class Counted:
    """The cheapest recorder: what remains is the data plane's own cost."""

    def __init__(self) -> None:
        self.count = 0

    def record(self, exchange: Exchange) -> None:
        self.count += 1


async def main(upstream_port: int, port: int) -> None:
    config = Config.model_validate({"upstream": {"url": f"http://127.0.0.1:{upstream_port}"}})
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    runner = await serve(DataServer(config, Counted(), clock=SystemClock()), [sock])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
