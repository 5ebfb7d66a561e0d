"""One row that another program wrote into ``observability_logs`` or ``observability_anomalies`` →
one ``Failure``.

Knows the columns, and that any of them may be missing or hold nonsense; nothing of where rows come
from and what becomes of them. Text leaves here redacted.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from proxy.domain.failure import Failure, Severity
from proxy.ingest.event import Context, url_path

TEXT_CHARS_MAX = 65536
AHEAD_S_MAX = 300.0
"""A writer's clock may run ahead this far; beyond it the moment is ours."""
_SERVICE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
_METHOD = re.compile(r"^[A-Za-z]{1,20}$")
_TRACE = re.compile(r"^[0-9a-f]{32}$")
_WITH_METHOD = re.compile(r"^([A-Za-z]{1,20})[: ](/.*)$", re.DOTALL)
"""``GET:/orders``, as the older tables name a route."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """``severity`` is what the writer itself said, where it said something we know."""

    failure: Failure
    severity: Severity | None = None


def log_failure(
    row: Mapping[str, Any], context: Context, client_key: Callable[[str], str | None]
) -> Adopted | None:
    """None for a row that tells of no failure. Never raises, whatever the columns hold.

    ``client_key`` turns the row's ``user_id`` into the keyed hash that is stored of it.
    """
    status = _status(row.get("status_code"))
    message, stack = _text(row.get("error_message")), _text(row.get("error_stack"))
    if not message and not stack and (status or 0) < 400:
        return None
    method, route = _place(row.get("method"), row.get("route_path"))
    return Adopted(
        Failure(
            service=_service(row, context),
            environment=context.environment,
            occurred_at=_when(row, context.now),
            message=context.clean(message or _first_line(stack) or _status_words(status)),
            source_kind="server",
            method=method,
            route=context.clean_or_none(route),
            status=status,
            stack=context.clean_or_none(stack),
            latency_ms=_number(row.get("latency_ms")),
            trace_id=_trace(row.get("trace_id")),
            log_id=_uuid(row.get("id")),
            client=client_key(_text(row.get("user_id"))),
            origin="adopted",
        )
    )


def anomaly_failure(row: Mapping[str, Any], context: Context) -> Adopted | None:
    """None for a row without a word about what it is."""
    kind, description = _text(row.get("type")), _text(row.get("description"))
    if not kind and not description:
        return None
    method, route = _place(row.get("method"), row.get("route"))
    numbers = _numbers(row)
    is_slow = kind == "latency_spike"
    said = kind.replace("_", " ") + (
        f" on {method or ''} {route}".replace("  ", " ") if route else ""
    )
    if description:
        said = f"{said}: {description}" if kind else description
    word = _text(row.get("severity")).lower()
    return Adopted(
        Failure(
            service=_service(row, context),
            environment=context.environment,
            occurred_at=_when(row, context.now),
            message=context.clean(said),
            source_kind="server",
            method=method,
            route=context.clean_or_none(route),
            latency_ms=numbers[0] if is_slow else None,
            latency_budget_ms=numbers[1] if is_slow else None,
            anomaly_id=_uuid(row.get("id")),
            origin="adopted",
        ),
        Severity(word) if word in set(Severity) else None,
    )


def _text(value: Any) -> str:
    return value[:TEXT_CHARS_MAX].strip() if isinstance(value, str) else ""


def _first_line(stack: str) -> str:
    return next((line.strip() for line in stack.splitlines() if line.strip()), "")


def _status_words(status: int | None) -> str:
    try:
        return f"{status} {HTTPStatus(status or 0).phrase}"
    except ValueError:
        return str(status or "")


def _status(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and 100 <= number <= 999 else None


def _number(value: Any) -> float | None:
    """A finite number of any spelling: the columns arrive as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < 1e12 else None


def _numbers(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """(observed, baseline) in milliseconds: their own columns, else words of ``metrics``."""
    found = _number(row.get("observed")), _number(row.get("baseline"))
    if found != (None, None):
        return found
    try:
        metrics = json.loads(_text(row.get("metrics")) or "{}")
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(metrics, dict):
        return None, None
    return _first(metrics, "observed", "current", "latency_ms"), _first(
        metrics, "baseline", "mean", "expected"
    )


def _first(metrics: dict[str, Any], *names: str) -> float | None:
    return next((n for name in names if (n := _number(metrics.get(name))) is not None), None)


def _place(method: Any, route: Any) -> tuple[str | None, str | None]:
    word, path = _text(method), _text(route)[:2048]
    if match := _WITH_METHOD.match(path):
        word, path = match[1], match[2]
    return (word.upper() if _METHOD.match(word) else None), url_path(path)


def _service(row: Mapping[str, Any], context: Context) -> str:
    name = _text(row.get("service"))
    return name if _SERVICE.match(name) else context.service


def _trace(value: Any) -> str | None:
    text = _text(value).lower().replace("-", "")
    return text if _TRACE.match(text) else None


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(_text(value))
    except ValueError:
        return None


def _when(row: Mapping[str, Any], now: datetime) -> datetime:
    for name in ("created_at", "detected_at"):
        try:
            at = datetime.fromisoformat(_text(row.get(name)))
            at = at.replace(tzinfo=at.tzinfo or UTC)
            return now if (at - now).total_seconds() > AHEAD_S_MAX else at
        except (ValueError, OverflowError):
            continue
    return now
