"""A data worker: forward, measure, detect, classify, record. The composition root of one such
process.

It forwards before anything heavy is imported: rules, database driver and ingest come after the
listeners are open.
"""

import asyncio
import importlib
import logging
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from proxy.app import heap
from proxy.app.channel import Channel, Message
from proxy.app.client_key import client_hasher
from proxy.app.database import Database, LogWriter
from proxy.app.deploys import DeployWatch
from proxy.app.failures import FailureDesk
from proxy.app.incidents import IncidentBook, sidecar_name
from proxy.app.sharing import BaselineKeeper
from proxy.app.status_link import Report, Reporter
from proxy.clock import SystemClock
from proxy.config import Config
from proxy.dataplane.server import DataServer
from proxy.dataplane.server import serve as listen
from proxy.dataplane.tls import Pem
from proxy.domain.anomaly import Anomaly
from proxy.domain.deploy import Deploy
from proxy.domain.exchange import Exchange
from proxy.domain.peers import Trust, visitor
from proxy.domain.redact import Redactor
from proxy.domain.surroundings import Surroundings
from proxy.errors import SelfHealError
from proxy.locations import DataDir
from proxy.log import setup
from proxy.observability.buffer import MetricsBuffer
from proxy.observability.detector import MLDetector
from proxy.observability.empties import EmptyLists, Overlooked
from proxy.observability.flusher import Flusher, decode_row
from proxy.observability.incident import IncidentEnd
from proxy.observability.recorder import Recorder
from proxy.observability.spool import Spool
from proxy.store.log_rows import LogRows
from proxy.tasks import cancel, spawn

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.healing.intake import Intake
    from proxy.healing.live_rules import LiveRules

_log = logging.getLogger("selfheal.worker")

FIRST_WORKER = "worker-0"
WORKERS_MAX = 64
POOL_SIZE = 2
TICK_S = 1.0
LAST_REPORT_S = 2.0
"""What the app's users or SDKs are telling us when we stop is heard to its end, within this."""
LAST_FLUSH_S = 8.0
"""How long the end waits for the database; what is not stored by then waits on disk."""


class Worker:
    def __init__(self, start: Message, sockets: list[socket.socket]) -> None:
        self.name: str = start["name"]
        self.config = config = Config.of(start["config"])
        self._sockets = sockets
        self._start = start
        self._files = DataDir(Path(start["data_dir"]))
        self._clock = SystemClock()
        self._database = Database(config.database.schema, max_size=POOL_SIZE)
        self._redactor = Redactor(config.capture.redact_names)
        self._desk = FailureDesk(config.app.service, config.app.environment)
        holder = f"{sidecar_name(self._files.path)}/{self.name}"
        self._incidents = IncidentBook(
            config.app.service,
            holder,
            self._database.as_sidecar,
            self._desk.anomaly,
        )
        self._deploys = DeployWatch(
            config.app.service, self._database.as_sidecar, self._clock, self._on_deploy
        )
        self._hash_client = client_hasher(self._files.path / "client.key")
        self._trusts = Trust(config.downstream.trusted)
        self._surroundings = Surroundings()
        self._ingested: Counter[str] = Counter()
        self._intake: Intake | None = None
        self._rules: LiveRules | None = None
        self._watching: asyncio.Task[None] | None = None
        self._delivering: asyncio.Task[None] | None = None
        self._ingest: web.AppRunner | None = None
        self._accepting = False
        self._draining = False
        self._stopped = asyncio.Event()
        self._recorder = Recorder(
            buffer=MetricsBuffer(config.metrics.buffer_size, on_fill=self._on_fill),
            detector=MLDetector(config.detector, sharing=True),
            on_failure=self._on_failing,
            on_client_error=self._on_failing,
            on_redirect=self._on_redirect,
            on_redirect_loop=self._desk.redirect_loop,
            on_anomaly=self._on_anomaly,
            on_anomaly_end=self._on_anomaly_end,
            on_release=self._deploys.announce,
        )
        self._baselines = BaselineKeeper(
            config.app.service,
            holder,
            self._recorder.detector,
            self._database.as_sidecar,
            self._clock,
            stores=self.name == FIRST_WORKER,
            on_known=self._recorder.routes.recall,
        )
        self._server = DataServer(
            config,
            self._recorder,
            clock=self._clock,
            local=self._local,
            pem=Pem(**start["pem"]),
        )
        self._log_rows = LogRows(
            config.app.service, self._recorder.log_id(0), lambda text: self._redactor.text(text)
        )
        self._log_writer = LogWriter(self._database, self._log_rows, config.metrics.copy_rows)
        self._spool = Spool(
            self._files.spool / f"{self.name}.jsonl",
            config.metrics.spool_bytes,
            encode=list,
            decode=decode_row,
        )
        empties = EmptyLists(self._desk.silence)
        self._flusher = Flusher(
            Overlooked(self._recorder.buffer, empties.see),
            lambda: self._log_writer if self._database.pool is not None else None,
            self._spool,
            rows=self._log_rows.rows,
            kept=self._log_rows.kept,
            flush_s=config.metrics.flush_s,
            copy_rows=config.metrics.copy_rows,
            spill_at=max(1, config.metrics.buffer_size // 2),
        )
        self._reporter = Reporter(Path(start["run_dir"]), self.report, self._route_counts)

    # --- life ---------------------------------------------------------------------------------

    async def run(self, channel_sock: socket.socket) -> None:
        """Forward until told to stop, or until the supervisor is gone."""
        # A service manager may tell the whole group: then, too, what is under way must end well.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stopped.set)
        listening = await listen(self._server, self._sockets)
        self._accepting = True
        channel = await Channel.open(channel_sock)
        channel.send({"type": "ready"})
        flushing = spawn(self._flush(), name="flusher")
        rooms = spawn(self._open_rooms(), name="rooms")
        incidents = spawn(self._incidents.run(), name="incidents")
        background = [
            spawn(self._listen(channel), name="channel"),
            spawn(self._reporter.run(), name="reporter"),
            spawn(self._tick(), name="tick"),
            spawn(self._baselines.run(), name="baselines"),
            spawn(self._deploys.run(), name="deploys"),
        ]
        if self._start["database"] is not None:
            self._connect(self._start["database"])
        await self._stopped.wait()

        self._accepting, self._draining = False, True
        self._reporter.hurry()
        # what is queued already is accepted before the listeners close
        await asyncio.sleep(0)
        listening.stop()
        self._server.start_draining()
        await self._server.drained(self.config.downstream.drain_s)
        await listening.cleanup()
        if self._ingest is not None:
            await self._ingest.cleanup()
        await self._finish(flushing, rooms, incidents)
        await cancel(*background)
        self._database.close()

    async def _listen(self, channel: Channel) -> None:
        await channel.listen(self._heard)
        # The supervisor is gone: whoever starts the next one needs the ports.
        self._stopped.set()

    def _heard(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "database":
            self._connect(message)
        elif kind == "drain":
            self._stopped.set()
        elif kind == "reload":
            self._reload(Config.of(message["config"]), Pem(**message["pem"]))

    def _reload(self, config: Config, pem: Pem) -> None:
        # first, because it alone may refuse
        self._server.reload(config, pem)
        self.config = config
        self._redactor = Redactor(config.capture.redact_names)
        self._trusts = Trust(config.downstream.trusted)
        self._flusher.flush_s = config.metrics.flush_s
        self._desk.forget()
        if self._intake is not None:
            self._intake.reload(config.healing)
        if self._rules is not None:
            self._rules.path = config.healing.rules
        setup(config.log.level, self.name)
        _log.info("settings reloaded")

    async def _finish(
        self,
        flushing: "asyncio.Task[None]",
        rooms: "asyncio.Task[None]",
        incidents: "asyncio.Task[None]",
    ) -> None:
        """What was measured and what failed goes to the database if it is there, else to disk."""
        self._flusher.stop()
        try:
            async with asyncio.timeout(LAST_FLUSH_S):
                await asyncio.shield(flushing)
                # what failed in the first half second still waits to be read
                await asyncio.shield(rooms)
                self._desk.finish()
                if self._intake is not None:
                    await self._intake.finish()
                if self._database.pool is not None:
                    await self._baselines.step()
        except TimeoutError:
            _log.error("the last flush took too long; what is left waits on disk")
            # a server that hangs would hold up even the rollback of what is cancelled now
            self._database.close()
        except Exception:
            _log.exception("the last flush did not end well")
        await cancel(flushing, rooms, self._delivering, self._watching, incidents)
        self._incidents.give_up()
        if self._intake is not None:
            self._intake.save()

    async def _flush(self) -> None:
        if (left := await asyncio.to_thread(self._flusher.recover, self._orphans(""))) > 0:
            _log.info("%d rows of an earlier run wait on disk and will be stored", left)
            if self._database.pool is not None:
                self._flusher.wake()
        await self._flusher.run()

    # --- after the first byte -----------------------------------------------------------------

    async def _open_rooms(self) -> None:
        """Import and read rules beside the traffic; what failed meanwhile waits at the desk."""
        await asyncio.to_thread(_import_heavy)
        from proxy.app.reading import reading
        from proxy.healing.intake import Intake
        from proxy.healing.rules import RuleSet
        from proxy.healing.shelf import decode_entry, encode_entry

        await self._open_ingest()
        rules = await asyncio.to_thread(RuleSet.load)
        shelf = Spool(
            self._files.spool / f"{self.name}-failures.jsonl",
            self.config.metrics.spool_bytes,
            encode=encode_entry,
            decode=decode_entry,
        )
        if (left := await asyncio.to_thread(shelf.recover, self._orphans("-failures"))) > 0:
            _log.info("failures of %d bugs of an earlier run wait on disk", left)
        intake = Intake(
            self._database.as_sidecar,
            shelf=shelf,
            clock=self._clock,
            settings=self.config.healing,
        )
        self._intake = intake
        self._delivering = spawn(intake.run(), name="intake")

        reader, self._rules = reading(
            self.config, self._desk, rules, intake, lambda: self._redactor, self._hash_client
        )
        await self._rules.look()
        self._watching = spawn(self._rules.run(), name="rules")
        self._desk.open(reader)
        heap.settle()

    def _orphans(self, kind: str) -> list[Path]:
        """What workers left that this start has no more of; the first one takes it over."""
        if self.name != FIRST_WORKER:
            return []
        numbers = range(self.config.listen.workers, WORKERS_MAX)
        files = (self._files.spool / f"worker-{n}{kind}.jsonl" for n in numbers)
        return [file for file in files if file.exists()]

    async def _open_ingest(self) -> None:
        from aiohttp import web

        from proxy.ingest.app import IngestDeps, build_ingest_app

        app = build_ingest_app(
            IngestDeps(
                config=self.config,
                accept=self._desk.failure,
                redact=lambda text: self._redactor.text(text),
                clock=self._clock,
                health=self._answer_health,
                stats=self._ingested,
                client_key=lambda peer, said: self._hash_client(visitor(peer, said, self._trusts)),
            )
        )
        runner = web.AppRunner(
            app, access_log=None, auto_decompress=False, shutdown_timeout=LAST_REPORT_S
        )
        await runner.setup()
        self._ingest = runner

    def _local(self) -> asyncio.Protocol:
        """Who answers below ``ingest.prefix``; in the first moments of a start, 503."""
        if self._ingest is None or self._ingest.server is None:
            return NotYet()
        handler: asyncio.Protocol = self._ingest.server()
        return handler

    def _connect(self, message: Message) -> None:
        _ = spawn(self._after_connect(message), name="database")

    async def _after_connect(self, message: Message) -> None:
        await self._database.connect(message)
        if len(self._recorder.buffer) >= self.config.metrics.buffer_size // 2 or self._spool.rows:
            self._flusher.wake()
        try:
            await self._baselines.load()
        except SelfHealError as error:
            _log.warning("baselines could not be read yet: %s", error)

    # --- while it runs ------------------------------------------------------------------------

    def _on_fill(self) -> None:
        self._flusher.wake()

    def _on_failing(self, exchange: Exchange, log_id: UUID) -> None:
        self._desk.exchange(exchange, log_id)
        self._surroundings.see(exchange, self._trusts)

    def _on_redirect(self, exchange: Exchange, _: UUID) -> None:
        self._surroundings.see(exchange, self._trusts)

    def _on_anomaly(self, anomaly: Anomaly) -> None:
        level = logging.WARNING if anomaly.head is None else logging.INFO
        _log.log(level, "anomaly: %s", anomaly.explanation)
        self._incidents.opened(anomaly)
        self._reporter.hurry()

    def _on_anomaly_end(self, end: IncidentEnd) -> None:
        self._incidents.ended(end)
        self._reporter.hurry()

    def _on_deploy(self, deploy: Deploy) -> None:
        self._recorder.detector.deploy(deploy.created_at.timestamp(), deploy.version)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._recorder.tick(self._clock.time())

    def report(self) -> Report:
        """What the control process needs to know of this worker; JSON-able."""
        stats = asdict(self._server.stats)
        return {
            "worker": self.name,
            "pid": os.getpid(),
            "accepting": self._accepting,
            "draining": self._draining,
            "stats": stats,
            "storage": self._database.state(),
            "capture": {
                "seen": self._desk.seen,
                "dropped": self._failures_dropped(),
                "rows_stored": self._flusher.stored,
                "rows_spooled": self._spool.rows,
                "rows_dropped": self._rows_dropped(),
                "failed_flushes": self._flusher.failed_flushes,
                "redactor_failures": self._redactor.dropped,
                "sdk_events": self._ingested["accepted"],
            },
            "surroundings": self._surroundings.facts(),
            "snapshot": self._recorder.summary(self._clock.time()),
        }

    def _route_counts(self) -> Iterator[dict[str, Any]]:
        return self._recorder.route_counts(self._clock.time())

    def _answer_health(self, name: str, /) -> tuple[int, dict[str, Any]]:
        """The three health answers on the data port, from this worker's own knowledge."""
        stats = self._server.stats
        if name == "livez":
            return 200, {"status": "ok"}
        ready = self._accepting and not self._draining
        if name == "readyz":
            return (200 if ready else 503), {"status": "ok" if ready else "draining"}
        score = self._recorder.detector.get_health_score(self._clock.time()).score
        refused = stats.upstream == "refusing"
        status = "draining" if not ready else "degraded" if refused else "ok"
        return (200 if ready and not refused else 503), {
            "status": status,
            "score": score,
            "upstream": {"state": stats.upstream, "error": stats.upstream_error},
            "storage": self._database.state(),
            "capture": {"dropped": self._failures_dropped() + self._rows_dropped()},
        }

    def _failures_dropped(self) -> int:
        return self._desk.dropped + (self._intake.dropped if self._intake is not None else 0)

    def _rows_dropped(self) -> int:
        return self._recorder.buffer.dropped + self._spool.dropped + self._flusher.refused


class NotYet(asyncio.Protocol):
    """The first half second: the rooms behind the prefix are still being imported."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's, so there is nothing to check
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
            b"Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        self._transport.close()


def _import_heavy() -> None:
    """An import holds the interpreter for a tenth of a second; in a thread the loop runs
    between.
    """
    for module in (
        "asyncpg",
        "proxy.healing.classifier",
        "proxy.healing.extract",
        "proxy.healing.intake",
        "proxy.app.reading",
        "proxy.ingest.app",
        "proxy.store.pool",
        "proxy.store.metrics",
    ):
        importlib.import_module(module)


async def serve(start: Message, sockets: list[socket.socket], line: socket.socket) -> None:
    await Worker(start, sockets).run(line)
