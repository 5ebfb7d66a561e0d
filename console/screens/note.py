"""A page of text over the screen: keys, problems, one record. ``esc`` closes it; it can do nothing
else."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen

from console.format import Line
from console.widgets.painted import Sheet


class NoteScreen(ModalScreen[None]):
    BINDINGS = [
        Binding("escape,q,question_mark,exclamation_mark,enter", "dismiss_note", show=False)
    ]

    def __init__(self, title: str, lines: list[Line]) -> None:
        super().__init__()
        self._heading = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        yield Sheet(id="note")

    def on_mount(self) -> None:
        sheet = self.query_one("#note", Sheet)
        sheet.set_title(f" {self._heading} (esc closes) ")
        sheet.show(self._lines)
        sheet.focus()

    def action_dismiss_note(self) -> None:
        _ = self.dismiss(None)  # awaited here it would wait for itself
