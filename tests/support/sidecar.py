"""A real `selfheal up` as a child process, in front of a small real app, for tests from outside."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

START_TIMEOUT_S = 60.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    timeout_s: float = 20.0,
) -> Answer:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def until(condition: Any, *, timeout_s: float = 30.0, what: str = "") -> Any:
    """The first true value of ``condition()``; a server that is not there yet counts as false."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if value := condition():
                return value
        time.sleep(0.05)
    raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what or condition}")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@dataclass
class Sidecar:
    process: subprocess.Popen[bytes]
    data_dir: Path
    data_url: str
    control_url: str
    log_file: Path
    environ: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **options: Any) -> Answer:
        """Through the data port."""
        return ask(self.data_url, path, **options)

    def control(self, path: str, **options: Any) -> Answer:
        return ask(self.control_url, path, **options)

    def token(self) -> str:
        return (self.data_dir / "founder.token").read_text().strip()

    def api(self, path: str, *, method: str = "GET", payload: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.token()}"}
        body = None
        if method != "GET":
            headers |= {"Content-Type": "application/json", "X-Selfheal-Request": "1"}
            body = json.dumps(payload or {}).encode()
        return ask(self.control_url, "/api/v1" + path, method=method, headers=headers, body=body)

    def command(self, *words: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        """A plain command against this sidecar."""
        done = subprocess.run(
            [sys.executable, "-m", "proxy", *words, "--data-dir", str(self.data_dir)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **self.environ},
        )
        if check is not None:
            assert done.returncode == check, (words, done.returncode, done.stdout, done.stderr)
        return done

    def jobs(self) -> list[dict[str, Any]]:
        done = self.command("jobs", "--all", "--json")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def wait_for_database(self) -> None:
        until(
            lambda: self.control("/healthz").json()["storage"].get("state") == "ok",
            what="the database",
            timeout_s=START_TIMEOUT_S,
        )

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 40.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout_s)


@contextlib.contextmanager
def run_sidecar(
    tmp_path: Path, upstream: str, *flags: str, data_dir: Path | None = None
) -> Iterator[Sidecar]:
    """Start `selfheal up`; ready when the data port answers. Stopped, or killed, at the end."""
    where = data_dir or tmp_path / "data"
    data_port, control_port = free_port(), free_port()
    log_file = tmp_path / "up.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "proxy", "up", "--upstream", upstream),
                *("--listen", f"127.0.0.1:{data_port}", "--control", f"127.0.0.1:{control_port}"),
                *("--data-dir", str(where)),
                *flags,
            ],
            stdout=log,
            stderr=log,
        )
    sidecar = Sidecar(
        process,
        where,
        f"http://127.0.0.1:{data_port}",
        f"http://127.0.0.1:{control_port}",
        log_file,
    )
    try:
        until(lambda: sidecar.control("/readyz").status == 200, what="readyz: " + sidecar.log())
        yield sidecar
    finally:
        if process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                sidecar.stop()
        if process.poll() is None:
            process.kill()
            process.wait()
