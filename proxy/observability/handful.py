"""Plain answers that are counted together: side by side, with what all who count them want to know.

Whoever counts a handful adds a number for each bucket it holds, not for each answer in it. Pure.
"""

from collections import Counter


class Handful:
    """``buckets`` of the durations beside the ``ends`` in seconds, in the order of the answers; at
    least one.
    """

    __slots__ = ("buckets", "counts", "earliest", "ends", "latest", "slowest")

    def __init__(self, buckets: list[int], ends: list[float]) -> None:
        self.buckets = buckets
        self.ends = ends
        self.counts: dict[int, int] = Counter(buckets)
        self.earliest: float = min(ends)
        self.latest: float = max(ends)
        self.slowest: int = max(self.counts)
        """The highest bucket."""
