"""How an agent speaks: sentences that carry their citations, all foreign text made visible."""

from typing import Literal

from proxy.contract.ask import AskAnswer, Citation
from proxy.contract.base import show_id
from proxy.visible import one_line

EXCERPT_CHARS_MAX = 160
SUGGESTIONS_MAX = 6

CitedKind = Literal["job", "patch", "approval", "anomaly", "route"]
_LETTERS: dict[str, Literal["J", "P", "A"]] = {"job": "J", "patch": "P", "approval": "A"}


def quote(text: str, limit: int = EXCERPT_CHARS_MAX) -> str:
    """Foreign text for the middle of a sentence: one line, visible, clipped with an ellipsis."""
    shown = one_line(text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


class Reply:
    """Collects sentences. An id can only be written by citing it, so none goes uncited."""

    def __init__(self, intent: str) -> None:
        self._intent = intent
        self._lines: list[str] = []
        self._cited: dict[tuple[CitedKind, str], None] = {}
        self._suggested: dict[str, None] = {}

    def cite(self, kind: CitedKind, subject: int | str) -> str:
        """Note the citation and give the words for it: ``J-1``."""
        shown = show_id(_LETTERS[kind], int(subject)) if kind in _LETTERS else quote(str(subject))
        self._cited[(kind, shown)] = None
        return shown

    def job(self, number: int) -> str:
        return self.cite("job", number)

    def patch(self, number: int) -> str:
        return self.cite("patch", number)

    def approval(self, number: int) -> str:
        return self.cite("approval", number)

    def say(self, line: str) -> None:
        self._lines.append(line)

    def suggest(self, *phrases: str) -> None:
        for phrase in phrases:
            self._suggested[phrase] = None

    def answer(self) -> AskAnswer:
        return AskAnswer(
            intent=self._intent,
            answer="\n".join(self._lines),
            citations=[Citation(kind=kind, id=shown) for kind, shown in self._cited],
            suggested=list(self._suggested)[:SUGGESTIONS_MAX],
        )
