"""More kinds of days, with other shapes than those the detector was tuned on: what generalising
means is measured on these. Pure and seeded, as ``tests.support.observability``.
"""

import random
from collections.abc import Callable
from math import exp, pi, sin

from tests.support.harder_days import HARDER_KINDS
from tests.support.observability import DAY, KINDS, Plan, Request, Route, play, usual_routes

Kind = Callable[[random.Random], Plan]


def _share(t: float, share: float) -> bool:
    """The same for the same moment: a part of the requests, as if drawn."""
    return (t * 7919.0) % 1.0 < share


def _incidents(plan: Plan, rng: random.Random, slots: tuple[float, float, float]) -> None:
    """A slowdown, a partial failure and an outage at these hours or soon after."""
    busy = [r.name for r in plan.routes if r.rate >= 0.1 and r.born == 0.0]
    slow, some, down = (3600.0 * h + rng.uniform(0, 1800) for h in slots)
    factor = rng.choice((2.4, 3.0, 5.0, 8.0))
    plan.during(rng.choice(busy), slow, rng.uniform(900, 1800), factor)
    plan.failing(rng.choice(busy), some, rng.uniform(1200, 2400), rng.choice((0.12, 0.25)))
    plan.failing(rng.choice(busy), down, rng.uniform(240, 600), 0.97)


def canary(rng: random.Random) -> Plan:
    """One answer in five or six is many times slower: one bad machine of several."""
    plan = Plan(usual_routes(rng))
    for k in range(2):
        route, share = plan.routes[rng.randrange(2)].name, rng.uniform(0.15, 0.25)
        start, factor = (4 + 10 * k + rng.uniform(0, 4)) * 3600, rng.uniform(6, 12)

        def slow(
            r: str,
            t: float,
            route: str = route,
            start: float = start,
            share: float = share,
            factor: float = factor,
        ) -> float:
            hit = r == route and start <= t < start + 2700 and _share(t, share)
            return factor if hit else 1.0

        plan.slow.append(slow)
        plan.expect(route, start, 2700, "latency", "canary")
    return plan


def leak_restart(rng: random.Random) -> Plan:
    """Slower and slower, then a restart, and again."""
    plan = Plan(usual_routes(rng))
    route, grow, factor = plan.routes[rng.randrange(3)].name, 2700.0, rng.uniform(3.5, 6)
    starts = [rng.uniform(4, 6) * 3600, rng.uniform(15, 17) * 3600]

    def slow(r: str, t: float) -> float:
        for start in starts:
            if r == route and start <= t < start + grow:
                return float(factor ** ((t - start) / grow))
        return 1.0

    plan.slow.append(slow)
    for start in starts:
        plan.ignore(route, start, 0.15 * grow)
        plan.expect(route, start + 0.15 * grow, 0.85 * grow, "latency", "leak")
    return plan


def spikes(rng: random.Random) -> Plan:
    """A batch job slows everything for a quarter of a minute, a dozen times a day: no incident."""
    plan = Plan(usual_routes(rng))
    at = sorted(rng.uniform(0, DAY) for _ in range(12))
    factor = rng.uniform(3, 8)
    plan.slow.append(lambda r, t: factor if any(s <= t < s + 15 for s in at) else 1.0)
    _incidents(plan, rng, (6, 12, 19))
    return plan


def retry_storm(rng: random.Random) -> Plan:
    """Failures bring more requests, which fail as well."""
    plan = Plan(usual_routes(rng))
    route, start = plan.routes[rng.randrange(2)].name, rng.uniform(6, 20) * 3600
    usual = plan.load
    plan.load = lambda t: usual(t) * (4.0 if start <= t < start + 900 else 1.0)
    plan.failing(route, start, 900, rng.uniform(0.3, 0.6))
    return plan


def surge(rng: random.Random) -> Plan:
    """Five times the visitors for an hour and nothing slower by more than a tenth."""
    plan = Plan(usual_routes(rng))
    start, usual = rng.uniform(8, 12) * 3600, plan.load
    plan.load = lambda t: usual(t) * (5.0 if start <= t < start + 3600 else 1.0)
    plan.slow.append(lambda r, t: 1.1 if start <= t < start + 3600 else 1.0)
    _incidents(plan, rng, (4, 15, 20))
    return plan


def releases(rng: random.Random) -> Plan:
    """Two releases: each makes a route slower for good. Told once, then usual."""
    plan = Plan(usual_routes(rng))
    for k, route in enumerate(rng.sample([r.name for r in plan.routes[:4]], 2)):
        start, factor = (5 + 8 * k + rng.uniform(0, 3)) * 3600, rng.uniform(2.2, 3.5)

        def slow(
            r: str, t: float, route: str = route, start: float = start, factor: float = factor
        ) -> float:
            return factor if r == route and t >= start else 1.0

        plan.slow.append(slow)
        plan.expect(route, start, 1800, "latency", "release")
        plan.ignore(route, start + 1800, 1800)
    return plan


def gaps(rng: random.Random) -> Plan:
    """Nights and breaks without a single visitor."""
    plan = Plan(usual_routes(rng))
    usual = plan.load

    def load(t: float) -> float:
        hour = t / 3600.0
        return 0.0 if hour < 2 or 9 <= hour < 9.7 or 17 <= hour < 18.5 else usual(t)

    plan.load = load
    _incidents(plan, rng, (6, 12, 20))
    return plan


def quiet(rng: random.Random) -> Plan:
    """A few visitors in bursts: two minutes in every fifteen."""
    plan = Plan(usual_routes(rng))
    plan.routes = [
        Route(r.name, r.rate / 4, r.family, r.median, r.spread, 0.0, r.wander) for r in plan.routes
    ]
    plan.load = lambda t: 6.0 if t % 900 < 120 else 0.05
    start = rng.uniform(6, 8) * 3600
    plan.during("/", start, 5400, rng.choice((4.0, 8.0)))
    plan.failing("/api/items", start + 4 * 3600, 5400, 0.9)
    return plan


def sputter(rng: random.Random) -> Plan:
    """A route that always has bad minutes, and one day an hour of them."""
    plan = Plan(usual_routes(rng), hours=30.0)
    bad = plan.routes[0].name
    every = rng.uniform(1500, 2700)
    plan.fail.append(lambda r, t: 0.06 if r == bad and t % every < 60 else 0.0)
    plan.ignore(bad, 0.0, 6 * 3600.0)
    plan.failing(bad, rng.uniform(12, 20) * 3600, 3600, 0.4)
    plan.during("/api/items", rng.uniform(22, 26) * 3600, 1500, 3.0)
    return plan


def week_like(rng: random.Random) -> Plan:
    """Loud days and quiet ones, and routes slower under load by a quarter."""
    plan = Plan(usual_routes(rng), hours=48.0)
    second = rng.uniform(0.25, 0.5)

    def load(t: float) -> float:
        return (1.0 + 0.8 * sin(2 * pi * (t / DAY - 0.4))) * (1.0 if t < DAY else second)

    plan.load = load
    plan.slow.append(lambda r, t: exp(0.2 * (load(t) - 1.0)))
    _incidents(plan, rng, (8, 30, 40))
    return plan


def two_speeds(rng: random.Random) -> Plan:
    """Cache hits and misses far apart, heavy tails beside them."""
    plan = Plan(usual_routes(rng, ("cache", "pareto", "cache")))
    _incidents(plan, rng, (5, 11, 18))
    return plan


OTHER_KINDS: dict[str, Kind] = {
    k.__name__: k
    for k in (
        canary,
        leak_restart,
        spikes,
        retry_storm,
        surge,
        releases,
        gaps,
        quiet,
        sputter,
        week_like,
        two_speeds,
    )
}
ALL_KINDS: dict[str, Kind] = {**KINDS, **OTHER_KINDS, **HARDER_KINDS}


def make(kind: str, seed: int) -> tuple[Plan, list[Request]]:
    rng = random.Random(f"{kind}-{seed}")
    plan = ALL_KINDS[kind](rng)
    return plan, play(plan, rng.randrange(1 << 30))
