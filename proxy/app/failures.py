"""Inside a data worker: from a failing exchange or an SDK event to the intake, classified at once.

Traffic first: until the rules are read, failures wait in a bounded queue; a storm of the same
failure is classified once and counted from then on, because the text of one failing answer is the
text of the next thousand.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Protocol
from uuid import UUID

from proxy.domain.anomaly import Anomaly
from proxy.domain.exchange import Exchange
from proxy.domain.failure import Classification, Failure

_log = logging.getLogger("selfheal.failures")

WAITING_MAX = 2000
"""Failures kept until the rules are read, about two seconds of an app that answers only 5xx."""
REMEMBERED_MAX = 512


class Classifier(Protocol):
    def classify(self, failure: Failure) -> Classification: ...


class Intake(Protocol):
    def offer(self, failure: Failure, classification: Classification) -> None: ...


@dataclass(frozen=True, slots=True)
class Reader:
    """What is needed to read a failure, known only once the heavy imports are done."""

    read: Callable[[Exchange, UUID], Failure]
    """Exchange and log id → redacted failure."""
    classifier: Classifier
    intake: Intake
    client: Callable[[str], str | None]
    """Address → the keyed hash that is stored of it."""


class FailureDesk:
    """Takes failures from the recorder and the ingest; never waits, never raises into the data
    path.
    """

    def __init__(self, service: str, environment: str) -> None:
        self._service = service
        self._environment = environment
        self._reader: Reader | None = None
        self._waiting: deque[Callable[[], None]] = deque()
        self._remembered: OrderedDict[bytes, tuple[Failure, Classification]] = OrderedDict()
        self.dropped = 0
        self.seen = 0

    def open(self, reader: Reader) -> None:
        """The rules are read: work off what waited."""
        self._reader = reader
        while self._waiting:
            try:
                self._waiting.popleft()()
            except Exception:
                self.dropped += 1
                _log.exception("a failure could not be read; the others are")

    def forget(self) -> None:
        """The rules changed: what was classified by the old ones counts no more."""
        self._remembered.clear()

    def exchange(self, exchange: Exchange, log_id: UUID) -> None:
        """A failing exchange, at once."""
        self.seen += 1
        if self._reader is None:
            self._wait(lambda: self._read_exchange(exchange, log_id))
        else:
            self._read_exchange(exchange, log_id)

    def redirect_loop(self, exchange: Exchange, log_id: UUID, circle: tuple[str, ...]) -> None:
        """One client walked the same circle twice; the circle is the evidence."""
        paths = _one_circle(circle)
        self.failure(
            Failure(
                service=self._service,
                environment=self._environment,
                occurred_at=datetime.fromtimestamp(exchange.started_at, UTC),
                message="redirect loop: " + " -> ".join(paths),
                method=exchange.method,
                route=exchange.route,
                status=exchange.status,
                redirect_chain=paths,
                latency_ms=exchange.duration_ms,
                trace_id=exchange.trace_id or log_id.hex,
                log_id=log_id,
            )
        )

    def failure(self, failure: Failure) -> None:
        """A failure another source has already put into words and redacted."""
        self.seen += 1
        if self._reader is None:
            self._wait(lambda: self._offer(failure))
        else:
            self._offer(failure)

    def anomaly(self, anomaly: Anomaly, anomaly_id: UUID | None) -> None:
        """A latency incident is a failure like any other; an error-rate incident already made its
        jobs.
        """
        self.failure(
            Failure(
                service=self._service,
                environment=self._environment,
                occurred_at=datetime.fromtimestamp(anomaly.detected_at, UTC),
                message=anomaly.explanation,
                method=anomaly.method,
                route=anomaly.route,
                latency_ms=anomaly.observed,
                latency_budget_ms=anomaly.baseline,
                anomaly_id=anomaly_id,
                origin="detector",
                source_kind="server",
            )
        )

    def _wait(self, later: Callable[[], None]) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        self._waiting.append(later)

    def _read_exchange(self, exchange: Exchange, log_id: UUID) -> None:
        assert self._reader is not None
        key = _fingerprint(exchange)
        known = self._remembered.get(key)
        if known is not None:
            exchange.error = exchange.error or known[0].message
            self._remembered.move_to_end(key)
            failure = replace(
                known[0],
                occurred_at=datetime.fromtimestamp(exchange.started_at, UTC),
                latency_ms=exchange.duration_ms,
                trace_id=exchange.trace_id or log_id.hex,
                log_id=log_id,
                client=self._reader.client(exchange.client),
            )
            self._reader.intake.offer(failure, known[1])
            return
        failure = self._reader.read(exchange, log_id)
        # its row is written at the next flush, and then says what went wrong
        exchange.error = exchange.error or failure.message
        classification = self._reader.classifier.classify(failure)
        self._remembered[key] = (failure, classification)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        self._reader.intake.offer(failure, classification)

    def _offer(self, failure: Failure) -> None:
        assert self._reader is not None
        self._reader.intake.offer(failure, self._reader.classifier.classify(failure))


def _one_circle(circle: tuple[str, ...]) -> tuple[str, ...]:
    """The circle's paths from a fixed start: wherever a visitor entered it, it is one loop.

    Queries are left out: they may carry secrets and change with every visitor.
    """
    hops = [hop.partition("?")[0] for hop in circle[:-1]]
    first = hops.index(min(hops))
    turned = hops[first:] + hops[:first]
    return (*turned, turned[0])


def _fingerprint(exchange: Exchange) -> bytes:
    """Equal only where every text a classification could read is equal, the request target
    included.
    """
    digest = blake2b(digest_size=16)
    capture = exchange.capture
    for part in (
        exchange.method.encode(),
        exchange.route.encode(),
        exchange.target,
        str(exchange.status).encode(),
        str(int(exchange.outcome)).encode(),
        (exchange.error or "").encode(errors="replace"),
        capture.request_body if capture else b"",
        capture.response_body if capture else b"",
    ):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
