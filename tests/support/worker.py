"""The real data worker as a process of its own, begun by hand as the supervisor begins it.

No database unless one is named: what is measured here is what traffic costs, and that it needs
nothing else.
"""

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from proxy.app.children import WORKER, Child
from proxy.app.supervisor import Supervisor
from proxy.config import Config, Loaded
from tests.support.dataplane import GET, Client
from tests.support.sidecar import ask, until

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
SETTLE_TIMEOUT_S = 60.0
REST_S = 1.0
REST_LOOKS = 5


class DataWorker:
    """One running worker and what the kernel tells of it. Sizes are in KiB."""

    def __init__(self, child: Child, port: int) -> None:
        self._child = child
        self.port = port
        assert child.process is not None
        self.pid = child.process.pid

    @property
    def is_alive(self) -> bool:
        return self._child.process is not None and self._child.process.poll() is None

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self) -> int:
        """What is resident now."""
        return self._status("VmRSS")

    def peak_memory(self) -> int:
        """The most that was resident since the start, or since ``forget_peak``."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cpu_s(self) -> float:
        """Processor seconds used so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_for_rooms(self) -> None:
        """Until everything heavy is imported: before that its memory still grows by itself."""
        url = f"http://127.0.0.1:{self.port}"
        until(lambda: ask(url, "/__selfheal/livez").status == 200, what="the rooms")

    def wait_until_it_rests(self) -> None:
        """Until its memory no longer moves by itself: rules are compiled after the rooms open."""
        self.wait_for_rooms()
        seen: list[int] = []

        def rests() -> bool:
            time.sleep(REST_S / REST_LOOKS)
            seen.append(self.memory())
            return len(seen) > REST_LOOKS and len(set(seen[-REST_LOOKS:])) == 1

        until(rests, timeout_s=START_TIMEOUT_S, what="memory that rests")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise AssertionError(f"the kernel tells no {name}")

    def drain(self) -> None:
        """What the supervisor says when it is told to stop."""
        assert self._child.sock is not None
        self._child.sock.sendall(b'{"type":"drain"}\n')

    def wait(self) -> int:
        assert self._child.process is not None
        return self._child.process.wait(STOP_TIMEOUT_S)

    def end(self) -> None:
        """Close the line: a worker whose supervisor is gone ends too; one that does not is
        killed.
        """
        process, sock = self._child.process, self._child.sock
        assert process is not None
        assert sock is not None
        sock.close()
        try:
            process.wait(STOP_TIMEOUT_S)
        except Exception:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            raise


@contextlib.contextmanager
def data_worker(
    home: Path,
    upstream_port: int,
    *,
    descriptors: int = 0,
    dsn: str = "",
    **sections: dict[str, Any],
) -> Iterator[DataWorker]:
    """A worker in front of a local port, ready to forward. ``descriptors`` limits how many it may
    hold; ``dsn`` is where it stores.
    """
    upstream = {"url": f"http://127.0.0.1:{upstream_port}", **sections.pop("upstream", {})}
    downstream = {"drain_s": 5.0, **sections.pop("downstream", {})}
    log = {"level": "error", **sections.pop("log", {})}
    config = Config.of({"upstream": upstream, "downstream": downstream, "log": log, **sections})
    child = Child("worker-0", WORKER)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        port = listener.getsockname()[1]
        child.sockets = [listener]
        child.launch()
        assert child.process is not None
        assert child.sock is not None
        if descriptors:
            # it has only begun to import, and reads its limit after the start message
            resource.prlimit(child.process.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
        told = Supervisor(Loaded(config, {}), home, reload=None)._start_message(child)
        child.begin({**told, "run_dir": str(home)})
    worker = DataWorker(child, port)
    try:
        _wait_until_ready(child.sock)
        if dsn:
            said = {"type": "database", "proxy_dsn": dsn}
            child.sock.sendall(json.dumps(said).encode() + b"\n")
        yield worker
    finally:
        worker.end()


def _wait_until_ready(sock: socket.socket) -> None:
    sock.settimeout(START_TIMEOUT_S)
    heard = b""
    while not heard.endswith(b"\n"):
        data = sock.recv(4096)
        assert data, "the worker ended before it was ready"
        heard += data
    assert json.loads(heard)["type"] == "ready", heard


async def connect(worker: DataWorker) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", worker.port))


async def is_served(worker: DataWorker) -> bool:
    """One plain request on a connection of its own gets its plain answer."""
    client = await connect(worker)
    await client.send(GET)
    got = await client.got()
    client.close()
    return got.status == 200 and got.body == b"ok"


async def until_descriptors(worker: DataWorker, most: int) -> None:
    async with asyncio.timeout(SETTLE_TIMEOUT_S):
        while worker.descriptors() > most:
            await asyncio.sleep(0.02)
