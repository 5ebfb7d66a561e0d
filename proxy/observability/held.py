"""Batches that wait in memory while the database is away, for a process that writes no files: the
same promises as ``Spool``, bounded by rows, and gone with the process.
"""

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from proxy.observability.spool import Row


class Held:
    """At most ``rows_max`` rows; what does not fit is counted as dropped. ``decode`` makes a row of
    what was put in.
    """

    def __init__(self, rows_max: int, *, decode: Callable[[Any], Row]) -> None:
        self._rows_max = rows_max
        self._decode = decode
        self._batches: deque[list[Any]] = deque()
        self.rows = 0
        self.dropped = 0

    def recover(self, orphans: Iterable[Path] = ()) -> int:
        """Nothing outlives a process here."""
        return 0

    def put(self, rows: Iterable[Any]) -> bool:
        batch = list(rows)
        if self.rows + len(batch) > self._rows_max:
            self.dropped += len(batch)
            return False
        self._batches.append(batch)
        self.rows += len(batch)
        return True

    def peek(self) -> list[Row] | None:
        """The oldest batch, or None. It stays until ``done``."""
        return [self._decode(row) for row in self._batches[0]] if self._batches else None

    def done(self) -> None:
        self.rows -= len(self._batches.popleft())
