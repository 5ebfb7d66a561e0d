"""Plain answers that are counted together: side by side, with what all who count them want to know.

Whoever counts a handful adds one number, however many answers and buckets it holds. Pure.
"""

from proxy.observability.sketch import lanes_of


class Handful:
    """``durations`` in ms beside the ``starts`` in seconds, in the order of the answers; at least
    one.

    To tell when each ended is dear, and seldom asked: most are content to know that none did before
    ``earliest`` or after ``latest``.
    """

    __slots__ = ("_ends", "durations", "earliest", "lanes", "latest", "size", "slowest", "starts")

    def __init__(self, durations: list[float], starts: list[float]) -> None:
        self.durations = durations
        self.starts = starts
        self.size = len(durations)
        self._ends: list[float] | None = None
        rising = sorted(durations)
        self.lanes = lanes_of(rising)
        """How many fall in each bucket, as ``sketch`` says it."""
        self.slowest: float = rising[-1]
        # what is in order already, or nearly, is sorted more quickly than its ends are found
        in_turn = sorted(starts)
        self.earliest: float = in_turn[0] + rising[0] / 1000.0
        self.latest: float = in_turn[-1] + self.slowest / 1000.0

    def end(self, place: int) -> float:
        """When one of them ended, in seconds."""
        return self.starts[place] + self.durations[place] / 1000.0

    @property
    def ends(self) -> list[float]:
        """The same of all."""
        if self._ends is None:
            self._ends = [
                at + ms / 1000.0 for at, ms in zip(self.starts, self.durations, strict=True)
            ]
        return self._ends
