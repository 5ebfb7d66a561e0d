"""Hours in which most routes suffer from one cause, or several of them from causes of their own.

Pure and seeded, as ``tests.support.other_days``. Twelve routes, from one request a second and more
to one in half a minute. The cause begins at ``BEGINS``.
"""

import random
from collections.abc import Callable

from tests.support.observability import Plan, Route, Span

Kind = Callable[[random.Random], Plan]

BEGINS = 5400.0
HOUR = 3600.0
HOURS = 3.5
RATES = (2.0, 1.2, 0.8, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03)


def routes(rng: random.Random) -> list[Route]:
    return [
        Route(
            f"/r{n}",
            rate,
            rng.choice(("lognormal", "gamma", "cache")),
            rng.choice((15.0, 40.0, 120.0, 400.0)),
            rng.uniform(0.25, 0.5),
            rng.choice((0.0, 0.0005, 0.002)),
            rng.uniform(0.05, 0.1),
        )
        for n, rate in enumerate(RATES)
    ]


def _plan(rng: random.Random) -> Plan:
    return Plan(routes(rng), hours=HOURS, load=lambda t: 1.0)


def _slow(plan: Plan, names: set[str], factor: float, length: float, at: float = BEGINS) -> None:
    plan.slow.append(lambda r, t: factor if r in names and at <= t < at + length else 1.0)


def _names(plan: Plan) -> set[str]:
    return {r.name for r in plan.routes}


def all_slow(factor: float, length: float) -> Kind:
    def kind(rng: random.Random) -> Plan:
        plan = _plan(rng)
        _slow(plan, _names(plan), factor, length)
        plan.expect("*", BEGINS, length, "latency", f"everything x{factor}")
        return plan

    return kind


def all_fail(share: float, length: float) -> Kind:
    def kind(rng: random.Random) -> Plan:
        plan = _plan(rng)
        plan.fail.append(lambda r, t: share if BEGINS <= t < BEGINS + length else 0.0)
        plan.expect("*", BEGINS, length, "error_rate", f"everything fails {share:.0%}")
        return plan

    return kind


def most_slow(rng: random.Random) -> Plan:
    """Nine of twelve."""
    plan = _plan(rng)
    hit = set(rng.sample(sorted(_names(plan)), 9))
    _slow(plan, hit, 3.0, 1500.0)
    plan.expect("*", BEGINS, 1500.0, "latency", "most routes")
    return plan


def some_slow(rng: random.Random) -> Plan:
    """A dependency of five of twelve: each of them is to be told."""
    plan = _plan(rng)
    for name in rng.sample([r.name for r in plan.routes if r.rate >= 0.1], 5):
        plan.during(name, BEGINS, 1500.0, 3.0)
    return plan


def some_fail(rng: random.Random) -> Plan:
    plan = _plan(rng)
    for name in rng.sample([r.name for r in plan.routes if r.rate >= 0.1], 5):
        plan.failing(name, BEGINS, 1200.0, 0.5)
    return plan


def one_after_another(rng: random.Random) -> Plan:
    """Four incidents within minutes, each with its own cause."""
    plan = _plan(rng)
    for n, name in enumerate(rng.sample([r.name for r in plan.routes if r.rate >= 0.1], 4)):
        plan.during(name, BEGINS + 100.0 * n, 1200.0, rng.choice((2.2, 3.0, 5.0)))
    return plan


def slow_and_one_fails(rng: random.Random) -> Plan:
    plan = _plan(rng)
    _slow(plan, _names(plan), 2.0, 1800.0)
    plan.expect("*", BEGINS, 1800.0, "latency", "everything")
    plan.failing("/r1", BEGINS + 120.0, 1200.0, 0.9)
    return plan


def slow_and_one_much_worse(rng: random.Random) -> Plan:
    """One route gets nine times as slow while all take 1.8 times as long."""
    plan = _plan(rng)
    _slow(plan, _names(plan), 1.8, 1800.0)
    plan.expect("*", BEGINS, 1800.0, "latency", "everything")
    plan.during("/r2", BEGINS + 600.0, 900.0, 5.0)
    return plan


def one_stays_slow(rng: random.Random) -> Plan:
    """All recover after ten minutes but one."""
    plan = _plan(rng)
    _slow(plan, _names(plan), 3.0, 600.0)
    plan.expect("*", BEGINS, 600.0, "latency", "everything")
    plan.during("/r3", BEGINS + 600.0, 1200.0, 3.0)
    return plan


def incident_before(rng: random.Random) -> Plan:
    """A route has an incident of its own when everything gets slow."""
    plan = _plan(rng)
    plan.during("/r1", BEGINS - 900.0, 2400.0, 4.0)
    _slow(plan, _names(plan) - {"/r1"}, 2.5, 1500.0)
    plan.expect("*", BEGINS, 1500.0, "latency", "everything")
    return plan


def twice_down(rng: random.Random) -> Plan:
    """Everything fails, and again half an hour later."""
    plan, starts, lasts = _plan(rng), (BEGINS, BEGINS + 2400.0), 240.0
    plan.fail.append(lambda r, t: 0.95 if any(s <= t < s + lasts for s in starts) else 0.0)
    for start in starts:
        plan.incidents.append(Span(start, start + lasts, "*", "error_rate", "everything fails"))
        plan.ignore("*", start + lasts, 900.0)
    return plan


def gradual(rng: random.Random) -> Plan:
    """Everything gets slower and slower: three times as slow after half an hour."""
    plan = _plan(rng)

    def ramp(_: str, t: float) -> float:
        if not BEGINS <= t < BEGINS + HOUR:
            return 1.0
        return float(3.0 ** min(1.0, (t - BEGINS) / 1800.0))

    plan.slow.append(ramp)
    plan.expect("*", BEGINS + 300.0, HOUR - 300.0, "latency", "everything slower and slower")
    return plan


def queue(rng: random.Random) -> Plan:
    """3.5 times the visitors for an hour before one processor: everything takes longer."""
    plan = _plan(rng)
    plan.load = lambda t: 3.5 if BEGINS <= t < BEGINS + HOUR else 1.0
    _slow(plan, _names(plan), 1.6, HOUR)
    plan.expect("*", BEGINS, HOUR, "latency", "a queue")
    return plan


def queue_of_additions(rng: random.Random) -> Plan:
    """The same wait for everybody: quick routes get ten times as slow, slow ones 1.4 times."""
    plan = _plan(rng)
    medians = {r.name: r.median for r in plan.routes}

    def wait(r: str, t: float) -> float:
        return 1.0 + 160.0 / medians[r] if BEGINS <= t < BEGINS + 1500.0 else 1.0

    plan.slow.append(wait)
    plan.expect("*", BEGINS, 1500.0, "latency", "a wait")
    return plan


FOR_GOOD = HOURS * HOUR - BEGINS

COMMON_KINDS: dict[str, tuple[Kind, int]] = {
    **{
        f"slow {factor} {name}": (all_slow(factor, length), 1)
        for factor in (1.6, 2.0, 3.0, 10.0)
        for name, length in (("minutes", 600.0), ("hour", HOUR), ("for good", FOR_GOOD))
    },
    **{f"fails {s:.0%}": (all_fail(s, 900.0), 1) for s in (0.05, 0.3, 0.97)},
    "most slow": (most_slow, 1),
    "some slow": (some_slow, 5),
    "some fail": (some_fail, 5),
    "one after another": (one_after_another, 4),
    "slow, one fails": (slow_and_one_fails, 2),
    "slow, one much worse": (slow_and_one_much_worse, 2),
    "one stays slow": (one_stays_slow, 2),
    "incident before": (incident_before, 2),
    "twice down": (twice_down, 2),
    "gradual": (gradual, 1),
    "queue": (queue, 1),
    "a wait": (queue_of_additions, 1),
}
"""Each with the number of alerts a founder needs."""
