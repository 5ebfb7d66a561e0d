"""Inside a data worker: from a failing exchange or an SDK event to the intake, classified at once.

Traffic first: until the rules are read, failures wait in a bounded queue; a storm of the same
failure is classified once and counted from then on, because the text of one failing answer is the
text of the next thousand. A storm of different ones is read as fast as the budget allows; what
comes beyond that is counted.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Protocol
from uuid import UUID

from proxy.app.budget import Budget
from proxy.clock import Clock, SystemClock
from proxy.domain.anomaly import Anomaly
from proxy.domain.exchange import Exchange
from proxy.domain.failure import Classification, Failure
from proxy.observability.empties import Silence
from proxy.observability.sentences import without_names

_log = logging.getLogger("selfheal.failures")

WAITING_MAX = 2000
"""Failures kept until they are read, about two seconds of an app that answers only 5xx."""
READS_PER_S = 100
"""Different failures read in a second: a millisecond or two each of the thread that forwards, so
that a storm costs a fifth of it and no more.
"""
WORK_EVERY_S = 0.1
REMEMBERED_MAX = 512

_Item = tuple[Exchange, UUID] | Failure


class Classifier(Protocol):
    def classify(self, failure: Failure) -> Classification: ...


class Intake(Protocol):
    def offer(self, failure: Failure, classification: Classification) -> None: ...
    def overflow(self, failure: Failure) -> None:
        """Count it with the storm; nobody has the time to read it."""
        ...


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

    def __init__(self, service: str, environment: str, *, clock: Clock | None = None) -> None:
        self._service = service
        self._environment = environment
        self._reader: Reader | None = None
        self._budget = Budget(READS_PER_S, clock or SystemClock())
        self._waiting: deque[tuple[bytes, _Item]] = deque()
        self._working: asyncio.TimerHandle | None = None
        self._remembered: OrderedDict[bytes, tuple[Failure | None, Classification]] = OrderedDict()
        self.dropped = 0
        self.seen = 0
        self.unread = 0
        """Failures of a storm that were counted and not read."""

    def open(self, reader: Reader) -> None:
        """The rules are read: work off what waited."""
        self._reader = reader
        self._work_off()

    def finish(self) -> None:
        """The end: read what still waits, whatever that costs now."""
        if self._reader is not None:
            self._work_off(hurried=True)

    def _work_off(self, *, hurried: bool = False) -> None:
        self._working = None
        while self._waiting and (hurried or self._may_read(self._waiting[0][0])):
            try:
                self._read(*self._waiting.popleft())
            except Exception:
                self.dropped += 1
                _log.exception("a failure could not be read; the others are")
        if self._waiting:
            self._working = asyncio.get_running_loop().call_later(WORK_EVERY_S, self._work_off)

    def _may_read(self, key: bytes) -> bool:
        """What is known by heart costs nothing."""
        return key in self._remembered or self._budget.take()

    def forget(self) -> None:
        """The rules changed: what was classified by the old ones counts no more."""
        self._remembered.clear()

    def exchange(self, exchange: Exchange, log_id: UUID) -> None:
        """A failing exchange, at once."""
        self._take((exchange, log_id))

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

    def silence(self, silence: Silence) -> None:
        """Nearly all answers of a route are empty now: rows may be hidden, and no status says so.

        Numbers stand beside the sentence, not in it: it names the bug.
        """
        exchange = silence.exchange
        place = f"{exchange.method} {exchange.route}"
        shares = f"{silence.share:.0%} of the last answers are empty, usually {silence.usual:.0%}"
        self.failure(
            Failure(
                service=self._service,
                environment=self._environment,
                occurred_at=datetime.fromtimestamp(exchange.started_at, UTC),
                message=f"silent denial: nearly all answers of {place} are empty, few usually are",
                method=exchange.method,
                route=exchange.route,
                status=exchange.status,
                response_excerpt=shares,
                origin="detector",
                source_kind="server",
            )
        )

    def failure(self, failure: Failure) -> None:
        """A failure another source has already put into words and redacted."""
        self._take(failure)

    def anomaly(self, anomaly: Anomaly, anomaly_id: UUID | None) -> None:
        """A latency incident is a failure like any other; an error-rate incident already made its
        jobs. Its severity is the job's, which only rises.

        Numbers stand beside the sentence, not in it: it names the bug, however slow it is this
        time, whatever release came before and whoever else is slow.
        """
        self.failure(
            Failure(
                service=self._service,
                environment=self._environment,
                occurred_at=datetime.fromtimestamp(anomaly.detected_at, UTC),
                message=f"{anomaly.method} {anomaly.route} takes longer than usual",
                method=anomaly.method,
                route=anomaly.route,
                response_excerpt=without_names(anomaly.explanation),
                latency_ms=anomaly.observed,
                latency_budget_ms=anomaly.baseline,
                anomaly_id=anomaly_id,
                origin="detector",
                source_kind="server",
                severity=anomaly.severity,
            )
        )

    def _take(self, item: _Item) -> None:
        self.seen += 1
        key = _fingerprint(item)
        if self._reader is not None and not self._waiting and self._may_read(key):
            self._read(key, item)
        elif len(self._waiting) < WAITING_MAX:
            self._waiting.append((key, item))
            if self._reader is not None and self._working is None:
                self._working = asyncio.get_running_loop().call_later(WORK_EVERY_S, self._work_off)
        elif self._reader is not None:
            self._only_count(item)
        else:
            self.dropped += 1

    def _only_count(self, item: _Item) -> None:
        assert self._reader is not None
        self.unread += 1
        self._reader.intake.overflow(
            item if isinstance(item, Failure) else self._unread(*item, self._reader.client)
        )

    def _unread(
        self, exchange: Exchange, log_id: UUID, client: Callable[[str], str | None]
    ) -> Failure:
        return Failure(
            service=self._service,
            environment=self._environment,
            occurred_at=datetime.fromtimestamp(exchange.started_at, UTC),
            message=f"status {exchange.status}, one of too many to be read",
            method=exchange.method,
            route=exchange.route,
            status=exchange.status,
            trace_id=exchange.trace_id or log_id.hex,
            log_id=log_id,
            client=client(exchange.client),
        )

    def _read(self, key: bytes, item: _Item) -> None:
        if isinstance(item, Failure):
            self._read_failure(key, item)
        else:
            self._read_exchange(key, *item)

    def _read_exchange(self, key: bytes, exchange: Exchange, log_id: UUID) -> None:
        assert self._reader is not None
        first, classification = self._recall(key) or (None, None)
        if first is None or classification is None:
            failure = self._reader.read(exchange, log_id)
            classification = self._reader.classifier.classify(failure)
            self._remember(key, failure, classification)
        else:
            failure = replace(
                first,
                occurred_at=datetime.fromtimestamp(exchange.started_at, UTC),
                latency_ms=exchange.duration_ms,
                trace_id=exchange.trace_id or log_id.hex,
                log_id=log_id,
                client=self._reader.client(exchange.client),
            )
        # its row is written at the next flush, and then says what went wrong
        exchange.error = exchange.error or failure.message
        self._reader.intake.offer(failure, classification)

    def _read_failure(self, key: bytes, failure: Failure) -> None:
        assert self._reader is not None
        known = self._recall(key)
        classification = known[1] if known else self._reader.classifier.classify(failure)
        if known is None:
            self._remember(key, None, classification)
        self._reader.intake.offer(failure, classification)

    def _recall(self, key: bytes) -> tuple[Failure | None, Classification] | None:
        known = self._remembered.get(key)
        if known is not None:
            self._remembered.move_to_end(key)
        return known

    def _remember(self, key: bytes, failure: Failure | None, said: Classification) -> None:
        self._remembered[key] = (failure, said)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)


def _one_circle(circle: tuple[str, ...]) -> tuple[str, ...]:
    """The circle's paths from a fixed start: wherever a visitor entered it, it is one loop.

    Queries are left out: they may carry secrets and change with every visitor.
    """
    hops = [hop.partition("?")[0] for hop in circle[:-1]]
    first = hops.index(min(hops))
    turned = hops[first:] + hops[:first]
    return (*turned, turned[0])


def _fingerprint(item: _Item) -> bytes:
    """Equal only where everything a classification could read is equal, the request target
    included.
    """
    digest = blake2b(digest_size=16)
    for part in _parts_of_failure(item) if isinstance(item, Failure) else _parts(item[0]):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def _parts(exchange: Exchange) -> tuple[bytes, ...]:
    capture = exchange.capture
    return (
        exchange.method.encode(),
        exchange.route.encode(),
        exchange.target,
        str(exchange.status).encode(),
        str(int(exchange.outcome)).encode(),
        (exchange.error or "").encode(errors="replace"),
        capture.request_body if capture else b"",
        capture.response_body if capture else b"",
    )


def _parts_of_failure(failure: Failure) -> tuple[bytes, ...]:
    late = (
        failure.latency_ms is not None
        and failure.latency_budget_ms is not None
        and failure.latency_ms > failure.latency_budget_ms
    )
    texts = (
        failure.source_kind,
        failure.origin,
        failure.method,
        failure.route,
        failure.message,
        failure.stack,
        failure.body,
        failure.response_excerpt,
        str((failure.status, failure.response_status, failure.redirect_chain, late)),
        failure.severity,
    )
    return tuple((text or "").encode(errors="replace") for text in texts)
