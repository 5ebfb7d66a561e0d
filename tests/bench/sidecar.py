"""The whole product under measurement: a real ``selfheal up`` with its embedded PostgreSQL, data
workers on the proxy's core and everything else beside the load.
"""

import contextlib
import http.client
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proxy.store.embedded import Cluster
from tests.bench.cores import Cores, Plan, pin
from tests.bench.processes import (
    CannotMeasure,
    Running,
    descendants,
    free_port,
    last_words,
    launch,
    wait_for_port,
)
from tests.bench.pythons import Build

READY_S = 120.0
POLL_S = 0.1
WORKER = "proxy.app.worker"


class Sidecar(Running):
    """``workers`` are the data workers' processes; the tree counts PostgreSQL, too."""

    control: int
    cluster: Cluster

    def metric(self, name: str) -> float:
        """The sum of one family on ``/metrics``."""
        text = self._ask("/metrics").decode()
        found = re.findall(rf"(?m)^selfheal_{name}(?:\{{[^}}]*\}})? (\S+)$", text)
        if not found:
            raise CannotMeasure(f"/metrics has no selfheal_{name}")
        return sum(float(value) for value in found)

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._ask("/healthz"))
        return found

    def wait(self, what: str, condition: Callable[[], bool], timeout_s: float = READY_S) -> None:
        end = time.perf_counter() + timeout_s
        while time.perf_counter() < end:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                if condition():
                    return
            if self.process.poll() is not None:
                raise CannotMeasure(f"{self.name} ended: {last_words(self.log)}")
            time.sleep(POLL_S)
        raise CannotMeasure(f"{self.name}: waited {timeout_s:.0f} s in vain for {what}")

    def _ask(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


def launch_up(build: Build, directory: Path, upstream: int, cores: Cores, *flags: str) -> Sidecar:
    """Started and not waited for. Its folder is ``directory``, which must be its own."""
    directory.mkdir(parents=True, exist_ok=True)
    data, control = free_port(), free_port()
    words = ["up", "--upstream", f"http://127.0.0.1:{upstream}", "--data-dir", str(directory)]
    words += ["--listen", f"127.0.0.1:{data}", "--control", f"127.0.0.1:{control}"]
    # the children are started with -m, which would look in the current folder first
    process = launch(
        build.run("-m", "proxy", *words, *flags),
        directory / "up.log",
        cores=cores,
        cwd=directory,
        env={"PYTHONSAFEPATH": "1"},
    )
    sidecar = Sidecar(f"ours ({build.name})", data, process, directory / "up.log")
    sidecar.control, sidecar.cluster = control, Cluster(directory)
    return sidecar


@contextmanager
def running_sidecar(
    build: Build, directory: Path, upstream: int, cores: Plan, *flags: str
) -> Iterator[Sidecar]:
    """Ready, with its database there, and its processes on their cores; gone at the end."""
    sidecar = launch_up(build, directory, upstream, cores.load, *flags)
    try:
        wait_for_port(sidecar)
        sidecar.wait("its database", lambda: sidecar.health()["storage"].get("state") == "ok")
        found = data_workers(sidecar.process.pid)
        if not found:
            raise CannotMeasure(f"no process of {sidecar.name} is a {WORKER}")
        for pid in found:
            pin(pid, cores.proxy)
        sidecar.workers = found
        sidecar.extra = [postmaster(sidecar.cluster)]
        yield sidecar
    finally:
        end(sidecar)


def end(sidecar: Sidecar) -> None:
    """Stopped, its PostgreSQL, too, and its files removed."""
    sidecar.stop()
    sidecar.cluster.stop()
    shutil.rmtree(sidecar.cluster.home, ignore_errors=True)
    shutil.rmtree(sidecar.cluster.data_dir, ignore_errors=True)


def data_workers(root: int) -> list[int]:
    return sorted(pid for pid in descendants(root) if WORKER.encode() in _words(pid))


def postmaster(cluster: Cluster) -> int:
    """It outlives its parents by design, so it is not in the tree."""
    return int((cluster.data / "postmaster.pid").read_text().split("\n")[0])


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
