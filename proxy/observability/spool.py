"""Rows on disk while the database is away: bounded, in order, and safe to deliver twice.

Rows carry stable ids, so a batch whose acknowledgement was lost can be written again without
doubling anything. Knows nothing of Postgres.
"""

import errno
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Row = tuple[Any, ...]


class Spool:
    """One append-only file of batches, one JSON array a line. Rows beyond ``bytes_max`` are counted
    as dropped.
    """

    def __init__(
        self,
        path: Path,
        bytes_max: int,
        *,
        encode: Callable[[Row], Any],
        decode: Callable[[Any], Row],
    ) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._encode = encode
        self._decode = decode
        self._offset = 0
        # until an earlier process's batches are counted, ``done`` could not tell old from new
        self._counted = not path.exists()
        self.dropped = 0
        self.rows = 0
        """Rows waiting; 0 until ``recover`` has counted what an earlier process left."""

    @property
    def bytes(self) -> int:
        try:
            return self._path.stat().st_size - self._offset
        except FileNotFoundError:
            return 0

    def recover(self, orphans: Iterable[Path] = ()) -> int:
        """Count what an earlier process left behind; a half-written last line is cut off.

        ``orphans`` are files like this one whose writer does not come back: they are taken over.
        """
        for orphan in orphans:
            self._take_over(orphan)
        self._offset = 0
        return self._count()

    def _take_over(self, orphan: Path) -> None:
        kept = orphan.read_bytes()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(kept[: kept.rfind(b"\n") + 1])
        orphan.unlink()

    def _count(self) -> int:
        """Batches from the offset on."""
        self.rows = 0
        self._counted = True
        if not self._path.exists():
            return 0
        good = self._offset
        with self._path.open("rb") as file:
            file.seek(good)
            for line in file:
                batch = _parse(line)
                if batch is None:
                    break
                self.rows += len(batch)
                good += len(line)
        os.truncate(self._path, good)
        return self.rows

    def put(self, rows: Iterable[Row]) -> bool:
        """Append one batch; False, and counted as dropped, where it does not fit or the disk
        refuses.
        """
        batch = list(rows)
        line = json.dumps([self._encode(row) for row in batch], separators=(",", ":")).encode()
        if self.bytes + len(line) + 1 > self._bytes_max:
            self.dropped += len(batch)
            return False
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab", buffering=0) as file:
                start = file.tell()
                if file.write(line + b"\n") != len(line) + 1:
                    # half a line would take the next one with it
                    file.truncate(start)
                    raise OSError(errno.ENOSPC, "the disk took half a line")
        except OSError:
            self.dropped += len(batch)
            return False
        self.rows += len(batch)
        return True

    def peek(self) -> list[Row] | None:
        """The oldest batch, or None (before ``recover``, too). It stays until ``done``."""
        if not self.rows or not self._counted:
            return None
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                batch = _parse(file.readline())
        except OSError:
            batch = None
        if batch is None:
            # Somebody took or broke the file: what it held is lost, and that is said.
            self.dropped += self.rows
            self._clear()
            return None
        try:
            return [self._decode(item) for item in batch]
        except (ValueError, KeyError, TypeError, IndexError):
            # written by another version: one batch is lost, the others are not
            self.dropped += len(batch)
            self.done()
            return self.peek()

    def done(self) -> None:
        """The batch that ``peek`` showed is delivered."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                line = file.readline()
        except OSError:
            line = b""
        self._offset += len(line)
        self.rows -= len(_parse(line) or [])
        if self.rows <= 0:
            # the sidecar this one takes over from may have written here at its end
            waiting = self._count() if self.bytes else 0
            if not waiting:
                self._clear()

    def _clear(self) -> None:
        self.rows = 0
        self._offset = 0
        self._path.unlink(missing_ok=True)


def _parse(line: bytes) -> list[Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        batch = json.loads(line)
    except ValueError:
        return None
    return batch if isinstance(batch, list) else None
