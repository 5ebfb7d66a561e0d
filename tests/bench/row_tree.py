"""The whole product at a steady rate: everything it costs, with every row stored, over what its
data workers cost.
"""

import time
from dataclasses import dataclass

from tests.bench.load import Ask, generate
from tests.bench.processes import CannotMeasure
from tests.bench.pythons import Build
from tests.bench.report import Finding
from tests.bench.session import Session
from tests.bench.sidecar import Sidecar, running_sidecar

RATE = 5000
CONNECTIONS = 64
SECONDS_PER_OPTION = 5
"""This row's load lasts so many times ``--seconds``: several flushes must fit into it."""
KEPT_UP = 0.98
"""Below this share of the rate the finding says so: it then shows less than it should."""
STORED_S = 90.0
WARM_S = 2.0
FLUSH_S = 5
"""So that the last rows, too, are stored while we look; on fill the flush comes earlier anyway."""


@dataclass(frozen=True)
class Steady:
    """CPU seconds of the data workers and of the whole tree until the last row was stored."""

    workers_s: float
    tree_s: float
    requests: int
    rate: float
    late_s: float
    """How long after the load the last row was stored."""


def measure_tree(session: Session, row: str) -> None:
    for build in session.builds:
        home = session.directory / f"up-tree-{build.name}"
        flags = ("--set", f"metrics.flush_s={FLUSH_S}")
        port, cores = session.upstream.port, session.cores
        with running_sidecar(build, home, port, cores, *flags) as sidecar:
            _warm(session, sidecar)
            seconds = session.options.seconds * SECONDS_PER_OPTION
            rounds = min(3, session.options.rounds)
            found = [_once(session, sidecar, seconds) for _ in range(rounds)]
        _figures(session, row, build, found)


def _warm(session: Session, sidecar: Sidecar) -> None:
    load = _load(session, sidecar, WARM_S)
    sidecar.wait("the first rows", lambda: _stored(sidecar) >= load, STORED_S)


def _once(session: Session, sidecar: Sidecar, seconds: float) -> Steady:
    stored, dropped, before = _stored(sidecar), _dropped(sidecar), sidecar.cpu_s()
    began = time.perf_counter()
    count = _load(session, sidecar, seconds)
    sidecar.wait("every row", lambda: _stored(sidecar) - stored >= count, STORED_S)
    if _stored(sidecar) - stored != count or _dropped(sidecar) != dropped:
        raise CannotMeasure(f"{_dropped(sidecar) - dropped:.0f} rows were dropped")
    workers, tree = (after - b for after, b in zip(sidecar.cpu_s(), before, strict=True))
    return Steady(workers, tree, count, count / seconds, time.perf_counter() - began - seconds)


def _load(session: Session, sidecar: Sidecar, seconds: float) -> int:
    load = generate(
        sidecar.port,
        Ask("/200"),
        seconds=seconds,
        connections=CONNECTIONS,
        cores=session.cores.load,
        rate=RATE,
    )
    if load.bad or load.broken:
        raise CannotMeasure(f"{load.bad} bad answers, {load.broken} broken connections")
    return load.requests


def _stored(sidecar: Sidecar) -> float:
    return sidecar.metric("log_rows_stored_total")


def _dropped(sidecar: Sidecar) -> float:
    return sidecar.metric("log_rows_dropped_total")


def _figures(session: Session, row: str, build: Build, found: list[Steady]) -> None:
    slowest = min(one.rate for one in found)
    late = max(one.late_s for one in found)
    note = f"all rows stored {late:.0f} s after the load"
    if slowest < RATE * KEPT_UP:
        note += f"; ONLY {slowest:.0f} requests/s: too busy a machine"
    session.report.add(
        Finding(row, build.name, "", "us workers", [_us(one, one.workers_s) for one in found]),
        Finding(row, build.name, "whole tree", "us CPU", [_us(one, one.tree_s) for one in found]),
        Finding(
            row, build.name, "workers", "x CPU", [one.tree_s / one.workers_s for one in found], note
        ),
    )


def _us(one: Steady, seconds: float) -> float:
    return seconds / one.requests * 1e6
