"""Do most routes move together? Voices counted, and who is asked. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nlargest

from proxy.domain.anomaly import Anomaly
from proxy.observability.series import Series
from proxy.observability.vote import Voice

ROUTES_MIN = 3
MAJORITY = 0.6
"""So many of the routes that can be judged must move, and so many when those that rather do not are
counted, too.
"""
SPEAKING = 1.0 / 3.0
"""And such a share of all that are asked: three of three that say anything are no crowd among the
ten that few requests leave silent.
"""
LEANS = -0.5
"""Natural log of the odds from which a route that cannot be judged rather does not move."""
SURE = 99.0
NEAR_S, EARLIER_S = 180.0, 900.0
"""Onsets so near each other may be one cause; while most routes move one may seem to have begun so
long before: what comes slowly has no clear onset.
"""
JUDGED_MAX = 40
"""The busiest routes speak for all."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Votes:
    """``moving`` are names of routes; ``decided`` can be judged, ``against`` rather do not move
    among the others, of so many ``asked``. ``size`` is a factor, or the share that fails.
    """

    moving: tuple[str, ...]
    decided: int
    against: int
    size: float
    asked: int

    @property
    def is_common(self) -> bool:
        least = max(ROUTES_MIN, SPEAKING * self.asked)
        return len(self.moving) >= least and self.part >= MAJORITY

    @property
    def part(self) -> float:
        """How much of those that say anything moves."""
        return len(self.moving) / max(1, self.decided + self.against)


def count(voices: Mapping[str, Voice]) -> Votes:
    moving = {name: voice.size for name, voice in voices.items() if voice.is_moving}
    decided = [v for v in voices.values() if v.is_decided]
    against = [v for v in voices.values() if not v.is_decided and v.gain <= LEANS]
    size = _median(list(moving.values()))
    return Votes(tuple(moving), len(decided), len(against), size, len(voices))


def _median(sizes: list[float]) -> float:
    """0 of none. The standard library's would load decimals and fractions before the first byte."""
    ordered = sorted(sizes)
    upper = len(ordered) // 2
    return (ordered[upper] + ordered[~upper]) / 2 if ordered else 0.0


def busiest(series: Iterable[Series], since: float) -> Iterator[tuple[str, Series]]:
    """Those with requests since then, and their names."""
    visited = [one for one in series if one.last_request >= since]
    for one in nlargest(JUDGED_MAX, visited, key=lambda s: s.baseline.requests):
        yield f"{one.method} {one.route}", one


def name_of(anomaly: Anomaly) -> str:
    return f"{anomaly.method} {anomaly.route}"


def size_of(anomaly: Anomaly) -> float:
    """A factor, or the share that fails."""
    return anomaly.ratio if anomaly.kind == "latency" else anomaly.observed


def surely(anomaly: Anomaly) -> float:
    """The share that surely fails: the first to be told is the one that chance made look worst."""
    errors = max(1.0, anomaly.observed * anomaly.samples)
    return float(anomaly.observed * (1.0 - 1.0 / (1.0 + errors**0.5)))
