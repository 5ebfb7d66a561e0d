"""Recorder: the one call the data plane makes at the end of every exchange. Never waits, never
raises.

It names the route, numbers the exchange, appends it to the buffer, feeds the detector and tells at
once whoever must hear of a failure. Plain answers tell nobody anything, so they are only laid down
and wait with their route until they are a handful, or somebody asks: what is done for many at once
costs each of them a part. A fault of our own is counted and goes no further: traffic first.
"""

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from proxy.domain.anomaly import Anomaly
from proxy.domain.exchange import APP_OUTCOMES, Exchange, Outcome, Plain, exchange_of
from proxy.domain.waiting import Answers
from proxy.observability.buffer import MetricsBuffer
from proxy.observability.detector import MLDetector
from proxy.observability.handful import Handful
from proxy.observability.incident import IncidentEnd
from proxy.observability.minutes import SERIES_MINUTES, Minutes
from proxy.observability.redirects import REDIRECTS, RedirectTracker
from proxy.observability.routes import Known, RouteTable
from proxy.observability.series import Series
from proxy.observability.share import Share
from proxy.observability.sketch import bucket_of

_log = logging.getLogger("selfheal.recorder")

FAULTS_LOGGED = 20
"""After so many faults of our own only the counter goes on: a log line per request would be the
next fault.
"""

HANDFUL = 128
"""Plain answers of one route that may wait to be counted, or a second's worth of them: the tick
counts, too.
"""
WAITING_MAX = 8 * HANDFUL
"""The same of all routes."""
FEW = 6
"""Fewer are no handful: to count them together would cost more than to count them."""
OPEN_MAX = 32
"""Routes whose answers wait: with each one that is counted a slice may be due and a table be made
anew, and all may at the same tick. One more, and the first is counted.
"""

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
        self.routes.on_fold = self._fold
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
        self.buffer.settle = self.count_all
        self._id_base = (secrets.randbits(64) if id_base is None else id_base) << 64
        self._shares: dict[tuple[str, str], Share] = {}
        """By method and route."""
        self._open: dict[Share, None] = {}
        """Those with whom answers wait, in the order in which they began to."""
        self._waiting = self._unseen = 0
        """How many answers that is, and how many came since it was looked who has a handful."""
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
        """Take what was laid down, and count what has become a handful. Never raises."""
        if not self.fresh:
            return
        # the list itself is the data plane's, too
        fresh: list[Any] = self.fresh.copy()
        self.fresh.clear()
        self._plain += len(fresh)
        if self._is_of_one_path(fresh):
            return
        self._waiting += len(fresh)
        self._unseen += len(fresh)
        self._share_out(fresh)
        if self._waiting >= WAITING_MAX:
            self._count_all()
        elif self._unseen >= HANDFUL:
            self._unseen = 0
            for share in [some for some in self._open if len(some.rows) >= HANDFUL]:
                self._take_in(share)

    def count_all(self) -> None:
        """Count whatever is there: whoever asks must see it. Never raises."""
        self.settle()
        if self._open:
            self._count_all()

    def _count_all(self) -> None:
        for share in list(self._open):
            self._take_in(share)

    def _is_of_one_path(self, fresh: list[Any]) -> bool:
        """A handful with one method and target is taken in at once, if all it needs is known."""
        first, count = fresh[0], len(fresh)
        method, target = first[2], first[3]
        if count < HANDFUL or fresh[-1][3] != target or fresh[count // 2][3] != target:
            return False
        columns = tuple(zip(*fresh, strict=True))
        if columns[3].count(target) < count or columns[2].count(method) < count:
            return False
        known = self.routes.known(method, target)
        if known is None or known.share is None or known.share.rows:
            return False
        known.hits += count
        self._count(known.share, columns)
        return True

    def _share_out(self, fresh: list[Any]) -> None:
        """To whom each of them belongs, by its method and path."""
        paths = self.routes.paths
        method, known_paths = "", _NONE
        for plain in fresh:
            if plain[2] is not method:
                method = plain[2]
                known_paths = paths.get(method, _NONE)
            known = known_paths.get(plain[3])
            if known is None:
                known = known_paths.get(plain[3].partition(b"?")[0])
            if known is None or known.share is None:
                share = self._learn(plain)
                method = ""
                if share is None:
                    self._waiting -= 1
                    continue
            else:
                known.hits += 1
                share = known.share
            rows = share.rows
            if not rows:
                if len(self._open) >= OPEN_MAX:
                    self._take_in(next(iter(self._open)))
                self._open[share] = None
            rows.append(plain)

    def _learn(self, plain: Any) -> Share | None:
        """The same of one whose path was not seen before, or whose name was forgotten; None when
        that failed.
        """
        try:
            return self._share(plain)
        except Exception:
            self._fault("settle")
            return None

    def _share(self, plain: Any) -> Share:
        method, target = plain[2], plain[3]
        route = self.routes.template(method, target, plain[4])
        share = self._shares.get((method, route))
        if share is None:
            series = self.detector.series(method, route, plain[0] + plain[1] / 1000.0)
            share = self._shares[(method, route)] = Share(method, route, series)
        known = self.routes.known(method, target)
        if known is not None:
            known.share = share
        return share

    def _fold(self, method: str, old: str, new: str) -> None:
        """What waits under a name is counted under it, before the name is no more."""
        share = self._shares.pop((method, old), None)
        if share is not None:
            self._take_in(share)
        self.detector.fold(method, old, new)

    def _take_in(self, share: Share) -> None:
        rows = share.rows
        if rows:
            # from now on it is counted, whatever those who are told of something do meanwhile
            share.rows = []
            del self._open[share]
            self._waiting -= len(rows)
            if len(rows) < FEW:
                self._count_few(share, rows)
            else:
                self._count(share, tuple(zip(*rows, strict=True)))

    def _count_few(self, share: Share, rows: list[Any]) -> None:
        """The same, one by one."""
        for plain in rows:
            self.sequence += 1
            one = exchange_of(plain, share.route, self.sequence)
            try:
                now = one.started_at + one.duration_ms / 1000.0
                if now > self._now:
                    self._now = now
                bucket = bucket_of(one.duration_ms)
                self._minutes.add(bucket, one.status, False, now)
                anomaly = self.detector.count(share.series, bucket, one.status, False, now)
                if anomaly is not None:
                    self._tell_anomaly(anomaly)
            except Exception:
                self._fault("settle")
            try:
                self.buffer.record(one)
            except Exception:
                self._fault("settle")

    def _count(self, share: Share, columns: tuple[tuple[Any, ...], ...]) -> None:
        """Never raises; what cannot be counted is stored nevertheless."""
        first = self.sequence + 1
        self.sequence += len(columns[0])
        try:
            self._watch(share.series, Handful(list(columns[1]), list(columns[0])))
        except Exception:
            self._fault("settle")
        try:
            self.buffer.extend(Answers(share.method, share.route, first, columns))
        except Exception:
            self._fault("settle")

    def _watch(self, series: Series, handful: Handful) -> None:
        last = handful.end(-1)
        if last > self._now:
            self._now = last
        self._minutes.add_plain(handful)
        for anomaly in self.detector.count_plain(series, handful):
            self._tell_anomaly(anomaly)

    def _record(self, exchange: Exchange) -> None:
        self.settle()
        self._take(exchange)

    def _take(self, exchange: Exchange) -> None:
        status, outcome = exchange.status, exchange.outcome
        if not exchange.route:
            exchange.route = self.routes.template(exchange.method, exchange.target, status)
        share = self._shares.get((exchange.method, exchange.route))
        if share is not None and share.rows:
            # what came before it is counted before it
            self._take_in(share)
        self.sequence += 1
        exchange.sequence = self.sequence
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
        self.count_all()
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
        self.count_all()
        at = self._now if now is None else max(now, self._now)
        for (method, route), counts in self.detector.windows(at):
            if counts.requests:
                yield {"method": method, "route": route, **counts.to_json()}

    def summary(self, now: float | None = None) -> dict[str, Any]:
        """A snapshot without its routes."""
        self.count_all()
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
