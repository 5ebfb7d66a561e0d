"""Screen 6: the founder's rules and thresholds as they stand. Reads only; they change by a new
version of their own."""

from collections.abc import Iterator
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget

from console.columns import Column
from console.format import stamp
from console.keys import Where
from console.screens.pane import Pane, waiting
from console.state import State
from console.widgets.line_table import LineTable, Row
from console.widgets.painted import bindings

COLUMNS = (Column("key", "key", 40), Column("value", "value", 0))
DEPTH_MAX = 12


def flat(rules: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """``{"a": {"b": 1}}`` → ``a.b 1``."""
    if isinstance(rules, dict) and rules and depth < DEPTH_MAX:
        for key, value in sorted(rules.items()):
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key), depth + 1)
    else:
        shown = {True: "yes", False: "no"}.get(rules) if isinstance(rules, bool) else str(rules)
        yield prefix, shown or ""


class SettingsPane(Pane):
    where: ClassVar[Where] = "settings"
    BINDINGS: ClassVar[list[BindingType]] = bindings("settings")

    def compose(self) -> ComposeResult:
        yield LineTable(COLUMNS, id="settings-table")

    def first_focus(self) -> Widget:
        return self.query_one("#settings-table", LineTable)

    def draw(self, state: State) -> None:
        table = self.query_one("#settings-table", LineTable)
        control = state.control
        if control is not None:
            table.set_title(
                f" Rules and thresholds, version {control.version}, "
                f"by {control.changed_by} at {stamp(control.changed_at)} UTC "
            )
        rows = [
            Row(key, {"key": (key, ""), "value": (value, "title")})
            for key, value in flat(control.rules if control else {})
            if key
        ]
        table.show(rows, waiting(state, "control", "no rule is set; the defaults hold"))
