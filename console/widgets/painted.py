"""Widgets that draw their own lines: plain text with a word for its look, turned into the theme's
colours.

Nothing here reads markup, so no text from outside can be taken for any.
"""

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.format import Line, wrap_line
from console.keys import KEYS, Where, keys_for

LOOKS = [
    "dim",
    "title",
    "ok",
    "bad",
    "crit",
    "high",
    "medium",
    "add",
    "del",
    "add-word",
    "del-word",
    "hunk",
    "head",
    "link",
    "cursor",
    "prod",
]
_MOVING = ("line(", "end(", "page(")


def bindings(where: Where) -> list[BindingType]:
    """The table's keys for one screen, as Textual wants them. ``tab`` is among them: Textual's own
    screen takes it before the app does, and would only move the focus."""
    return [
        Binding(key.keys, key.action, key.says, show=False)
        for key in keys_for(where)
        if (where in key.where and not key.action.startswith(_MOVING))
        or key.action.startswith("app.next_pane")
    ]


class Painted(ScrollView, can_focus=True):
    """Base of every widget that draws lines; keeps the keys that move."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"look--{look}" for look in LOOKS}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.says, show=False)
        for key in KEYS
        if key.action.startswith(_MOVING)
    ]

    @property
    def room(self) -> int:
        """Columns for text. The last one is kept for the scroll bar, or it would hide what stands
        there."""
        bar = 0 if self.styles.overflow_y == "hidden" else self.styles.scrollbar_size_vertical
        return max(self.size.width - bar, 0)

    def set_title(self, text: str) -> None:
        self.border_title = Content(text)

    def look(self, name: str) -> Style:
        return (
            self.get_component_rich_style(f"look--{name}", partial=True)
            if name in LOOKS
            else Style()
        )

    def paint(self, line: Iterable[tuple[str, str]], width: int, *, cursor: bool = False) -> Strip:
        base = self.rich_style
        if cursor:
            base += self.look("cursor")
        if self.screen.has_class("-stale"):
            base += Style(dim=True)
        parts = [Segment(text, base + self.look(look) if look else base) for text, look in line]
        return Strip(parts).adjust_cell_length(width, base)

    def action_line(self, by: int) -> None:
        self.scroll_relative(y=by, animate=False)

    def action_end(self, side: int) -> None:
        self.scroll_to(y=0 if side < 0 else self.max_scroll_y, animate=False)

    def action_page(self, part: float) -> None:
        self.scroll_relative(y=int(self.size.height * part), animate=False)


class Sheet(Painted):
    """Lines of text, wrapped to the width there is."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []
        self._rows: list[Line] = []
        self._made_for = 0

    def show(self, lines: list[Line], *, to_end: bool = False) -> None:
        """Draw ``lines``; unchanged ones cost nothing and keep the place."""
        if lines != self._lines or self._made_for != self.room:
            self._lines = lines
            self._wrap()
        if to_end:
            self.call_after_refresh(self.action_end, 1)

    @property
    def text(self) -> str:
        return "\n".join("".join(text for text, _ in row) for row in self._rows)

    def _wrap(self) -> None:
        width = self.room
        self._made_for = width
        if width <= 0:
            return  # not laid out yet; the resize that follows draws it
        self._rows = [
            row for line in self._lines for row in wrap_line(line, width, hang=_hang(line))
        ]
        self.virtual_size = Size(width, len(self._rows))
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self._wrap()

    def render_line(self, y: int) -> Strip:
        at = self.scroll_offset.y + y
        row = self._rows[at] if at < len(self._rows) else []
        return self.paint(row, self.size.width)


def _hang(line: Line) -> int:
    """A wrapped line goes on below its own text, not below its mark."""
    head = line[0][0] if line else ""
    indent = len(head) - len(head.lstrip(" "))
    return min(indent + (2 if head.strip()[:1] in "✓✗○·" and head.strip() else 0), 16)
