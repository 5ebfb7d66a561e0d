"""Plain answers that are counted together: side by side, with what all who count them want to know.

Whoever counts a handful adds a number for each bucket it holds, not for each answer in it. Pure.
"""

from proxy.observability.sketch import counts_of


class Handful:
    """``durations`` in ms beside the ``ends`` in seconds, in the order of the answers; at least
    one.
    """

    __slots__ = ("counts", "durations", "earliest", "ends", "latest", "slowest")

    def __init__(self, durations: list[float], ends: list[float]) -> None:
        self.durations = durations
        self.ends = ends
        # what is in order already, or nearly, is sorted more quickly than its ends are found
        in_turn = sorted(ends)
        self.earliest: float = in_turn[0]
        self.latest: float = in_turn[-1]
        rising = sorted(durations)
        self.counts: dict[int, int] = counts_of(rising)
        """Bucket → answers."""
        self.slowest: float = rising[-1]
