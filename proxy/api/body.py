"""Request bodies and queries: bounded, strict JSON, and no text that Postgres or a terminal would
choke on.
"""

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from proxy.api.problems import Refusal, invalid

BODY_BYTES_MAX = 64 * 1024
JSON_NODES_MAX = 20_000
BODY_TIMEOUT_S = 30.0

M = TypeVar("M", bound=BaseModel)


async def read_bounded(request: web.Request, limit: int, timeout_s: float) -> bytes:
    """The body, refused as soon as it is known to be longer than ``limit`` bytes or too slow."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                parts.append(chunk)
    except TimeoutError:
        raise Refusal(408, "too_slow", f"the body did not arrive in {timeout_s:g} s") from None
    return b"".join(parts)


def parse_json(raw: bytes) -> Any:
    """Strict JSON: no NaN, no infinity, no doubled key, no NUL or lone surrogate in any text."""
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Refusal(400, "bad_json", "the body is not valid JSON in UTF-8") from None
    check_values(value)
    return value


def check_values(root: Any) -> None:
    """Walk every value, ``JSON_NODES_MAX`` at most."""
    todo, nodes = [root], 0
    while todo:
        value = todo.pop()
        nodes += 1
        if nodes > JSON_NODES_MAX:
            raise Refusal(422, "invalid", f"more than {JSON_NODES_MAX} values in one body")
        if isinstance(value, str):
            check_text(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise Refusal(422, "invalid", "a number is too large")
        elif isinstance(value, dict):
            todo.extend(value.keys())
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)


def check_text(text: str) -> None:
    if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise Refusal(422, "invalid", "text holds NUL or half a surrogate pair")


def parse_query(model: type[M], pairs: Sequence[tuple[str, str]]) -> M:
    """The pairs as they came, decoded; a parameter given twice is refused."""
    query = dict(pairs)
    if len(query) != len(pairs):
        raise Refusal(422, "invalid", "a query parameter was given twice")
    for name, value in pairs:
        check_text(name)
        check_text(value)
    return validated(model, query)


def validated(model: type[M], value: Any) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(error) from None


def _too_large(limit: int) -> Refusal:
    return Refusal(413, "too_large", f"the body is larger than {limit} bytes")


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made
