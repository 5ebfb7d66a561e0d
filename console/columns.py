"""How a list shares the width of its pane: fixed columns, one that takes the rest, and an order of
leaving. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from console.format import Bit, Line, cut_middle, pad

GAP = 1
FLEX_MIN = 10
"""Below this the elastic column tells nothing, so another one leaves first."""


@dataclass(frozen=True, slots=True)
class Column:
    """``width`` 0 marks the one elastic column. The highest ``leaves`` goes first, 0 stays."""

    name: str
    title: str
    width: int
    leaves: int = 0
    right: bool = False
    middle: bool = False
    """Cut in the middle: head and tail both matter, as in a route."""


def layout(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """The columns that fit in ``width`` and what each gets."""
    kept = list(columns)
    while _need(kept) > width:
        going = max(kept, key=lambda column: column.leaves)
        if going.leaves == 0:
            break
        kept.remove(going)
    fixed = sum(column.width for column in kept) + GAP * (len(kept) - 1)
    rest = max(1, width - fixed)
    return [(column, column.width or rest) for column in kept]


def _need(columns: Sequence[Column]) -> int:
    return sum(column.width or FLEX_MIN for column in columns) + GAP * (len(columns) - 1)


def heading(places: Sequence[tuple[Column, int]]) -> str:
    return (" " * GAP).join(
        pad(column.title, width, right=column.right) for column, width in places
    )


def row(places: Sequence[tuple[Column, int]], cells: dict[str, Bit]) -> Line:
    """One line, every cell exactly as wide as its column."""
    line: Line = []
    for index, (column, width) in enumerate(places):
        if index:
            line.append((" " * GAP, ""))
        text, look = cells.get(column.name, ("", ""))
        shown = cut_middle(text, width) if column.middle else text
        line.append((pad(shown, width, right=column.right), look))
    return line
