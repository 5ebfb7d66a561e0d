"""MLDetector: exchange by exchange, is this normal here? Pure; every time is passed in.

``record_request`` costs an append; once in ten seconds a route's slice is weighed by
``series.Series``. Knows nothing of storage, jobs or who is told. How it decides: docs/detection.md.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from math import inf
from typing import Any

from proxy.config import Detector as DetectorSettings
from proxy.domain.anomaly import Anomaly
from proxy.domain.exchange import APP_OUTCOMES, Exchange
from proxy.observability.baseline import Baseline
from proxy.observability.common import Common
from proxy.observability.delta import Delta
from proxy.observability.handful import Handful
from proxy.observability.health import HealthInput, HealthScore, health_score
from proxy.observability.incident import IncidentEnd, OpenIncident
from proxy.observability.moving import adopt, export, hear, restore, share
from proxy.observability.rollup import RoutePerformance, WindowCounts, performance
from proxy.observability.routes import OTHER, TEMPLATES_MAX
from proxy.observability.series import Series
from proxy.observability.situation import DEPLOY_S, Situation
from proxy.observability.sketch import bucket_of

RECENT_MAX = 200
REST_S = 30.0
"""How often incidents of silent routes are looked at."""

Key = tuple[str, str]
"""(method, route)."""


class MLDetector:
    """One per process. Series beyond ``TEMPLATES_MAX`` are counted together as ``other``. With
    ``sharing`` it notes what it learns for ``share``.
    """

    def __init__(self, settings: DetectorSettings | None = None, *, sharing: bool = False) -> None:
        self.settings = settings or DetectorSettings()
        self.situation = Situation()
        self._sharing = sharing
        self._series: dict[Key, Series] = {}
        self._recent: deque[Anomaly] = deque(maxlen=RECENT_MAX)
        self._ends: list[IncidentEnd] = []
        self._common = Common(self._series)
        self._now = 0.0
        self._wheel: dict[int, list[Series]] = {}
        self._seconds: list[int] = []
        """Those of the wheel, as a heap."""
        self._rested = 0.0

    # --- every request ---------------------------------------------------------------------------

    def record_request(self, exchange: Exchange, now: float) -> Anomaly | None:
        """Count one exchange that ended at ``now``; the anomaly it proves, if any. Other outcomes
        count for nothing.
        """
        if exchange.outcome not in APP_OUTCOMES:
            return None
        return self.observe(
            exchange.method,
            exchange.route,
            exchange.status,
            exchange.duration_ms,
            now,
            exchange.is_app_failure,
        )

    def observe(
        self, method: str, route: str, status: int, duration_ms: float, now: float, failed: bool
    ) -> Anomaly | None:
        """The same from bare values; ``failed`` is a 5xx or an upstream that broke."""
        series = self._series.get((method, route)) or self._open(method, route, now)
        return self.count(series, bucket_of(duration_ms), status, failed, now)

    def series(self, method: str, route: str, now: float) -> Series:
        """Where exchanges of a route are counted: worth keeping by who sees many of them."""
        return self._series.get((method, route)) or self._open(method, route, now)

    def count(
        self, series: Series, bucket: int, status: int, failed: bool, now: float
    ) -> Anomaly | None:
        """Count one exchange in its ``series``; ``bucket`` is that of its duration."""
        if now > self._now:
            self._now = now
        series.minutes.add(bucket, status, failed, now)
        if failed:
            self.situation.jolts.failed(series, now)
        if series.take(bucket, status, failed, now):
            return self._weigh(series, now)
        if not series.is_queued:
            self._queue(series)
        return None

    def count_plain(self, series: Series, handful: Handful) -> list[Anomaly]:
        """The same of 2xx answers, one after another."""
        found: list[Anomaly] = []
        self._now = max(self._now, handful.end(-1))
        series.minutes.add_plain(handful)
        taken = series.take_plain(handful, 0)
        while taken:
            anomaly = self._weigh(series, handful.end(taken - 1))
            if anomaly is not None:
                found.append(anomaly)
            taken = series.take_plain(handful, taken)
        if series.is_waiting and not series.is_queued:
            self._queue(series)
        return found

    def _queue(self, series: Series) -> None:
        """Look at it again when it is due, or late when it is calm by then."""
        series.is_queued = True
        at = series.due if self._now < series.due else series.late
        second = int(at) + 1
        waiting = self._wheel.get(second)
        if waiting is not None:
            waiting.append(series)
            return
        self._wheel[second] = [series]
        heappush(self._seconds, second)

    def _open(self, method: str, route: str, now: float) -> Series:
        if len(self._series) >= TEMPLATES_MAX:
            method, route = "*", OTHER
        made = self._series.get((method, route))
        if made is None:
            made = self._series[(method, route)] = self._make(method, route, now)
        return made

    def _make(self, method: str, route: str, now: float) -> Series:
        made = Series(method, route, self.settings, now, self.situation)
        if self._sharing:
            made.baseline.unshared = Delta()
        return made

    def _weigh(self, series: Series, now: float) -> Anomaly | None:
        if not self.settings.enabled:
            series.discard()
            return None
        found = series.weigh(now, self._ends)
        if found is not None:
            found = self._common.settle(found, now)
            self._recent.append(found)
        return found

    # --- once a second ---------------------------------------------------------------------------

    def tick(self, now: float) -> list[Anomaly | IncidentEnd]:
        """What has come to light without a new request: late verdicts, and the incidents that have
        ended.
        """
        if now > self._now:
            self._now = now
        found: list[Anomaly | IncidentEnd] = []
        if self._seconds and now >= self._seconds[0]:
            for series in self._due(now):
                anomaly = self._weigh(series, now)
                if anomaly is not None:
                    found.append(anomaly)
        if now - self._rested >= REST_S:
            self._rested = now
            restless = [s for s in self._series.values() if not s.ledger.is_nil]
            for series in restless:
                series.rest(now, self._ends)
            self._common.review(restless, now)
        if self._common.is_asked:
            told = self._common.look(now)
            self._recent.extend(told)
            found += told
        if self._ends:
            for end in self._ends:
                self._common.hear(end)
            found += self._ends
            self._ends.clear()
        return found

    def _due(self, now: float) -> list[Series]:
        """Series whose slice has waited long enough; each waits at one place of the wheel."""
        due: list[Series] = []
        wheel, seconds = self._wheel, self._seconds
        passed = [heappop(seconds)]
        while seconds and seconds[0] <= now:
            passed.append(heappop(seconds))
        if len(passed) > 1:
            # after a pause several have passed: whose second was asked for first is first
            passed = [s for s in wheel if s <= now]
        for second in passed:
            for series in wheel.pop(second):
                series.is_queued = False
                ripe_at = series.ripe_at
                if ripe_at <= now:
                    due.append(series)
                elif ripe_at < inf:
                    self._queue(series)
        return due

    def deploy(self, now: float, version: str = "") -> None:
        """A release was announced; shown beside what begins soon after it. Whoever announces it
        again, it went out when it was first announced.
        """
        known = self.situation.deployed_at
        if known is not None and version == self.situation.version and 0 <= now - known <= DEPLOY_S:
            return
        self.situation.deployed_at = now
        self.situation.version = version

    # --- asking ----------------------------------------------------------------------------------

    def get_health_score(self, now: float | None = None) -> HealthScore:
        return health_score(self.health_input(now))

    def health_input(self, now: float | None = None) -> HealthInput:
        slower = {
            (i.anomaly.method, i.anomaly.route): i.anomaly.ratio
            for i in self.open_incidents
            if i.anomaly.kind == "latency"
        }
        return HealthInput(dict(self.windows(now)), slower)

    def windows(self, now: float | None = None) -> Iterator[tuple[tuple[str, str], WindowCounts]]:
        """(method, route) and its counts, one at a time: with many routes their sum is work for
        tens of milliseconds, and who asks may want to serve requests between.
        """
        at = self._now if now is None else now
        for key, series in list(self._series.items()):
            yield key, series.minutes.window(at)

    def get_recent_anomalies(self, limit: int = 50) -> list[Anomaly]:
        """Newest first."""
        return list(self._recent)[::-1][: max(0, limit)]

    def get_route_performance(
        self, route: str | None = None, method: str | None = None, now: float | None = None
    ) -> list[RoutePerformance]:
        """Every route with requests in the last five minutes, busiest first; filtered when
        asked.
        """
        at = self._now if now is None else now
        if route is not None and method is not None:
            one = self._series.get((method, route))
            found = [((method, route), one)] if one is not None else []
        else:
            found = [
                (key, series)
                for key, series in self._series.items()
                if method in (None, key[0]) and route in (None, key[1])
            ]
        rows = [performance(m, r, series.minutes.window(at)) for (m, r), series in found]
        return sorted((r for r in rows if r.count), key=lambda r: (-r.count, r.route, r.method))

    @property
    def open_incidents(self) -> list[OpenIncident]:
        opened = [i for s in self._series.values() for i in s.ledger.open.values()]
        return [i for i in opened if i.quiet_until is None]

    # --- baselines -------------------------------------------------------------------------------

    def export_baselines(self) -> dict[str, Any]:
        """JSON-able counts: ``{"v": 1, "routes": {"GET /x": {...}}}``."""
        return {"v": 1, "routes": dict(self.learned())}

    def learned(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The routes of ``export_baselines``, one at a time."""
        for (method, route), series in list(self._series.items()):
            yield f"{method} {route}", export(series)

    def import_baselines(self, data: Mapping[str, Any], now: float) -> int:
        """Take over baselines of an earlier run, also of routes that have had requests already;
        returns how many. Rows that are none are passed over.
        """
        taken = 0
        for name, row in data.get("routes", {}).items():
            method, _, route = name.partition(" ")
            known = self._series.get((method, route))
            if not route or (known is None and len(self._series) >= TEMPLATES_MAX):
                continue
            series = self._make(method, route, now)
            try:
                restore(series, row, now)
            except (KeyError, ValueError, IndexError, TypeError, AttributeError):
                continue
            if known is not None:
                # who counts there holds on to it
                adopt(known, row, now)
                series = known
            self._series[(method, route)] = series
            if series.is_waiting and not series.is_queued:
                self._queue(series)
            taken += 1
        self.situation.habits.join(s.ledger.habits for s in self._series.values())
        return taken

    def fold(self, method: str, old: str, new: str) -> None:
        """A route has become part of another: what is usual goes there, and no place is taken by
        what is no route any more.
        """
        series = self._series.pop((method, old), None)
        if series is not None:
            series.retire(self._now, self._ends)
            self.series(method, new, self._now).join(series)

    def well_known(self) -> list[str]:
        """Templates that have been watched long enough to be judged."""
        return [route for (_, route), series in self._series.items() if series.is_warm]

    # --- other processes -------------------------------------------------------------------------

    def share(self) -> Iterator[tuple[Key, dict[str, Any]]]:
        """What was learned here since the last call, one route at a time, for ``hear``
        elsewhere.
        """
        for key, series in list(self._series.items()):
            row = share(series)
            if row is not None:
                yield key, row

    def hear(self, method: str, route: str, row: Mapping[str, Any], now: float) -> bool:
        """Learn what another process learned of a route; False for what is no ``share``, or when
        there is no place left.
        """
        series = self._series.get((method, route))
        if series is None:
            if len(self._series) >= TEMPLATES_MAX:
                return False
            series = self._make(method, route, now)
        try:
            hear(series, row, now)
        except (KeyError, ValueError, TypeError, AttributeError):
            return False
        self._series[(method, route)] = series
        return True


def merge_baselines(exports: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The sum of several processes' exports: the baselines of one that saw everything."""
    routes: dict[str, dict[str, Any]] = {}
    for data in exports:
        for name, row in data.get("routes", {}).items():
            if name not in routes:
                routes[name] = dict(row)
                continue
            total = Baseline.from_json(routes[name]["baseline"])
            total.add(Baseline.from_json(row["baseline"]))
            routes[name] = {**routes[name], "baseline": total.to_json()}
    return {"v": 1, "routes": routes}
