"""Failures on disk while nobody can store them: what one entry looks like as JSON, and back.

Written by hand because the texts are hostile: half a surrogate pair survives ``json`` and would
stop a validating reader. Knows no file; whoever keeps the lines is handed in.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from proxy.domain.failure import (
    Category,
    Classification,
    Evidence,
    Failure,
    ReplayRequest,
    Severity,
    Signature,
)

Entry = tuple[Failure, Classification, int, tuple[UUID, ...], tuple[int, ...]]
"""A failure, what it is, how many of them, their log rows, and a sketch of who was hit."""


class Shelf(Protocol):
    """Entries on disk: bounded, in order; ``peek`` shows the oldest batch until ``done``."""

    @property
    def rows(self) -> int: ...
    def put(self, rows: Iterable[Entry]) -> bool: ...
    def peek(self) -> Sequence[Entry] | None: ...
    def done(self) -> None: ...


def encode_entry(entry: tuple[Any, ...]) -> dict[str, Any]:
    """JSON-able; bytes as base64, times with their zone, ids as text."""
    failure, classification, count, log_ids, clients = entry
    return {
        "failure": _plain(asdict(failure)),
        "classification": _plain(asdict(classification)),
        "count": count,
        "log_ids": [str(log_id) for log_id in log_ids],
        "clients": list(clients),
    }


def decode_entry(item: Any) -> Entry:
    """The reverse. ``ValueError``, ``KeyError`` or ``TypeError`` for what was written otherwise."""
    failure, said = dict(item["failure"]), dict(item["classification"])
    request = failure.pop("request")
    failure |= {
        "occurred_at": datetime.fromisoformat(failure["occurred_at"]),
        "redirect_chain": tuple(failure["redirect_chain"]),
        "log_id": _id(failure["log_id"]),
        "anomaly_id": _id(failure["anomaly_id"]),
        "request": None if request is None else _request(request),
        # what an earlier version wrote has none
        "severity": Severity(measured) if (measured := failure.get("severity")) else None,
    }
    said |= {
        "category": Category(said["category"]),
        "severity": Severity(said["severity"]),
        "signature": Signature(said["signature"]),
        "evidence": tuple(Evidence(**evidence) for evidence in said["evidence"]),
    }
    log_ids = tuple(UUID(log_id) for log_id in item["log_ids"])
    clients = tuple(int(value) for value in item.get("clients", ()))
    return Failure(**failure), Classification(**said), int(item["count"]), log_ids, clients


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case tuple() | list():
            return [_plain(inner) for inner in value]
        case _:
            return value


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def _request(sent: dict[str, Any]) -> ReplayRequest:
    return ReplayRequest(
        sent["method"],
        sent["target"],
        tuple((name, value) for name, value in sent["headers"]),
        base64.b64decode(sent["body"]),
        sent["truncated"],
        tuple(sent["redacted"]),
    )
