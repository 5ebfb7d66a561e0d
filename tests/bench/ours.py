"""One data worker's hot path without processes and database, so that its parts can be told apart.
``python ours.py UPSTREAM_PORT PORT PARTS``

PARTS: ``none`` only forwards; ``all`` records, detects and classifies as a worker does, and throws
the rows away where a worker would store them; ``no-detector`` is ``all`` with the detector off.
"""

import asyncio
import signal
import socket
import sys
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import uvloop

from proxy.app.failures import FailureDesk, Reader
from proxy.clock import SystemClock
from proxy.config import Config
from proxy.dataplane.server import DataServer, serve
from proxy.domain.exchange import Exchange, Plain
from proxy.domain.failure import Failure
from proxy.domain.redact import Redactor
from proxy.errors import Unavailable
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.extract import failure_from_exchange
from proxy.healing.intake import Intake
from proxy.healing.rules import RuleSet
from proxy.observability.buffer import MetricsBuffer
from proxy.observability.detector import MLDetector
from proxy.observability.recorder import Recorder

TICK_S = 1.0


class Nothing:
    """The cheapest recorder there can be: what remains is forwarding alone."""

    handful = 128

    def __init__(self) -> None:
        # as bare values, or an ``Exchange`` would be built for nothing
        self.fresh: list[Plain] = []
        self.settle = self.fresh.clear

    def record(self, exchange: Exchange) -> None:
        pass


def observing(config: Config) -> Recorder:
    """As ``proxy.app.worker`` wires it; the buffer is emptied on fill, as a flush empties it."""
    desk = FailureDesk(config.app.service, config.app.environment)
    buffer = MetricsBuffer(config.metrics.buffer_size)
    loop = asyncio.get_running_loop()

    def throw_away() -> None:
        loop.call_soon(buffer.drain, config.metrics.buffer_size)

    buffer.on_fill = throw_away
    redactor = Redactor(config.capture.redact_names)

    def read(exchange: Exchange, log_id: UUID) -> Failure:
        return failure_from_exchange(
            exchange,
            service=config.app.service,
            environment=config.app.environment,
            log_id=log_id,
            occurred_at=datetime.fromtimestamp(exchange.started_at, UTC),
            redactor=redactor,
        )

    classifier = ErrorClassifier(RuleSet.load())
    desk.open(Reader(read, classifier, Intake(_no_database), lambda address: None))
    return Recorder(
        buffer=buffer,
        detector=MLDetector(config.detector),
        on_failure=desk.exchange,
        on_client_error=desk.exchange,
        on_redirect_loop=desk.redirect_loop,
    )


def _no_database() -> AbstractAsyncContextManager[Any]:
    raise Unavailable("nothing is stored here")


async def tick(recorder: Recorder, clock: SystemClock) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        recorder.tick(clock.time())


async def main(upstream_port: int, port: int, parts: str) -> None:
    url = f"http://127.0.0.1:{upstream_port}"
    config = Config.of({"upstream": {"url": url}, "detector": {"enabled": parts == "all"}})
    clock = SystemClock()
    recorder = Nothing() if parts == "none" else observing(config)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    runner = await serve(DataServer(config, recorder, clock=clock), [sock])
    ticking = None
    if isinstance(recorder, Recorder):
        ticking = asyncio.create_task(tick(recorder, clock))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    if ticking is not None:
        ticking.cancel()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
