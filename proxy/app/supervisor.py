"""`selfheal up`: bind the ports, keep data workers, control process and embedded Postgres alive,
stop in order.

Imports almost nothing: it must outlive everything it supervises. It forwards no byte, holds no
credential and speaks no SQL; what needs those runs in a child.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from proxy.app.channel import Channel, Message
from proxy.app.children import CONTROL, WORKER, Child, abandon
from proxy.app.home import Home
from proxy.app.keeper import DatabaseKeeper
from proxy.app.ports import bind_all, shown_url, unlink_unix
from proxy.app.takeover import Offer, receive
from proxy.clock import SystemClock
from proxy.config import Loaded, reloaded
from proxy.dataplane.tls import read_pem
from proxy.errors import SelfHealError
from proxy.locations import DataDir
from proxy.log import setup
from proxy.tasks import cancel, spawn

_log = logging.getLogger("selfheal.supervisor")

FIRST_BYTE_TIMEOUT_S = 3.0
RESPAWN_FIRST_S = 0.05
RESPAWN_MAX_S = 5.0
HEALTHY_AFTER_S = 10.0
"""A child that lived this long starts again at once, without the growing pause."""
STOP_GRACE_S = 10.0
"""Beyond drain_s: the last flush to the database, then the child is killed."""


class Supervisor:
    def __init__(
        self,
        loaded: Loaded,
        data_dir: Path,
        *,
        reload: Any,
        takeover: bool = False,
        first: Child | None = None,
    ) -> None:
        """Raises ``ConfigError`` when a file that the settings name for TLS cannot be used."""
        self.loaded = loaded
        self.config = loaded.config
        self._pem = read_pem(loaded.config)
        self._home = Home(DataDir(data_dir), takeover=takeover)
        self.files = self._home.files
        self._reload = reload
        self._takeover = takeover
        self._first = first
        self._children: list[Child] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._clock = SystemClock()
        self._stopping = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._forwarding = asyncio.Event()
        self._database: Message | None = None
        self._keeper = DatabaseKeeper(data_dir, lambda: self.config, self._database_found)
        self._offer: Offer | None = None
        self._exit_code = 0

    # --- start --------------------------------------------------------------------------------

    async def run(self) -> int:
        """Serve until told to stop; the exit code of the command."""
        self._home.enter()
        try:
            self._keeper.check()
            self._bind()
            self._install_signals()
            self._announce()
            self._keep_all([c for c in self._children if c.is_worker])
            # Traffic first: what follows would only compete for the processor with the first byte.
            await self._first_byte()
            self._keep_all([c for c in self._children if not c.is_worker])
            background = [
                spawn(self._keeper.run(), name="database"),
                spawn(self._home.keep_lock(), name="lock"),
            ]
            await self._stopping.wait()
            await self._stop(background)
        finally:
            self._clean_up()
        return self._exit_code

    async def _first_byte(self) -> None:
        """Until a worker forwards, or none will in time, or we are told to stop."""
        waits = [
            spawn(self._forwarding.wait(), name="first byte"),
            spawn(self._stopping.wait(), name="stop"),
        ]
        await asyncio.wait(waits, timeout=FIRST_BYTE_TIMEOUT_S, return_when="FIRST_COMPLETED")
        await cancel(*waits)

    def _bind(self) -> None:
        listen = self.config.listen
        inherited = receive(self.files.takeover) if self._takeover else []
        bind = partial(
            bind_all, takeover=self._takeover, inherited=inherited, mode=int(listen.socket_mode, 8)
        )
        data = bind(listen.data, listen.workers, flag="--listen")
        control = bind(listen.control, 1, flag="--control")
        for sock in inherited:
            if sock not in data and sock not in control:
                sock.close()
        for index in range(listen.workers):
            child = self._take_first() or Child(f"worker-{index}", WORKER)
            child.sockets = data[index :: listen.workers] or [data[0]]
            self._children.append(child)
        control_process = Child("control", CONTROL)
        control_process.sockets = control
        self._children.append(control_process)
        scheme = "https" if self._pem.certificate else "http"
        self._home.tell(shown_url(data[0], scheme), shown_url(control[0]))
        self._offer = Offer(self._home.run_dir, self.files.takeover, data + control)
        self._offer.open()

    def _take_first(self) -> Child | None:
        first, self._first = self._first, None
        return first

    def _announce(self) -> None:
        upstream = self.config.upstream.url
        _log.info(
            "forwarding %s → %s; control and health on %s; data in %s",
            self.files.data_url.read_text().strip(),
            upstream,
            self.files.control_url.read_text().strip(),
            self.files.path,
        )

    def _keep_all(self, children: list[Child]) -> None:
        self._watchers += [spawn(self._keep(child), name=child.name) for child in children]

    # --- children -----------------------------------------------------------------------------

    def _start_message(self, child: Child) -> Message:
        return {
            "name": child.name,
            **self._settings(child),
            "data_dir": str(self.files.path),
            "run_dir": str(self._home.run_dir),
            "database": self._database,
        }

    def _settings(self, child: Child) -> Message:
        """What a child may know: where the database is, it is told as its own login's DSN; the data
        port's key concerns workers only.
        """
        config = self.config.dump()
        config["database"]["url"] = ""
        told: Message = {"config": config, "origins": dict(self.loaded.origins)}
        if child.is_worker:
            told["pem"] = asdict(self._pem)
        return told

    async def _keep(self, child: Child) -> None:
        pause = RESPAWN_FIRST_S
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            if child.process is None:
                child.launch()
            # It may have died before it was told anything; the next round tells why.
            message = self._start_message(child)
            with contextlib.suppress(OSError):
                # in a thread: what does not fit the socket's buffer waits for the child's imports
                await asyncio.to_thread(child.begin, message)
            assert child.sock is not None
            assert child.process is not None
            child.channel = await Channel.open(child.sock)
            self._tell_what_changed(child, message)
            await child.channel.listen(partial(self._heard, child))
            child.channel.close()
            code = await asyncio.to_thread(child.process.wait)
            child.gone()
            if self._stopping.is_set():
                return
            if self._clock.monotonic() - began > HEALTHY_AFTER_S:
                pause = RESPAWN_FIRST_S
            _log.error("%s ended with %s; starting it again in %.2f s", child.name, code, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, RESPAWN_MAX_S)

    def _tell_what_changed(self, child: Child, told: Message) -> None:
        """What was broadcast between the start message and the open channel reached nobody."""
        channel = child.channel
        assert channel is not None
        if self._database is not None and told["database"] is None:
            channel.send({"type": "database", **self._database})
        settings = self._settings(child)
        if any(settings[name] != told[name] for name in ("config", "pem") if name in settings):
            channel.send({"type": "reload", **settings})
        if self._stopping.is_set():
            channel.send({"type": "drain"})

    def _heard(self, child: Child, message: Message) -> None:
        if message.get("type") == "ready":
            self._forwarding.set()
        elif message.get("type") == "fatal":
            _log.error("%s: %s", child.name, message.get("reason"))
            # once traffic flows, whatever changed on the disk since concerns the next start
            if child.is_worker and not self._forwarding.is_set():
                self._exit_code = int(message.get("exit_code", 1))
                self._stopping.set()

    def _database_found(self, message: Message) -> None:
        self._database = message
        self._broadcast({"type": "database", **message})

    def _broadcast(self, message: Message) -> None:
        for child in self._children:
            if child.channel is not None:
                child.channel.send(message)

    # --- signals and stop ---------------------------------------------------------------------

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload_signal)

    def _on_stop_signal(self) -> None:
        if self._stopping.is_set():
            self._stop_now.set()
        self._stopping.set()

    def _on_reload_signal(self) -> None:
        """All or nothing: a broken file changes nothing and is named in the log."""
        try:
            loaded = self._reload()
            config, waiting = reloaded(self.config, loaded.config)
            pem = read_pem(config)
        except SelfHealError as error:
            _log.error("reload refused, the old settings stay: %s", error)
            return
        self.config, self._pem = config, pem
        self.loaded = Loaded(config, loaded.origins)
        setup(self.config.log.level, "up")
        for child in self._children:
            if child.channel is not None:
                child.channel.send({"type": "reload", **self._settings(child)})
        if waiting:
            _log.warning("the next start will change %s; the rest", ", ".join(waiting))
        _log.info("settings reloaded")

    async def _stop(self, background: list[asyncio.Task[None]]) -> None:
        _log.info("stopping: draining for at most %.0f s", self.config.downstream.drain_s)
        await cancel(*background)
        self._offer_no_more()
        self._broadcast({"type": "drain"})
        control = [c for c in self._children if not c.is_worker]
        workers = [c for c in self._children if c.is_worker]
        for sock in (s for child in workers for s in child.sockets):
            # Ours too, or the kernel would go on queueing connections nobody will accept.
            self._let_go(sock)
        await self._wait_for(workers, self.config.downstream.drain_s + STOP_GRACE_S)
        for child in control:
            if child.channel is not None:
                child.channel.send({"type": "stop"})
        await self._wait_for(control, STOP_GRACE_S)
        await cancel(*self._watchers)
        await self._keeper.settle()

    def _offer_no_more(self) -> None:
        if self._offer is not None:
            self._offer.close()

    def _let_go(self, sock: socket.socket) -> None:
        """Close our end; a unix socket's path goes too, unless another sidecar has the socket."""
        if sock.fileno() >= 0:
            if self._offer is not None and not self._offer.is_taken:
                unlink_unix(sock)
            sock.close()

    async def _wait_for(self, children: list[Child], timeout_s: float) -> None:
        waits = [asyncio.to_thread(c.process.wait) for c in children if c.process is not None]
        if not waits:
            return
        everybody = asyncio.gather(*waits)
        now = spawn(self._stop_now.wait(), name="second signal")
        await asyncio.wait({everybody, now}, timeout=timeout_s, return_when="FIRST_COMPLETED")
        for child in children:
            if child.process is not None and child.process.poll() is None:
                _log.warning("%s did not end in time; killed", child.name)
                child.process.kill()
        await everybody
        await cancel(now)

    def _clean_up(self) -> None:
        self._offer_no_more()
        if (unused := self._take_first()) is not None:
            abandon(unused)
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.kill()
                child.process.wait()
            for sock in child.sockets:
                self._let_go(sock)
        self._keeper.detach()
        self._home.leave()
