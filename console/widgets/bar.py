"""One painted line: the head, the foot, and the strip of what must be seen."""

from textual.strip import Strip

from console.format import Line
from console.widgets.painted import Painted


class Bar(Painted, can_focus=False):
    DEFAULT_CSS = "Bar { border: none; height: 1; overflow: hidden; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._line: Line = []

    def show(self, line: Line) -> None:
        if line != self._line:
            self._line = line
            self.refresh()

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self._line)

    def render_line(self, y: int) -> Strip:
        return self.paint(self._line, self.size.width)
