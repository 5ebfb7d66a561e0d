"""Where the plain commands write: facts to stdout, words to stderr. Text that came from outside
is visible already.
"""

import shutil
import sys
from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from console.format import cells, cut, pad


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A word for the person, never part of the data."""
    sys.stderr.write(text + "\n")


def as_json(model: BaseModel) -> str:
    """One line, ASCII only: no terminal can be moved by it."""
    import json

    return json.dumps(model.model_dump(mode="json"), ensure_ascii=True)


def lines(models: Iterable[BaseModel]) -> None:
    """One JSON document a line."""
    for model in models:
        say(as_json(model))


def width() -> int | None:
    """Columns of the terminal; None when nobody looks at one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(head: Sequence[str], rows: Iterable[Sequence[str]], elastic: int) -> None:
    """Left-aligned columns; on a terminal the column ``elastic`` gives way so that a row stays
    one line.
    """
    body = [[cell.replace("\n", " ").replace("\t", " ") for cell in row] for row in rows]
    sizes = [max(cells(row[i]) for row in [list(head), *body]) for i in range(len(head))]
    room = width()
    if room is not None:
        others = sum(sizes) - sizes[elastic] + 2 * (len(sizes) - 1)
        sizes[elastic] = max(8, min(sizes[elastic], room - others))
    for row in [list(head), *body]:
        line = "  ".join(pad(cell, size) for cell, size in zip(row, sizes, strict=True)).rstrip()
        say(line if room is None else cut(line, room))
