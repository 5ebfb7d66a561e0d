"""Kinds of days that differ in who calls and what is called: other shapes, other loads."""

import random
from collections.abc import Callable
from dataclasses import replace

from tests.support.apart_app import answer, app
from tests.support.apart_shapes import (
    any_of,
    at_once,
    both,
    cold_started,
    fails,
    gamma,
    long_poll,
    operations,
    plus,
    queued,
    streamed,
    ticked,
    times,
)
from tests.support.apart_traffic import Day, Endpoint, usual_load


def serverless(rng: random.Random) -> Day:
    """Functions, cold now and then; throttled; and a release that is cold at each call."""
    day = Day(rng, [])
    for n, name in enumerate(("quote", "resize", "sign", "digest", "rank", "export")):
        draw = cold_started(rng.uniform(20, 200), rng.uniform(700, 2500), rng.uniform(300, 900))
        rate = 0.7 / (n + 1) ** 1.3
        day.endpoints.append(Endpoint(f"/fn/{name}", "POST", rate, draw, sense=0.0))
    day.incident("throttled", day.pick(0.08), 900, lambda s: fails(0.4, 503, at_once))
    day.incident("always cold", day.pick(0.08), 1200, lambda s: plus(900, 1900, 0.7))
    return day


def graphql(rng: random.Random) -> Day:
    """One address for everything: one operation slow, one resolver broken, other visitors."""
    weights, medians = operations(rng)
    other = [w * (2.0 if m > 80 else 0.9) for w, m in zip(weights, medians, strict=True)]
    usual, mixed = any_of(weights, medians), any_of(other, medians)
    at = rng.uniform(3, 4) * 3600

    def draw(r: random.Random, t: float) -> float:
        return (mixed if at <= t < at + 3600 else usual)(r, t)

    day = app(rng, 5, 0.6)
    day.endpoints.insert(0, Endpoint("/graphql", "POST", 1.4, draw, company=4.0))
    here = ["POST /graphql"]
    # The campaign's visitors ask for more: 1.3 times at most on the whole, and nothing is wrong.
    day.put("other visitors", here, at, 3600, lambda s: times(1.0), is_judged=False)
    day.incident("slow operation", here, 1500, lambda s: both(times(8, 0.3), plus(100, 300, 0.3)))
    day.incident("broken resolver", here, 1500, lambda s: fails(0.08, 500))
    return day


def held_open(rng: random.Random) -> Day:
    """Long polls, event streams and downloads beside an API: their time is no fault of ours."""
    day = app(rng, 6, 1.0)
    polls = Endpoint("/poll", "GET", 0.3, long_poll(25_000, 18_000), steady=True)
    files = Endpoint("/files/{id}", "GET", 0.2, streamed(6000), sense=0.0)
    video = Endpoint("/video/{id}", "GET", 0.1, streamed(20_000), sense=0.0)
    probe = Endpoint("/status", "GET", 0.1, ticked(1.0, 3), paced=True, steady=True)
    day.endpoints += [polls, files, video, probe]
    day.incident("throttled files", "GET /files/{id}", 1800, lambda s: times(4.0))
    day.incident("polls break", "GET /poll", 1200, lambda s: fails(0.5, 502))
    day.incident("slow writes", day.pick(0.08, 9, "POST GET"), 1200, lambda s: times(4.0))
    return day


def office(rng: random.Random) -> Day:
    """Nobody at night, everybody at eight: a step of twelve within a quarter of an hour."""

    def load(t: float) -> float:
        hour = t / 3600
        day_part = min(1.0, max(0.0, (hour - 8) * 4)) * min(1.0, max(0.0, (18 - hour) * 2))
        return 0.15 + 1.7 * day_part * (0.75 if 12 <= hour < 13 else 1.0)

    day = app(rng, 9, 2.0, hours=19.0)
    day.load = load
    day.put("slow logins", ["POST /v1/sessions"], 8.4 * 3600, 1500, lambda s: times(3.0))
    day.put("errors at noon", [day.pick(0.15)], 12.2 * 3600, 1800, lambda s: fails(0.08, 500))
    day.incident("down", day.pick(0.08), 600, lambda s: fails(0.97, 502, at_once))
    return day


def campaign(rng: random.Random) -> Day:
    """Ten times the visitors twice: the app bears it once, and not again."""
    day = app(rng, 8, 0.8)
    first, second = rng.uniform(3, 4.5) * 3600, rng.uniform(7, 9) * 3600
    public = day.all[:5]

    def load(t: float) -> float:
        is_spike = first <= t < first + 1500 or second <= t < second + 900
        return usual_load(t) * (10.0 if is_spike else 1.0)

    day.endpoints = [
        replace(e, sense=0.02, load=load if e.key in public else None) for e in day.endpoints
    ]
    day.put("borne", public, first, 1500, lambda s: times(1.0), is_trap=True)
    probe = random.Random(1)
    busy = sum(
        e.rate * 10 * usual_load(second) * sum(e.draw(probe, 0.0) for _ in range(400)) / 400e3
        for e in day.endpoints
        if e.key in public
    )
    # Two workers with work for 2.3: the line grows for as long as the spike lasts.
    day.put("saturated", public, second, 960, lambda s: queued(2, 2.3 / busy, 25.0))
    day.incident("one route fails", day.pick(0.05), 1800, lambda s: fails(0.25, 500))
    return day


def bots(rng: random.Random) -> Day:
    """Scanners' 404, stolen passwords' 401 at six times the load, crawlers; and two real faults."""
    day = app(rng, 12, 1.8)
    for name, route, code in (
        ("scanner", day.all[0], 404),
        ("stolen passwords", "POST /v1/sessions", 401),
        ("crawler", day.all[1], 404),
        ("old app", day.all[2], 410),
        ("bad tokens", day.all[4], 403),
    ):
        day.trap(name, route, rng.uniform(1200, 3600), lambda s, c=code: fails(0.7, c, at_once))
    day.incident("slow search", "GET /v1/search", 1500, lambda s: times(rng.uniform(2.5, 4)))
    day.incident("bad release", day.pick(0.1), 1200, lambda s: fails(0.1, 500))
    return day


def each_hour(rng: random.Random) -> Day:
    """A job on the hour, a minute long, half as slow again on three routes; backups at a fifth."""
    day = app(rng, 8)
    hit, real = day.all[:3], day.all[3:]
    for hour in range(1, 12):
        day.put("job", hit, hour * 3600.0, 60.0, lambda s: times(1.5), is_trap=True)
    day.trap("backup", real, 2400.0, lambda s: times(1.2))
    day.incident("slow", day.pick(0.05, 0.25), 1500, lambda s: times(3.5))
    day.incident("failing", day.pick(0.05, 0.25), 1500, lambda s: fails(0.2, 500))
    return day


def nothing(rng: random.Random) -> Day:
    """Deploys, blips, a silence, a mild evening: nobody must be called."""
    day = app(rng, 12, 1.8)
    hush = rng.uniform(6, 9) * 3600
    day.load = lambda t: 0.0 if hush <= t < hush + 2400 else usual_load(t)
    for _ in range(3):
        day.nuisances()
    day.trap("all a bit slow", day.all, 2400, lambda s: times(1.18))
    return day


def many_routes(rng: random.Random) -> Day:
    """Forty routes, most of them seldom called, and two of the seldom ones broken."""
    day = app(rng, 24, 1.8)
    for n in range(16):
        draw = answer(rng, rng.choice(("list", "row", "write", "page")))
        day.endpoints.append(Endpoint(f"/v1/more/{n}", "GET", rng.uniform(0.01, 0.04), draw))
    day.incident("rare and broken", day.pick(0.012, 0.04), 3000, lambda s: fails(0.95, 500))
    slow = both(times(5.0), plus(300, 500))
    day.incident("rare and slow", day.pick(0.012, 0.04), 4800, lambda s: slow)
    day.incident("busy and slow", day.pick(0.1), 1200, lambda s: times(2.6))
    return day


def batches(rng: random.Random) -> Day:
    """A customer's job sends a few hundred rows every quarter of an hour; once they fail."""
    day = app(rng, 6, 1.0)
    bulk = Endpoint(
        "/v1/bulk", "POST", 0.35, gamma(90, 4), company=150.0, gap=0.3, load=lambda t: 1.0
    )
    day.endpoints.append(bulk)
    day.incident("bulk fails", "POST /v1/bulk", 3600, lambda s: fails(0.1, 500))
    day.incident("bulk is slow", "POST /v1/bulk", 3600, lambda s: times(3.5))
    return day


VISITORS: dict[str, Callable[[random.Random], Day]] = {
    k.__name__: k
    for k in (
        serverless,
        graphql,
        held_open,
        office,
        campaign,
        bots,
        each_hour,
        nothing,
        many_routes,
        batches,
    )
}
