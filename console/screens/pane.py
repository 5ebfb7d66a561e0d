"""What every screen of the console has in common: its keys, a widget that takes the focus, and one
way to be drawn."""

from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import Vertical
from textual.widget import Widget

from console.format import Line
from console.keys import Where
from console.state import State
from console.widgets.line_table import LineTable

if TYPE_CHECKING:
    from console.app import ConsoleApp

WIDE = 100
"""From this many columns on, two panes stand beside one another."""


class Pane(Vertical):
    """One screen. ``draw`` is called with a new state, only while the pane is shown."""

    where: ClassVar[Where] = "everywhere"

    def draw(self, state: State) -> None:
        """Every pane draws itself; Textual's metaclass leaves no room for ``abc`` here."""
        raise NotImplementedError

    def first_focus(self) -> Widget:
        """Where the keys go when the screen opens."""
        raise NotImplementedError

    def crumb(self) -> str:
        """What the header says behind the screen's name."""
        return ""

    def copied(self) -> str:
        """What ``y`` copies."""
        return ""

    def about(self) -> str:
        """What ``a`` asks about."""
        return ""

    def back(self) -> bool:
        """``esc``: True when there was something to close here."""
        return False

    def turn(self, by: int) -> bool:
        """``tab``: True when the pane changed its own tab instead of the focus."""
        return False

    def action_open(self) -> None:
        """``enter`` where no list has the focus: the row chosen in the screen's own list."""
        if isinstance(table := self.first_focus(), LineTable):
            table.action_open()

    @property
    def console_app(self) -> "ConsoleApp":
        return cast("ConsoleApp", self.app)

    @property
    def is_wide(self) -> bool:
        return self.app.size.width >= WIDE


def waiting(state: State, what: str, nothing: str) -> list[Line]:
    """Why a list is empty: not loaded yet, could not be loaded, or nothing there."""
    if what in state.failed and what not in state.loaded:
        return [[("✗ ", "bad"), (state.failed[what], "")], [("r tries again", "dim")]]
    if what not in state.loaded:
        return [[("loading …", "dim")]]
    return [[(nothing, "dim")]]
