"""How much a data worker grows while 512 MiB pass: down, up, and down to a reader that stalls."""

import socket
import time
from collections.abc import Callable
from functools import partial

from tests.bench.load import Ask, closed_loop
from tests.bench.processes import CannotMeasure, forget_peak, peak_bytes, resident_bytes
from tests.bench.report import Finding
from tests.bench.session import Session
from tests.bench.sidecar import Sidecar, running_sidecar

MIB = 1 << 20
BODY = 512 * MIB
STALL_AFTER = 16 * MIB
STALL_S = 3.0
SETTLE_S = 2.0
WARM_S = 2.0
TIMEOUT_S = 120.0
BLOCK = b"u" * MIB

Transfer = Callable[[socket.socket], None]


def measure_memory(session: Session, row: str) -> None:
    """Plain build only: what is compiled allocates no other buffers."""
    build, port = session.builds[0], session.own_upstream.port
    with running_sidecar(build, session.directory / "up-memory", port, session.cores) as sidecar:
        closed_loop(
            sidecar.port,
            Ask("/16k"),
            seconds=WARM_S,
            connections=session.options.connections,
            cores=session.cores.load,
            directory=session.directory,
        )
        for name, transfer in TRANSFERS.items():
            grown = [_growth(sidecar, transfer) for _ in range(min(3, session.options.rounds))]
            session.report.add(Finding(f"{row}-{name}", build.name, "", "MiB", grown))


def _growth(sidecar: Sidecar, transfer: Transfer) -> float:
    """MiB by which the peak rises over what was resident before; the largest of all workers."""
    time.sleep(SETTLE_S)
    before = {pid: resident_bytes(pid) for pid in sidecar.workers}
    for pid in sidecar.workers:
        forget_peak(pid)
    with socket.create_connection(("127.0.0.1", sidecar.port), timeout=TIMEOUT_S) as sock:
        transfer(sock)
    return max((peak_bytes(pid) - before[pid]) / MIB for pid in sidecar.workers)


def _down(sock: socket.socket, *, stall: bool = False) -> None:
    sock.sendall(f"GET /big/{BODY} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    buffer, got = bytearray(MIB), 0
    while got < BODY:
        count = sock.recv_into(buffer)
        if not count:
            raise CannotMeasure(f"the answer was cut after {got} bytes")
        got += count
        if stall and got >= STALL_AFTER:
            stall = False
            time.sleep(STALL_S)


def _up(sock: socket.socket) -> None:
    sock.sendall(f"POST /post HTTP/1.1\r\nHost: bench\r\nContent-Length: {BODY}\r\n\r\n".encode())
    for _ in range(BODY // MIB):
        sock.sendall(BLOCK)
    if not sock.recv(65536).startswith(b"HTTP/1.1 200"):
        raise CannotMeasure("the upload was not answered with 200")


TRANSFERS: dict[str, Transfer] = {
    "down": _down,
    "up": _up,
    "stalled": partial(_down, stall=True),
}
