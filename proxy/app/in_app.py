"""Self-Heal inside an app's own process, without the proxy: what the in-app middlewares measure
becomes rows, baselines, anomalies and jobs, as behind the proxy.

    from proxy.app.in_app import observe
    observe("postgresql://sh_login_proxy:…@db/shop", service="shop")

The app's threads only append to a bounded queue. Everything that takes time, and everything that
may fail, happens on a thread of its own with an event loop of its own: whatever framework, whatever
loop, whatever has become of the database.
"""

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401 - its own end, registered first, comes after ours
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from proxy.app.engine import Engine
from proxy.config import Config
from proxy.domain.exchange import Exchange
from proxy.observability import in_app

_log = logging.getLogger("selfheal.in_app")

QUEUED_MAX = 10_000
"""Calls on their way to the thread; beyond it they are counted and forgotten."""
LAST_S = 8.0
"""How long the app's end waits for the last flush."""


def observe(
    dsn: str,
    *,
    service: str = "app",
    environment: str = "production",
    config: Config | None = None,
) -> "InApp":
    """Store what this process's middlewares measure. Call it once, where the app is made; it
    returns at once and never raises for a database that is away. ``ValueError`` for a service or an
    environment that is no name.

    ``dsn`` is the sidecar's own login, as ``selfheal migrate`` prints it. ``config`` takes the
    place of the defaults; its database and its service are those given here.
    """
    base = config or Config()
    app = {"service": service, "environment": environment}
    made = InApp(dsn, base.but(app=app))
    in_app.use(made)
    return made


class InApp:
    """``record`` from any thread; a thread of its own stores. Started by the first call, so that a
    server that forks its workers has one in each.
    """

    def __init__(self, dsn: str, config: Config) -> None:
        self._dsn = dsn
        self._config = config
        self._queue: deque[Exchange] = deque()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._engine: Engine | None = None
        self._closed = False
        self.dropped = 0
        """Calls for which there was no room."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)
        _at_the_end(self.close)

    def record(self, exchange: Exchange) -> None:
        queue = self._queue
        if len(queue) >= QUEUED_MAX:
            self.dropped += 1
            return
        queue.append(exchange)
        if self._thread is None:
            self._start()

    def state(self) -> dict[str, Any]:
        """For the app's own health page: ``storage``, what waits, what was stored and lost."""
        engine = self._engine
        told = engine.state() if engine is not None else {"storage": {"state": "starting"}}
        return told | {"queued": len(self._queue), "unmeasured": self.dropped}

    def close(self, timeout_s: float = LAST_S) -> None:
        """Store what is left and end; safe to repeat. At the latest the interpreter's end does
        it.
        """
        self._closed = True
        thread, engine = self._thread, self._engine
        if thread is None or engine is None or not thread.is_alive():
            return
        engine.stop()
        thread.join(timeout_s)

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None or self._closed:
                return
            self._engine = Engine(self._dsn, self._config, self._queue)
            self._thread = threading.Thread(target=self._run, name="selfheal", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:
                # the machine has no thread left, or the interpreter is ending
                _log.error("calls are not stored: %s", error)

    def _run(self) -> None:
        assert self._engine is not None
        try:
            asyncio.run(self._engine.run())
        except Exception:
            _log.exception("calls are not stored any more; the app is not touched")

    def _forked(self) -> None:
        """A child has the queue of its parent, and not its thread."""
        self._starting = threading.Lock()
        self._thread = self._engine = None
        self._queue = deque()
        self.dropped = 0


def _at_the_end(call: Callable[[], None]) -> None:
    """Before the interpreter refuses new threads, which ``atexit`` is too late for: resolving the
    database's name needs one.
    """
    register: Callable[[Callable[[], None]], object] = getattr(
        threading, "_register_atexit", atexit.register
    )
    register(call)
