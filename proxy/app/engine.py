"""What a data worker does behind its sockets, for a process that has its own: from finished calls
to rows, baselines, anomalies and jobs. Without files: what the database has not taken waits in
memory, within bounds.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
from collections import deque
from datetime import timedelta
from typing import Any

from proxy.app.client_key import keyed
from proxy.app.database import Database, LogWriter
from proxy.app.deploys import DeployWatch
from proxy.app.failures import FailureDesk
from proxy.app.incidents import IncidentBook, name_of
from proxy.app.reading import reading
from proxy.app.sharing import BaselineKeeper
from proxy.clock import SystemClock
from proxy.config import Config
from proxy.domain.deploy import Deploy
from proxy.domain.exchange import Exchange
from proxy.domain.peers import Trust, visitor
from proxy.domain.redact import Redactor
from proxy.errors import SelfHealError
from proxy.healing.intake import Intake
from proxy.healing.rules import RuleSet
from proxy.observability.buffer import MetricsBuffer
from proxy.observability.detector import MLDetector
from proxy.observability.empties import EmptyLists, Overlooked
from proxy.observability.flusher import Flusher, decode_row
from proxy.observability.held import Held
from proxy.observability.recorder import Recorder
from proxy.store import incidents
from proxy.store.log_rows import LogRows
from proxy.tasks import cancel, spawn

_log = logging.getLogger("selfheal.engine")

POOL_SIZE = 2
TAKE_EVERY_S = 0.05
TAKEN_AT_ONCE = 50
"""Then the app's threads come first: a millisecond of the interpreter is held at most."""
TICK_S = 1.0
KEEP_EVERY_S = 60.0
REPORT_LAG = timedelta(minutes=1)
FIRST_CONNECT_S = 2.0
LAST_FLUSH_S = 5.0


class Engine:
    """``run`` on a thread of its own, until ``stop`` from any other."""

    def __init__(self, dsn: str, config: Config, queue: deque[Exchange]) -> None:
        self._dsn = dsn
        self._config = config
        self._queue = queue
        self._clock = SystemClock()
        self._trusts = Trust(config.downstream.trusted)
        self._holder = name_of(f"in-app/{config.app.service}/{os.getpid()}")
        self._hash_client = keyed(hashlib.sha256(dsn.encode()).digest())
        self._redactor = Redactor(config.capture.redact_names)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._is_asked = False
        self._told: dict[str, Any] = {"storage": {"state": "starting"}}

    def stop(self) -> None:
        self._is_asked = True
        if self._loop is not None and self._stopped is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._stopped.set)

    def state(self) -> dict[str, Any]:
        """As of the last second."""
        return self._told

    async def run(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        if self._is_asked:
            self._stopped.set()
        self._open()
        background = [
            spawn(self._database.connect({"proxy_dsn": self._dsn}), name="database"),
            spawn(self._incidents.run(), name="incidents"),
            spawn(self._deploys.run(), name="deploys"),
            spawn(self._rules.run(), name="rules"),
            spawn(self._intake.run(), name="intake"),
            spawn(self._take(), name="take"),
            spawn(self._tick(), name="tick"),
            spawn(self._keep(), name="keep"),
        ]
        flushing = spawn(self._flusher.run(), name="flusher")
        await self._stopped.wait()
        await self._finish(flushing)
        await cancel(*background, flushing)
        self._database.close()

    def _open(self) -> None:
        config, service = self._config, self._config.app.service
        self._database = Database(config.database.schema, max_size=POOL_SIZE)
        connect = self._database.as_sidecar
        self._desk = FailureDesk(service, config.app.environment)
        self._incidents = IncidentBook(service, f"{self._holder}/app", connect, self._desk.anomaly)
        self._deploys = DeployWatch(service, connect, self._clock, self._on_deploy)
        self._recorder = Recorder(
            buffer=MetricsBuffer(config.metrics.buffer_size, on_fill=lambda: self._flusher.wake()),
            detector=MLDetector(config.detector, sharing=True),
            on_failure=self._desk.exchange,
            on_client_error=self._desk.exchange,
            on_redirect_loop=self._desk.redirect_loop,
            on_anomaly=self._incidents.opened,
            on_anomaly_end=self._incidents.ended,
        )
        self._baselines = BaselineKeeper(
            service,
            f"{self._holder}/app",
            self._recorder.detector,
            connect,
            self._clock,
            stores=True,
        )
        rows = LogRows(service, self._recorder.log_id(0), lambda text: self._redactor.text(text))
        writer = LogWriter(self._database, rows, config.metrics.copy_rows)
        self._held = Held(config.metrics.buffer_size, decode=decode_row)
        self._flusher = Flusher(
            Overlooked(self._recorder.buffer, EmptyLists(self._desk.silence).see),
            lambda: writer if self._database.pool is not None else None,
            self._held,
            rows=rows.rows,
            kept=rows.kept,
            flush_s=config.metrics.flush_s,
            copy_rows=config.metrics.copy_rows,
            spill_at=config.metrics.buffer_size,
        )
        self._intake = Intake(connect, clock=self._clock, settings=config.healing)
        reader, self._rules = reading(
            config,
            self._desk,
            RuleSet.load(),
            self._intake,
            lambda: self._redactor,
            self._hash_client,
        )
        self._desk.open(reader)

    async def _finish(self, flushing: "asyncio.Task[None]") -> None:
        """What was measured and what failed goes to the database if it is there."""
        if self._database.last_error is None:
            # an app that lived a second: the first attempt is under way
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._database.ready.wait(), FIRST_CONNECT_S)
        self._take_all()
        self._flusher.stop()
        try:
            async with asyncio.timeout(LAST_FLUSH_S):
                await asyncio.shield(flushing)
                if self._database.state()["state"] == "ok":
                    await self._incidents.written()
                self._desk.finish()
                await self._intake.finish()
                if self._database.pool is not None:
                    await self._baselines.step()
        except TimeoutError:
            _log.error("the last flush took too long; what is left is lost")
        except SelfHealError as error:
            _log.warning("the last flush did not end well: %s", error)
        except Exception:
            _log.exception("the last flush did not end well")
        self._incidents.give_up()

    # --- while it runs ------------------------------------------------------------------------

    async def _take(self) -> None:
        while True:
            more = self._take_some()
            await asyncio.sleep(0 if more else TAKE_EVERY_S)

    def _take_all(self) -> None:
        while self._take_some():
            pass

    def _take_some(self) -> bool:
        """True when more waits."""
        queue = self._queue
        for _ in range(min(TAKEN_AT_ONCE, len(queue))):
            exchange = queue.popleft()
            if exchange.capture is not None:
                said = [
                    value.decode("latin-1")
                    for name, value in exchange.capture.request_headers
                    if name.lower() == b"x-forwarded-for"
                ]
                exchange.client = visitor(exchange.client, said, self._trusts)
            self._recorder.record(exchange)
        return bool(queue)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._recorder.tick(self._clock.time())
            self._told = {
                "storage": self._database.state(),
                "waiting": len(self._recorder.buffer) + self._held.rows,
                "rows_stored": self._flusher.stored,
                "rows_dropped": (
                    self._recorder.buffer.dropped + self._held.dropped + self._flusher.refused
                ),
                "failures_dropped": self._desk.dropped + self._intake.dropped,
            }

    def _on_deploy(self, deploy: Deploy) -> None:
        self._recorder.detector.deploy(deploy.created_at.timestamp(), deploy.version)

    async def _keep(self) -> None:
        """Each minute: what was learned, told and heard; what is still going on, renewed."""
        await self._database.ready.wait()
        while True:
            await self._baselines.step_safely()
            try:
                await self._renew()
            except (SelfHealError, OSError) as error:
                _log.warning("incidents could not be renewed: %s", error)
            await asyncio.sleep(KEEP_EVERY_S)

    async def _renew(self) -> None:
        """An incident nobody renews is closed: no control process speaks for this one."""
        live = [
            (i.anomaly.kind, i.anomaly.method, i.anomaly.route)
            for i in self._recorder.detector.open_incidents
        ]
        before = self._clock.now() - REPORT_LAG
        async with self._database.as_sidecar() as conn:
            await incidents.close_forgotten(
                conn, self._config.app.service, self._holder, before, live
            )
