"""Reading JSON that a stranger wrote:

every accessor gives its type or an empty value, and never raises.
"""

import re
from typing import Any

from proxy.ingest.limits import MESSAGE_CHARS_MAX

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def as_text(value: Any, limit: int = MESSAGE_CHARS_MAX) -> str:
    """Text that Postgres and UTF-8 can hold, at most ``limit`` characters; numbers become text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    try:
        text = str(value)
    except ValueError:  # an integer of more digits than Python prints
        return ""
    return _UNSTORABLE.sub("�", text[:limit])


def as_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1 << 31:
        return 0
    return value


def header(headers: Any, name: str) -> str:
    """One header of an SDK's ``request.headers``, which is an object or a list of pairs."""
    pairs = headers.items() if isinstance(headers, dict) else as_list(headers)
    for pair in pairs:
        if isinstance(pair, tuple | list) and len(pair) == 2 and as_text(pair[0]).lower() == name:
            return as_text(pair[1])
    return ""
