"""A list drawn line by line over plain data. The cursor is bound to a row's id, never to its place.

A row that leaves under the cursor takes the cursor's meaning with it: then nothing is selected
until the user moves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from console.columns import Column, heading, layout, row
from console.format import Bit, Line
from console.keys import KEYS
from console.widgets.painted import Painted


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    cells: dict[str, Bit]


class LineTable(Painted):
    """``show(rows)`` draws them; ``Moved`` and ``Opened`` tell the id under the cursor."""

    # The pane has the same key for when another part of it is focused; the list in focus comes
    # first, so that `enter` opens the row whose cursor is lit.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.says, show=False) for key in KEYS if key.action == "open"
    ]

    @dataclass
    class Moved(Message):
        table: "LineTable"
        row: str | None

        @property
        def control(self) -> "LineTable":
            return self.table

    @dataclass
    class Opened(Message):
        table: "LineTable"
        row: str

        @property
        def control(self) -> "LineTable":
            return self.table

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        id: str,
        head: bool = True,
        follow: Literal["first", "none"] = "first",
    ) -> None:
        super().__init__(id=id)
        self._columns = columns
        self._head = 1 if head else 0
        self._follow = follow
        self._rows: list[Row] = []
        self._places = layout(columns, 80)
        self._empty: list[Line] = []
        self.cursor: str | None = None
        self._was_bound = False
        """Once: the first row is offered to a list that was never moved in, and never again."""
        self._at = 0

    # --- data ---------------------------------------------------------------------------------

    def show(self, rows: list[Row], empty: list[Line] | None = None) -> None:
        """Replace the rows. Only lines that changed and can be seen are drawn again."""
        old, self._rows = self._rows, rows
        self._empty = empty or []
        self._rebind()
        self.virtual_size = Size(self.room, len(rows) + self._head)
        if not rows or not old:
            self.refresh()
            return
        first = int(self.scroll_offset.y)
        for at in range(first, first + self.size.height):
            if old[at : at + 1] != rows[at : at + 1]:
                self._refresh_row(at)

    def _rebind(self) -> None:
        before = self._at
        if self.cursor is None:
            if self._follow == "first" and self._rows and not self._was_bound:
                self._move_to(0)
            self._at = min(self._at, max(len(self._rows) - 1, 0))
            return
        place = self.place_of(self.cursor)
        if place is None:
            self.cursor = None
            self._at = min(self._at, max(len(self._rows) - 1, 0))
            self.post_message(self.Moved(self, None))
        else:
            self._at = place
        if self._at != before:
            self._refresh_row(before)
            self._refresh_row(self._at)

    def place_of(self, row_id: str) -> int | None:
        return next((at for at, row in enumerate(self._rows) if row.id == row_id), None)

    @property
    def rows(self) -> list[Row]:
        return self._rows

    # --- moving -------------------------------------------------------------------------------

    def _move_to(self, at: int) -> None:
        if not self._rows:
            return
        before = self._at
        self._at = max(0, min(at, len(self._rows) - 1))
        self.cursor = self._rows[self._at].id
        self._was_bound = True
        self._refresh_row(before)
        self._refresh_row(self._at)
        self._keep_in_view()
        self.post_message(self.Moved(self, self.cursor))

    def _keep_in_view(self) -> None:
        room = self.size.height - self._head
        top = int(self.scroll_offset.y)
        if room <= 0:
            return
        if self._at < top:
            self.scroll_to(y=self._at, animate=False)
        elif self._at >= top + room:
            self.scroll_to(y=self._at - room + 1, animate=False)

    def action_line(self, by: int) -> None:
        # Without a bound row the first key binds the one that is drawn here; it does not step over
        # it.
        self._move_to(self._at + (by if self.cursor is not None else 0))

    def action_end(self, side: int) -> None:
        self._move_to(0 if side < 0 else len(self._rows) - 1)

    def action_page(self, part: float) -> None:
        self._move_to(self._at + int((self.size.height - self._head) * part))

    def action_open(self) -> None:
        if self.cursor is not None:
            self.post_message(self.Opened(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        at = int(self.scroll_offset.y) + event.y - self._head
        if event.y >= self._head and 0 <= at < len(self._rows):
            self._move_to(at)

    # --- drawing ------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        self._places = layout(self._columns, max(self.room - 2, 1))
        self.virtual_size = Size(self.room, len(self._rows) + self._head)
        self._keep_in_view()
        self.refresh()

    def _refresh_row(self, at: int) -> None:
        y = at - int(self.scroll_offset.y) + self._head
        if self._head <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y < self._head:
            return self.paint([("  " + heading(self._places), "head")], width)
        at = int(self.scroll_offset.y) + y - self._head
        if not self._rows:
            empty = self._empty[at] if at < len(self._empty) else []
            return self.paint([("  ", ""), *empty], width)
        if at >= len(self._rows):
            return self.paint([], width)
        here = at == self._at and self.cursor is not None
        mark = "▸ " if here else "  "
        cells: Line = row(self._places, self._rows[at].cells)
        return self.paint([(mark, ""), *cells], width, cursor=here and self.has_focus)

    def on_focus(self) -> None:
        self._refresh_row(self._at)

    def on_blur(self) -> None:
        self._refresh_row(self._at)
