"""Facts as short text: ages, rates, bars, cuts. Pure; knows neither the terminal nor Textual.

A ``Bit`` is a piece of text and the word for its look (``crit``, ``dim``, ``ok`` …); who draws it
chooses the colour. The word and the shape carry the meaning, the colour only repeats it.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

Bit = tuple[str, str]
Line = list[Bit]

SEVERITY_MARK = {"critical": "■CRIT", "high": "▲HIGH", "medium": "●MED", "low": "·low"}
SEVERITY_LOOK = {"critical": "crit", "high": "high", "medium": "medium", "low": "dim"}
SEVERITY_RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3}
STATUS_SHORT = {
    "open": "open",
    "patch_proposed": "patch",
    "sandboxed": "proven",
    "approved": "appr",
    "applied": "watch",
    "resolved": "done",
    "snoozed": "snooz",
    "closed": "closed",
}
STATUS_SAYS = {
    "open": "open, no patch yet",
    "patch_proposed": "patch waits for the sandbox",
    "sandboxed": "patch has been through the sandbox",
    "approved": "approved, not applied",
    "applied": "applied, being watched",
    "resolved": "silent since the patch",
    "snoozed": "snoozed",
    "closed": "closed",
}
_BARS = "▁▂▃▄▅▆▇█"
GAP = "·"
"""A minute without a value: shown as a gap, never as zero."""


@lru_cache(maxsize=4096)
def _char_cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cells(text: str) -> int:
    """Terminal columns ``text`` takes."""
    return len(text) if text.isascii() else sum(map(_char_cells, text))


def cut(text: str, width: int) -> str:
    """At most ``width`` columns, ``…`` for what was left off; line feeds and tabs become blanks."""
    flat = text.replace("\n", " ").replace("\t", " ")
    if cells(flat) <= width:
        return flat
    out, used = [], 0
    for char in flat:
        used += _char_cells(char)
        if used > width - 1:
            break
        out.append(char)
    return "".join(out) + "…" if width > 0 else ""


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Exactly ``width`` columns."""
    short = cut(text, width)
    blank = " " * (width - cells(short))
    return blank + short if right else short + blank


def cut_middle(text: str, width: int) -> str:
    """A route keeps its head and its tail: ``/api/…/{id}``."""
    if cells(text) <= width:
        return text
    if width < 8 or not text.isascii():
        return cut(text, width)
    tail = min(len(text) - text.rfind("/"), width // 2) if "/" in text else width // 2
    return f"{text[: width - tail - 1]}…{text[-tail:]}"


def route_name(method: str | None, route: str | None) -> str:
    return " ".join(part for part in (method, route) if part) or "no route"


def count(number: int) -> str:
    """``3 418``"""
    return f"{number:,}".replace(",", " ")


def counted(number: int, one: str, more: str = "") -> str:
    """``1 entry``, ``2 entries``."""
    return f"{count(number)} {one if number == 1 else more or one + 's'}"


def short_count(number: int) -> str:
    """At most five columns: ``902``, ``12.3k``, ``4.1M``."""
    if number < 10_000:
        return str(number)
    if number < 1_000_000:
        return f"{number / 1000:.1f}k" if number < 100_000 else f"{number // 1000}k"
    return f"{number / 1_000_000:.1f}M"


def ms(value: float | None) -> str:
    """``38 ms``, ``1.2 s``; ``–`` without a value."""
    if value is None:
        return "–"
    if value < 1000:
        return f"{value:.0f} ms"
    return f"{value / 1000:.1f} s" if value < 100_000 else f"{value / 1000:.0f} s"


def percent(share: float | None) -> str:
    if share is None:
        return "–"
    value = share * 100
    return f"{value:.1f}%" if value < 10 and value else f"{value:.0f}%"


def seconds(value: float) -> str:
    """A length of time in its largest sensible unit: ``4 s``, ``11 min``, ``2 h``, ``3 d``."""
    if value < 10:
        return f"{max(value, 0):.1f} s"
    for bound, unit, size in ((90, "s", 1), (5400, "min", 60), (129_600, "h", 3600)):
        if value < bound:
            return f"{value / size:.0f} {unit}"
    return f"{value / 86_400:.0f} d"


def age(at: datetime, now: datetime) -> str:
    """``now``, ``12s``, ``2m``, ``1h``, ``3d``: at most four columns up to 999 days."""
    passed = (now - at).total_seconds()
    if passed < 1:
        return "now"
    for bound, unit, size in ((60, "s", 1), (3600, "m", 60), (86_400, "h", 3600)):
        if passed < bound:
            return f"{passed / size:.0f}{unit}"
    return f"{passed / 86_400:.0f}d"


def ago(at: datetime, now: datetime) -> str:
    """``now``, ``12s ago``."""
    passed = age(at, now)
    return passed if passed == "now" else f"{passed} ago"


def clock_time(at: datetime) -> str:
    """``14:02:31``, in UTC."""
    return at.astimezone(UTC).strftime("%H:%M:%S")


def stamp(at: datetime) -> str:
    """``2026-11-22 14:02:31``, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def bars(values: Sequence[float | None], width: int, *, top: float | None = None) -> str:
    """The last ``width`` values as block characters between 0 and ``top`` (their maximum when
    absent)."""
    kept = list(values)[-width:] if width > 0 else []
    real = [value for value in kept if value is not None]
    high = top if top is not None else max(real, default=0.0)
    return "".join(GAP if value is None else _bar(value, high) for value in kept).rjust(width)


def _bar(value: float, high: float) -> str:
    if high <= 0 or value <= 0:
        return _BARS[0]
    step = int(min(value / high, 1.0) * (len(_BARS) - 1) + 0.5)
    return _BARS[step]


def severity_bit(severity: str) -> Bit:
    return SEVERITY_MARK.get(severity, severity), SEVERITY_LOOK.get(severity, "")


def short_digest(digest: str | None) -> str:
    return digest[:12] if digest else "–"


def environment_badge(environment: str, *, short: bool = False) -> str:
    """``[PRODUCTION]``; words first, the colour comes second."""
    word = (environment or "unknown").upper()
    return f"[{'PROD' if short and word == 'PRODUCTION' else cut(word, 12)}]"


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns, broken at blanks where there are any."""
    out: list[str] = []
    for paragraph in text.replace("\t", "    ").split("\n"):
        out.extend(_wrap_line(paragraph, max(width, 1)))
    return out


def _wrap_line(text: str, width: int) -> Iterable[str]:
    while cells(text) > width:
        room = _fitting(text, width)
        blank = text.rfind(" ", 1, room + 1)
        at = blank if blank > 0 else room
        yield text[:at]
        text = text[at:].removeprefix(" ")
    yield text


def wrap_line(line: Line, width: int, *, hang: int = 0) -> list[Line]:
    """A styled line in rows of at most ``width`` columns; rows after the first are set in by
    ``hang``."""
    width = max(width, 1)
    # A margin as wide as the room would leave no place for the text itself.
    hang = max(min(hang, width // 2, width - 2), 0)
    margin: Line = [(" " * hang, "")] if hang else []
    rows: list[Line] = []
    row: Line = []
    used = 0
    for text, look in line:
        for word in _words(text):
            piece = word
            if used + cells(piece) > width and used > (hang if rows else 0):
                rows.append(row)
                row, used = list(margin), hang
                piece = piece.lstrip(" ")
            while cells(piece) > width - used:
                room = _fitting(piece, width - used)
                if cells(piece[:room]) > width - used and used > hang:
                    room = 0  # a wide character that only fits on a row of its own
                rows.append([*row, (piece[:room], look)])
                row, used = list(margin), hang
                piece = piece[room:]
            if piece:
                row.append((piece, look))
                used += cells(piece)
    return [*rows, row]


def _words(text: str) -> Iterable[str]:
    """Pieces that may not be broken when they fit: each word with the blanks before it."""
    return re.findall(r"\s*\S+|\s+$", text.replace("\n", " ").replace("\t", "    "))


def _fitting(text: str, width: int) -> int:
    """How many characters fit in ``width`` columns; at least one."""
    used = 0
    for index, char in enumerate(text):
        used += _char_cells(char)
        if used > width:
            return max(index, 1)
    return len(text)


def plain(line: Iterable[Bit]) -> str:
    return "".join(text for text, _ in line)
