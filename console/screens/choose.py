"""One row out of a few. Choosing does nothing by itself: what follows asks again."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from console.columns import Column
from console.widgets.line_table import LineTable, Row


class ChooseScreen(ModalScreen[str | None]):
    """Dismisses with the id of the row, or with None."""

    BINDINGS = [("escape", "leave", "")]

    def __init__(self, title: str, rows: list[tuple[str, str]]) -> None:
        super().__init__()
        self._heading = title
        self._rows = rows

    def compose(self) -> ComposeResult:
        with Vertical(id="choose"):
            yield LineTable((Column("text", "", 0),), id="choices", head=False)

    def on_mount(self) -> None:
        table = self.query_one("#choices", LineTable)
        table.set_title(f" {self._heading} (enter chooses, esc does nothing) ")
        table.show([Row(row_id, {"text": (text, "")}) for row_id, text in self._rows])
        table.focus()

    @on(LineTable.Opened)
    def _chosen(self, event: LineTable.Opened) -> None:
        event.stop()
        _ = self.dismiss(event.row)  # awaited here it would wait for itself

    @on(LineTable.Moved)
    def _moved(self, event: LineTable.Moved) -> None:
        event.stop()

    def action_leave(self) -> None:
        _ = self.dismiss(None)  # as above
