"""Foreign text made safe to look at: every control or invisible character becomes a visible
stand-in.

A terminal obeys ESC and C1 bytes, bidi controls reorder what a person reads, and zero-width marks
make two different words look alike. Line feed and tab stay; ``one_line`` shows those as well, for
log records. Proxy, command line and console all use this one table.
"""

import re

_TROUBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and line feed, DEL, C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen and other unseen marks
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero-width, line separators, bidi controls
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"  # fillers, variation selectors, byte order mark
    "\ud800-\udfff"  # surrogates: what is left of invalid UTF-8
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"  # musical and tag characters
)
_LINES = re.compile("[\t\n]")


def _name(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # Python's surrogateescape: the byte itself is the honest name
        return f"<0x{code - 0xDC00:02X}>"
    return f"<U+{code:04X}>"


def visible(text: str) -> str:
    """``text`` with C0 (but tab and line feed), DEL, C1, bidi, zero-width and surrogates as
    ``<U+202E>``.
    """
    return _TROUBLE.sub(_name, text)


def visible_bytes(data: bytes) -> str:
    """The same for bytes that may not be UTF-8: a byte that does not decode shows as ``<0xFF>``."""
    return visible(data.decode("utf-8", "surrogateescape"))


def one_line(text: str) -> str:
    """``visible`` on one line: tab and line feed show as stand-ins too, so one record stays one
    line.
    """
    return _LINES.sub(_name, visible(text))
