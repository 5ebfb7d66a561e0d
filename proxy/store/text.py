"""Hostile text on its way into Postgres: no NUL, no lone surrogate, no more than its column's
bound.
"""

from typing import Any, overload

_REPLACEMENT = "\ufffd"


@overload
def clip(text: str, most: int) -> str: ...
@overload
def clip(text: None, most: int) -> None: ...
@overload
def clip(text: str | None, most: int) -> str | None: ...
def clip(text: str | None, most: int) -> str | None:
    """At most ``most`` characters that Postgres takes; what it refuses becomes U+FFFD."""
    return None if text is None else storable(text[:most])


def storable(text: str) -> str:
    if "\0" in text:
        text = text.replace("\0", _REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_REPLACEMENT if "\ud800" <= c <= "\udfff" else c for c in text)
    return text


def jsonable(value: Any) -> Any:
    """The same JSON value with every text and key made storable."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(str(k)): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    return value
