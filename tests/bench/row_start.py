"""From ``selfheal up`` to the first proxied byte, with an empty data directory: a first start."""

import http.client
import time

from tests.bench.processes import CannotMeasure
from tests.bench.report import Finding
from tests.bench.session import Session
from tests.bench.sidecar import end, launch_up

GIVE_UP_S = 30.0
POLL_S = 0.005


def measure_start(session: Session, row: str) -> None:
    session.upstream  # noqa: B018 - it must be there before the clock starts
    for build in session.builds:
        took = [_once(session, build.name, n) for n in range(session.options.rounds)]
        session.report.add(Finding(row, build.name, "", "s", took))


def _once(session: Session, name: str, number: int) -> float:
    build = next(build for build in session.builds if build.name == name)
    began = time.perf_counter()
    home = session.directory / f"up-start-{name}-{number}"
    sidecar = launch_up(build, home, session.upstream.port, session.cores.every)
    try:
        while time.perf_counter() - began < GIVE_UP_S:
            if _answers(sidecar.port):
                return time.perf_counter() - began
            time.sleep(POLL_S)
        raise CannotMeasure(f"nothing was forwarded within {GIVE_UP_S:.0f} s")
    finally:
        end(sidecar)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_S)
    try:
        connection.request("GET", "/200")
        return connection.getresponse().read(1) == b"y"
    except OSError:
        return False
    finally:
        connection.close()
