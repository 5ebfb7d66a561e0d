"""Views of hostile text: cut, folded to ASCII, HTML and JSON escapes undone, and split into words.

Everything after this module reads only a ``View``; nothing here knows what any word means.
"""

import re
from dataclasses import dataclass

FIELD_CHARS_MAX = 16384
"""No field is read further than this."""
_FOLDS = (
    ("\u2018", "'"), ("\u2019", "'"), ("\u201c", '"'), ("\u201d", '"'), ("\u00b4", "'"),
    ("\u2013", "-"), ("\u2014", "-"), ("\u2026", "..."), ("\u00a0", " "), ("\u2192", ">"),
)  # fmt: skip
_ENTITIES = (
    ("&quot;", '"'), ("&#34;", '"'), ("&#x22;", '"'), ("&#39;", "'"), ("&#x27;", "'"),
    ("&apos;", "'"),
    ("&#039;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&#96;", "`"), ("&amp;", "&"),
)  # fmt: skip
_SPLIT = bytes(c if (chr(c).isalnum() and c < 128) or c == 0x5F else 0x20 for c in range(256))
WORDS_MAX = 320
"""Distinct words of one field; a real error page of 6 KiB has below 300."""
READ_MAX = 800
"""Words of one field, those that come again included."""
_BLANKS = re.compile(r"[ \t]{2,}")
_ANSI = re.compile(r"\x1b\[[0-9;?]{0,16}[A-Za-z]")


@dataclass(frozen=True, slots=True)
class View:
    """One field as the rules see it. ``text`` keeps case for excerpts; ``low`` has the same
    offsets.
    """

    field: str
    text: str
    low: str
    words: frozenset[str]
    order: tuple[str, ...]
    """The distinct words in order of first sight; sets alone would depend on the hash seed."""


def view(field: str, raw: str) -> View:
    text = fold(raw)
    low = text.lower()
    split = low.encode("ascii", "replace").translate(_SPLIT).decode("ascii").split(None, READ_MAX)
    order = tuple(dict.fromkeys(split[:READ_MAX]))[:WORDS_MAX]
    return View(field, text, low, frozenset(order), order)


def fold(raw: str) -> str:
    """First 16 KiB, one character per character afterwards ASCII, so that offsets hold in
    ``low``.
    """
    text = raw[:FIELD_CHARS_MAX]
    if not text.isascii():
        for odd, plain in _FOLDS:
            text = text.replace(odd, plain)
        text = text.encode("ascii", "replace").decode("ascii")
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    if "&" in text and ";" in text:
        for entity, plain in _ENTITIES:
            text = text.replace(entity, plain)
    if "\\n" in text and "{" in text:
        text = text.replace("\\r\\n", "\n").replace("\\n", "\n")
    if "  " in text or "\t" in text:
        text = _BLANKS.sub(" ", text)
    return text


def line_at(text: str, start: int, end: int, width: int = 240) -> str:
    """The line around ``text[start:end]``, at most ``width`` characters to either side."""
    left = text.rfind("\n", max(0, start - width), start) + 1 or max(0, start - width)
    right = text.find("\n", end, end + width)
    return text[left : right if right >= 0 else end + width].strip()
