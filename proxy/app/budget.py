"""So much of something a second, and as much at once after a quiet second (a token bucket)."""

from proxy.clock import Clock


class Budget:
    def __init__(self, per_s: float, clock: Clock) -> None:
        self._per_s = per_s
        self._clock = clock
        self._left = per_s
        self._at = clock.monotonic()

    def take(self) -> bool:
        """One of them; False where there is none left now."""
        now = self._clock.monotonic()
        self._left = min(self._per_s, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
