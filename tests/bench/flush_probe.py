"""One flush of ``ROWS`` rows on a loop of its own, watched by a callback that runs in every
iteration. ``python flush_probe.py DSN DATA_DIR ROUNDS`` prints the longest pauses in ms as JSON.

Two figures: the wall's, and our own, in which a pause without any waiting of ours counts as the CPU
time it took: the rest of it the machine gave to others.
"""

import asyncio
import contextlib
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path

import uvloop

from proxy.app import heap
from proxy.app.database import Database, LogWriter
from proxy.clock import SystemClock
from proxy.config import Config
from proxy.domain.exchange import Exchange, Outcome
from proxy.domain.redact import Redactor
from proxy.healing.rules import RuleSet
from proxy.observability.buffer import MetricsBuffer
from proxy.observability.detector import MLDetector
from proxy.observability.flusher import Flusher, decode_row
from proxy.observability.recorder import Recorder
from proxy.observability.spool import Spool
from proxy.store.log_rows import LogRows

ROWS = 10_000
ROUTES = 40
FAILING_EVERY = 50
URGENT = -15


class Watch:
    """The longest pause between two iterations of the loop."""

    def __init__(self) -> None:
        self.wall_ms = self.own_ms = 0.0
        self._loop = asyncio.get_running_loop()
        self._waits, self._wall, self._cpu = _waits(), time.perf_counter(), time.thread_time()
        self._on = True
        self._loop.call_soon(self._look)

    def _look(self) -> None:
        next_waits, wall, cpu = _waits(), time.perf_counter(), time.thread_time()
        wall_ms = (wall - self._wall) * 1000
        # read a moment after the other clock, so by that moment it may be ahead
        cpu_ms = min(wall_ms, (cpu - self._cpu) * 1000)
        self.wall_ms = max(self.wall_ms, wall_ms)
        self.own_ms = max(self.own_ms, cpu_ms if _waits() == self._waits else wall_ms)
        self._waits, self._wall, self._cpu = next_waits, wall, cpu
        if self._on:
            self._loop.call_soon(self._look)

    def stop(self) -> None:
        self._on = False


def _waits() -> int:
    """How often our thread gave up the core by itself: for a lock, a disk, another thread."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def exchange(number: int, now: float) -> Exchange:
    failing = number % FAILING_EVERY == 0
    return Exchange(
        now + number / 1000,
        1.0 + number % 90,
        "GET" if number % 3 else "POST",
        f"/shop/{number % ROUTES}-items/{number}?page=2".encode(),
        502 if failing else 200,
        Outcome.UPSTREAM_BROKEN if failing else Outcome.ANSWERED,
        error="the answer was cut after 312 bytes" if failing else None,
        client="192.0.2.7",
    )


def lay_down(recorder: Recorder, one: Exchange) -> None:
    """As the data plane does: a plain answer as a tuple."""
    if one.outcome is not Outcome.ANSWERED:
        recorder.record(one)
        return
    recorder.fresh.append(
        (
            one.started_at,
            one.duration_ms,
            one.method,
            one.target,
            one.status,
            one.request_bytes,
            one.response_bytes,
            one.trace_id,
            one.client,
        )
    )
    if len(recorder.fresh) >= recorder.handful:
        recorder.settle()


def as_heavy_as_a_worker() -> None:
    """What a full garbage collection would walk through in the real process."""
    importlib.import_module("proxy.app.worker")
    importlib.import_module("proxy.ingest.app")
    RuleSet.load()
    heap.settle()


def hurry() -> None:
    """Where we may: what else this machine does would count as a pause of ours."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, URGENT)


async def main(dsn: str, data_dir: str, rounds: int) -> None:
    as_heavy_as_a_worker()
    hurry()
    config, clock = Config(), SystemClock()
    database = Database(config.database.schema, max_size=2)
    await database.connect({"proxy_dsn": dsn})
    recorder = Recorder(buffer=MetricsBuffer(ROWS), detector=MLDetector(config.detector))
    rows = LogRows(config.app.service, recorder.log_id(0), Redactor().text)
    writer = LogWriter(database, rows, config.metrics.copy_rows)
    flusher = Flusher(
        recorder.buffer,
        lambda: writer,
        Spool(Path(data_dir) / "probe", 1 << 26, encode=list, decode=decode_row),
        rows=rows.rows,
        kept=rows.kept,
        flush_s=config.metrics.flush_s,
        copy_rows=config.metrics.copy_rows,
        spill_at=ROWS,
    )
    found: list[dict[str, float]] = []
    for number in range(2 * rounds + 1):
        now = clock.time()
        for n in range(ROWS):
            lay_down(recorder, exchange(n, now))
        # every second one unwatched: a loop that never sleeps would count its waiting as cost
        watch = Watch() if number % 2 else None
        stored, began = flusher.stored, time.thread_time()
        await flusher.flush()
        cpu_us = (time.thread_time() - began) / ROWS * 1e6
        if watch is not None:
            watch.stop()
            await asyncio.sleep(0)
            found.append({"wall_ms": watch.wall_ms, "own_ms": watch.own_ms})
        elif number:
            # the first of all also opens the connection and fills the driver's caches
            found[-1]["row_us"] = cpu_us
        if flusher.stored - stored != ROWS:
            raise SystemExit(f"{flusher.stored - stored} rows stored: {flusher.last_error}")
    database.close()
    print(json.dumps(found))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
