"""Of what kind is a failure, and is that kind usual here? Pure.

Stray errors of an app are mostly of one kind (an exception it did not expect: 500); what broke
beside it answers with another (502, 503, 504), at once (refused) or after a time-out. Two failures
of a kind that hardly ever comes say more than two of the usual kind.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

STATUSES = (500, 502, 503, 504)
STATUS_KINDS = len(STATUSES) + 1
"""Each of these, and all others."""
USUAL, QUICK, SLOW = range(3)
PACES = 3
KINDS = STATUS_KINDS * PACES
"""Status and pace count together: where 503 comes at once and 500 takes its time, a 500 that comes
at once is news. Statuses of the usual pace are first, as an earlier version numbered them.
"""
NO_KIND = -1
"""Nothing has failed yet, or an earlier version did not say how."""
APART = 23
"""Another pace is half of what nearly all good answers take, or twice: so many buckets of 3 %."""
OF_ANY = 0.5
"""An incident may be of any kind, or of the app's usual ones, before one of its failures is known.
"""
OF_STATUS, OF_PACE = 1.0 / 8.0, (0.5, 0.3, 0.2)
ANY = tuple(OF_STATUS * pace for pace in OF_PACE for _ in range(STATUS_KINDS))
ONE_KIND = 1.0
"""An incident has one kind: each next run of it is of that kind, a belief that weighs like so many
runs.
"""
AT_LEAST = 0.003
"""However much is known, so often a stray failure is of any kind at all."""
ALIKE, ALIKE_KNOWN = 6.0, 20.0
"""Routes of one app fail alike: a belief that weighs like so many runs, half as many while so many
are known in all.
"""
APP_STEP_S, APP_HALF_LIFE_S = 300.0, 86_400.0
COUNTED_MAX = 20
"""Of the runs of one slice no more are told apart."""
KEPT_MAX = 60
"""Of those that wait to be learned, and the last that are suspected."""

CASES_MIN = 3.0
"""Of fewer it is not said what they were."""

_PLACES = {status: place for place, status in enumerate(STATUSES)}


def kind_of(status: int, pace: int = USUAL) -> int:
    return pace * STATUS_KINDS + _PLACES.get(status, STATUS_KINDS - 1)


def status_of(kind: int) -> int:
    """What tells its status, however long it took; ``NO_KIND`` has none."""
    return kind % STATUS_KINDS if kind >= 0 else NO_KIND


def none_yet() -> "array[float]":
    return array("f", bytes(4 * KINDS))


NOTHING_KNOWN: Sequence[float] = (0.0,) * KINDS


def kinds_seen(data: Sequence[int]) -> bytes:
    """Those of runs that were stored. Raises ``TypeError`` or ``ValueError`` for what is none."""
    if not all(0 <= kind < KINDS for kind in data):
        raise ValueError("no such kind")
    return bytes(data)


def by_kind(kinds: bytes) -> list[float]:
    """How many of each kind; empty when there are none."""
    return [float(kinds.count(kind)) for kind in range(KINDS)] if kinds else []


def joined(kinds: "array[float]", more: Sequence[float], keep: float = 1.0) -> "array[float]":
    """What is left of these and what came since, which may be empty."""
    if not more and keep >= 1.0:
        return kinds
    return array("f", [keep * k + m for k, m in zip(kinds, more or none_yet(), strict=True)])


def kinds_from(data: Mapping[str, Any]) -> "array[float]":
    """Those of something stored or told; an earlier version knew none. Raises ``TypeError`` or
    ``ValueError`` for what is none.
    """
    kinds = [float(k) for k in data.get("kinds", none_yet())]
    if len(kinds) == STATUS_KINDS:
        # an earlier version told no paces apart
        kinds = [pace * k for pace in OF_PACE for k in kinds]
    if len(kinds) != KINDS or not all(0.0 <= k < 1e15 for k in kinds):
        raise ValueError("one count per kind")
    return array("f", kinds)


class UsualKinds:
    """Of which kinds the runs of errors of all routes are. They fade at fixed moments, so it does
    not matter which route told first.
    """

    __slots__ = ("counts", "step")

    def __init__(self) -> None:
        self.counts = none_yet()
        self.step = 0

    def learn(self, kinds: Sequence[float], now: float) -> None:
        if not any(kinds):
            return
        step = int(now // APP_STEP_S)
        steps = max(0, step - self.step)
        self.counts = joined(self.counts, kinds, 0.5 ** (steps * APP_STEP_S / APP_HALF_LIFE_S))
        self.step += steps

    def to_json(self) -> list[float]:
        return [float(self.step), *self.counts]

    def restore(self, data: Sequence[float]) -> None:
        """Raises ``TypeError`` or ``ValueError`` for what are none; nothing is none yet."""
        step, *kinds = data or (0, *none_yet())
        self.counts, self.step = kinds_from({"kinds": kinds}), int(step)


def strangeness(before: bytes, seen: bytes, own: Sequence[float], app: Sequence[float]) -> float:
    """How much likelier (natural log) runs of these kinds, after those ``before``, are in an
    incident than they are usual here, by the route's own history and the app's.
    """
    known = sum(app)
    weight = ONE_KIND + ALIKE * known / (known + ALIKE_KNOWN)
    usual_runs = sum(own) + weight
    found = 0.0
    for kind in seen:
        alike = (app[kind] + ONE_KIND * ANY[kind]) / (known + ONE_KIND)
        same, runs = before.count(kind), len(before)
        likely = same + ONE_KIND * (OF_ANY * ANY[kind] + (1.0 - OF_ANY) * alike)
        usual = (same + own[kind] + weight * alike) / (usual_runs + runs)
        gain = log(likely / (runs + ONE_KIND) / max(usual, AT_LEAST * ANY[kind]))
        # another kind than those before it is no sign of one incident
        found += gain if same or not runs or gain < 0.0 else 0.0
        before += bytes((kind,))
    return found


def strange_status(kinds: bytes, own: Sequence[float], app: Sequence[float]) -> float:
    """The same of what they answer alone, however long it took."""
    statuses = bytes(kind % STATUS_KINDS for kind in kinds)
    return strangeness(b"", statuses, _by_status(own), _by_status(app))


def _by_status(counts: Sequence[float]) -> list[float]:
    """All paces as if they were the usual one."""
    found = [0.0] * KINDS
    for kind, count in enumerate(counts):
        found[kind % STATUS_KINDS] += count
    return found


@dataclass(frozen=True, slots=True)
class Alike:
    """Every failure of an incident is of one kind, as ``before`` of so many ``cases`` were: of the
    route's own, or of the whole app's. ``pace`` is ``USUAL`` where they do not share another.
    """

    status: int
    pace: int
    before: float
    cases: float
    is_of_app: bool


def alike(kinds: bytes, last: int, own: Sequence[float], app: Sequence[float]) -> Alike | None:
    """What failures, each of one of these ``kinds`` and the ``last`` one of that, have in common;
    None where that is no status with a name, or nothing is known to set beside it.
    """
    statuses = {status_of(kind) for kind in (*kinds, last)}
    status = statuses.pop()
    if statuses or not 0 <= status < len(STATUSES):
        return None
    paces = {kind // STATUS_KINDS for kind in (*kinds, last)}
    pace = paces.pop()
    like = slice(kinds[0], kinds[0] + 1)
    if paces or pace == USUAL:
        pace, like = USUAL, slice(status, None, STATUS_KINDS)
    known, is_of_app = (own, False) if sum(own) >= CASES_MIN else (app, True)
    cases = sum(known)
    if cases < CASES_MIN:
        return None
    return Alike(STATUSES[status], pace, sum(known[like]), cases, is_of_app)
