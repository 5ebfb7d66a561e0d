"""Request bytes on their way up: what waits for a connection, and what may be sent a second time.

Both are bounded: beyond the first the client is not read, beyond the second there is no retry.
Knows no sockets.
"""

UNSENT_BYTES_MAX = 65536
"""Request bytes held while the upstream is being connected."""
RETRY_BYTES_MAX = 65536
"""A longer request is not kept for a second try."""

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"})
"""RFC 9110 section 9.2.2."""


class Sending:
    """The bytes of one request, head and framing included, in the order they go up."""

    __slots__ = ("_kept", "_kept_bytes", "_waiting", "waiting_bytes")

    def __init__(self, *, may_repeat: bool) -> None:
        self._waiting: list[bytes] = []
        self.waiting_bytes = 0
        self._kept: list[bytes] | None = [] if may_repeat else None
        self._kept_bytes = 0

    def wait(self, data: bytes) -> None:
        """``data`` goes up next; whether it may be repeated was decided before."""
        self._waiting.append(data)
        self.waiting_bytes += len(data)

    def keep_for_repeat(self, pieces: list[bytes]) -> None:
        self._kept = pieces
        self._kept_bytes = sum(map(len, pieces))

    def add(self, data: bytes) -> None:
        self._waiting.append(data)
        self.waiting_bytes += len(data)
        if self._kept is not None:
            self._kept_bytes += len(data)
            if self._kept_bytes > RETRY_BYTES_MAX:
                self._kept = None
            else:
                self._kept.append(data)

    def take(self) -> bytes:
        """What waits; it is on its way from here on."""
        waiting = self._waiting
        if not waiting:
            return b""
        self._waiting, self.waiting_bytes = [], 0
        return waiting[0] if len(waiting) == 1 else b"".join(waiting)

    @property
    def is_full(self) -> bool:
        return self.waiting_bytes > UNSENT_BYTES_MAX

    @property
    def may_repeat(self) -> bool:
        return self._kept is not None

    def never_repeat(self) -> None:
        self._kept = None

    def repeat(self) -> None:
        """Everything so far waits again, for the second and last time."""
        assert self._kept is not None
        self._waiting, self.waiting_bytes = self._kept, self._kept_bytes
        self._kept = None
