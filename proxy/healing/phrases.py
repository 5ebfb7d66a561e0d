"""The little language rules are written in, compiled to patterns that cannot run away.

A phrase is plain text, matched without regard to letter case, at word edges:

=========  =======================================================================
`` ``      one to eight blanks
``'``      any quote, or none:  ``relation '@' does not exist``
``@``      a name: letters, digits, ``_ $ . - : [ ]``
``#``      a number
``...``    a gap of at most 80 characters on one line
``~``      any further word characters: ``timeout~``
``(a|b)``  one of these, plain text only; ``(a|)`` makes it optional; without ``|`` plain brackets
``^``      at the start of a line (first character only), after a wrapper such as ``Error:``
``$``      at the end of a line (last character only)
``\\x``    the sign ``x`` itself
=========  =======================================================================

There is no way to nest a repetition, and each phrase is tried only in a window around its rarest
word, so the
cost of a phrase is bounded whatever the text. ``compile_phrase`` raises ``ValueError`` for what
it cannot read.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

WINDOW = 420
"""Characters before and after the anchor word that one attempt reads at most; a phrase reads no
further than its own longest match.
"""
TRIES_MAX = 6
"""Places of the anchor word around which a pattern is looked for."""
STARTS_MAX = 12
"""Places of the anchor word at which a phrase that begins with it is tried: far cheaper."""
GAPS_MAX = 2
PHRASE_CHARS_MAX = 400
PREFIX_CHARS = 4
"""A phrase without a whole word is found by the opening letters of a word; so many it must have."""
_WORD = re.compile(r"\w+", re.ASCII)
_SIGN = re.compile(r"['@#~\\]|\.\.\.|\([^)]*\|")
_EDGE_START, _EDGE_END = r"(?<![a-z0-9_])", r"(?![a-z0-9_])"
_LINE_START = (
    r"(?:(?<=\n)|(?<![\s\S]))[^\na-z]{0,40}"
    r"(?:(?:uncaught|unhandled|error|fatal|exception|warning|"
    r"[a-z0-9_.]{1,60}(?:error|exception)):? ?)?['\"]?"
)
_SIGNS = {
    " ": r"\s{1,8}",
    "'": r"[\\\"'`?]{0,3}",
    "@": r"[\w$.:\[\]*-]{1,80}",
    "#": r"\d{1,12}(?:[.,]\d{1,6})?",
    "~": r"\w{0,40}",
}
_MOST = {" ": 8, "'": 4, "@": 80, "#": 20, "~": 40, "...": 80}
"""Characters a sign stands for at most."""


@dataclass(frozen=True, slots=True)
class Phrase:
    source: str
    regex: str
    """Empty for plain text, which is searched as it stands: far cheaper, and most phrases are
    plain.
    """
    anchor: str
    """The word by which the phrase is found: it stands whole in every match, or opens a word
    (``opens``).
    """
    need: frozenset[str]
    """Words that every match contains."""
    opens: bool
    """True when the anchor is the beginning of a longer word, as in ``timeout~``."""
    cost: int
    """What one attempt counts for in a budget."""
    reach: int = WINDOW
    """Characters of its longest match, at most ``WINDOW``."""
    leads: bool = False
    """True when every match begins with the anchor, so that it is tried at one place only."""

    def find(self, low: str) -> tuple[int, int] | None:
        """Offsets of the first match in lowered text whose runs of blanks are one, or None."""
        return self._find_pattern(low) if self.regex else self._find_plain(low)

    def _find_plain(self, low: str) -> tuple[int, int] | None:
        text = self.source
        size = len(text)
        at = -1
        for _ in range(STARTS_MAX):
            at = low.find(text, at + 1)
            if at < 0:
                return None
            if not (at and _wordy(text[0]) and _wordy(low[at - 1])) and not (
                _wordy(text[-1]) and _wordy(low[at + size : at + size + 1])
            ):
                return at, at + size
        return None

    def _find_pattern(self, low: str) -> tuple[int, int] | None:
        pattern = _compiled(self.regex)
        right = 0
        for _ in range(STARTS_MAX if self.leads else TRIES_MAX):
            at = low.find(self.anchor, right)
            if at < 0:
                return None
            right = at + len(self.anchor)
            if self.leads:
                match = pattern.match(low, at, right + self.reach)
            else:
                right += self.reach
                match = pattern.search(low, max(0, at - self.reach), right)
            if match is not None:
                return match.span()
        return None


@cache
def _compiled(regex: str) -> re.Pattern[str]:
    """Compiled when first tried: thousands of patterns at start-up would cost seconds."""
    return re.compile(regex, re.ASCII)


def compile_phrase(source: str) -> Phrase:
    text = source.strip().lower()
    if not 2 <= len(text) <= PHRASE_CHARS_MAX:
        raise ValueError(f"{source!r}: a phrase has 2 to {PHRASE_CHARS_MAX} characters")
    at_start, at_end = text.startswith("^"), text.endswith("$") and not text.endswith("\\$")
    body = text[1 if at_start else 0 : len(text) - 1 if at_end else len(text)]
    if not (at_start or at_end or _SIGN.search(body)):
        words = frozenset(_WORD.findall(body))
        if not words:
            raise ValueError(f"{source!r}: needs at least one word")
        return Phrase(body, "", _rarest(words), words, opens=False, cost=1)
    pattern, plain, gaps = _translate(body, source)
    if gaps > GAPS_MAX:
        raise ValueError(f"{source!r}: at most {GAPS_MAX} gaps")
    need = frozenset(_whole_words(plain))
    head = _WORD.match(plain)
    # found by the part of a word it opens with: rarer than the "error" behind it
    opens = head is not None and head[0] not in need and len(head[0]) >= PREFIX_CHARS
    if not need and not opens:
        raise ValueError(
            f"{source!r}: needs a whole word outside ( ) @ # and ~, "
            f"or opens with {PREFIX_CHARS} letters"
        )
    anchor = head[0] if head is not None and opens else _rarest(need)
    before = _LINE_START if at_start else _EDGE_START if _wordy(body[0]) else ""
    after = r"[^\na-z0-9]{0,20}(?=\n|$|\Z)" if at_end else _EDGE_END if _wordy(body[-1]) else ""
    return Phrase(
        source=text,
        regex=before + pattern + after,
        anchor=anchor,
        need=need,
        opens=opens,
        cost=4,
        reach=min(WINDOW, _longest(body, at_start, at_end)),
        leads=not at_start and head is not None and head[0] == anchor,
    )


def _longest(body: str, at_start: bool, at_end: bool) -> int:
    """No match is longer: every sign counted with its most, and the edges of the line."""
    most = len(body) + sum(body.count(sign) * chars for sign, chars in _MOST.items())
    return most + 120 * at_start + 24 * at_end


def _rarest(words: Iterable[str]) -> str:
    """Long words are rarer than short ones, digits rarer than letters; the word itself breaks
    ties.
    """
    return max(words, key=lambda word: (len(word) + 2 * any(c.isdigit() for c in word), word))


def _wordy(char: str) -> bool:
    return char.isalnum() or char == "_"


def _translate(body: str, source: str) -> tuple[str, str, int]:
    """``(regular expression, the phrase with every sign as a hole, number of gaps)``."""
    out: list[str] = []
    plain: list[str] = []
    gaps = 0
    at = 0
    while at < len(body):
        char = body[at]
        if body.startswith("...", at):
            out.append(r"[^\n]{0,80}?")
            plain.append("\x00")
            gaps += 1
            at += 3
        elif char == "(" and "|" in (inside := body[at + 1 : max(body.find(")", at), 0)]):
            if "(" in inside:
                raise ValueError(f"{source!r}: ( ) holds plain alternatives, (a|b), not groups")
            parts = [
                _translate(option, source)[0] if option else "" for option in inside.split("|")
            ]
            out.append("(?:" + "|".join(parts) + ")")
            plain.append("\x00")
            at += len(inside) + 2
        elif char == "\\" and at + 1 < len(body):
            out.append(re.escape(body[at + 1]))
            plain.append(body[at + 1])
            at += 2
        elif char in _SIGNS:
            out.append(_SIGNS[char])
            between = 0 < at < len(body) - 1 and _wordy(body[at - 1]) and _wordy(body[at + 1])
            plain.append(" " if char == " " or (char == "'" and not between) else "\x00")
            at += 1
        else:
            out.append(re.escape(char))
            plain.append(char)
            at += 1
    return "".join(out), "".join(plain), gaps


def _whole_words(plain: str) -> set[str]:
    """Words whose neighbours are fixed signs, so that they stand alone in the text too."""
    words = set()
    for match in _WORD.finditer(plain):
        left = plain[match.start() - 1] if match.start() else " "
        right = plain[match.end()] if match.end() < len(plain) else " "
        if "\x00" not in (left, right):
            words.add(match[0])
    return words
