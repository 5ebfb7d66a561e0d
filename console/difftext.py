"""A unified diff as lines that can be drawn: numbers, signs, changed words, visible blanks. Pure.

Refuses nothing: what cannot be read as a diff is shown as it is, and what is too long to be read is
folded into a line that says so and stays unseen until it is opened.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from console.format import Line, cells, wrap

Kind = Literal["file", "hunk", "same", "add", "del", "note", "fold"]

FILE_LINES_MAX = 2000
"""A file's change longer than this is folded."""

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)$")
_NUMBER_CELLS = 4
GUTTER = 2 * _NUMBER_CELLS + 5


@dataclass(frozen=True, slots=True)
class DiffLine:
    """``hunk`` is -1 outside of hunks; ``bold`` is the changed part (from, to) of ``text``."""

    kind: Kind
    text: str
    hunk: int = -1
    old: int | None = None
    new: int | None = None
    bold: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Diff:
    lines: tuple[DiffLine, ...]
    hunks: int
    files: int
    added: int
    removed: int


@dataclass(slots=True)
class _Reader:
    out: list[DiffLine] = field(default_factory=list)
    hunk: int = -1
    hunks: int = 0
    files: int = 0
    old: int = 0
    new: int = 0
    old_left: int = 0
    new_left: int = 0

    @property
    def inside(self) -> bool:
        return self.old_left > 0 or self.new_left > 0

    def line(self, text: str) -> None:
        if self.inside and text[:1] in (" ", "+", "-", ""):
            self._body(text)
        elif match := _HUNK.match(text):
            self._open(match, text)
        elif text.startswith("diff --git ") or (
            text.startswith("--- ") and not self._after_header()
        ):
            self._file(text)
        elif text.startswith(("Binary files ", "GIT binary patch")):
            self.hunk, self.hunks = self.hunks, self.hunks + 1
            self.out.append(DiffLine("fold", "binary content, not shown", self.hunk))
        elif text:
            self.out.append(DiffLine("note", text))

    def _after_header(self) -> bool:
        last = next((line for line in reversed(self.out) if line.kind != "note"), None)
        return last is not None and last.kind == "file"

    def _file(self, text: str) -> None:
        self.files += 1
        self.hunk = -1
        name = text.removeprefix("diff --git ").removeprefix("--- ")
        self.out.append(DiffLine("file", name.rpartition(" b/")[2] or name))

    def _open(self, match: re.Match[str], text: str) -> None:
        self.hunk, self.hunks = self.hunks, self.hunks + 1
        self.old, self.new = int(match[1]), int(match[3])
        self.old_left = int(match[2]) if match[2] is not None else 1
        self.new_left = int(match[4]) if match[4] is not None else 1
        self.out.append(DiffLine("hunk", text, self.hunk))

    def _body(self, text: str) -> None:
        sign, rest = text[:1] or " ", text[1:]
        old = self.old if sign != "+" else None
        new = self.new if sign != "-" else None
        kind: Kind = {"+": "add", "-": "del"}.get(sign, "same")  # type: ignore[assignment] # a closed table
        self.out.append(DiffLine(kind, rest, self.hunk, old, new))
        if old is not None:
            self.old, self.old_left = self.old + 1, self.old_left - 1
        if new is not None:
            self.new, self.new_left = self.new + 1, self.new_left - 1


def parse_diff(diff: str | None, sql: str | None = None) -> Diff:
    """Hunks are numbered over all files; a SQL migration is one more hunk, all of it added."""
    reader = _Reader()
    for text in (diff or "").removesuffix("\n").split("\n") if diff else ():
        reader.line(text)
    if sql:
        _read_sql(reader, sql)
    lines = _emphasised(reader.out)
    return Diff(
        lines=tuple(lines),
        hunks=reader.hunks,
        files=reader.files,
        added=sum(line.kind == "add" for line in lines),
        removed=sum(line.kind == "del" for line in lines),
    )


def _read_sql(reader: _Reader, sql: str) -> None:
    reader.files += 1
    number, reader.hunks = reader.hunks, reader.hunks + 1
    reader.out.append(DiffLine("file", "SQL migration"))
    for at, text in enumerate(sql.removesuffix("\n").split("\n"), 1):
        reader.out.append(DiffLine("add", text, number, None, at))


def fold(diff: Diff, opened: frozenset[int] = frozenset()) -> Diff:
    """Files with more than ``FILE_LINES_MAX`` lines as one line each, unless their hunks are
    ``opened``."""
    out: list[DiffLine] = []
    for group in _files(diff.lines):
        first = next((line.hunk for line in group if line.hunk >= 0), -1)
        if len(group) <= FILE_LINES_MAX or first in opened:
            out.extend(group)
        else:
            hidden = f"{len(group) - 1} lines hidden; enter shows them"
            out.append(group[0])
            out.append(DiffLine("fold", hidden, first))
    return replace(diff, lines=tuple(out))


def _files(lines: tuple[DiffLine, ...]) -> Iterator[list[DiffLine]]:
    group: list[DiffLine] = []
    for line in lines:
        if line.kind == "file" and group:
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _emphasised(lines: list[DiffLine]) -> list[DiffLine]:
    """Where as many lines went as came, each pair shows which part of it changed."""
    out = list(lines)
    at = 0
    while at < len(out):
        gone = _stretch(out, at, "del")
        came = _stretch(out, at + gone, "add")
        if gone and gone == came:
            for i in range(at, at + gone):
                out[i], out[i + gone] = _pair(out[i], out[i + gone])
        at += max(gone + came, 1)
    return out


def _stretch(lines: list[DiffLine], at: int, kind: Kind) -> int:
    end = at
    while end < len(lines) and lines[end].kind == kind:
        end += 1
    return end - at


def _pair(gone: DiffLine, came: DiffLine) -> tuple[DiffLine, DiffLine]:
    a, b = gone.text, came.text
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    return (
        replace(gone, bold=(head, len(a) - tail)),
        replace(came, bold=(head, len(b) - tail)),
    )


def with_blanks(text: str) -> str:
    """Tabs as ``→``, blanks at the end as ``·``: what the eye would miss."""
    kept = text.rstrip(" ")
    return (kept + "·" * (len(text) - len(kept))).replace("\t", "→   ")


_LOOKS: dict[Kind, str] = {
    "file": "title",
    "hunk": "hunk",
    "same": "",
    "add": "add",
    "del": "del",
    "note": "dim",
    "fold": "high",
}
_SIGNS: dict[Kind, str] = {"add": "+", "del": "-"}


def draw(line: DiffLine, width: int) -> list[Line]:
    """The rows one diff line takes at ``width``; nothing is ever cut off."""
    look = _LOOKS[line.kind]
    if line.kind in ("file", "hunk", "note", "fold"):
        mark = "▸ " if line.kind == "fold" else ""
        return [[(part, look)] for part in wrap(mark + line.text, width)]
    numbers = f"{line.old or '':>{_NUMBER_CELLS}} {line.new or '':>{_NUMBER_CELLS}} "
    sign = _SIGNS.get(line.kind, " ")
    room = max(width - GUTTER, 8)
    rows: list[Line] = []
    for index, part in enumerate(_pieces(line, room, look)):
        gutter = numbers if index == 0 else " " * len(numbers)
        rows.append([(gutter, "dim"), (f"{sign} ", look), *part])
    return rows


def _pieces(line: DiffLine, room: int, look: str) -> Iterator[Line]:
    """``text`` in rows of at most ``room`` columns, the changed part bold."""
    start, end = line.bold or (0, 0)
    row: Line = []
    used = 0
    for at, char in enumerate(line.text):
        shown = with_blanks(char) if char == "\t" else char
        if char == " " and not line.text[at:].strip(" ") and line.kind != "same":
            shown = "·"
        style = f"{look}-word" if start <= at < end and look else look
        width = cells(shown)
        if used + width > room:
            yield row
            row, used = [], 0
        if row and row[-1][1] == style:
            row[-1] = (row[-1][0] + shown, style)
        else:
            row.append((shown, style))
        used += width
    yield row
