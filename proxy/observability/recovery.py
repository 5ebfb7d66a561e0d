"""Does what failed work again? Evidence for the usual share of failures against the incident's.

Pure. The share of an incident is not known when it is told: the fewer requests told it, the more
of them failed by chance, and what really fails is a few in a hundred. So it is asked of all that
came since, up to where what works may have begun to work.
"""

from collections.abc import Sequence
from math import log
from typing import Any

from proxy.observability.baseline import Baseline

NEEDED = 4.0
SLICES = 3.0
"""Evidence at which it is over, and how many slices it must last at least."""
HALF, STILL_MAX = 0.5, 0.95
"""Half of the incident's share would be an incident still; not all must fail for that."""
NEARLY, RAISED_MIN = 0.8, 1.5
"""As would be what is nearly so many times the usual share as an incident must be, or half as much
again. What was told by chance must not stay open for being a bit more than usual.
"""
HITS_MAX = 60
"""Failures that are remembered: an incident may get milder."""


class Recovery:
    """One of a route whose failures were told."""

    __slots__ = ("_evidence", "_hits", "_later_hits", "_later_requests", "_raised", "_requests")

    def __init__(self, ratio_floor: float) -> None:
        """An incident is so many times the usual share."""
        self._raised = max(RAISED_MIN, NEARLY * ratio_floor)
        self.forget()

    def forget(self) -> None:
        self._evidence = 0.0
        self._hits = self._requests = 0
        self._later_requests = self._later_hits = 0

    def begin(self, requests: int, hits: int) -> None:
        """So many requests told of an incident, the first and the last of which failed."""
        self.forget()
        self._hits, self._requests = hits, requests

    def share(self, told: float) -> float:
        """How many of the incident's requests failed; as ``told`` when that is unknown. The first
        failure is left out: the counting began with it.
        """
        if self._hits < 2:
            return told
        return (self._hits - 1) / (self._requests - 1)

    def add(
        self, base: Baseline, told: float, requests: int, hits: int, runs: int, credit: float
    ) -> bool:
        """Weigh one slice of an incident that was ``told`` with such a share: is it over? ``runs``
        of its ``hits`` began in it.
        """
        usual = base.error_share
        self._later_requests += requests
        self._later_hits += hits
        still = min(STILL_MAX, max(self._raised * usual, HALF * self.share(told)))
        gain = (requests - hits) * log((1.0 - usual) / (1.0 - still))
        if hits:
            # failures like company: by chance, too, one comes with others; and where none is known
            # the next one may be the first of all
            plausible = max(usual, 1.0 / base.believed_requests)
            gain -= max(1, runs) * max(0.0, log(still / plausible))
        self._evidence += min(NEEDED * credit / SLICES, gain)
        if self._evidence <= 0.0:
            self._go_on()
        return self._evidence >= NEEDED

    def _go_on(self) -> None:
        """It is not over yet: all that came is of the incident."""
        self._evidence = 0.0
        self._requests += self._later_requests
        self._hits += self._later_hits
        self._later_requests = self._later_hits = 0
        if self._hits > HITS_MAX:
            self._requests, self._hits = self._requests // 2, self._hits // 2

    def to_json(self) -> list[Any]:
        counts = [self._requests, self._hits, self._later_requests, self._later_hits]
        return [self._evidence, *counts]

    def restore(self, data: Sequence[Any] | float) -> None:
        """Raises ``TypeError`` or ``ValueError`` for what is none."""
        if not isinstance(data, Sequence):
            # an earlier version knew the share that was told only
            data = (data, 0, 0, 0, 0)
        evidence, *counts = data
        self._evidence = float(evidence)
        self._requests, self._hits, self._later_requests, self._later_hits = map(int, counts)
        if not (
            0 <= self._hits <= self._requests and 0 <= self._later_hits <= self._later_requests
        ):
            raise ValueError("no more failures than requests")
