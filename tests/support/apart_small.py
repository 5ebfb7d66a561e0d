"""Kinds of days that are hard to judge: few visitors, little known yet, much noise, two at once."""

import random
from collections.abc import Callable
from dataclasses import replace

from tests.support.apart_app import answer, app
from tests.support.apart_shapes import (
    at_once,
    both,
    fails,
    gamma,
    on_and_off,
    plus,
    stalled,
    times,
)
from tests.support.apart_traffic import Day, Endpoint, usual_load


def small_shop(rng: random.Random) -> Day:
    """Ten thousand requests a day on eight routes, and half an hour of harm is a few dozen."""
    day = app(rng, 8, 0.13, hours=24.0)
    day.incident("all fails", day.all, 900, lambda s: fails(0.97, 502, at_once))
    day.incident("a route fails", day.pick(0.015), 2700, lambda s: fails(0.5, 500))
    day.incident("slow", day.pick(0.015), 3600, lambda s: both(times(3.5), plus(100, 200)))
    return day


def first_hours(rng: random.Random) -> Day:
    """Harm within the second hour that anybody watches."""
    day = app(rng, 7, 1.6, hours=5.0)
    slow, broken = day.all[1], day.all[3]
    at = rng.uniform(3700, 4200)
    day.put("fails early", [broken], at, 1200, lambda s: fails(0.4, 500))
    day.put("slow early", [slow], at + 2400, 1200, lambda s: both(times(4.0), plus(60, 120)))
    return day


def noisy_host(rng: random.Random) -> Day:
    """Shared machines: every route wanders by a fifth from one quarter of an hour to the next."""
    day = app(rng, 9)
    day.endpoints = [replace(e, wander=rng.uniform(0.15, 0.25)) for e in day.endpoints]
    day.incident("slow", day.pick(0.08), 1500, lambda s: both(times(4.0), plus(50, 100)))
    day.incident("fails", day.pick(0.08), 1500, lambda s: fails(0.2, 500))
    day.nuisances()
    return day


def faint(rng: random.Random) -> Day:
    """Little harm on routes with many visitors."""
    day = app(rng, 5, 3.0)
    busy = Endpoint("/checkout", "POST", 0.8, gamma(180, 5))
    day.endpoints.append(busy)
    day.incident("a fiftieth fails", day.pick(0.3), 2700, lambda s: fails(0.02, 500))
    day.incident("1.9 times", "POST /checkout", 2400, lambda s: times(1.9))
    day.incident("one in eight", day.pick(0.2), 2400, lambda s: plus(800, 2500, 1 / 8))
    return day


def nights(rng: random.Random) -> Day:
    """A heavy job each night: news once, then what every night is like."""
    day = app(rng, 7, 0.6, hours=72.0)
    at, hit = rng.uniform(1.0, 4.0) * 3600, day.all[:4]
    for night in range(3):
        start = night * 86400 + at + rng.uniform(-60, 60)
        job = both(times(2.5), plus(20, 60))
        if night < 2:
            day.put("job", hit, start, 1800, lambda s, j=job: j, is_judged=False)
        else:
            day.put("job", hit, start, 1800, lambda s, j=job: j, is_trap=True)
    day.incident("slow", day.pick(0.05), 1800, lambda s: both(times(3.0), plus(60, 90)))
    day.incident("fails", day.pick(0.05), 1800, lambda s: fails(0.3, 500))
    return day


def stalls(rng: random.Random) -> Day:
    """The database writes its checkpoint every half an hour and answers nobody for ten seconds."""
    day = app(rng, 8)
    real = day.all[:2]
    day.incident("slow", real[0], 1200, lambda s: both(times(3.0), plus(60, 90)))
    day.incident("fails", real[1], 1200, lambda s: fails(0.2, 500))
    at = rng.uniform(600, 1800)
    while at < 12 * 3600 - 60:
        length = rng.uniform(6, 13)
        end = at + length
        day.put("checkpoint", day.all, at, length, lambda s, e=end: stalled(e), is_trap=True)
        at += rng.uniform(1500, 2100)
    return day


def second_version(rng: random.Random) -> Day:
    """Clients move to new routes within an hour; one of those breaks later."""
    day = app(rng, 6, 1.5)
    born = rng.uniform(3, 4) * 3600

    def moved(t: float) -> float:
        return min(1.0, max(0.0, (t - born) / 3600))

    old = day.endpoints[1]
    for e in day.endpoints[1:4]:
        day.endpoints.append(
            replace(
                e,
                name=e.name.replace("/v1", "/v2"),
                draw=answer(rng, "write"),
                load=lambda t: usual_load(t) * moved(t),
            )
        )
    day.endpoints[1:4] = [
        replace(e, load=lambda t: usual_load(t) * (1 - 0.97 * moved(t))) for e in day.endpoints[1:4]
    ]
    new = old.key.replace("/v1", "/v2")
    start = born + rng.uniform(2.2, 3) * 3600
    day.put("new one slow", [new], start, 1500, lambda s: both(times(3.0), plus(50, 90)))
    day.put("new one fails", [new], start + 7200, 1200, lambda s: fails(0.3, 500))
    return day


def flapping(rng: random.Random) -> Day:
    """An upstream that is gone for half a minute every few minutes, for forty minutes."""
    day = app(rng, 9)

    def gone(start: float) -> list[tuple[float, float]]:
        spans, at = [], start
        while at < start + 2300:
            spans.append((at, at + rng.uniform(20, 40)))
            at += rng.uniform(150, 360)
        return spans

    gone_now = fails(1.0, 502, at_once)
    for _ in range(2):
        routes = {day.pick(0.06), day.pick(0.06), day.pick(0.06)}
        day.incident("flaps", routes, 2400, lambda s: on_and_off(gone_now, gone(s)))
    return day


def two_at_once(rng: random.Random) -> Day:
    """Two causes that know nothing of each other, minutes apart, on routes of their own."""
    day = app(rng, 10, 2.2)
    at = [rng.uniform(3, 5) * 3600, rng.uniform(7, 9) * 3600]
    slow = both(times(3.5), plus(60, 90))
    for k, (first, second) in enumerate(((0, 3), (4, 1))):
        route, other = day.all[first], day.all[second]
        later = at[k] + rng.uniform(60, 420)
        day.put("slow beside", [route], at[k], 1500, lambda s: slow)
        day.put("failing beside", [other], later, 1500, lambda s: fails(0.3, 500))
    both_slow = rng.uniform(5.5, 6.2) * 3600
    day.put("slow one", [day.all[2]], both_slow, 1500, lambda s: slow)
    day.put("slow other", [day.all[5]], both_slow + rng.uniform(300, 600), 1800, lambda s: slow)
    return day


def again(rng: random.Random) -> Day:
    """Healed, and broken again a quarter of an hour later."""
    day = app(rng, 7)
    for route, change in (
        (day.all[1], fails(0.35, 500)),
        (day.all[2], both(times(3.5), plus(60, 90))),
    ):
        start = day.place([route], 4500, 2700.0) or 9000.0
        for offset in (0.0, 2100.0):
            day.put(
                "once more" if offset else "once",
                [route],
                start + offset,
                1200,
                lambda s, c=change: c,
            )
    return day


def usual_failures(rng: random.Random) -> Day:
    """Routes that fail for one in twenty at the best of times: customers' own hooks."""
    day = app(rng, 7)
    for name, share in (("/deliver", 0.05), ("/enrich", 0.03), ("/import", 0.08)):
        day.endpoints.append(Endpoint(name, "POST", 0.15, gamma(200, 3), errors=share))
    day.incident("a third", "POST /deliver", 1500, lambda s: fails(0.3, 500))
    day.incident("a quarter", "POST /enrich", 1500, lambda s: fails(0.22, 504))
    day.incident("all", "POST /import", 900, lambda s: fails(0.9, 502))
    return day


def worsening(rng: random.Random) -> Day:
    """One in twenty, a third, everything: an hour from the first sign to the end."""
    day = app(rng, 8)
    for _ in range(2):
        day.incident("worse and worse", day.pick(0.1), 2700, lambda s: worse(s))
    return day


def worse(start: float) -> Callable[[random.Random, float, int, float], tuple[int, float]]:
    steps = (fails(0.05, 500), fails(0.33, 500), fails(0.98, 503))
    return lambda rng, t, status, ms: steps[min(2, int((t - start) // 900))](rng, t, status, ms)


def at_night(rng: random.Random) -> Day:
    """Hardly anybody awake, and what they ask for fails."""
    day = app(rng, 8, 1.8, hours=16.0)
    day.load = lambda t: 0.12 if 4 * 3600 <= t < 11 * 3600 else 1.3
    start = rng.uniform(6, 7) * 3600
    day.put("all fails", day.all, start, 1200, lambda s: fails(0.95, 503, at_once))
    slow = both(times(5.0), plus(100, 200))
    day.put("slow", [day.all[0]], start + 7200, 2400, lambda s: slow)
    return day


HARD: dict[str, Callable[[random.Random], Day]] = {
    k.__name__: k
    for k in (
        small_shop,
        first_hours,
        noisy_host,
        faint,
        nights,
        stalls,
        second_version,
        flapping,
        two_at_once,
        again,
        usual_failures,
        worsening,
        at_night,
    )
}
