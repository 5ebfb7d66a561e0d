"""Batches that wait in memory while the database is away, for a process that writes no files: the
same promises as ``Spool``, bounded by rows, and gone with the process.
"""

from collections import deque
from collections.abc import Iterable
from pathlib import Path

from proxy.observability.spool import Row


class Held:
    """At most ``rows_max`` rows; what does not fit is counted as dropped."""

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._batches: deque[list[Row]] = deque()
        self.rows = 0
        self.dropped = 0

    def recover(self, orphans: Iterable[Path] = ()) -> int:
        """Nothing outlives a process here."""
        return 0

    def put(self, rows: Iterable[Row]) -> bool:
        batch = list(rows)
        if self.rows + len(batch) > self._rows_max:
            self.dropped += len(batch)
            return False
        self._batches.append(batch)
        self.rows += len(batch)
        return True

    def peek(self) -> list[Row] | None:
        """The oldest batch, or None. It stays until ``done``."""
        return self._batches[0] if self._batches else None

    def done(self) -> None:
        self.rows -= len(self._batches.popleft())
