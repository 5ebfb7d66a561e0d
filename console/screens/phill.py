"""Screen 5: ask Phill. His answers link to facts; they navigate, they never decide."""

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input

from console.columns import Column
from console.format import Line
from console.keys import Where
from console.screens.pane import Pane
from console.state import State
from console.widgets.line_table import LineTable, Row
from console.widgets.painted import Sheet, bindings
from proxy.contract.ask import AskAnswer, Citation

TURNS_MAX = 40
SLASH = {
    "/broken": "what's broken?",
    "/explain": "explain",
    "/compare": "compare the patches of",
    "/undo-plan": "how do I undo",
    "/next": "what do I do next?",
}
LINKS = (Column("n", "", 4), Column("what", "", 0))


@dataclass(slots=True)
class Turn:
    asked: str
    answer: AskAnswer | None = None
    failed: str = ""
    took_s: float = 0.0


def spoken(text: str) -> str:
    """A slash command as the question it stands for."""
    head, _, rest = text.strip().partition(" ")
    return f"{SLASH[head]} {rest}".strip() if head in SLASH else text.strip()


def turn_lines(turn: Turn, waiting_s: float | None) -> list[Line]:
    lines: list[Line] = [[("you    ", "dim"), (turn.asked, "title")]]
    if turn.answer is None:
        word = turn.failed or f"thinking {waiting_s or 0:.0f} s · esc to stop"
        return [*lines, [("phill  ", "dim"), (word, "bad" if turn.failed else "dim")], []]
    for index, text in enumerate(turn.answer.answer.split("\n")):
        lines.append([("phill  " if index == 0 else "       ", "dim"), (text, "")])
    source = f"by {turn.answer.model} (AI)" if turn.answer.model else "no model: facts only"
    return [*lines, [(f"       {turn.took_s:.1f} s · {source}", "dim")], []]


class PhillPane(Pane):
    where: ClassVar[Where] = "phill"
    BINDINGS: ClassVar[list[BindingType]] = bindings("phill")

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.turns: list[Turn] = []
        self._links: list[Citation] = []

    def compose(self) -> ComposeResult:
        yield Sheet(id="talk")
        yield LineTable(LINKS, id="links", head=False)
        yield Input(id="ask", placeholder="ask, or /broken /explain P-1 /next")

    def on_mount(self) -> None:
        self.query_one("#talk", Sheet).set_title(" Phill ")
        self.query_one("#links", LineTable).set_title(" Cited: enter opens ")

    def first_focus(self) -> Widget:
        return self.query_one("#ask", Input)

    def draft(self, text: str) -> None:
        self.query_one("#ask", Input).value = text

    @property
    def has_draft(self) -> bool:
        return bool(self.query_one("#ask", Input).value.strip())

    def draw(self, state: State) -> None:
        lines: list[Line] = []
        for turn in self.turns[-TURNS_MAX:]:
            lines += turn_lines(turn, self.console_app.asking.for_s())
        hello: list[Line] = [
            [("Ask what is broken, why, and what to do next.", "")],
            [("Phill reads and explains. Only you decide.", "dim")],
        ]
        self.query_one("#talk", Sheet).show(lines or hello, to_end=True)
        last = self.turns[-1].answer if self.turns else None
        self._links = last.citations if last else []
        rows = [
            Row(str(at), {"n": (f"[{at}]", "link"), "what": (f"{link.kind} {link.id}", "")})
            for at, link in enumerate(self._links, 1)
        ]
        table = self.query_one("#links", LineTable)
        table.show(rows)
        table.display = bool(rows)

    @on(Input.Submitted, "#ask")
    def _asked(self, event: Input.Submitted) -> None:
        text = spoken(event.value)
        if text and self.console_app.asking.ask(text):
            event.input.value = ""

    @on(LineTable.Opened, "#links")
    def _follow(self, event: LineTable.Opened) -> None:
        event.stop()
        self.console_app.follow(self._links[int(event.row) - 1])

    def back(self) -> bool:
        return self.console_app.asking.stop()
