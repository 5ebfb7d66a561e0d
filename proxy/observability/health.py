"""The health score, 0-100, and why it is not 100. Pure; documented in docs/health-score.md.

Three parts with the weights and names founders know: latency 0.3, error_rate 0.4, availability 0.3.
Input is counts that add, so N workers' windows are one input. A visitor's 404 costs nothing: only
the app's own failures (5xx, refused, broken, too late) do. A route that takes several times its
usual time costs points however fast it still is. Monotone: turning a good answer bad, making one
slower, or one incident more, never raises it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from proxy.observability.rollup import WindowCounts
from proxy.observability.sketch import VALUES, quantiles

WEIGHTS: Mapping[str, float] = {"latency": 0.3, "error_rate": 0.4, "availability": 0.3}
LATENCY_GOOD_MS = 200.0
LATENCY_BAD_MS = 2000.0
ERROR_RATE_BAD = 0.10
TERMS_MAX = 8
SLOWER_COSTS = 0.5
"""Of the latency part, for one route endlessly slower than usual; a ratio r costs 1 - 1/r of it.

The same on busy and quiet routes: were it weighed by traffic, a failure elsewhere would raise it.
"""


@dataclass(slots=True)
class HealthInput:
    """One window. ``routes`` maps (method, route) to its counts; a refused or broken upstream is
    in ``errors``. ``slower`` holds the routes with an open latency incident, and how many times
    their usual time they take.
    """

    routes: dict[tuple[str, str], WindowCounts] = field(default_factory=dict)
    slower: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, other: "HealthInput") -> None:
        for key, counts in other.routes.items():
            self.routes.setdefault(key, WindowCounts()).add(counts)
        for key, ratio in other.slower.items():
            self.slower[key] = max(ratio, self.slower.get(key, 1.0))


@dataclass(frozen=True, slots=True)
class WhyTerm:
    """``points`` is what this term took from the whole score."""

    term: str
    points: float
    text: str

    def to_json(self) -> dict[str, str | float]:
        return {"term": self.term, "points": self.points, "text": self.text}


@dataclass(frozen=True, slots=True)
class HealthScore:
    """``score`` 0-100, None without data; each part likewise."""

    score: int | None
    latency: float | None
    error_rate: float | None
    availability: float | None
    why: tuple[WhyTerm, ...]
    requests: int
    errors: int


def merged(inputs: Iterable[HealthInput]) -> HealthInput:
    total = HealthInput()
    for one in inputs:
        total.add(one)
    return total


def health_score(window: HealthInput) -> HealthScore:
    """Score one window of counts."""
    total = WindowCounts()
    for counts in window.routes.values():
        total.add(counts)
    if total.requests == 0:
        why = (WhyTerm("no_data", 0.0, "No requests in the last five minutes; no score."),)
        return HealthScore(None, None, None, None, why, 0, 0)
    parts = {
        "latency": min(_latency_part(total), _as_usual(window)),
        "error_rate": _falling(total.errors / total.requests, 0.0, ERROR_RATE_BAD),
        "availability": _availability(window),
    }
    exact = sum(WEIGHTS[name] * value for name, value in parts.items())
    # rounded down: 100 is only said when nothing at all was lost
    score = int(exact + 1e-9)
    return HealthScore(
        score,
        round(parts["latency"], 1),
        round(parts["error_rate"], 1),
        round(parts["availability"], 1),
        _why(window, total, parts),
        total.requests,
        total.errors,
    )


def _falling(value: float, good: float, bad: float) -> float:
    return 100.0 * min(1.0, max(0.0, (bad - value) / (bad - good)))


def _latency_part(total: WindowCounts) -> float:
    p95 = _p95_with_failures_slow(total)
    return _falling(p95, LATENCY_GOOD_MS, LATENCY_BAD_MS)


def _as_usual(window: HealthInput) -> float:
    left = 1.0
    for ratio in window.slower.values():
        left *= 1.0 - SLOWER_COSTS * (1.0 - 1.0 / max(1.0, ratio))
    return 100.0 * left


def _p95_with_failures_slow(total: WindowCounts) -> float:
    """p95 over all requests, where one that failed counts as endlessly slow.

    Were failures timed as they came, an app that fails at once would look faster, and more harm
    would raise the score. ``durations`` hold the successes only, so failures sit beyond the slowest
    of them.
    """
    rank = 0.95 * (total.requests - 1)
    answered = sum(total.durations.values())
    if rank > answered - 1 + 1e-9 or not answered:
        return LATENCY_BAD_MS if total.errors else 0.0
    seen = 0.0
    for bucket in sorted(total.durations):
        seen += total.durations[bucket]
        if seen > rank + 1e-9:
            return VALUES[bucket]
    return LATENCY_BAD_MS


def _availability(window: HealthInput) -> float:
    """The share of requests that were served, averaged half over requests and half over routes.

    A dead quiet route weighs as a route, though hardly any request goes there.
    """
    requests = sum(c.requests for c in window.routes.values())
    served = 1.0 - sum(c.errors for c in window.routes.values()) / requests
    shares = [1.0 - c.errors / c.requests for c in window.routes.values() if c.requests]
    return 100.0 * (0.5 * served + 0.5 * sum(shares) / len(shares))


def _why(
    window: HealthInput, total: WindowCounts, parts: Mapping[str, float]
) -> tuple[WhyTerm, ...]:
    lost = {name: WEIGHTS[name] * (100.0 - value) for name, value in parts.items()}
    terms: list[WhyTerm] = []
    if lost["latency"] >= 0.05:
        terms.append(WhyTerm("latency", round(lost["latency"], 1), _latency_text(window, total)))
    worst = _worst_routes(window)
    share = total.errors / total.requests
    if lost["error_rate"] >= 0.05:
        text = f"{total.errors} of {total.requests} requests failed ({share:.1%}){worst}."
        terms.append(WhyTerm("error_rate", round(lost["error_rate"], 1), text))
    if lost["availability"] >= 0.05:
        dead = [k for k, c in window.routes.items() if c.requests and c.errors == c.requests]
        text = f"{share:.1%} of requests were not served{worst}."
        if dead:
            names = ", ".join(f"{m} {r}" for m, r in sorted(dead)[:3])
            text = f"{len(dead)} of {len(window.routes)} routes served nobody: {names}."
        terms.append(WhyTerm("availability", round(lost["availability"], 1), text))
    return tuple(sorted(terms, key=lambda t: -t.points)[:TERMS_MAX])


def _latency_text(window: HealthInput, total: WindowCounts) -> str:
    if _as_usual(window) < _latency_part(total):
        return _slower_text(window)
    p95 = quantiles(total.durations, (0.95,))[0]
    if p95 is None or p95 <= LATENCY_GOOD_MS:
        failed = f"{total.errors} of {total.requests} requests failed; they count as slow."
        return f"{failed} {_slower_text(window)}" if window.slower else failed
    slowest = sorted(
        ((quantiles(c.durations, (0.95,))[0] or 0.0) * sum(c.durations.values()), key)
        for key, c in window.routes.items()
        if c.durations
    )
    method, route = slowest[-1][1]
    return (
        f"p95 is {p95:.0f} ms, {LATENCY_GOOD_MS:.0f} ms is full marks; most of it is {method} "
        f"{route}."
    )


def _slower_text(window: HealthInput) -> str:
    worst = sorted(((ratio, key) for key, ratio in window.slower.items()), reverse=True)
    ratio, (method, route) = worst[0]
    others = f", and {len(worst) - 1} more are slower than usual" if len(worst) > 1 else ""
    return f"{method} {route} takes longer than usual, {ratio:.1f} times when it was told{others}."


def _worst_routes(window: HealthInput) -> str:
    failing = sorted(((c.errors, k) for k, c in window.routes.items() if c.errors), reverse=True)
    if not failing:
        return ""
    (errors, (method, route)), rest = failing[0], len(failing) - 1
    if not rest:
        return f", all on {method} {route}"
    return f", {errors} of them on {method} {route}, the others on {rest} more"
