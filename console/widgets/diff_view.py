"""The diff, drawn line by line, and the honest count of what of it has been on the screen."""

from dataclasses import dataclass

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from console.difftext import Diff, draw, fold, parse_diff
from console.format import Line, wrap_line
from console.widgets.painted import Painted


class DiffView(Painted):
    """``show(digest, diff, sql)``; posts ``Seen`` when whole hunks have been visible."""

    @dataclass
    class Seen(Message):
        digest: str
        hunks: frozenset[int]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.digest = ""
        self.whole: Diff = parse_diff(None)
        self._opened: frozenset[int] = frozenset()
        self._diff = self.whole
        self._rows: list[tuple[Line, int]] = []
        self._drawn: set[int] = set()
        self._told: frozenset[int] = frozenset()
        self._message: list[Line] = []

    def show(self, digest: str, diff: str | None, sql: str | None) -> None:
        if digest == self.digest:
            return
        self.digest = digest
        self.whole = parse_diff(diff, sql)
        self._opened = frozenset()
        self._told = frozenset()
        self.scroll_to(y=0, animate=False)
        self._lay_out()

    def say(self, lines: list[Line]) -> None:
        """Words instead of a diff."""
        self.digest, self.whole, self._message = "", parse_diff(None), lines
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.room
        if width <= 0:
            return  # not laid out yet; the resize that follows draws it
        self._diff = fold(self.whole, self._opened)
        self._rows = [
            (row, -1 if line.kind == "fold" else line.hunk)
            for line in self._diff.lines
            for row in draw(line, width)
        ]
        if not self.digest:
            self._rows = [(row, -1) for line in self._message for row in wrap_line(line, width)]
        self._drawn = set()
        self.virtual_size = Size(width, len(self._rows))
        self.refresh()
        self.call_after_refresh(self._note_seen)

    def on_resize(self, event: events.Resize) -> None:
        self._lay_out()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._note_seen()

    def _note_seen(self) -> None:
        """A hunk is seen when each of its rows has been inside the window."""
        if not self.digest or not self.is_on_screen or self.size.height <= 0:
            return
        top = int(self.scroll_offset.y)
        self._drawn.update(range(top, min(top + self.size.height, len(self._rows))))
        missing = {hunk for at, (_, hunk) in enumerate(self._rows) if at not in self._drawn}
        hidden = {line.hunk for line in self._diff.lines if line.kind == "fold"}
        there = {hunk for _, hunk in self._rows if hunk >= 0}
        seen = frozenset(there - missing - hidden)
        if not seen <= self._told:
            self._told |= seen
            self.post_message(self.Seen(self.digest, seen))

    def render_line(self, y: int) -> Strip:
        at = int(self.scroll_offset.y) + y
        row = self._rows[at][0] if at < len(self._rows) else []
        return self.paint(row, self.size.width)

    # --- moving -------------------------------------------------------------------------------

    def _starts(self, kind: str) -> list[int]:
        """Rows where a hunk or a file begins."""
        starts: list[int] = []
        at = 0
        for line in self._diff.lines:
            if line.kind == kind:
                starts.append(at)
            at += len(draw(line, max(self.room, 1)))
        return starts

    def jump(self, kind: str, by: int) -> None:
        here = int(self.scroll_offset.y)
        starts = self._starts(kind)
        ahead = [at for at in starts if (at > here if by > 0 else at < here)]
        if ahead:
            self.scroll_to(y=ahead[0] if by > 0 else ahead[-1], animate=False)
        elif by > 0:
            self.action_end(1)

    def current_hunk(self) -> int:
        """1-based, of what stands at the top."""
        here = int(self.scroll_offset.y)
        hunks = [hunk for _, hunk in self._rows[here : here + self.size.height] if hunk >= 0]
        return hunks[0] + 1 if hunks else 0

    def unfold(self) -> None:
        """Show what is folded. It counts as seen only when it has been scrolled through."""
        folded = {line.hunk for line in self._diff.lines if line.kind == "fold" and line.hunk >= 0}
        if folded - self._opened:
            self._opened |= folded
            self._lay_out()
