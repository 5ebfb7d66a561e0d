"""A data worker: forward, measure, detect, classify, record. The composition root of one such process.

It forwards before anything heavy is imported: rules, database driver and ingest come after the listeners are open.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from proxy.app.channel import Channel, Message, receive_first
from proxy.app.database import Database, LogWriter
from proxy.app.failures import FailureDesk, Reader
from proxy.app.status_link import Report, Reporter
from proxy.clock import SystemClock
from proxy.config import Config
from proxy.dataplane.server import DataServer, serve
from proxy.domain.redact import Redactor
from proxy.locations import DataDir
from proxy.observability.flusher import Flusher, decode_row, encode_row, to_row
from proxy.observability.recorder import Recorder
from proxy.observability.spool import Spool
from proxy.tasks import cancel, spawn

if TYPE_CHECKING:
    from uuid import UUID

    from proxy.domain.anomaly import Anomaly
    from proxy.domain.exchange import Exchange
    from proxy.domain.failure import Failure
    from proxy.observability.incident import IncidentEnd

_log = logging.getLogger("selfheal.worker")

TICK_S = 1.0
BASELINES_EVERY_S = 60.0
LAST_FLUSH_S = 8.0
"""How long the end waits for the database; what is not stored by then waits on disk."""


class Worker:
    def __init__(self, start: Message, sockets: list[socket.socket]) -> None:
        self.name: str = start["name"]
        self.config = Config.model_validate(start["config"])
        self._sockets = sockets
        self._start = start
        self._files = DataDir(Path(start["data_dir"]))
        self._clock = SystemClock()
        self._database = Database(self.config.database.schema_, max_size=2)
        self._desk = FailureDesk(self.config.app.service, self.config.app.environment)
        self._redactor = Redactor(self.config.capture.redact_names)
        self._accepting = False
        self._draining = False
        self._stopped = asyncio.Event()
        self._anomaly_ids: dict[tuple[str, str, str, float], UUID] = {}
        self._recorder = Recorder(
            self.config,
            self._clock,
            on_failure=self._desk.exchange,
            on_client_error=self._desk.exchange,
            on_redirect_loop=self._desk.failure,
            on_anomaly=self._on_anomaly,
            on_anomaly_end=self._on_anomaly_end,
            on_fill=self._on_fill,
        )
        metrics = self.config.metrics
        self._spool = Spool(
            self._files.spool / f"{self.name}.jsonl",
            metrics.spool_bytes,
            encode=encode_row,
            decode=decode_row,
        )
        self._log_writer = LogWriter(self._database)
        self._flusher = Flusher(
            self._recorder.buffer,
            lambda: self._log_writer if self._database.pool is not None else None,
            self._spool,
            row=lambda exchange: to_row(
                exchange,
                self._recorder.log_id(exchange.sequence),
                self.config.app.service,
                self._redactor.text,
            ),
            flush_s=metrics.flush_s,
            copy_rows=metrics.copy_rows,
            spill_at=max(1, metrics.buffer_size // 2),
        )
        self._reporter = Reporter(Path(start["run_dir"]), self.report)

    # --- life ---------------------------------------------------------------------------------

    async def run(self, channel_sock: socket.socket) -> None:
        server = DataServer(self.config, self._recorder, clock=self._clock, local=self._local)
        self._server = server
        runner = await serve(server, self._sockets)
        self._accepting = True
        channel = await Channel.open(channel_sock)
        listening = spawn(self._listen(channel), name="channel")
        flushing = spawn(self._flusher.run(), name="flusher")
        background = [
            spawn(self._open_desk(), name="rules"),
            spawn(self._reporter.run(), name="reporter"),
            spawn(self._tick(), name="tick"),
        ]
        if self._start["database"] is not None:
            self._connect(self._start["database"])
        await self._stopped.wait()

        self._draining = True
        self._reporter.hurry()
        server.start_draining()
        for sock in self._sockets:
            sock.close()
        await server.drained(self.config.downstream.drain_s)
        await runner.cleanup()
        await self._finish(flushing)
        await cancel(listening, *background)
        await self._database.close()

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
            self._reload(Config.model_validate(message["config"]))

    def _reload(self, config: Config) -> None:
        self.config = config
        self._redactor = Redactor(config.capture.redact_names)
        self._flusher.flush_s = config.metrics.flush_s
        self._server.reload(config)
        self._desk.forget()

    async def _finish(self, flushing: "asyncio.Task[None]") -> None:
        """What was measured goes to the database if it is there, else to disk."""
        self._flusher.stop()
        try:
            async with asyncio.timeout(LAST_FLUSH_S):
                await self._save_baselines()
                if self._intake is not None:
                    await self._intake.finish()
                await asyncio.shield(flushing)
        except TimeoutError:
            _log.error("the last flush did not end in %.0f s", LAST_FLUSH_S)

    # --- after the first byte -----------------------------------------------------------------

    _intake: Any = None

    async def _open_desk(self) -> None:
        """Read the rules beside the traffic; what failed meanwhile waits at the desk."""
        await asyncio.to_thread(_import_heavy)
        from proxy.healing.classifier import ErrorClassifier
        from proxy.healing.extract import failure_from_exchange
        from proxy.healing.intake import Intake
        from proxy.healing.rules import RuleSet

        rules = await asyncio.to_thread(RuleSet.load)
        intake = Intake(self._database.as_sidecar, clock=self._clock)
        self._intake = intake
        spawn(intake.run(), name="intake")

        def read(exchange: "Exchange", log_id: "UUID") -> "Failure":
            return failure_from_exchange(
                exchange,
                service=self.config.app.service,
                environment=self.config.app.environment,
                log_id=log_id,
                occurred_at=datetime.fromtimestamp(exchange.started_at, UTC),
                redactor=self._redactor,
            )

        self._desk.open(Reader(read, ErrorClassifier(rules), intake))
        if (lost := self._flusher.recover()) > 0:
            _log.info("%d rows of an earlier run wait on disk and will be stored", lost)

    def _connect(self, message: Message) -> None:
        spawn(self._after_connect(message), name="database")

    async def _after_connect(self, message: Message) -> None:
        await self._database.connect(message)
        await self._load_baselines()
        if self._spool.rows:
            self._flusher.wake()

    def _local(self) -> asyncio.Protocol:
        """The aiohttp server behind ``ingest.prefix``, made when somebody first asks for it."""
        if self._ingest is None:
            from aiohttp import web

            from proxy.ingest.app import IngestDeps, build_ingest_app

            app = build_ingest_app(
                IngestDeps(
                    config=self.config,
                    accept=self._desk.failure,
                    redact=lambda text: self._redactor.text(text),
                    clock=self._clock,
                    health=self._answer_health,
                )
            )
            self._ingest = web.AppRunner(app, access_log=None, auto_decompress=False)
        raise NotImplementedError

    _ingest: Any = None

    # --- incidents ------------------------------------------------------------------------------

    def _on_fill(self) -> None:
        self._flusher.wake()

    def _on_anomaly(self, anomaly: "Anomaly") -> None:
        self._reporter.hurry()

    def _on_anomaly_end(self, end: "IncidentEnd") -> None:
        pass

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)

    async def _load_baselines(self) -> None: ...

    async def _save_baselines(self) -> None: ...

    def report(self) -> Report:
        return {"worker": self.name, "pid": os.getpid()}

    def _answer_health(self, name: str, /) -> tuple[int, dict[str, Any]]:
        return 200, {}


def _import_heavy() -> None:
    """Imports hold the interpreter for a tenth of a second each; in a thread the loop runs between them."""
    import asyncpg
    import proxy.healing.classifier
    import proxy.healing.extract
    import proxy.healing.intake
    import proxy.store.pool  # noqa: F401


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel_sock = socket.socket(fileno=int(sys.argv[1]))
    received = receive_first(channel_sock)
    if received is None:
        return
    start, fds = received
    from proxy.log import setup

    setup(start["config"]["log"]["level"], start["name"])
    sockets = [socket.socket(fileno=fd) for fd in fds]

    async def run() -> None:
        await Worker(start, sockets).run(channel_sock)

    uvloop.run(run())


if __name__ == "__main__":
    main()
