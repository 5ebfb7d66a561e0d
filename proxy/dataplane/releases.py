"""The app names its release in an answer's header; when it names another, that is a deploy.

Off unless ``detector.deploy_header`` says which header. It is read and passed on, never changed.
"""

from collections.abc import Callable

VERSION_MAX = 200
KNOWN_MAX = 32
"""Releases remembered; the one longest gone is forgotten first."""
GONE_S = 600.0
"""While a deploy rolls, old and new answer in turn. One that was gone for so long has come back:
a roll-back is a deploy, too.
"""


class Releases:
    """``tell`` hears each new release once; the first one seen is no news."""

    def __init__(self, header: str, tell: Callable[[str], None]) -> None:
        self.header = header
        self._name = header.lower().encode("latin-1") + b":"
        self._size = len(self._name)
        self._tell = tell
        self._current = b""
        self._gone: dict[bytes, float] = {}
        """Release → when another one answered instead (monotonic seconds)."""

    def see(self, lines: list[bytes], now: float) -> None:
        """``lines`` are a head's field lines, a status line among them does no harm."""
        size = self._size
        for line in lines:
            if line[:size].lower() == self._name:
                value = line[size:].strip()[:VERSION_MAX]
                if value and value != self._current:
                    self._change(value, now)
                return

    def _change(self, value: bytes, now: float) -> None:
        before, self._current = self._current, value
        if not before:
            return
        gone = self._gone
        gone.pop(before, None)
        gone[before] = now
        if len(gone) > KNOWN_MAX:
            del gone[next(iter(gone))]
        since = gone.get(value)
        if since is None or now - since >= GONE_S:
            self._tell(value.decode("latin-1"))
