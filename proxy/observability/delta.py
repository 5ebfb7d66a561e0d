"""What one process learned of a route since it last told the others. Counts that add; pure.

Durations and counts fade at different moments (``baseline.py``), so each has its own step.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.observability.kinds import joined, kinds_from, none_yet
from proxy.observability.tally import FADING, PASSING, Tally

COUNT_MAX = 1e15
"""More than any traffic: what says so is no delta."""


class Delta:
    """``step`` and ``counts_step``: the fading step that durations and counts stand at."""

    __slots__ = (
        "counts_step",
        "durations",
        "errors",
        "kinds",
        "requests",
        "runs",
        "scatter",
        "step",
    )

    def __init__(self) -> None:
        self.step = 0
        self.durations = Tally(PASSING)
        """Whole numbers, as a rule; when they must wait and fade, seven digits are enough."""
        self.counts_step = 0
        self.requests = 0.0
        self.errors = 0.0
        self.runs = 0.0
        self.scatter = 0.0
        self.kinds = none_yet()

    def __bool__(self) -> bool:
        return bool(self.durations) or self.requests > 0.0

    def add_durations(self, durations: Mapping[int, float], step: int, faded: float) -> None:
        """Add what was learned at ``step``; what is there already fades by ``faded`` first."""
        if faded < 1.0:
            self.durations.scale(faded)
        self.step = step
        self.durations.add(durations)

    def add_counts(
        self,
        requests: float,
        errors: float,
        runs: float,
        kinds: Sequence[float],
        step: int,
        faded: float,
    ) -> None:
        self.counts_step = step
        self.requests = self.requests * faded + requests
        self.errors = self.errors * faded + errors
        self.runs = self.runs * faded + runs
        self.scatter = self.scatter * faded
        self.kinds = joined(self.kinds, kinds, faded)

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "durations": self.durations.to_json(),
            "counts_step": self.counts_step,
            "counts": [self.requests, self.errors, self.runs, self.scatter],
            "kinds": self.kinds.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Delta":
        """Raises ``KeyError``, ``TypeError``, ``ValueError`` or ``AttributeError`` for what is no
        delta.
        """
        made = cls()
        made.step, made.counts_step = int(data["step"]), int(data["counts_step"])
        made.durations = Tally.from_json(data["durations"], FADING)
        counts = [float(x) for x in data["counts"]]
        made.requests, made.errors, made.runs, made.scatter = counts
        made.kinds = kinds_from(data)
        durations = made.durations.counts()
        # NaN fails the comparison, too
        if not all(0.0 <= x < COUNT_MAX for x in [*counts[:3], *durations.values()]):
            raise ValueError("weights are counts")
        if not abs(made.scatter) < COUNT_MAX:
            raise ValueError("scatter is a number")
        return made
