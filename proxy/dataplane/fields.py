"""The grammar of field lines (RFC 9110 section 5, RFC 9112 section 5), as expressions over whole
blocks.

One expression per block keeps the strict check cheap; nothing here knows which field means what.
"""

import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"

_BLOCK = re.compile(rb"(?:" + TOKEN + rb":" + _VALUE + rb"\r\n)*\Z")
_LAST = re.compile(rb"(?:" + TOKEN + rb"(?::" + _VALUE + rb"\r?)?|\r)?\Z")
_LONE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\x00")
TOKEN_ONLY = re.compile(TOKEN + rb"\Z")


def valid_block(block: bytes, *, partial: bool = False) -> bool:
    """True when ``block`` is zero or more field lines, each ``name:value CRLF``; no folding, no
    lone CR or LF.

    ``partial`` allows the last line to be unfinished.
    """
    if not partial:
        return _BLOCK.match(block) is not None
    cut = block.rfind(b"\r\n") + 2
    if cut == 1:
        return _LAST.match(block) is not None
    return _BLOCK.match(block[:cut]) is not None and _LAST.match(block[cut:]) is not None


def first_break(data: bytes) -> int:
    """Where the first line of ``data``, which has no lone break, ends; -1 when it does not yet.

    One byte is sought: that is many times faster than two.
    """
    at = data.find(b"\r")
    return at if at < len(data) - 1 else -1


def has_lone_break(data: bytes, start: int = 0) -> bool:
    """A CR without LF, an LF without CR, or a NUL; a CR at the very end may still get its LF."""
    return _LONE.search(data, start) is not None
