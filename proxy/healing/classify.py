"""The body of ``selfheal classify``: JSON lines in, one classification per line out. No database,
no network.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

from proxy.domain.failure import Failure, SourceKind
from proxy.healing.classifier import ErrorClassifier
from proxy.visible import one_line

LINE_CHARS_MAX = 1 << 20
_KINDS: dict[str, SourceKind] = {"server": "server", "browser": "browser", "http": "http"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def run_classify(
    lines: Iterable[str], classifier: ErrorClassifier, out: TextIO, err: TextIO
) -> int:
    """Exit code: 0 when every line was classified, 1 when some were not; those are named on
    ``err``.
    """
    bad = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = _record(line)
            found = classifier.classify(failure_from(record))
        except ValueError as error:
            bad += 1
            err.write(f"line {number}: {one_line(str(error))}\n")
            continue
        answer = {
            "id": record.get("id", str(number)),
            "category": found.category.value,
            "severity": found.severity.value,
            "signature": found.signature,
            "signature_text": found.signature_text,
            "rule": found.rule,
            "evidence": [str(item) for item in found.evidence],
        }
        out.write(json.dumps(answer) + "\n")
    return 1 if bad else 0


def _record(line: str) -> dict[str, Any]:
    if len(line) > LINE_CHARS_MAX:
        raise ValueError(f"longer than {LINE_CHARS_MAX} characters")
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    return record


def failure_from(record: dict[str, Any]) -> Failure:
    """A record with the fields of the corpus; ``ValueError`` names the field that does not fit."""
    status = record.get("status")
    if status is not None and (isinstance(status, bool) or not isinstance(status, int)):
        raise ValueError("status is a number or null")
    kind = _KINDS.get(_text(record, "source_kind") or "http")
    if kind is None:
        raise ValueError("source_kind is server, browser or http")
    chain = record.get("redirect_chain") or []
    if not isinstance(chain, list) or not all(isinstance(hop, str) for hop in chain):
        raise ValueError("redirect_chain is a list of texts")
    latency = record.get("latency_ms")
    if latency is not None and (isinstance(latency, bool) or not isinstance(latency, int | float)):
        raise ValueError("latency_ms is a number")
    message, body = _text(record, "message"), _text(record, "body")
    if message is None and body is None and not chain:
        raise ValueError("needs a message, a body or a redirect_chain")
    return Failure(
        service=_text(record, "service") or "app",
        occurred_at=_EPOCH,
        message=message or "",
        source_kind=kind,
        method=_text(record, "method"),
        route=_text(record, "route"),
        status=status,
        stack=_text(record, "stack"),
        body=body,
        redirect_chain=tuple(chain),
        latency_ms=latency,
        origin="api",
    )


def _text(record: dict[str, Any], key: str) -> str | None:
    value = record.get(key)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value)
    raise ValueError(f"{key} is a text")
