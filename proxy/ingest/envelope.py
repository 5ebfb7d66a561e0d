"""The envelope of the Sentry protocol: a header line, then items, each a header line and a payload.

Pure: bytes in, items out. It knows the framing and nothing of what an event says. An item's
``length`` is in bytes; without it the payload ends at the next newline.
"""

import json
from dataclasses import dataclass
from typing import Any

from proxy.ingest.faults import Malformed, TooLarge
from proxy.ingest.limits import ITEMS_MAX


@dataclass(frozen=True, slots=True)
class Item:
    type: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    header: dict[str, Any]
    items: tuple[Item, ...]


def load_object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object, or ``Malformed``: also for JSON nested deeper than the parser can follow."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed(f"{what} is not readable JSON") from None
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not a JSON object")
    return value


def parse_envelope(data: bytes) -> Envelope:
    """Split an expanded envelope. Raises ``Malformed`` or ``TooLarge``, nothing else."""
    line, position = _line(data, 0)
    header = load_object(line, "the envelope header")
    items: list[Item] = []
    while position < len(data):
        line, position = _line(data, position)
        if not line.strip():
            continue
        if len(items) == ITEMS_MAX:
            raise TooLarge(f"an envelope holds at most {ITEMS_MAX} items")
        item = load_object(line, "an item header")
        payload, position = _payload(data, position, item.get("length"))
        items.append(Item(_type(item), payload))
    return Envelope(header, tuple(items))


def _line(data: bytes, start: int) -> tuple[bytes, int]:
    end = data.find(b"\n", start)
    end = len(data) if end < 0 else end
    return data[start:end], end + 1


def _payload(data: bytes, start: int, length: Any) -> tuple[bytes, int]:
    if length is None:
        return _line(data, start)
    # bool is an int in Python, and `true` is no length
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        raise Malformed("an item's length is not a number of bytes")
    end = start + length
    if end > len(data) or (end < len(data) and data[end : end + 1] != b"\n"):
        raise Malformed("an item's length does not fit its payload")
    return data[start:end], end + 1


def _type(header: dict[str, Any]) -> str:
    kind = header.get("type")
    return kind if isinstance(kind, str) and len(kind) <= 64 else "unknown"
