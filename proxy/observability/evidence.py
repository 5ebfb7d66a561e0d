"""Running evidence for one route: has its level risen, has a share of its answers?

One slice (ten seconds of traffic, or one request on a quiet route) tells hypotheses apart by a
bounded amount, so a blip cannot page. Pure arithmetic: knows no clock, no route name and no
threshold but those passed in.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import lgamma, log
from operator import sub
from typing import Any

from proxy.observability.hypotheses import SHIFTS
from proxy.observability.stretch import Stretch

SLICE_S = 10.0
NEEDED = 10.0
ERRORS_NEEDED = 8.5
"""Evidence at which an alert is considered: odds of e^10 and e^8.5 against chance, before the
confirmation.
"""
SUM_MAX = 1.5
"""Sums are held at this multiple of what is needed, so that an incident's end shows soon."""
BLIP_S = 20.0
"""What is over so soon is no incident."""
CREDIT_MAX = 4.5
"""After a pause one slice may add as much as this many: never the whole of what is needed."""
RATIO_MIN = 1.55
RUN_SLICES = 90.0
"""A run remembers so many slices: what was mild for an hour must not dilute what is bad now."""
ANEW = 1.5
"""What it costs a hypothesis to have begun later than the run."""
STRETCHES_MAX = 4
"""Onsets told apart; of more the oldest are one."""
Counts = tuple[int, int, int]
Blip = tuple[int, int, int, int]
NO_BLIP: Blip = (0, 0, 0, 0)


class SlowRun:
    """The slices since the evidence last was nil: each hypothesis' log-likelihood for all of them.

    ``evidence`` is the generalised likelihood ratio of the best slow hypothesis against the best
    that is still normal, where a level off the usual is paid for once per run. Each slow hypothesis
    has an onset of its own: one that the usual explains better begins anew, so what was mild for
    minutes does not hide what is bad now.
    """

    __slots__ = ("_onsets", "_stretches", "evidence", "profile", "rising", "slices")

    def __init__(self) -> None:
        self.profile: list[float] = []
        """How much likelier each hypothesis is than the best that is normal."""
        self.evidence = 0.0
        self.rising = False
        self.slices = 0.0
        self._onsets: list[float] = []
        self._stretches: list[Stretch] = []

    def reset(self) -> None:
        self.profile, self._onsets, self._stretches = [], [], []
        self.evidence, self.slices, self.rising = 0.0, 0.0, False

    def add(
        self,
        found: list[float],
        durations: Mapping[int, int],
        began: float,
        clip: float,
        costs: Sequence[float],
        before: float,
        part: float = 1.0,
    ) -> None:
        """Weigh one slice, that may tell hypotheses apart by ``clip`` at most. ``costs`` has one
        entry per hypothesis that is no incident; ``before`` is the log of the recent level.
        ``part`` is less for a slice of less than ten seconds.
        """
        first_slow = len(costs)
        top = max(found)
        if not self.slices and found.index(top) < first_slow:
            return
        least = top - clip
        if self.slices:
            profile = self.profile
            anew = [k for k in range(first_slow, SHIFTS) if profile[k] < -ANEW]
            if anew:
                self._begin_anew(anew, began, before)
            keep = 1.0 - part / RUN_SLICES
            found = [
                keep * p + (x if x > least else least)
                for p, x in zip(profile, found)  # noqa: B905  (one of each per hypothesis)
            ]
        else:
            found = [x if x > least else least for x in found]
        normal = max(map(sub, found, costs))
        evidence = max(found[first_slow:]) - normal
        if evidence <= 0.0:
            if self.slices:
                self.reset()
            return
        if not self.slices:
            self._onsets = [began] * SHIFTS
            self._stretches = [Stretch(began, before)]
        self.profile = [x - normal for x in found]
        self.rising = evidence > self.evidence
        self.evidence = evidence
        slices = self.slices
        self.slices = slices + part
        if slices // RUN_SLICES < self.slices // RUN_SLICES:
            for stretch in self._stretches:
                stretch.halve()
        self._stretches[-1].add(durations)

    def _begin_anew(self, anew: list[int], began: float, before: float) -> None:
        """What the usual explains better begins with this slice; stretches that no hypothesis
        begins with are joined.
        """
        profile, onsets = self.profile, self._onsets
        for k in anew:
            profile[k], onsets[k] = -ANEW, began
        used = set(onsets)
        while len(used) > STRETCHES_MAX:
            earlier, later = self._alike(sorted(used))
            self._onsets = onsets = [earlier if x == later else x for x in onsets]
            used.discard(later)
        kept: list[Stretch] = []
        for stretch in self._stretches:
            if kept and stretch.since not in used:
                kept[-1].join(stretch)
            else:
                kept.append(stretch)
        if kept[-1].since != began:
            kept.append(Stretch(began, before))
        self._stretches = kept

    def _alike(self, onsets: list[float]) -> tuple[float, float]:
        """The two neighbours that differ least as ages go; what is likeliest keeps its own."""
        kept, newest = self.since, onsets[-1]

        def loss(pair: tuple[float, float]) -> tuple[bool, float]:
            earlier, later = pair
            return later == kept, (later - earlier) / (newest - later + SLICE_S)

        return min(pairwise(onsets[:-1]), key=loss)

    def best(self) -> int:
        """The likeliest hypothesis."""
        return self.profile.index(max(self.profile))

    @property
    def began(self) -> float:
        """When the first of its hypotheses began."""
        return self._stretches[0].since

    @property
    def since(self) -> float:
        """When what is likeliest began."""
        return self._onsets[self.best()]

    def story(self) -> tuple[dict[int, float], float, float]:
        """All that came since then, when that was, and the log of the level just before."""
        since = self.since
        told = [s for s in self._stretches if s.since >= since]
        counts: dict[int, float] = {}
        for stretch in told:
            for bucket, count in stretch.counts().items():
                counts[bucket] = counts.get(bucket, 0.0) + count
        return counts, since, told[0].before

    def to_json(self) -> list[Any]:
        stretches = [stretch.to_json() for stretch in self._stretches]
        return [self.profile, self.evidence, self.rising, self._onsets, self.slices, stretches]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "SlowRun":
        """Raises ``TypeError``, ``ValueError`` or ``AttributeError`` for what is no run."""
        made = cls()
        profile, evidence, rising, onsets, slices, stretches = data
        if isinstance(stretches, Mapping) or not slices:
            # what an earlier version wrote knows one onset only: its run begins anew
            return made
        if {len(profile), len(onsets)} != {SHIFTS}:
            raise ValueError("as many sums as hypotheses")
        made.profile = [float(x) for x in profile]
        made._onsets = [float(x) for x in onsets]
        made.evidence, made.rising, made.slices = float(evidence), bool(rising), float(slices)
        made._stretches = [Stretch.from_json(stretch) for stretch in stretches]
        if made.since not in {stretch.since for stretch in made._stretches}:
            raise ValueError("a stretch for each onset")
        return made


class ShareSum:
    """Evidence that a share rose to at least ``to``; used for errors and for the slow tail."""

    __slots__ = (
        "_blip",
        "_blip_from",
        "_worst",
        "first_hit",
        "hits",
        "requests",
        "runs",
        "since",
        "total",
    )

    def __init__(self) -> None:
        self.total = 0.0
        self.since = 0.0
        self.first_hit: float | None = None
        self.runs = 0
        self.hits = 0
        self.requests = 0
        self._blip_from = 0.0
        self._blip = self._worst = NO_BLIP
        """Requests, hits and runs of the slices with hits that a blip may have made, and how many
        runs came before: of the latest, which began then, and of the one with most hits.
        """

    def reset(self) -> None:
        self.total = 0.0
        self._begin(0.0)

    def _begin(self, since: float) -> None:
        self.since = since
        self.first_hit = None
        self.runs = self.hits = self.requests = 0
        self._blip = self._worst = NO_BLIP

    @property
    def apart(self) -> Counts:
        """Requests, hits and runs without the worst blip among them."""
        requests, hits, runs, _ = self._worst
        return self.requests - requests, self.hits - hits, self.runs - runs

    def outside(self, kinds: bytes) -> bytes:
        """Of the last runs' ``kinds`` those of runs outside the worst blip."""
        _, _, runs, before = self._worst
        first_after = max(0, len(kinds) - (self.runs - before - runs))
        return kinds[: max(0, first_after - runs)] + kinds[first_after:]

    def to_json(self) -> list[Any]:
        return [
            self.total,
            self.since,
            self.first_hit,
            self.runs,
            self.hits,
            self.requests,
            [self._blip_from, *self._blip, *self._worst],
        ]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> "ShareSum":
        """Raises ``TypeError`` or ``ValueError`` for what is no sum."""
        made = cls()
        total, since, made.first_hit, runs, hits, requests, *blips = data
        made.runs = int(runs)
        made.total, made.since = float(total), float(since)
        made.hits, made.requests = int(hits), int(requests)
        if blips and len(blips[0]) > 2 * len(NO_BLIP):
            began, *counts = blips[0]
            made._blip_from = float(began)
            made._blip, made._worst = _counts(counts[:4]), _counts(counts[4:])
        else:
            # what an earlier version wrote tells no blips apart: all may have been one
            made._worst = made.requests, made.hits, made.runs, 0
        return made

    def add(
        self,
        requests: int,
        hits: int,
        runs: int,
        gain: float,
        cap: float,
        most: float,
        began: float,
        first_hit: float,
    ) -> None:
        """Count ``hits`` out of ``requests`` that came in so many ``runs``; ``gain`` is what they
        prove, of which at most ``cap`` counts.
        """
        if gain > cap:
            gain = cap
        elif gain < -cap:
            gain = -cap
        after = self.total + gain
        if after <= 0.0:
            if self.total:
                self.reset()
            return
        if self.total <= 0.0:
            self._begin(began)
        if hits:
            if self.first_hit is None:
                self.first_hit = first_hit
            blip = requests, hits, runs, self.runs
            if self._blip[1] and began - self._blip_from < BLIP_S:
                before = self._blip
                blip = before[0] + requests, before[1] + hits, before[2] + runs, before[3]
            else:
                self._blip_from = first_hit
            self._blip = blip
            if blip[1] > self._worst[1]:
                self._worst = blip
        self.hits += hits
        self.runs += runs
        self.requests += requests
        self.total = after if after < most else most


def _counts(row: Sequence[Any]) -> Blip:
    requests, hits, runs, before = row
    return int(requests), int(hits), int(runs), int(before)


def share_gain(requests: int, hits: int, usual: float, to: float) -> float:
    """Log-likelihood ratio of ``hits`` of ``requests`` for the share ``to`` against ``usual``."""
    gain = hits * log(to / usual)
    if requests > hits:
        gain += (requests - hits) * log((1.0 - to) / (1.0 - usual))
    return gain


def failing_gain(
    requests: int,
    hits: int,
    runs: int,
    to: float,
    company: float,
    known: tuple[float, float, int],
) -> float:
    """The same for errors, that like company: usually one follows another with ``company``.

    ``known`` is how many runs of errors among how many requests are usual, and how many runs have
    been weighed before. What is usual is no more than believed: the more runs came, the likelier
    is that the route always failed more than that, so each next one proves less where little is
    known (a gamma belief, its predictive share).
    """
    usual_runs, usual_requests, before = known
    events = usual_runs + before
    gain = 0.0
    if runs:
        gain = runs * log(to * (usual_requests + requests)) + lgamma(events) - lgamma(events + runs)
    if hits > runs and to > company:
        gain += (hits - runs) * log(to / company)
    if requests > hits:
        usual = events / usual_requests
        if usual > to:
            usual = to
        gain += (requests - hits) * log((1.0 - to) / (1.0 - usual))
    return gain
