"""Recorder: the one call the data plane makes at the end of every exchange. Never waits, never
raises.

It names the route, numbers the exchange, appends it to the buffer, feeds the detector and tells at
once whoever must hear of a failure. Plain answers tell nobody anything, so they are only laid down
and counted by the handful: all that counting touches is then in the processor's caches once for
many. A fault of our own is counted and goes no further: traffic first.
"""

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from proxy.domain.anomaly import Anomaly
from proxy.domain.exchange import APP_OUTCOMES, Exchange, Outcome, Plain
from proxy.observability.buffer import MetricsBuffer
from proxy.observability.detector import MLDetector
from proxy.observability.handful import Handful
from proxy.observability.incident import IncidentEnd
from proxy.observability.redirects import REDIRECTS, RedirectTracker
from proxy.observability.rollup import SERIES_MINUTES, Minutes
from proxy.observability.routes import MARK, Known, RouteTable, path_of
from proxy.observability.series import Series
from proxy.observability.sketch import bucket_of

_log = logging.getLogger("selfheal.recorder")

FAULTS_LOGGED = 20
"""After so many faults of our own only the counter goes on: a log line per request would be the
next fault.
"""

HANDFUL = 128
"""Plain answers that may wait to be counted, or a second's worth of them: the tick counts, too."""

_NONE: dict[bytes, Known] = {}

FailureListener = Callable[[Exchange, UUID], None]
RedirectListener = Callable[[Exchange, UUID, tuple[str, ...]], None]


class Recorder:
    """One per data worker. Listeners may be set at any time; one that raises is counted as a
    fault.
    """

    def __init__(
        self,
        *,
        buffer: MetricsBuffer | None = None,
        detector: MLDetector | None = None,
        routes: RouteTable | None = None,
        on_failure: FailureListener | None = None,
        on_client_error: FailureListener | None = None,
        on_redirect: FailureListener | None = None,
        on_redirect_loop: RedirectListener | None = None,
        on_anomaly: Callable[[Anomaly], None] | None = None,
        on_anomaly_end: Callable[[IncidentEnd], None] | None = None,
        on_release: Callable[[str], None] | None = None,
        id_base: int | None = None,
    ) -> None:
        # "or" would throw away what is given: an empty buffer is false
        self.buffer = MetricsBuffer() if buffer is None else buffer
        self.detector = MLDetector() if detector is None else detector
        self.routes = RouteTable() if routes is None else routes
        self.routes.on_fold = self.detector.fold
        self.redirects = RedirectTracker()
        self.on_failure = on_failure
        self.on_client_error = on_client_error
        self.on_redirect = on_redirect
        self.on_redirect_loop = on_redirect_loop
        self.on_anomaly = on_anomaly
        self.on_anomaly_end = on_anomaly_end
        self.on_release = on_release
        self.faults = 0
        self.sequence = 0
        self.fresh: list[Plain] = []
        """Plain answered exchanges, laid down by the data plane; their statuses are 200-299, so
        nobody is told. ``settle`` takes them, and must be called when ``handful`` of them lie here.
        """
        self.handful = HANDFUL
        self.buffer.settle = self.settle
        self._id_base = (secrets.randbits(64) if id_base is None else id_base) << 64
        self._minutes = Minutes(SERIES_MINUTES)
        self._statuses = [0] * 10
        self._plain = 0
        """2xx answers that came as bare values; in neither of the two counts beside it."""
        self._outcomes: Counter[Outcome] = Counter()
        self._anomalies = 0
        self._now = 0.0

    def log_id(self, sequence: int) -> UUID:
        """The id of an exchange's row: known at once, though the row is written at the flush."""
        return UUID(int=self._id_base | sequence)

    def trace_id(self, exchange: Exchange) -> str:
        """32 hex digits that request, row and job share."""
        return exchange.trace_id or self.log_id(exchange.sequence).hex

    def record(self, exchange: Exchange) -> None:
        """Take one finished exchange."""
        try:
            self._record(exchange)
        except Exception:
            self._fault("record")

    def settle(self) -> None:
        """Count what was laid down, in its order. Never raises."""
        if not self.fresh:
            return
        # from now on it is counted, whatever those who are told of something do meanwhile; the
        # list itself is the data plane's, too
        fresh: list[Any] = self.fresh.copy()
        self.fresh.clear()
        while fresh:
            taken = 1
            try:
                rows, series = self._known(fresh)
                if not rows:
                    rows, series = self._learn(fresh[0])
                taken = len(rows)
                self._count(rows, series)
            except Exception:
                self._fault("settle")
            fresh = fresh[taken:]

    def _known(self, fresh: list[Any]) -> tuple[list[Any], list[Series]]:
        """The first of them, as rows, and who watches each: up to a name that must be learned,
        for that may be the end of others, with all they count.
        """
        paths, sequence = self.routes.paths, self.sequence
        rows: list[Any] = []
        series: list[Series] = []
        method, known_paths = "", _NONE
        # Any: an answer is not taken apart and built anew for the few of its values that are read
        for plain in fresh:
            if plain[2] is not method:
                method = plain[2]
                known_paths = paths.get(method, _NONE)
            path = plain[3]
            if MARK in path:
                path = path_of(path)
            known = known_paths.get(path)
            if known is None or known.series is None:
                break
            known.hits += 1
            sequence += 1
            behind = (known.template, sequence)
            rows.append(plain + behind)
            series.append(known.series)
        self.sequence = sequence
        return rows, series

    def _learn(self, plain: Any) -> tuple[list[Any], list[Series]]:
        """The same of one whose path was not seen before, or whose name was forgotten."""
        method, target = plain[2], plain[3]
        route = self.routes.template(method, target, plain[4])
        series = self.detector.series(method, route, plain[0] + plain[1] / 1000.0)
        known = self.routes.known(method, target)
        if known is not None:
            known.series = series
        self.sequence += 1
        return [(*plain, route, self.sequence)], [series]

    def _count(self, rows: list[Any], series: list[Series]) -> None:
        self._plain += len(rows)
        for watched, share in _shares(rows, series):
            durations: list[float] = [row[1] for row in share]
            ends: list[float] = [row[0] + row[1] / 1000.0 for row in share]
            handful = Handful(durations, ends)
            if handful.latest > self._now:
                self._now = handful.latest
            self._minutes.add_plain(handful)
            for anomaly in self.detector.count_plain(watched, handful):
                self._tell_anomaly(anomaly)
        # at the end: whoever hears that the buffer fills up must not cost us a count
        self.buffer.extend(rows)

    def _record(self, exchange: Exchange) -> None:
        self.settle()
        self._take(exchange)

    def _take(self, exchange: Exchange) -> None:
        self.sequence += 1
        exchange.sequence = self.sequence
        status, outcome = exchange.status, exchange.outcome
        if not exchange.route:
            exchange.route = self.routes.template(exchange.method, exchange.target, status)
        self.buffer.record(exchange)
        self._outcomes[outcome] += 1
        self._statuses[status // 100 if 100 <= status < 1000 else 0] += 1
        if outcome not in APP_OUTCOMES:
            return
        now = exchange.started_at + exchange.duration_ms / 1000.0
        if now > self._now:
            self._now = now
        failed = exchange.is_app_failure
        self._minutes.add(bucket_of(exchange.duration_ms), status, failed, now)
        anomaly = self.detector.record_request(exchange, now)
        if failed or status >= 300:
            self._tell(exchange, failed, status, now)
        if anomaly is not None:
            self._tell_anomaly(anomaly)

    def _tell(self, exchange: Exchange, failed: bool, status: int, now: float) -> None:
        if failed:
            if self.on_failure is not None:
                self.on_failure(exchange, self.log_id(exchange.sequence))
        elif status >= 400:
            if self.on_client_error is not None:
                self.on_client_error(exchange, self.log_id(exchange.sequence))
        elif status in REDIRECTS:
            if self.on_redirect is not None:
                self.on_redirect(exchange, self.log_id(exchange.sequence))
            if self.on_redirect_loop is not None:
                self._follow(exchange, now)

    def _follow(self, exchange: Exchange, now: float) -> None:
        location = _location(exchange)
        if location is None or self.on_redirect_loop is None:
            return
        target = exchange.target.decode("latin-1")
        circle = self.redirects.step(exchange.client, target, location, now)
        if circle is not None:
            self.on_redirect_loop(exchange, self.log_id(exchange.sequence), circle)

    def _tell_anomaly(self, anomaly: Anomaly) -> None:
        self._anomalies += 1
        if self.on_anomaly is not None:
            self.on_anomaly(anomaly)

    def released(self, version: str) -> None:
        """The app's answers name another release than before. Never raises."""
        try:
            self.detector.deploy(self._now, version)
            if self.on_release is not None:
                self.on_release(version)
        except Exception:
            self._fault("released")

    def tick(self, now: float) -> None:
        """Once a second: late verdicts and ends of incidents. Never raises."""
        self.settle()
        try:
            self._now = max(now, self._now)
            for found in self.detector.tick(now):
                if isinstance(found, Anomaly):
                    self._tell_anomaly(found)
                elif self.on_anomaly_end is not None:
                    self.on_anomaly_end(found)
        except Exception:
            self._fault("tick")

    def _fault(self, where: str) -> None:
        self.faults += 1
        if self.faults <= FAULTS_LOGGED:
            _log.exception("recorder: a fault of our own in %s; traffic is not touched", where)

    def snapshot(self, now: float | None = None) -> dict[str, Any]:
        """Everything a control process needs of this worker, JSON-able; shapes in
        ``snapshot.py``.
        """
        return self.summary(now) | {"routes": list(self.route_counts(now))}

    def route_counts(self, now: float | None = None) -> Iterator[dict[str, Any]]:
        """The routes of a snapshot, one at a time: hundreds of them at once would hold up the
        loop for tens of milliseconds.
        """
        self.settle()
        at = self._now if now is None else max(now, self._now)
        for (method, route), counts in self.detector.windows(at):
            if counts.requests:
                yield {"method": method, "route": route, **counts.to_json()}

    def summary(self, now: float | None = None) -> dict[str, Any]:
        """A snapshot without its routes."""
        self.settle()
        at = self._now if now is None else max(now, self._now)
        return {
            "v": 1,
            "now": at,
            "sequence": self.sequence,
            "faults": self.faults,
            "anomalies_total": self._anomalies,
            "statuses": self._status_classes(),
            "outcomes": self._outcome_names(),
            "minutes": {str(n): c.to_json() for n, c in self._minutes.series(at).items()},
            "open": [
                _incident(i.anomaly, i.occurrences, i.hurt) for i in self.detector.open_incidents
            ],
            "buffer": {
                "size": len(self.buffer),
                "capacity": self.buffer.capacity,
                "high_water": self.buffer.high_water,
                "dropped": self.buffer.dropped,
            },
        }

    def _status_classes(self) -> dict[str, int]:
        counts = self._statuses.copy()
        counts[2] += self._plain
        return {f"{i}xx": n for i, n in enumerate(counts) if n}

    def _outcome_names(self) -> dict[str, int]:
        counts = self._outcomes.copy()
        if self._plain:
            counts[Outcome.ANSWERED] += self._plain
        return {o.name.lower(): n for o, n in counts.items()}


def _shares(rows: list[Any], series: list[Series]) -> Iterable[tuple[Series, list[Any]]]:
    """Who watches which of the rows, in the order in which they come."""
    first = series[0]
    if series[-1] is first and series.count(first) == len(series):
        return [(first, rows)]
    shares: dict[Series, list[Any]] = {}
    for watched, row in zip(series, rows, strict=True):
        share = shares.get(watched)
        if share is None:
            shares[watched] = [row]
        else:
            share.append(row)
    return shares.items()


def _location(exchange: Exchange) -> str | None:
    """The Location of a redirect: the data plane keeps the heads of redirects for this."""
    if exchange.capture is None:
        return None
    for name, value in exchange.capture.response_headers:
        if name.lower() == b"location":
            return value.decode("latin-1")
    return None


def _incident(anomaly: Anomaly, occurrences: int, hurt: int) -> dict[str, Any]:
    return {
        "kind": anomaly.kind,
        "method": anomaly.method,
        "route": anomaly.route,
        "onset": anomaly.onset,
        "detected_at": anomaly.detected_at,
        "baseline": anomaly.baseline,
        "observed": anomaly.observed,
        "ratio": anomaly.ratio,
        "sigma": anomaly.sigma,
        "samples": anomaly.samples,
        "severity": anomaly.severity.value,
        "explanation": anomaly.explanation,
        "part_of": anomaly.head and f"{anomaly.head.method} {anomaly.head.route}",
        "occurrences": occurrences,
        "hurt": hurt,
    }
