"""Has a full client stopped taking bytes? A slow one that still reads is never cut."""

from typing import Any

from proxy.dataplane.sockets import unread_bytes

NEVER = -1.0
"""Monotonic seconds of what has not happened."""
STALL_LEAST_S = 60.0
"""A reader may pause so long, however short an idle connection is kept."""


class Stall:
    """Remembers how much was unread when it last changed."""

    __slots__ = ("_since", "_size")

    def __init__(self) -> None:
        self._since = NEVER
        self._size = -1

    def is_over(self, now: float, transport: Any, limit_s: float) -> bool:
        """True when not a byte was taken for longer than ``limit_s``."""
        left = unread_bytes(transport)
        if left != self._size or self._since < 0:
            self._since, self._size = now, left
            return False
        return now - self._since > limit_s
