"""How long real answers take, and what a cause of harm does to them: pure, seeded by the caller.

A draw gives the duration of one answer in ms; a change turns an answer's status and duration, as
they would have been, into what the cause makes of them.
"""

import heapq
import random
from collections.abc import Callable, Sequence
from math import exp

Draw = Callable[[random.Random, float], float]
"""rng and the second of the day → ms."""
Change = Callable[[random.Random, float, int, float], tuple[int, float]]
"""rng, second of the day, status, ms → status, ms."""


# --- durations -----------------------------------------------------------------------------------


def gamma(median: float, k: float) -> Draw:
    scale = median / (k - 1 / 3)
    return lambda rng, t: rng.gammavariate(k, scale)


def by_payload(fixed: float, small: float, large: float, share_large: float) -> Draw:
    """Thumbnails and originals: two humps, and their widths differ."""

    def draw(rng: random.Random, t: float) -> float:
        if rng.random() < share_large:
            return fixed + large * exp(rng.gauss(0, 0.6))
        return fixed + small * exp(rng.gauss(0, 0.25))

    return draw


def by_tenant(rng: random.Random, median: float, tenants: int = 25) -> Draw:
    """Few customers make most of the traffic, and the largest have the most rows to read."""
    weights = [1 / (n + 1) for n in range(tenants)]
    levels = [median * exp(rng.gauss(0, 0.7)) for _ in range(tenants)]
    return lambda rng, t: rng.choices(levels, weights)[0] * rng.gammavariate(6, 1 / 6)


def cached(hit_ms: float, miss_ms: float, hits: float) -> Draw:
    def draw(rng: random.Random, t: float) -> float:
        if rng.random() < hits:
            return hit_ms * rng.uniform(0.7, 1.5)
        return rng.gammavariate(4, miss_ms / 4)

    return draw


def ticked(step: float, median: float) -> Draw:
    """A clock that moves in steps: 0, 15.6, 31.2 ms and nothing between."""
    return lambda rng, t: round(rng.gammavariate(3, median / 2.7) / step) * step


def long_tailed(median: float, alpha: float) -> Draw:
    return lambda rng, t: median * 0.5 ** (1 / alpha) * rng.paretovariate(alpha)


def long_poll(limit_ms: float, event_ms: float) -> Draw:
    """Held until something happens, or a timer says that nothing did."""
    return lambda rng, t: min(limit_ms + rng.uniform(0, 6), rng.expovariate(1 / event_ms))


def streamed(median: float) -> Draw:
    """Files of every size down links of every speed."""
    return lambda rng, t: median * exp(rng.gauss(0, 1.1))


def cold_started(warm_ms: float, cold_ms: float, idle_s: float) -> Draw:
    """A function put away after ``idle_s`` without a call, and now and then a second copy."""
    last = [-1e9]

    def draw(rng: random.Random, t: float) -> float:
        is_cold = t - last[0] > idle_s or rng.random() < 0.02
        last[0] = t
        return rng.gammavariate(5, warm_ms / 5) + (rng.uniform(0.7, 1.5) * cold_ms * is_cold)

    return draw


def operations(rng: random.Random, count: int = 25) -> tuple[list[float], list[float]]:
    """Weights and typical ms of the operations behind one GraphQL address."""
    return (
        [1 / (n + 1) ** 0.9 for n in range(count)],
        [rng.choice((6.0, 15.0, 40.0, 90.0, 300.0)) * exp(rng.gauss(0, 0.3)) for _ in range(count)],
    )


def any_of(weights: Sequence[float], medians: Sequence[float]) -> Draw:
    return lambda rng, t: rng.choices(medians, weights)[0] * rng.gammavariate(5, 1 / 5)


# --- what causes do ------------------------------------------------------------------------------


def times(factor: float, share: float = 1.0) -> Change:
    return lambda rng, t, status, ms: (status, ms * factor if rng.random() < share else ms)


def plus(low: float, high: float, share: float = 1.0) -> Change:
    return lambda rng, t, status, ms: (
        status,
        ms + rng.uniform(low, high) if rng.random() < share else ms,
    )


def fails(share: float, code: int, ms_when: Draw | None = None) -> Change:
    """``ms_when``: how long a failure takes; None: as long as the answer would have."""

    def change(rng: random.Random, t: float, status: int, ms: float) -> tuple[int, float]:
        if rng.random() >= share:
            return status, ms
        return code, ms if ms_when is None else ms_when(rng, t)

    return change


def at_once(rng: random.Random, t: float) -> float:
    return rng.uniform(0.8, 5.0)


def after(seconds: float) -> Draw:
    return lambda rng, t: 1000 * seconds + rng.uniform(1, 40)


def both(first: Change, second: Change) -> Change:
    def change(rng: random.Random, t: float, status: int, ms: float) -> tuple[int, float]:
        return second(rng, t, *first(rng, t, status, ms))

    return change


def growing(factor: float, start: float, full: float) -> Change:
    return lambda rng, t, status, ms: (
        status,
        ms * factor ** min(1.0, max(0.0, (t - start) / (full - start))),
    )


def fading(extra_ms: float, share: float, start: float, life_s: float) -> Change:
    """Cold caches: a share of the answers pays, and ever fewer."""
    return lambda rng, t, status, ms: (
        status,
        ms + extra_ms * rng.uniform(0.5, 1.5)
        if rng.random() < share * exp((start - t) / life_s)
        else ms,
    )


def on_and_off(change: Change, spans: Sequence[tuple[float, float]]) -> Change:
    def now_and_then(rng: random.Random, t: float, status: int, ms: float) -> tuple[int, float]:
        return change(rng, t, status, ms) if any(a <= t < b for a, b in spans) else (status, ms)

    return now_and_then


def queued(
    slots: int, stretch: float, patience_s: float, holders: Sequence[tuple[float, float]] = ()
) -> Change:
    """Wait for one of ``slots`` connections, first come first served; give up with a 503 after
    ``patience_s``. An answer holds its connection for ``stretch`` times its duration; ``holders``
    are (second, seconds) for which something else holds one.
    """
    free = [0.0] * slots
    others = sorted(holders, reverse=True)

    def change(rng: random.Random, t: float, status: int, ms: float) -> tuple[int, float]:
        while others and others[-1][0] <= t:
            at, length = others.pop()
            heapq.heapreplace(free, max(at, free[0]) + length)
        wait = max(0.0, free[0] - t)
        if wait > patience_s:
            return 503, 1000 * patience_s + rng.uniform(1, 20)
        heapq.heapreplace(free, t + wait + stretch * ms / 1000)
        return status, ms + 1000 * wait

    return change


def stalled(until: float) -> Change:
    """Nobody is answered before ``until``."""
    return lambda rng, t, status, ms: (status, ms + 1000 * max(0.0, until - t))


def sawtooth(factor: float, start: float, every: float) -> Change:
    """A leak: slower until the process is killed, three seconds of 502, and again."""

    def change(rng: random.Random, t: float, status: int, ms: float) -> tuple[int, float]:
        part = ((t - start) % every) / every
        if t - start >= every and part * every < 3.0:
            return 502, rng.uniform(0.5, 3.0)
        return status, ms * factor ** (part * part)

    return change
