"""From a posted body to failures, in one pure step that may run in a thread.

Wire bytes in, what was found out: failures (redacted), the id to answer with, and counts of
everything that was taken, ignored or dropped.
"""

import json
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from proxy.domain.failure import Failure
from proxy.ingest.compression import expand
from proxy.ingest.envelope import load_object, parse_envelope
from proxy.ingest.event import Context, event_failure
from proxy.ingest.faults import BodyFault, Malformed, TooLarge
from proxy.ingest.fields import as_text
from proxy.ingest.limits import EVENT_BYTES_MAX, EXPANDED_BYTES_MAX, ITEMS_MAX
from proxy.ingest.reports import csp_report, report_failure

DROPPED = "[dropped: the redactor could not read this text]"


@dataclass(slots=True)
class Reading:
    """``event_id`` is 32 hex digits: the sender's own, or a new one."""

    event_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    header: dict[str, Any] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


Reader = Callable[[bytes, str, Context], Reading]
"""(wire bytes, content coding, context) → Reading; raises ``BodyFault`` only."""


def read_envelope(wire: bytes, coding: str, context: Context) -> Reading:
    """An envelope.

    A bad item is dropped and counted; the others still count. Raises ``BodyFault``.
    """
    envelope = parse_envelope(expand(wire, coding, EXPANDED_BYTES_MAX))
    reading = Reading(header=envelope.header)
    _take_id(reading, envelope.header)
    reading.counts["envelopes"] += 1
    for item in envelope.items:
        if item.type == "event":
            _read_event(reading, item.payload, context)
        elif item.type == "client_report":
            reading.counts["client_reports"] += 1
        else:
            reading.counts["ignored_items"] += 1
    return reading


def read_store(wire: bytes, coding: str, context: Context) -> Reading:
    """The older form: the body is one event. Raises ``BodyFault``."""
    reading = Reading()
    payload = expand(wire, coding, EXPANDED_BYTES_MAX)
    if len(payload) > EVENT_BYTES_MAX:
        raise TooLarge(f"an event is at most {EVENT_BYTES_MAX} bytes")
    event = load_object(payload, "the event")
    _take_id(reading, event)
    _take(reading, event, context)
    return reading


def read_reports(wire: bytes, coding: str, context: Context) -> Reading:
    """A list of browser reports, one report, or the older CSP form. Raises ``BodyFault``."""
    reading = Reading()
    context = _guarded(reading, context)
    for report in _reports(expand(wire, coding, EXPANDED_BYTES_MAX)):
        failure = report_failure(report, context)
        reading.counts["reports" if failure else "ignored_reports"] += 1
        if failure:
            reading.failures.append(failure)
    return reading


def _reports(body: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("the reports are not readable JSON") from None
    found = document if isinstance(document, list) else [document]
    if len(found) > ITEMS_MAX:
        raise TooLarge(f"at most {ITEMS_MAX} reports at a time")
    objects = [report for report in found if isinstance(report, dict)]
    return [csp_report(report) or report for report in objects]


def _read_event(reading: Reading, payload: bytes, context: Context) -> None:
    try:
        if len(payload) > EVENT_BYTES_MAX:
            raise TooLarge(f"an event is at most {EVENT_BYTES_MAX} bytes")
        event = load_object(payload, "the event")
    except BodyFault as fault:
        reading.counts[f"{fault.counter}_events"] += 1
        return
    _take(reading, event, context)


def _take(reading: Reading, event: dict[str, Any], context: Context) -> None:
    failure = event_failure(event, _guarded(reading, context))
    reading.counts["events" if failure else "quiet_events"] += 1
    if failure:
        reading.failures.append(failure)


def _take_id(reading: Reading, holder: dict[str, Any]) -> None:
    text = as_text(holder.get("event_id"), 64).replace("-", "").lower()
    if len(text) == 32 and all(c in "0123456789abcdef" for c in text):
        reading.event_id = text


def _guarded(reading: Reading, context: Context) -> Context:
    """The same context with a redactor that drops, and counts, what it cannot read."""

    def clean(text: str) -> str:
        try:
            return context.clean(text)
        except Exception:
            reading.counts["redaction_failed"] += 1
            return DROPPED

    return replace(context, clean=clean)
