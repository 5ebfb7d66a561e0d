"""Days of traffic with known incidents, of kinds of their own: what the detector is judged on
besides the bench.

Pure Python and seeded: the same kind and seed are the same requests. A day is a list of requests in
order of time and its truth: incidents that must be told, spans that are not judged. Everything else
that is told is false.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, pi, sin

from proxy.observability.baseline import Baseline
from proxy.observability.sketch import bucket_of

DAY = 86400.0

Request = tuple[float, str, str, int, float]
"""ts, method, route, status, duration in ms."""
Alert = tuple[float, str, str, str]
"""ts, method, route, kind."""


@dataclass(frozen=True)
class Route:
    name: str
    rate: float
    family: str = "lognormal"
    median: float = 50.0
    spread: float = 0.4
    errors: float = 0.001
    wander: float = 0.08
    born: float = 0.0


@dataclass(frozen=True)
class Span:
    """``route`` "*" is every route; else a path or a method and a path, several joined by ", ".
    ``kind``: the alert's kind that finds it, or "*".
    """

    start: float
    end: float
    route: str
    kind: str
    name: str

    def holds(self, alert: Alert, grace: float = 0.0) -> bool:
        at, method, route, _ = alert
        names = self.route.split(", ")
        is_here = "*" in names or route in names or f"{method} {route}" in names
        return is_here and self.start <= at <= self.end + grace


@dataclass
class Plan:
    """What happens on top of the usual: ``slow`` and ``fail`` give a factor and a share by route
    and time. ``traps`` only say why somebody cried wolf.
    """

    routes: list[Route]
    hours: float = 24.0
    slow: list[Callable[[str, float], float]] = field(default_factory=list)
    fail: list[Callable[[str, float], float]] = field(default_factory=list)
    load: Callable[[float], float] = lambda t: 1.0 + 0.6 * sin(2 * pi * (t / DAY - 0.4))
    incidents: list[Span] = field(default_factory=list)
    neutral: list[Span] = field(default_factory=list)
    traps: list[Span] = field(default_factory=list)
    error_ms: float | None = None

    def during(self, route: str, start: float, length: float, factor: float) -> None:
        """Slow ``route`` by ``factor`` and expect it to be told."""
        end = start + length
        self.slow.append(lambda r, t: factor if r == route and start <= t < end else 1.0)
        self.expect(route, start, length, "latency", f"slow x{factor:.1f}")

    def failing(self, route: str, start: float, length: float, share: float) -> None:
        end = start + length
        self.fail.append(lambda r, t: share if r == route and start <= t < end else 0.0)
        self.expect(route, start, length, "error_rate", f"fails {share:.0%}")

    def expect(self, route: str, start: float, length: float, kind: str, name: str) -> None:
        self.incidents.append(Span(start, start + length, route, kind, name))
        self.ignore(route, start + length, 900.0)

    def ignore(self, route: str, start: float, length: float) -> None:
        self.neutral.append(Span(start, start + length, route, "*", "not judged"))


def play(plan: Plan, seed: int) -> list[Request]:
    rng = random.Random(seed)
    made: list[Request] = []
    minutes = int(plan.hours * 60)
    for route in plan.routes:
        level = 0.0
        for minute in range(minutes):
            t0 = minute * 60.0
            level = 0.9 * level + rng.gauss(0.0, route.wander * 0.436)
            if t0 < route.born:
                continue
            count = _poisson(rng, route.rate * 60.0 * plan.load(t0))
            for _ in range(count):
                t = t0 + rng.random() * 60.0
                ms = _duration(rng, route) * exp(level)
                for slow in plan.slow:
                    ms *= slow(route.name, t)
                share = max((f(route.name, t) for f in plan.fail), default=0.0)
                failed = rng.random() < max(share, route.errors)
                if failed and plan.error_ms is not None:
                    ms = plan.error_ms
                made.append((t, "GET", route.name, 500 if failed else 200, max(0.1, ms)))
    made.sort()
    return made


def _duration(rng: random.Random, route: Route) -> float:
    m, s = route.median, route.spread
    if route.family == "gamma":
        return rng.gammavariate(1.0 / s**2, m * s**2)
    if route.family == "weibull":
        return m * rng.weibullvariate(1.0, 1.0 / s)
    if route.family == "pareto":
        return m * 0.7 * rng.paretovariate(2.2)
    if route.family == "cache":
        return m * exp(rng.gauss(0, s)) * (1.0 if rng.random() < 0.8 else 10.0)
    if route.family == "constant":
        return m
    if route.family == "steps":
        return float(round(m * exp(rng.gauss(0, s)) / 5.0) * 5 + 5)
    return m * exp(rng.gauss(0, s))


def _poisson(rng: random.Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(rng.gauss(mean, mean**0.5)))
    limit, k, p = exp(-mean), 0, rng.random()
    while p > limit:
        k += 1
        p *= rng.random()
    return k


def known_baseline(seed: int = 1, n: int = 2000) -> Baseline:
    """What ``n`` answers around 55 ms taught."""
    rng = random.Random(seed)
    base = Baseline()
    for _ in range(n):
        base.learn({bucket_of(rng.lognormvariate(4.0, 0.4)): 1.0}, 1, 0)
    base.rebuild()
    return base


# --- kinds of days -------------------------------------------------------------------------------


def usual_routes(
    rng: random.Random, families: tuple[str, ...] = ("lognormal", "cache")
) -> list[Route]:
    names = ("/", "/api/items", "/api/items/{id}", "/login", "/search", "/report")
    rates = (1.2, 0.6, 0.3, 0.12, 0.06, 0.03)
    return [
        Route(
            name,
            rate,
            rng.choice(families),
            rng.choice((8.0, 25.0, 60.0, 180.0, 700.0)),
            rng.uniform(0.2, 0.55),
            rng.choice((0.0, 0.0005, 0.003)),
            rng.uniform(0.04, 0.12),
        )
        for name, rate in zip(names, rates, strict=True)
    ]


def _usual_incidents(plan: Plan, rng: random.Random, after: float = 3 * 3600.0) -> None:
    """One slowdown, one partial failure, one outage, hours apart, on routes with enough traffic."""
    busy = [r.name for r in plan.routes if r.rate >= 0.1 and r.born == 0.0]
    end = plan.hours * 3600.0
    slots = [after + (end - after - 7200) * k / 3 + rng.uniform(0, 2400) for k in range(3)]
    plan.during(
        rng.choice(busy), slots[0], rng.uniform(900, 1800), rng.choice((2.2, 3.0, 5.0, 9.0))
    )
    plan.failing(rng.choice(busy), slots[1], rng.uniform(1200, 2400), rng.choice((0.15, 0.3)))
    plan.failing(rng.choice(busy), slots[2], rng.uniform(240, 600), 0.97)


def families(rng: random.Random) -> Plan:
    """Shapes the bench does not have."""
    plan = Plan(usual_routes(rng, ("gamma", "weibull", "pareto", "steps", "constant")))
    _usual_incidents(plan, rng)
    return plan


def correlated(rng: random.Random) -> Plan:
    """The database gets slow, and most routes with it."""
    plan = Plan(usual_routes(rng))
    start, length, factor = rng.uniform(5, 20) * 3600, rng.uniform(600, 1500), rng.uniform(2.2, 5)
    hit = {r.name for r in plan.routes if rng.random() < 0.7} or {"/"}
    plan.slow.append(lambda r, t: factor if r in hit and start <= t < start + length else 1.0)
    plan.expect("*", start, length, "latency", "all slow")
    down, secs = (start + 4 * 3600.0) % (20 * 3600.0) + 2 * 3600.0, rng.uniform(120, 400)
    if abs(down - start) < 3600:
        down = start + 5400.0
    plan.fail.append(lambda r, t: 0.95 if down <= t < down + secs else 0.0)
    plan.expect("*", down, secs, "error_rate", "all down")
    return plan


def ramps(rng: random.Random) -> Plan:
    """A leak: slower and slower within half an hour to an hour."""
    plan = Plan(usual_routes(rng))
    for k in range(2):
        route = plan.routes[rng.randrange(4)].name
        start, grow = (4 + 9 * k + rng.uniform(0, 4)) * 3600, rng.uniform(1500, 3600)
        factor = rng.uniform(3, 6)

        def ramp(
            r: str,
            t: float,
            route: str = route,
            start: float = start,
            grow: float = grow,
            factor: float = factor,
        ) -> float:
            if r != route or not start <= t < start + 2 * grow:
                return 1.0
            return float(factor ** min(1.0, (t - start) / grow))

        plan.slow.append(ramp)
        plan.expect(route, start + 0.25 * grow, 1.75 * grow, "latency", "ramp")
    return plan


def bursts(rng: random.Random) -> Plan:
    """Ten times the visitors for a while, and a silent hour: neither is an incident."""
    plan = Plan(usual_routes(rng))
    usual = plan.load
    peaks = [rng.uniform(3, 22) * 3600 for _ in range(3)]
    hush = rng.uniform(10, 20) * 3600

    def load(t: float) -> float:
        if hush <= t < hush + 3600:
            return 0.0
        return usual(t) * (6.0 if any(p <= t < p + 600 for p in peaks) else 1.0)

    plan.load = load
    start = (hush + 2 * 3600 + 4000) % (22 * 3600)
    start = start if start > 3 * 3600 else start + 4 * 3600
    plan.during("/", start, 1200, rng.choice((2.5, 4.0)))
    plan.failing("/api/items", (start + 7200) % (20 * 3600) + 7200, 900, 0.3)
    return plan


def newborn(rng: random.Random) -> Plan:
    """Routes that appear in the middle of the day, one of them broken soon."""
    plan = Plan(usual_routes(rng))
    born = rng.uniform(6, 12) * 3600
    plan.routes.append(Route("/new", 0.5, "lognormal", 90.0, 0.4, 0.002, 0.08, born))
    plan.routes.append(Route("/beta", 0.1, "cache", 20.0, 0.3, 0.0, 0.08, born + 3600))
    plan.during("/new", born + rng.uniform(3600, 7200), 1200, rng.choice((3.0, 6.0)))
    plan.failing("/beta", born + 3600 + rng.uniform(2400, 5400), 1500, 0.5)
    plan.failing("/new", born + 5 * 3600, 600, 0.97)
    return plan


def flapping(rng: random.Random) -> Plan:
    """Good for a minute or two, bad for a minute or two: one incident each, not twenty."""
    plan = Plan(usual_routes(rng))
    for k, kind in enumerate(("latency", "error_rate")):
        route = plan.routes[rng.randrange(3)].name
        start, period = (4 + 9 * k + rng.uniform(0, 5)) * 3600, rng.uniform(120, 300)

        def bad(
            r: str, t: float, route: str = route, start: float = start, period: float = period
        ) -> bool:
            return r == route and start <= t < start + 2400 and (t - start) % period < period / 2

        def factor(r: str, t: float, bad: Callable[[str, float], bool] = bad) -> float:
            return 6.0 if bad(r, t) else 1.0

        def share(r: str, t: float, bad: Callable[[str, float], bool] = bad) -> float:
            return 0.7 if bad(r, t) else 0.0

        if kind == "latency":
            plan.slow.append(factor)
        else:
            plan.fail.append(share)
        plan.expect(route, start, 2400, kind, "flapping")
    return plan


def noisy(rng: random.Random) -> Plan:
    """Routes whose level wanders by a third from minute to minute."""
    plan = Plan(
        [
            Route(r.name, r.rate, r.family, r.median, r.spread, r.errors, rng.uniform(0.2, 0.33))
            for r in usual_routes(rng)
        ]
    )
    busy = [r.name for r in plan.routes if r.rate >= 0.1]
    plan.during(rng.choice(busy), rng.uniform(6, 10) * 3600, 1500, rng.choice((5.0, 9.0)))
    plan.failing(rng.choice(busy), rng.uniform(14, 20) * 3600, 1500, 0.3)
    return plan


def daily_swing(rng: random.Random) -> Plan:
    """Twice as slow at the busy hour as at night, smoothly."""
    plan = Plan(usual_routes(rng))
    swing = rng.uniform(0.25, 0.4)
    plan.slow.append(lambda r, t: exp(swing * sin(2 * pi * (t / DAY - 0.4))))
    _usual_incidents(plan, rng)
    return plan


def nightly(rng: random.Random) -> Plan:
    """Every night the same batch job: news once, then what every night is like."""
    plan = Plan(usual_routes(rng), hours=72.0)
    at, length, factor = rng.uniform(1, 5) * 3600, rng.uniform(900, 2400), rng.uniform(2.2, 4.0)
    hit = {"/", "/api/items", "/search"}
    plan.slow.append(lambda r, t: factor if r in hit and at <= t % DAY < at + length else 1.0)
    for route in hit:
        plan.ignore(route, at, length + 900.0)
    _usual_incidents(plan, rng, after=30 * 3600.0)
    return plan


def hourly(rng: random.Random) -> Plan:
    """A job at every full hour slows everything for two or three minutes."""
    plan = Plan(usual_routes(rng), hours=30.0)
    length, factor = rng.uniform(100, 200), rng.uniform(2.0, 3.0)
    plan.slow.append(lambda r, t: factor if t % 3600 < length else 1.0)
    plan.ignore("*", 0.0, 8 * 3600.0)
    _usual_incidents(plan, rng, after=9 * 3600.0)
    return plan


def timeouts(rng: random.Random) -> Plan:
    """Failures that take five seconds each, and failures at once."""
    plan = Plan(usual_routes(rng), error_ms=rng.choice((2.0, 5000.0)))
    _usual_incidents(plan, rng)
    return plan


KINDS: dict[str, Callable[[random.Random], Plan]] = {
    k.__name__: k
    for k in (
        families,
        correlated,
        ramps,
        bursts,
        newborn,
        flapping,
        noisy,
        daily_swing,
        nightly,
        hourly,
        timeouts,
    )
}
