"""Days of small web apps, written by someone who had not read the detector: what happens, and what
a founder would say of it.

Visitors make several requests in a row; routes wander in speed on their own and with their host;
the process stops for a moment now and then. A cause changes the answers of some routes for a span.
The truth comes from the counterfactual: each answer is known as it would have been without the
cause, so what was hurt is counted and not guessed.

The principles of the truth:

* Hurt is an answer that fails and would not have, or one that takes 1.5 times and 50 ms longer.
* A cause is one incident, told when any route that it hurt enough is told: at least 6 new failures
  and 3 times the usual share, or at least 15 answers and a tenth of all slowed.
* What both failed and slowed (or failed late) is told by either kind of alert.
* Routes that the cause touched but did not hurt enough are not judged meanwhile, nor is any it
  touched for ten minutes afterwards.
* A change for good must be told within half an hour; after an hour it is what is usual.
"""

import random
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import exp, pi, sin

from tests.support.apart_shapes import Change, Draw, at_once, fading, fails, times
from tests.support.observability import DAY, Plan, Request, Route, Span

Load = Callable[[float], float]
Maker = Callable[[float], Change]
"""The start of a cause → what it does."""
WARM_UP_S = 2.5 * 3600.0
AFTERMATH_S = 600.0


@dataclass(frozen=True)
class Endpoint:
    """``rate``: requests a second at load 1. ``refused``: the usual share of 4xx. ``company``: how
    many requests a visitor makes in a row, ``gap`` seconds apart. ``sense``: how much slower at
    twice the load. ``paced``: called by a timer, not by a crowd. ``steady``: its duration is no
    matter of load or host.
    """

    name: str
    method: str
    rate: float
    draw: Draw
    errors: float = 0.0005
    refused: float = 0.01
    company: float = 2.0
    gap: float = 2.5
    sense: float = 0.15
    wander: float = 0.06
    paced: bool = False
    steady: bool = False
    load: Load | None = None

    @property
    def key(self) -> str:
        return f"{self.method} {self.name}"


@dataclass
class Cause:
    """``is_trap``: nobody must be called. ``told_from``: when it begins to be news, where that is
    later. ``for_good``: the level stays.
    """

    name: str
    routes: frozenset[str]
    start: float
    end: float
    change: Change
    is_trap: bool = False
    is_judged: bool = True
    told_from: float | None = None
    for_good: bool = False


def usual_load(t: float) -> float:
    return 1.0 + 0.55 * sin(2 * pi * (t / DAY + 0.05))


@dataclass
class Day:
    rng: random.Random
    endpoints: list[Endpoint]
    hours: float = 12.0
    load: Load = usual_load
    causes: list[Cause] = field(default_factory=list)

    @property
    def all(self) -> list[str]:
        return [e.key for e in self.endpoints]

    def pick(self, low: float = 0.0, high: float = 99.0, methods: str = "") -> str:
        """A route with a rate in [low, high], the least burdened first."""
        fit = [
            e.key
            for e in self.endpoints
            if low <= e.rate <= high and not e.steady and (not methods or e.method in methods)
        ]
        return min(fit, key=lambda k: (sum(k in c.routes for c in self.causes), self.rng.random()))

    def place(self, routes: Iterable[str], length: float, gap: float) -> float | None:
        """A start at which none of ``routes`` has another cause within ``gap`` seconds."""
        mine = set(routes)
        for _ in range(500):
            start = self.rng.uniform(WARM_UP_S, self.hours * 3600 - length - 900)
            if all(
                start > c.end + gap or start + length < c.start - gap
                for c in self.causes
                if mine & c.routes
            ):
                return start
        return None

    def incident(
        self,
        name: str,
        routes: Iterable[str] | str,
        length: float,
        make: Maker,
        **how: object,
    ) -> None:
        mine = frozenset([routes] if isinstance(routes, str) else routes)
        start = self.place(mine, length, 2700.0)
        if start is None:
            raise ValueError(f"no room for {name}")
        self.put(name, mine, start, length, make, **how)

    def put(
        self,
        name: str,
        routes: Iterable[str],
        start: float,
        length: float,
        make: Maker,
        **how: object,
    ) -> None:
        end = start + length
        self.causes.append(Cause(name, frozenset(routes), start, end, make(start), **how))

    def trap(
        self,
        name: str,
        routes: Iterable[str] | str,
        length: float,
        make: Maker,
    ) -> None:
        mine = frozenset([routes] if isinstance(routes, str) else routes)
        start = self.place(mine, length, 1500.0)
        if start is not None:
            self.put(name, mine, start, length, make, is_trap=True)

    def nuisances(self) -> None:
        """What every app has, and nobody wants to be called for."""
        u, busy = self.rng.uniform, min(0.05, sorted(e.rate for e in self.endpoints)[-4])
        blip, mild = times(u(4, 10)), times(u(1.12, 1.22))
        self.trap("short slow", self.pick(busy), u(6, 20), lambda s: blip)
        self.trap("short failing", self.pick(busy), u(4, 12), lambda s: fails(0.7, 502, at_once))
        self.trap("a deploy", self.all, 60.0, released)
        self.trap("a bit slow", self.pick(busy), u(1200, 3600), lambda s: mild)
        self.trap("scanner", self.pick(busy), u(600, 1800), lambda s: fails(0.5, 404, at_once))


def released(start: float) -> Change:
    """Three seconds of 503, then half a minute of empty caches."""
    cold = fading(120.0, 0.8, start + 3, 12.0)

    def change(rng: random.Random, t: float, status: int, ms: float) -> tuple[int, float]:
        if t < start + 3:
            return (503, at_once(rng, t)) if rng.random() < 0.8 else (status, ms)
        return cold(rng, t, status, ms)

    return change


# --- playing -------------------------------------------------------------------------------------


def play(day: Day) -> tuple[Plan, list[Request]]:
    rng = day.rng
    minutes = int(day.hours * 60)
    host = _wander(rng, minutes, 0.05, 0.985)
    made = []
    for k, e in enumerate(day.endpoints):
        load = e.load or day.load
        level = [a + b for a, b in zip(host, _wander(rng, minutes, e.wander, 0.9), strict=True)]
        for t in _arrivals(rng, e, load, minutes):
            ms = e.draw(rng, t)
            if not e.steady:
                ms *= exp(level[int(t // 60)]) * (1 + e.sense * (load(t) - 1))
            status, u = 200, rng.random()
            if u < e.refused:
                status = rng.choice((400, 401, 404, 409, 422))
            elif u > 1 - e.errors:
                status = rng.choice((500, 500, 502, 504))
                ms = rng.uniform(8e3, 1.2e4) if status == 504 else ms
            made.append([t, k, status, ms])
    made.sort()
    _pause(rng, made, day.hours * 3600.0)
    plan = Plan([Route(e.name, e.rate) for e in day.endpoints], hours=day.hours)
    times_of = [m[0] for m in made]
    for cause in sorted(day.causes, key=lambda c: c.start):
        _tell(plan, day, cause, _befall(rng, day, cause, made, times_of))
    # A request is seen when its answer ends: one that hangs for twenty seconds comes that late.
    return plan, sorted(
        (
            round(t + ms / 1000, 3),
            day.endpoints[k].method,
            day.endpoints[k].name,
            status,
            round(max(0.1, ms), 1),
        )
        for t, k, status, ms in made
    )


def _wander(rng: random.Random, minutes: int, sd: float, keep: float) -> list[float]:
    x, out = rng.gauss(0, sd), []
    for _ in range(minutes + 1):
        x = keep * x + rng.gauss(0, sd * (1 - keep * keep) ** 0.5)
        out.append(x)
    return out


def _arrivals(rng: random.Random, e: Endpoint, load: Load, minutes: int) -> list[float]:
    """Seconds, in order. A draw may remember the last one."""
    end, out = minutes * 60.0, []
    t = rng.uniform(0, 1 / e.rate)
    while t < end:
        rate = e.rate * load(t) * exp(rng.gauss(0, 0.1))
        if e.paced:
            out.append(t)
            t += rng.gauss(1, 0.02) / e.rate
            continue
        if rate < 1e-5:  # nobody for now
            t += 60.0
            continue
        step = rng.expovariate(rate / e.company)
        if step > 60.0:  # the load may have changed by then: ask again a minute on
            t += 60.0
            continue
        t += step
        at = t
        while at < end:
            out.append(at)
            if rng.random() < 1 / e.company:
                break
            at += rng.expovariate(1 / e.gap)
    return sorted(x for x in out if x < end)


def _pause(rng: random.Random, made: list[list], end: float) -> None:
    """The whole process stops for up to a second, every few minutes."""
    times_of = [m[0] for m in made]
    t = rng.expovariate(1 / 300)
    while t < end:
        length = rng.uniform(0.1, 1.0)
        for i in range(bisect_left(times_of, t), bisect_left(times_of, t + length)):
            made[i][3] += (t + length - made[i][0]) * 1000
        t += rng.expovariate(1 / 300)


@dataclass
class Hurt:
    total: int = 0
    failed: int = 0
    slowed: int = 0

    def kinds(self, usual: float) -> set[str]:
        out = set()
        if self.failed >= 6 and self.failed >= 3 * usual * self.total:
            out.add("error_rate")
        if self.slowed >= 15 and self.slowed >= 0.1 * self.total:
            out.add("latency")
        return out


def _befall(
    rng: random.Random, day: Day, cause: Cause, made: list[list], times_of: list[float]
) -> dict[str, Hurt]:
    hurt = {r: Hurt() for r in cause.routes}
    for i in range(bisect_left(times_of, cause.start), bisect_left(times_of, cause.end)):
        t, k, before, ms = made[i]
        key = day.endpoints[k].key
        if key not in hurt:
            continue
        status, took = cause.change(rng, t, before, ms)
        made[i][2:] = status, took
        one = hurt[key]
        one.total += 1
        one.failed += status >= 500 > before
        if took > 1.5 * ms and took > ms + 50:
            one.slowed += 1  # a failure after ten seconds is both
    return hurt


def _tell(plan: Plan, day: Day, cause: Cause, hurt: dict[str, Hurt]) -> None:
    """Add to the plan what a founder would say of the cause."""
    if cause.is_trap:
        plan.traps.append(Span(cause.start, cause.end, _joined(cause.routes), "*", cause.name))
        return
    usual = {e.key: e.errors for e in day.endpoints}
    fit = {r: h.kinds(usual[r]) for r, h in hurt.items()} if cause.is_judged else {}
    told = [r for r in fit if fit[r]]
    kinds = set().union(*fit.values())
    start, end = cause.told_from or cause.start, cause.end
    if cause.for_good:
        end = min(end, start + 1800.0)
        rest = min(cause.end, start + 3600.0)
        plan.neutral.append(Span(end, rest, _joined(cause.routes), "*", "getting used to it"))
    if told:
        kind = kinds.pop() if len(kinds) == 1 else "*"
        plan.incidents.append(Span(start, end, _joined(told), kind, cause.name))
    untold = cause.routes - set(told)
    spans = [(cause.start, end, untold), (cause.start, start, cause.routes)]
    spans.append((cause.end, cause.end + AFTERMATH_S, cause.routes))
    for a, b, routes in spans:
        if routes and b > a:
            plan.neutral.append(Span(a, b, _joined(routes), "*", f"about {cause.name}"))


def _joined(routes: Iterable[str]) -> str:
    return ", ".join(sorted(routes))
