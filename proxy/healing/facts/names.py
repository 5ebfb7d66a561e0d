"""Names that errors give themselves, split into their words: ``TokenExpiredError`` is token,
expired, error; ``CONNECTION_POOL_TIMEOUT`` and ``"code":"otp-expired"`` likewise.

A framework nobody has heard of still names its errors in the field's own words.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proxy.healing.facts.text import View

NAMES_MAX = 12
CHARS_MAX = 1024
"""Of a field: names stand near the beginning."""
PARTS_MAX = 8
_NAME = re.compile(
    r"(?<![A-Za-z0-9])(?:[A-Z][A-Za-z0-9]{2,60}(?:Error|Exception|Failure|Fault|Violation|Timeout|"
    r"Denied|Expired|Failed|Invalid|Rejected|Exceeded)|[A-Z][A-Z0-9]{1,20}(?:_[A-Z0-9]{1,20}){1,6})"
    r"(?![A-Za-z0-9])"
)
_CODE = re.compile(
    r"\"(?:code|type|error|errorcode|errortype|error_code|reason|kind|name)\" ?: ?"
    r"\"([a-z][a-z0-9]{1,20}(?:[-_./:][a-z0-9]{1,20}){1,6})\""
)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@dataclass(frozen=True, slots=True)
class Name:
    """``parts`` in lower case, without order."""

    parts: frozenset[str]
    field: str
    excerpt: str


class Names:
    """Those of all fields, found when first asked for: a text that a phrase has decided is never
    asked.
    """

    __slots__ = ("_found", "_views")

    def __init__(self, views: Sequence[View]) -> None:
        self._views = views
        self._found: tuple[Name, ...] | None = None

    def __iter__(self) -> Iterator[Name]:
        if self._found is None:
            self._found = tuple(name for view in self._views for name in find_names(view))
        return iter(self._found)


def find_names(view: View) -> tuple[Name, ...]:
    """At most ``NAMES_MAX`` of a field, in order of sight."""
    head = view.text[:CHARS_MAX]
    found: dict[str, None] = {}
    for match in _NAME.finditer(head):
        found[match[0]] = None
        if len(found) >= NAMES_MAX:
            break
    if '"' in head:
        for match in _CODE.finditer(view.low, 0, CHARS_MAX):
            if len(found) >= NAMES_MAX:
                break
            found[match[1]] = None
    return tuple(Name(_parts(name), view.field, name) for name in found)


def _parts(name: str) -> frozenset[str]:
    return frozenset(part.lower() for part in _PART.findall(name)[:PARTS_MAX])
