"""A bounded copy of a body, kept in case its exchange turns out to be a failing one."""


class BodyCopy:
    """Keeps the first ``bytes_max`` bytes; of the rest it only knows that there was more."""

    __slots__ = ("_pieces", "_room", "size")

    def __init__(self, bytes_max: int) -> None:
        self._pieces: list[bytes] = []
        self._room = bytes_max
        self.size = 0

    def keep(self, piece: bytes) -> None:
        if self._room > 0:
            kept = piece if len(piece) <= self._room else piece[: self._room]
            self._pieces.append(kept)
            self._room -= len(kept)
            self.size += len(kept)

    def whole(self) -> bytes:
        return b"".join(self._pieces)
