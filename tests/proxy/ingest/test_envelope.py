"""Envelopes and events written by anybody:

read, or refused in one of two ways; never anything else.
"""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.clock import ManualClock
from proxy.domain.failure import Failure
from proxy.ingest.envelope import Envelope, Item, parse_envelope
from proxy.ingest.event import Context, event_failure
from proxy.ingest.faults import BodyFault
from proxy.ingest.limits import MESSAGE_CHARS_MAX, STACK_CHARS_MAX
from proxy.ingest.reading import read_envelope, read_reports, read_store
from proxy.ingest.reports import report_failure

CONTEXT = Context("shop", "production", ManualClock().now(), clean=lambda text: text)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
_FRAME_KEYS = ("filename", "abs_path", "function", "lineno", "colno", "in_app", "context_line")


def _mapping(*names: str, values: Any = json_values) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), values, max_size=len(names))


frames = st.fixed_dictionaries(
    {"frames": json_values | st.lists(_mapping(*_FRAME_KEYS), max_size=5)}
)
exception_values = st.lists(
    st.fixed_dictionaries(
        {}, optional={"type": json_values, "value": json_values, "stacktrace": frames}
    )
    | json_values,
    max_size=4,
)
events = st.fixed_dictionaries(
    {},
    optional={
        "exception": st.fixed_dictionaries({"values": exception_values})
        | exception_values
        | json_values,
        "level": json_values | st.sampled_from(["error", "info"]),
        "platform": json_values | st.sampled_from(["python", "javascript", "node"]),
        "message": json_values,
        "logentry": _mapping("formatted", "message") | json_values,
        "timestamp": json_values | st.floats(),
        "transaction": json_values,
        "request": _mapping("method", "url", "headers") | json_values,
        "contexts": _mapping(
            "trace", "response", "runtime", values=_mapping("trace_id", "status_code")
        ),
        "release": json_values,
        "environment": json_values,
    },
)


def _checked(failure: Failure | None) -> None:
    if failure is None:
        return
    assert failure.message.strip()
    assert len(failure.message) <= 2 * MESSAGE_CHARS_MAX
    assert len(failure.stack or "") <= STACK_CHARS_MAX
    for text in (
        failure.message,
        failure.stack,
        failure.route,
        failure.release,
        failure.user_agent,
    ):
        assert text is None or "\0" not in text
        (text or "").encode()  # no lone surrogates: Postgres would refuse the row


@given(events)
def test_any_event_is_a_failure_or_nothing(event: dict[str, Any]) -> None:
    _checked(event_failure(event, CONTEXT))


@given(_mapping("type", "url", "age", "user_agent", "body", values=json_values | st.just("crash")))
def test_any_report_is_a_failure_or_nothing(report: dict[str, Any]) -> None:
    _checked(report_failure(report, CONTEXT))


@given(st.binary(max_size=400), st.sampled_from(["", "gzip", "br", "deflate", "x"]))
def test_any_bytes_are_read_or_refused(wire: bytes, coding: str) -> None:
    for reader in (read_envelope, read_store, read_reports):
        with suppress(BodyFault):
            reader(wire, coding, CONTEXT)


@given(json_values.map(lambda value: json.dumps(value).encode()), st.binary(max_size=60))
def test_any_json_lines_are_read_or_refused(line: bytes, more: bytes) -> None:
    for wire in (line + b"\n" + more, b"{}\n" + line + b"\n" + more, b"{}\n" * 3 + more):
        with suppress(BodyFault):
            parse_envelope(wire)


@given(
    st.lists(
        st.tuples(st.sampled_from(["event", "session", "attachment"]), st.binary(max_size=80)),
        max_size=8,
    ),
    st.booleans(),
)
def test_what_was_packed_comes_out_again(
    items: list[tuple[str, bytes]], last_newline: bool
) -> None:
    """A length makes any payload possible, newlines and all."""
    parts = [b'{"sent_at":"x"}']
    for kind, payload in items:
        parts += [json.dumps({"type": kind, "length": len(payload)}).encode(), payload]
    wire = b"\n".join(parts) + (b"\n" if last_newline or not items else b"")
    expected = Envelope({"sent_at": "x"}, tuple(Item(kind, payload) for kind, payload in items))
    assert parse_envelope(wire) == expected


def test_without_a_length_an_item_ends_at_the_newline() -> None:
    wire = b'{}\n\n{"type":"event"}\n{"a":1}\n{"type":"x"}\n'
    assert parse_envelope(wire).items == (Item("event", b'{"a":1}'), Item("x", b""))


@pytest.mark.parametrize("headers", [{"User-Agent": "UA"}, [["user-agent", "UA"]]])
def test_headers_come_as_object_or_pairs(headers: Any) -> None:
    event = {"message": "x", "request": {"headers": headers, "url": "/a?b=c", "method": "post"}}
    failure = event_failure(event, CONTEXT)
    assert failure is not None
    assert (failure.user_agent, failure.method, failure.route) == ("UA", "POST", "/a")


@pytest.mark.parametrize(
    ("transaction", "place"),
    [
        ("GET /orders/{id}", ("GET", "/orders/{id}")),
        ("/orders/{id}", ("POST", "/orders/{id}")),
        ("shop.views.order", ("POST", "/orders/7")),
        (None, ("POST", "/orders/7")),
    ],
)
def test_the_transaction_names_the_template(
    transaction: str | None, place: tuple[str, str]
) -> None:
    request = {"method": "POST", "url": "https://shop.example/orders/7?token=1"}
    failure = event_failure(
        {"message": "x", "transaction": transaction, "request": request}, CONTEXT
    )
    assert failure is not None
    assert (failure.method, failure.route) == place


@pytest.mark.parametrize(
    ("platform", "contexts", "source"),
    [
        ("javascript", {}, "browser"),
        ("javascript", {"runtime": {"name": "node"}}, "server"),
        ("node", {}, "server"),
        ("python", {}, "server"),
    ],
)
def test_where_it_ran(platform: str, contexts: dict[str, Any], source: str) -> None:
    event = {"message": "x", "platform": platform, "contexts": contexts}
    failure = event_failure(event, CONTEXT)
    assert failure is not None
    assert failure.source_kind == source


def test_a_clock_far_off_does_not_count() -> None:
    for far in (0, 1e12, "1999-01-01T00:00:00Z", "yesterday", None, float("nan"), 1e308):
        failure = event_failure({"message": "x", "timestamp": far}, CONTEXT)
        assert failure is not None
        assert failure.occurred_at == CONTEXT.now
    near = CONTEXT.now.timestamp() - 5
    failure = event_failure({"message": "x", "timestamp": near}, CONTEXT)
    assert failure is not None
    assert failure.occurred_at.timestamp() == near


def test_library_frames_are_folded() -> None:
    frames = [
        {"filename": "app.py", "function": "view", "lineno": 3, "in_app": True},
        {"filename": "db/a.py", "abs_path": "/lib/db/a.py", "function": "a", "in_app": False},
        {"filename": "db/b.py", "abs_path": "/lib/db/b.py", "function": "b", "in_app": False},
        {"filename": "db/c.py", "abs_path": "/lib/db/c.py", "function": "c", "in_app": False},
    ]
    value = {"type": "Boom", "value": "no", "stacktrace": {"frames": frames}}
    failure = event_failure({"platform": "python", "exception": {"values": [value]}}, CONTEXT)
    assert failure is not None
    assert failure.stack == (
        "Traceback (most recent call last):\n"
        '  File "app.py", line 3, in view\n'
        "  ... 2 library frames\n"
        '  File "/lib/db/c.py", line 0, in c\n'
        "Boom: no"
    )
