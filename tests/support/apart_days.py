"""Kinds of days that neither the bench nor the detector's authors thought of: see apart_traffic.
Here those that differ in what breaks; apart_visitors has the others."""

import random
from collections.abc import Callable
from math import log

from tests.support.apart_app import app
from tests.support.apart_shapes import (
    after,
    at_once,
    both,
    cached,
    fading,
    fails,
    growing,
    on_and_off,
    plus,
    queued,
    sawtooth,
    times,
)
from tests.support.apart_small import HARD
from tests.support.apart_traffic import Day, Endpoint, play
from tests.support.apart_visitors import VISITORS
from tests.support.observability import Plan, Request


def pool_queue(rng: random.Random) -> Day:
    """A report holds the database's few connections, and everybody waits in line."""
    day = app(rng, 10)
    users = [k for k in day.all if not k.startswith("GET /app")]

    def held(start: float) -> list[tuple[float, float]]:
        at, out = start, []
        while at < start + 1500:
            at += rng.expovariate(3 / 5.0 * 0.85)
            out.append((at, rng.uniform(2, 8)))
        return out

    day.incident("pool exhausted", users, 1500, lambda s: queued(3, 0.8, 30.0, held(s)))
    day.incident("one write fails", day.pick(0.05, 9, "POST"), 1500, lambda s: fails(0.25, 500))
    return day


def stampede(rng: random.Random) -> Day:
    """The cache's keys expire together: hits fall from 90 to 40 % and the misses are slower."""
    day = app(rng, 9)
    for path, rate in (("/v1/catalogue", 0.5), ("/v1/prices/{id}", 0.2)):
        draw = cached(rng.uniform(2, 5), rng.uniform(60, 140), 0.9)
        day.endpoints.append(Endpoint(path, "GET", rate, draw))
        miss = both(plus(60, 300, 0.55), plus(30, 120, 0.1))
        day.incident("stampede", f"GET {path}", rng.uniform(1200, 1800), lambda s, m=miss: m)
    day.trap("cold caches", day.all, 90.0, lambda s: fading(150.0, 0.5, s, 20.0))
    return day


def lock_waits(rng: random.Random) -> Day:
    """Rows locked by a migration for a minute, free for a minute, for twenty minutes."""
    day = app(rng, 12)
    writes = [k for k in day.all if k.split()[0] in ("POST", "PATCH", "DELETE")]

    def waits(start: float) -> list[tuple[float, float]]:
        spans, at = [], start
        while at < start + 1300:
            length = rng.uniform(40, 90)
            spans.append((at, at + length))
            at += length + rng.uniform(40, 110)
        return spans

    for _ in range(2):
        day.incident("locks", writes, 1300, lambda s: on_and_off(plus(1000, 8000, 0.65), waits(s)))
    day.incident("deadlocks", day.pick(0.1, 9, "POST PATCH"), 1800, lambda s: fails(0.12, 500))
    return day


def one_tenant(rng: random.Random) -> Day:
    """A third of the requests belong to a customer whose shard is slow; later another's is gone."""
    day = app(rng, 8)
    slow, broken = day.pick(0.15), day.pick(0.12)
    day.incident("slow shard", slow, 2400, lambda s: both(times(5.0, 0.34), plus(200, 400, 0.34)))
    day.incident("lost shard", broken, 1800, lambda s: fails(0.15, 500, at_once))
    return day


def dependency(rng: random.Random) -> Day:
    """A service behind two routes does not answer a third of the time, till a timer gives up."""
    day = app(rng, 9)
    for seconds, code in ((5, 200), (10, 504), (30, 504)):
        routes = {day.pick(0.06), day.pick(0.06)}
        change = fails(0.3, code, after(seconds))
        day.incident(f"times out at {seconds} s", routes, 1200, lambda s, c=change: c)
    return day


def retry_storm(rng: random.Random) -> Day:
    """Clients ask again at once: three times the load, half of it refused, the rest slower."""
    day = app(rng, 7, 1.4)
    storms = []
    for _ in range(2):
        day.incident(
            "retry storm",
            day.all[:4],
            rng.uniform(480, 900),
            lambda s: both(times(2.2), fails(0.5, 503, at_once)),
        )
        storms.append((day.causes[-1].start, day.causes[-1].end))
    usual = day.load
    day.load = lambda t: usual(t) * (3.0 if any(a + 20 <= t < b for a, b in storms) else 1.0)
    return day


def disk_full(rng: random.Random) -> Day:
    """Everything that writes fails at once; everything that reads is as ever."""
    day = app(rng, 16, 2.2)
    writes = [k for k in day.all if not k.startswith("GET")]
    day.incident("disk full", writes, 1500, lambda s: fails(0.98, 500, at_once))
    day.incident("a bad index", day.pick(0.1), 1500, lambda s: times(4.0))
    return day


def certificate(rng: random.Random) -> Day:
    """One upstream's certificate has run out: its routes say 502 at once, the others do not."""
    day = app(rng, 20, 2.4)
    behind = [k for k in day.all if "invoice" in k or "hooks" in k or "report" in k]
    day.incident("certificate", behind, 1800, lambda s: fails(1.0, 502, at_once))
    day.incident("slow pages", day.pick(0.2), 1200, lambda s: times(rng.uniform(2.2, 3.5)))
    return day


def leak(rng: random.Random) -> Day:
    """Memory leaks: slower and slower, killed every forty minutes, and from the beginning."""
    day = app(rng, 6, 1.6)
    factor, start = rng.uniform(4, 7), rng.uniform(3, 5) * 3600
    # A quarter slower is the weather; news is what is half slower again.
    told = start + 2400 * (log(1.5) / log(factor)) ** 0.5
    day.put("leak", day.all, start, 3 * 2400, lambda s: sawtooth(factor, s, 2400), told_from=told)
    day.incident("one route fails", day.pick(0.1), 1500, lambda s: fails(0.3, 500))
    return day


def third_party(rng: random.Random) -> Day:
    """A rate-limited service: we pass its 429 on for a while, then our own code trips over it."""
    day = app(rng, 8)
    for _ in range(2):
        route, share = day.pick(0.08), rng.uniform(0.3, 0.7)
        start = day.place([route], 3600, 2700.0) or 9000.0
        # 429 is ours to know and nobody's to be woken for: not judged.
        day.put(
            "passed on",
            [route],
            start,
            1800,
            lambda s, p=share: fails(p, 429, at_once),
            is_judged=False,
        )
        day.put(
            "tripped over", [route], start + 1800, 1800, lambda s, p=share: fails(p, 500, at_once)
        )
    return day


def no_index(rng: random.Random) -> Day:
    """A release without its index: one route six times slower, until the next release."""
    day = app(rng, 9)
    route = day.pick(0.06)
    day.incident("no index", route, 2 * 3600, lambda s: times(6.0), for_good=True)
    day.incident("slower for good", day.pick(0.1), 9000, lambda s: times(2.4), for_good=True)
    return day


def rollout(rng: random.Random) -> Day:
    """One pod of four is broken; on another day one of six is slow."""
    day = app(rng, 8)
    day.incident("broken pod", day.all, rng.uniform(600, 1200), lambda s: fails(0.25, 502, at_once))
    day.incident(
        "slow pod", day.all, 2400, lambda s: both(times(5.0, 1 / 6), plus(100, 200, 1 / 6))
    )
    return day


def additive(rng: random.Random) -> Day:
    """Every answer pays the same 300 ms: names are looked up anew."""
    day = app(rng, 10)
    day.incident("names", day.all, 1500, lambda s: plus(270, 340))
    day.incident("a hop", day.pick(0.1), 1500, lambda s: plus(150, 600, 0.8))
    return day


def hanging(rng: random.Random) -> Day:
    """One request in five hangs for twenty seconds, and is answered in the end."""
    day = app(rng, 8)
    for _ in range(2):
        day.incident("hangs", day.pick(0.08), 1500, lambda s: plus(20_000, 20_040, 0.2))
    day.incident("fails late", day.pick(0.1), 1500, lambda s: fails(0.2, 500, after(12)))
    return day


def quick_and_slow(rng: random.Random) -> Day:
    """Failures in two ms, failures after twelve seconds, failures after what it takes."""
    day = app(rng, 8)
    for name, share, ms in (
        ("quick", 0.15, at_once),
        ("late", 0.1, after(12)),
        ("usual", 0.1, None),
    ):
        day.incident(name, day.pick(0.1), 1500, lambda s, p=share, m=ms: fails(p, 500, m))
    return day


def neighbour(rng: random.Random) -> Day:
    """Somebody else takes the machine's time, little by little, and gives it back at once."""
    day = app(rng, 7)
    factor, full = rng.uniform(2.2, 3.2), rng.uniform(900, 1800)

    start = rng.uniform(3, 9) * 3600
    # News from where it is half slower again.
    told = start + full * log(1.5) / log(factor)
    day.put(
        "neighbour",
        day.all,
        start,
        full + 1500,
        lambda s: growing(factor, s, s + full),
        told_from=told,
    )
    day.incident("fails", day.pick(0.1), 1200, lambda s: fails(0.3, 503))
    return day


CAUSES: dict[str, Callable[[random.Random], Day]] = {
    k.__name__: k
    for k in (
        pool_queue,
        stampede,
        lock_waits,
        one_tenant,
        dependency,
        retry_storm,
        disk_full,
        certificate,
        leak,
        third_party,
        no_index,
        rollout,
        additive,
        hanging,
        quick_and_slow,
        neighbour,
    )
}
KINDS = {**CAUSES, **VISITORS, **HARD}


def make(kind: str, seed: int) -> tuple[Plan, list[Request]]:
    day = KINDS[kind](random.Random(f"{kind} {seed}"))
    day.nuisances()
    return play(day)
