"""Days nearer to production: parts of requests, loads that slow, errors that grow, and traps.
Pure and seeded, as ``tests.support.other_days``.
"""

import random
from collections.abc import Callable
from math import exp, pi, sin

from tests.support.observability import DAY, Plan, Route, usual_routes

Kind = Callable[[random.Random], Plan]


def _share(t: float, share: float) -> bool:
    """The same for the same moment: a part of the requests, as if drawn."""
    return (t * 6271.0) % 1.0 < share


def _during(start: float, length: float, t: float) -> bool:
    return start <= t < start + length


def _incidents(plan: Plan, rng: random.Random, slots: tuple[float, float, float]) -> None:
    """A slowdown, a partial failure and an outage at these hours or soon after."""
    busy = [r.name for r in plan.routes if r.rate >= 0.1 and r.born == 0.0]
    slow, some, down = (3600.0 * h + rng.uniform(0, 1800) for h in slots)
    plan.during(rng.choice(busy), slow, rng.uniform(900, 1800), rng.choice((2.2, 3.0, 4.5, 9.0)))
    plan.failing(rng.choice(busy), some, rng.uniform(1200, 2400), rng.choice((0.1, 0.2, 0.4)))
    plan.failing(rng.choice(busy), down, rng.uniform(240, 600), 0.97)


def _part(
    plan: Plan, route: str, start: float, length: float, share: float, factor: float, name: str
) -> None:
    """A ``share`` of the route's answers takes ``factor`` times as long, and is to be told."""
    plan.slow.append(
        lambda r, t: (
            factor if r == route and _during(start, length, t) and _share(t, share) else 1.0
        )
    )
    plan.expect(route, start, length, "latency", name)


def office_hours(rng: random.Random) -> Plan:
    """Visitors from eight to six, next to nobody at night; slower when more come."""
    plan = Plan(usual_routes(rng), hours=48.0)

    def load(t: float) -> float:
        hour = t % DAY / 3600.0
        rise = 1.0 / (1.0 + exp(-2.0 * (hour - 8.0))) / (1.0 + exp(2.0 * (hour - 18.0)))
        return 0.04 + 1.9 * rise * (0.7 if 12.0 <= hour < 13.0 else 1.0)

    plan.load = load
    plan.slow.append(lambda r, t: exp(0.12 * (load(t) - 1.0)))
    _incidents(plan, rng, (9.5, 14.0, 40.0))
    return plan


def batch_job(rng: random.Random) -> Plan:
    """A report at noon makes everything a quarter slower for forty minutes: nobody's incident."""
    plan = Plan(usual_routes(rng))
    plan.slow.append(lambda r, t: 1.25 if _during(12 * 3600.0, 2400.0, t) else 1.0)
    _incidents(plan, rng, (5, 15, 20))
    return plan


def growing_errors(rng: random.Random) -> Plan:
    """More and more fails: from nothing to a third within half an hour."""
    plan = Plan(usual_routes(rng))
    for k in range(2):
        route = plan.routes[rng.randrange(3)].name
        start = (5 + 9 * k + rng.uniform(0, 4)) * 3600

        def share(r: str, t: float, route: str = route, start: float = start) -> float:
            return 0.33 * (t - start) / 1800 if r == route and _during(start, 1800, t) else 0.0

        plan.fail.append(share)
        plan.expect(route, start, 1800, "error_rate", "growing errors")
    return plan


def one_client(rng: random.Random) -> Plan:
    """One caller's broken requests fail in bursts of seconds, ten times a day: no incident."""
    plan = Plan(usual_routes(rng))
    route = plan.routes[rng.randrange(2)].name
    at = [rng.uniform(0, DAY) for _ in range(10)]
    plan.fail.append(lambda r, t: 0.9 if r == route and any(_during(s, 6, t) for s in at) else 0.0)
    _incidents(plan, rng, (4, 11, 18))
    return plan


def queueing(rng: random.Random) -> Plan:
    """Twice the visitors for half an hour make everything a third slower, as it should be."""
    plan = Plan(usual_routes(rng))
    usual, starts = plan.load, (9 * 3600.0, 17 * 3600.0)

    def load(t: float) -> float:
        return usual(t) * (2.0 if any(_during(s, 1800, t) for s in starts) else 1.0)

    plan.load = load
    plan.slow.append(lambda r, t: 1.0 / (1.0 - 0.12 * load(t)))
    _incidents(plan, rng, (5, 12, 20))
    return plan


def cold_cache(rng: random.Random) -> Plan:
    """The cache is lost: most answers take as long as only one in five did before."""
    plan = Plan(usual_routes(rng, ("cache",)))
    for k in range(2):
        start = (4 + 10 * k + rng.uniform(0, 4)) * 3600
        route = plan.routes[rng.randrange(3)].name
        _part(plan, route, start, 1500, rng.uniform(0.5, 0.7), 10.0, "cold cache")
    return plan


def fast_errors(rng: random.Random) -> Plan:
    """What fails answers at once, so durations look better than ever."""
    plan = Plan(usual_routes(rng), error_ms=1.5)
    _incidents(plan, rng, (4, 10, 17))
    return plan


def stuck_calls(rng: random.Random) -> Plan:
    """One call in ten waits for a timeout of seconds, always the same."""
    plan = Plan(usual_routes(rng, ("lognormal", "steps")))
    for k in range(2):
        start = (4 + 10 * k + rng.uniform(0, 4)) * 3600
        route = plan.routes[rng.randrange(2)]
        _part(plan, route.name, start, 2400, 0.1, 10000.0 / route.median, "stuck calls")
    return plan


def whole_milliseconds(rng: random.Random) -> Plan:
    """Durations of few values; a route three times slower that nobody can notice."""
    plan = Plan([Route("/ping", 0.5, "constant", 2.0), *usual_routes(rng, ("steps", "constant"))])
    trap = rng.uniform(4, 20) * 3600
    plan.slow.append(lambda r, t: 3.0 if r == "/ping" and _during(trap, 1800, t) else 1.0)
    _incidents(plan, rng, (4, 10, 17))
    return plan


def few_visitors(rng: random.Random) -> Plan:
    """A tenth of the usual traffic, all day."""
    plan = Plan(usual_routes(rng))
    plan.load = lambda t: 0.1 * (1.0 + 0.5 * sin(2 * pi * (t / DAY - 0.4)))
    names = [r.name for r in plan.routes[:2]]
    plan.during(rng.choice(names), rng.uniform(4, 7) * 3600, 5400, rng.choice((3.0, 6.0)))
    plan.failing(rng.choice(names), rng.uniform(10, 13) * 3600, 5400, 0.3)
    plan.failing(rng.choice(names), rng.uniform(17, 20) * 3600, 2400, 0.97)
    return plan


def many_visitors(rng: random.Random) -> Plan:
    """Ten requests a second and more."""
    plan = Plan(usual_routes(rng), hours=8.0)
    plan.load = lambda t: 8.0
    _incidents(plan, rng, (2.5, 4.2, 6))
    return plan


def partial_region(rng: random.Random) -> Plan:
    """One region of three fails on every route, and later is slow on every route."""
    plan = Plan(usual_routes(rng))
    down, slow = rng.uniform(5, 9) * 3600, rng.uniform(14, 19) * 3600
    plan.fail.append(lambda r, t: 0.33 if _during(down, 900, t) else 0.0)
    plan.expect("*", down, 900, "error_rate", "region down")
    plan.slow.append(lambda r, t: 5.0 if _during(slow, 1200, t) and _share(t, 0.33) else 1.0)
    plan.expect("*", slow, 1200, "latency", "region slow")
    return plan


def restarts(rng: random.Random) -> Plan:
    """Six releases: three seconds of failures, twenty slow ones, nothing worse."""
    plan = Plan(usual_routes(rng))
    at = [rng.uniform(3, 23) * 3600 for _ in range(6)]
    plan.fail.append(lambda r, t: 0.9 if any(_during(s, 3, t) for s in at) else 0.0)
    plan.slow.append(lambda r, t: 3.5 if any(_during(s + 3, 20, t) for s in at) else 1.0)
    _incidents(plan, rng, (4, 10, 17))
    return plan


HARDER_KINDS: dict[str, Kind] = {
    k.__name__: k
    for k in (
        office_hours,
        batch_job,
        growing_errors,
        one_client,
        queueing,
        cold_cache,
        fast_errors,
        stuck_calls,
        whole_milliseconds,
        few_visitors,
        many_visitors,
        partial_region,
        restarts,
    )
}
