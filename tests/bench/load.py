"""Requests against one port: wrk where it is installed, our own generator where it is not, and our
own wherever a steady rate is asked for.
"""

import json
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cores import Cores, before_exec
from tests.bench.processes import CannotMeasure
from tests.bench.pythons import script

WRK = shutil.which("wrk")
POST_LUA = 'wrk.method = "POST"\nwrk.body = string.rep("p", {size})\n'
GRACE_S = 30.0
TIMEOUT_S = 20.0
_DONE = re.compile(r"(\d+) requests in ([\d.]+)(ms|s|m)")
_BAD = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_SOCKET = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0}


@dataclass(frozen=True)
class Load:
    requests: int
    seconds: float
    bad: int = 0
    """Answers that were not 2xx or 3xx."""
    broken: int = 0
    """Connections refused, cut or silent."""


@dataclass(frozen=True)
class Ask:
    """What one client asks again and again."""

    path: str
    post_bytes: int = 0


def tool() -> str:
    return "wrk" if WRK is not None else "our own generator (for wrk: apt-get install wrk)"


def closed_loop(
    port: int, ask: Ask, *, seconds: float, connections: int, cores: Cores, directory: Path
) -> Load:
    """Every connection asks as soon as it was answered."""
    if WRK is None:
        return generate(port, ask, seconds=seconds, connections=connections, cores=cores)
    command = [WRK, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}", "--timeout", "10s"]
    if ask.post_bytes:
        lua = directory / f"post-{ask.post_bytes}.lua"
        lua.write_text(POST_LUA.format(size=ask.post_bytes))
        command += ["-s", str(lua)]
    return parse_wrk(_run([*command, f"http://127.0.0.1:{port}{ask.path}"], seconds, cores))


def parse_wrk(text: str) -> Load:
    done = _DONE.search(text)
    if done is None:
        raise CannotMeasure(f"wrk said: {text[-200:]}")
    bad, errors = _BAD.search(text), _SOCKET.search(text)
    return Load(
        int(done[1]),
        float(done[2]) * _UNIT_S[done[3]],
        int(bad[1]) if bad else 0,
        sum(int(n) for n in errors.groups()) if errors else 0,
    )


def generate(
    port: int,
    ask: Ask,
    *,
    seconds: float,
    connections: int,
    cores: Cores,
    rate: float = 0.0,
) -> Load:
    """Our own generator; with ``rate`` so many requests a second and no more."""
    words = [port, ask.path, ask.post_bytes, connections, seconds, rate]
    found = json.loads(_run(script("generator.py", *map(str, words)), seconds, cores))
    return Load(found["requests"], found["seconds"], found["bad"], found["broken"])


def _run(command: list[str], seconds: float, cores: Cores) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + GRACE_S,
            preexec_fn=before_exec(cores),
        )
    except subprocess.TimeoutExpired:
        raise CannotMeasure(f"{command[0]} did not end") from None
    if done.returncode != 0:
        raise CannotMeasure(f"{command[0]} ended with {done.returncode}: {done.stderr[-300:]}")
    return done.stdout


class PingPong:
    """One blocking connection that asks, waits and asks again: what one client feels."""

    def __init__(self, port: int, path: str) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ask = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        self._length = 0

    def times_us(self, count: int) -> list[float]:
        self._length = self._length or self._first()
        return [self._one() for _ in range(count)]

    def close(self) -> None:
        self._sock.close()

    def _first(self) -> int:
        """How long an answer is: the same each time, so it need not be parsed again."""
        self._sock.sendall(self._ask)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, _ = data.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not head.startswith(b"HTTP/1.1 200") or found is None:
            raise CannotMeasure(f"an answer that cannot be timed: {head[:80]!r}")
        total = len(head) + 4 + int(found[1])
        while len(data) < total:
            data += self._receive()
        return total

    def _one(self) -> float:
        began = time.perf_counter_ns()
        self._sock.sendall(self._ask)
        left = self._length
        while left > 0:
            left -= len(self._receive())
        return (time.perf_counter_ns() - began) / 1000.0

    def _receive(self) -> bytes:
        data = self._sock.recv(65536)
        if not data:
            raise CannotMeasure("the proxy closed a keep-alive connection")
        return data
