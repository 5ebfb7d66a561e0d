"""The control process: control API, healer, agents, and what must be done once a minute. Its
composition root.

It may die at any time: traffic does not notice, and everything it was doing stands in Postgres.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from proxy.agents.router import OrchestratorRouter
from proxy.api.deps import ApiDeps
from proxy.api.facts import StoreFacts
from proxy.api.server import LINE_BYTES_MAX, build_app
from proxy.api.server import reload as reload_app
from proxy.app.adoption import Adoption
from proxy.app.chain_head import HeadKeeper
from proxy.app.channel import Channel, Message
from proxy.app.client_key import client_hasher
from proxy.app.database import Database
from proxy.app.escalation import Escalation
from proxy.app.incidents import sidecar_name
from proxy.app.live import LiveStatus
from proxy.app.push import Push
from proxy.app.reach import Reach
from proxy.app.status_link import Desk
from proxy.clock import SystemClock, until_next
from proxy.config import Config
from proxy.domain.failure import Classification, Failure
from proxy.errors import SelfHealError
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.healer import Healer
from proxy.healing.live_rules import LiveRules
from proxy.healing.rules import RuleSet
from proxy.healing.service import SelfHealingService
from proxy.log import setup
from proxy.store import incidents, jobs, metrics
from proxy.tasks import cancel, spawn

_log = logging.getLogger("selfheal.control")

POOL_SIZE = 8
SHUTDOWN_S = 2.0
WORD_S = 2.0
"""How long after a signal the supervisor may take to say what it means."""
TEXT_CHARS_MAX = 16384
SNAPSHOT_EVERY_S = 60.0
KEEP_LOGS = timedelta(days=7)
"""As the installation this was made for cleans up; the jobs and decisions stay."""
KEEP_HEALTH = timedelta(days=90)
SETTLED_AFTER = timedelta(minutes=5)
"""An anomaly younger than this may be on its way from a worker to its report."""


class Control:
    def __init__(self, start: Message, sockets: list[socket.socket]) -> None:
        self.config = config = Config.of(start["config"])
        self._start = start
        self._sockets = sockets
        self._sidecar = sidecar_name(Path(start["data_dir"]))
        self._clock = SystemClock()
        self._stopped = asyncio.Event()
        self._told_to_drain = False
        self._desk = Desk(Path(start["run_dir"]), self._clock)
        self._database = Database(config.database.schema, max_size=POOL_SIZE)
        self._app: web.Application | None = None
        self._alerts = Escalation(self._database.as_sidecar, config, Push(), self._clock)
        self._head = HeadKeeper(self._database.as_sidecar, config, self._clock)
        self._live = LiveStatus(config, self._clock, self._desk.reports, self._storage)
        self._classifier = ErrorClassifier(RuleSet.load())
        self._rules = LiveRules(self._classifier, config.healing.rules)
        self._service = SelfHealingService(
            self._database.as_sidecar,
            self._classifier,
            config,
            clock=self._clock,
            traffic_share=self._live.traffic_share,
        )
        self._adoption = Adoption(
            self._database.as_sidecar,
            self._service,
            config,
            clock=self._clock,
            client_key=client_hasher(Path(start["data_dir"]) / "client.key"),
        )
        self._reach = Reach(
            self._database.as_sidecar,
            config,
            lambda: sum(self._live.merged().statuses.values()),
            clock=self._clock,
        )
        self._healer = Healer(
            self._database.as_sidecar,
            self._service,
            config,
            Path(start["data_dir"]),
            clock=self._clock,
            live_requests=self._requests_on,
        )

    async def run(self, channel_sock: socket.socket) -> None:
        """Serve until the supervisor says stop, or is gone."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._on_sigterm)
        await self._desk.open()
        channel = await Channel.open(channel_sock)
        runner = await self._serve()
        background = [
            spawn(self._listen(channel), name="channel"),
            spawn(self._heal(), name="healer"),
            spawn(self._upkeep(), name="upkeep"),
            spawn(self._adopt(), name="adoption"),
            spawn(self._measure_reach(), name="reach"),
            spawn(self._rules.run(), name="rules"),
            spawn(self._keep_head(), name="chain-head"),
            spawn(self._escalate(), name="alerts"),
        ]
        if self._start["database"] is not None:
            self._connect(self._start["database"])
        channel.send({"type": "ready"})
        await self._stopped.wait()
        await runner.cleanup()
        await cancel(*background)
        await self._healer.close()
        self._desk.close()
        self._database.close()

    def _on_sigterm(self) -> None:
        """A service manager may tell the whole group: then health says draining until the
        supervisor, which was told as well, says stop. Meant for this process alone, it ends it.
        """
        self._live.draining = True
        asyncio.get_running_loop().call_later(WORD_S, self._stop_unless_draining)

    def _stop_unless_draining(self) -> None:
        if not self._told_to_drain:
            self._stopped.set()

    async def _serve(self) -> web.AppRunner:
        facts = StoreFacts(lambda: self._database.pool, self._live.health, self._classify_text)
        self._app = app = build_app(
            ApiDeps(
                config=self.config,
                pool_source=lambda: self._database.pool,
                member_dsn=lambda: self._database.dsn,
                live=self._live,
                service=self._service,
                ask=OrchestratorRouter(facts, clock=self._clock),
                wake=self._woken,
                listen_dsn=lambda: self._database.dsn,
                clock=self._clock,
            )
        )
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            max_line_size=LINE_BYTES_MAX,
            shutdown_timeout=SHUTDOWN_S,
        )
        await runner.setup()
        for sock in self._sockets:
            await web.SockSite(runner, sock).start()
        return runner

    def _requests_on(self, method: str | None, route: str | None) -> int:
        """Recent requests on a route, or on all where the route is not known."""
        return sum(
            row.requests
            for row in self._live.routes()
            if method in (None, row.method) and route in (None, row.route)
        )

    def _classify_text(self, text: str) -> Classification:
        failure = Failure(
            self.config.app.service, self._clock.now(), text[:TEXT_CHARS_MAX], source_kind="server"
        )
        return self._classifier.classify(failure)

    async def _listen(self, channel: Channel) -> None:
        await channel.listen(self._heard)
        self._stopped.set()

    def _heard(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "database":
            self._connect(message)
        elif kind == "drain":
            self._live.draining = self._told_to_drain = True
        elif kind == "stop":
            self._stopped.set()
        elif kind == "reload":
            self._reload(Config.of(message["config"]))

    def _reload(self, config: Config) -> None:
        self.config = self._live.config = config
        if self._app is not None:
            reload_app(self._app, config)
        self._healer.reload(config)
        self._adoption.reload(config)
        self._rules.path = config.healing.rules
        self._reach.config = config
        self._head.reload(config)
        self._alerts.reload(config)
        setup(config.log.level, self._start["name"])

    def _connect(self, message: Message) -> None:
        _ = spawn(self._database.connect(message), name="database")

    async def _heal(self) -> None:
        await self._database.ready.wait()
        await self._healer.run()

    async def _adopt(self) -> None:
        await self._database.ready.wait()
        await self._adoption.run()

    async def _keep_head(self) -> None:
        await self._database.ready.wait()
        await self._head.run()

    async def _escalate(self) -> None:
        await self._database.ready.wait()
        await self._alerts.run()

    def _woken(self) -> None:
        self._healer.wake()
        self._alerts.wake()

    def _storage(self) -> dict[str, Any]:
        state = self._database.state()
        return state if self._head.broken is None else {**state, "audit": self._head.broken}

    async def _measure_reach(self) -> None:
        await self._database.ready.wait()
        await self._reach.run()

    async def _upkeep(self) -> None:
        """Once a minute, each task by itself: one that fails does not stop the others."""
        await self._database.ready.wait()
        tasks: list[Callable[[], Any]] = [
            self._store_health,
            self._keep_partitions,
            self._forget_old,
            self._close_forgotten,
        ]
        while True:
            for task in tasks:
                try:
                    await task()
                except SelfHealError as error:
                    _log.warning("%s: %s", task.__name__.strip("_"), error)
                except Exception:
                    _log.exception("%s failed", task.__name__.strip("_"))
            await asyncio.sleep(until_next(self._clock.time(), SNAPSHOT_EVERY_S))

    async def _store_health(self) -> None:
        health = self._live.health()
        async with self._database.as_sidecar() as conn:
            await metrics.insert_health_snapshot(
                conn,
                self.config.app.service,
                minute=int(self._clock.time() // SNAPSHOT_EVERY_S),
                overall=health.score,
                latency=health.parts.get("latency"),
                error_rate=health.parts.get("error_rate"),
                availability=health.parts.get("availability"),
                metrics={
                    "requests": health.requests,
                    "errors": health.errors,
                    "why": [term.model_dump() for term in health.why],
                },
            )

    async def _keep_partitions(self) -> None:
        today = self._clock.now().date()
        async with self._database.as_sidecar() as conn:
            await metrics.ensure_partitions(conn, today)
            await metrics.drop_partitions(conn, today - KEEP_LOGS)

    async def _forget_old(self) -> None:
        now = self._clock.now()
        async with self._database.as_sidecar() as conn:
            await metrics.forget_health(conn, self.config.app.service, now - KEEP_HEALTH)
            await jobs.forget_links(conn, now - KEEP_LOGS)

    async def _close_forgotten(self) -> None:
        """Anomalies whose end nobody told, because no worker ran that knew of them; what is still
        seen is renewed. Only while every worker speaks: then what is open is known.
        """
        live = self._live.open_incidents(self.config.listen.workers)
        if live is not None:
            before = self._clock.now() - SETTLED_AFTER
            async with self._database.as_sidecar() as conn:
                await incidents.close_forgotten(
                    conn, self.config.app.service, self._sidecar, before, live
                )


async def serve(start: Message, sockets: list[socket.socket], line: socket.socket) -> None:
    await Control(start, sockets).run(line)
