"""The longest time the event loop stands still while 10,000 rows go to a real embedded PostgreSQL
through the worker's own flusher.
"""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

from proxy.store.embedded import Cluster
from proxy.store.migrate import migrate
from tests.bench.cores import before_exec
from tests.bench.processes import CannotMeasure
from tests.bench.pythons import Build
from tests.bench.report import Finding
from tests.bench.session import Session

PROBE = str(Path(__file__).parent / "flush_probe.py")
PROBE_S = 300.0


def measure_stall(session: Session, row: str) -> None:
    home = session.directory / "stall"
    home.mkdir()
    cluster = Cluster(home)
    try:
        running = cluster.ensure_running()
        dsn = asyncio.run(migrate(running.dsn)).proxy_dsn
        for build in session.builds:
            found = _probe(session, build, dsn, home)
            session.report.add(
                Finding(row, build.name, "", "ms", [f["own_ms"] for f in found]),
                Finding(row, build.name, "(wall)", "ms", [f["wall_ms"] for f in found]),
                Finding(row, build.name, "(row)", "us CPU", [f["row_us"] for f in found]),
            )
    finally:
        cluster.stop()
        shutil.rmtree(cluster.home, ignore_errors=True)


def _probe(session: Session, build: Build, dsn: str, home: Path) -> list[dict[str, float]]:
    done = subprocess.run(
        build.run(PROBE, dsn, str(home), str(session.options.rounds)),
        capture_output=True,
        text=True,
        check=False,
        timeout=PROBE_S,
        cwd=home,
        preexec_fn=before_exec(session.cores.proxy),
    )
    if done.returncode != 0:
        raise CannotMeasure(f"the flush did not work: {done.stderr[-300:]}")
    found: list[dict[str, float]] = json.loads(done.stdout)
    return found
