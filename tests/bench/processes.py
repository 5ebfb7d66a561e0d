"""Processes under measurement: started, waited for, looked at through /proc, and ended."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cores import Cores, before_exec

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
START_S = 60.0
STOP_S = 20.0
POLL_S = 0.02


class CannotMeasure(Exception):
    """One row cannot be measured here; the text says why and what to install."""


@dataclass
class Running:
    """A server with its port. ``extra`` are processes of its tree that left the tree (daemons)."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    workers: Sequence[int] = ()
    """Process ids that carry traffic; empty means the whole tree."""
    extra: Sequence[int] = ()

    def tree(self) -> set[int]:
        roots = [self.process.pid, *self.extra]
        return {pid for root in roots for pid in descendants(root)}

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds so far: of the data workers, and of the whole tree."""
        tree = cpu_s(self.tree())
        return (cpu_s(self.workers) if self.workers else tree), tree

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_S)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def launch(
    command: Sequence[str],
    log: Path,
    *,
    cores: Cores,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            preexec_fn=before_exec(cores),
        )


def start(
    name: str,
    port: int,
    command: Sequence[str],
    log: Path,
    *,
    cores: Cores,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Running:
    """Started, and listening. ``CannotMeasure`` with the last words of its log if it is not."""
    running = Running(name, port, launch(command, log, cores=cores, cwd=cwd, env=env), log)
    try:
        wait_for_port(running)
    except BaseException:
        running.stop()
        raise
    return running


def wait_for_port(running: Running) -> None:
    end = time.perf_counter() + START_S
    while time.perf_counter() < end:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", running.port)) == 0:
                return
        if (code := running.process.poll()) is not None:
            raise CannotMeasure(f"{running.name} ended with {code}: {last_words(running.log)}")
        time.sleep(POLL_S)
    words = last_words(running.log)
    raise CannotMeasure(f"{running.name} did not listen within {START_S:.0f} s: {words}")


def last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def stop_all(running: Iterable[Running]) -> None:
    """All are told first, so that they end side by side."""
    each = list(running)
    for one in each:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGTERM)
    for one in each:
        one.stop()


def descendants(pid: int) -> set[int]:
    """``pid`` and everything below it; those that ended meanwhile are left out."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return set()
    found = {pid}
    for task in tasks:
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found |= descendants(int(child))
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """User and system seconds, with those of children that ended and were waited for."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total * TICK_S


def peak_bytes(pid: int) -> int:
    """High-water mark of the resident set."""
    return _status_bytes(pid, "VmHWM")


def resident_bytes(pid: int) -> int:
    return _status_bytes(pid, "VmRSS")


def forget_peak(pid: int) -> None:
    """The high-water mark starts again from what is resident now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise CannotMeasure(f"/proc/{pid}/status has no {name}")
