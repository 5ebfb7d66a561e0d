"""What the aiohttp and the ASGI middleware share: names of a request, its recorder, its template.

Knows neither framework; takes header values and paths as they came.
"""

import re
import secrets
from typing import Protocol

from proxy.domain.exchange import Exchange
from proxy.observability.recorder import Recorder
from proxy.observability.routes import shape_of

REQUEST_ID_HEADER = "X-Request-ID"
CLIENT_GONE = 499
CAPTURE_BYTES = 16384
"""Of each body of a failing call, as ``capture.body_bytes`` by default."""
ERROR_CHARS_MAX = 500
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
_SENTRY_TRACE = re.compile(r"([0-9a-f]{32})-[0-9a-f]{16}(?:-[01])?")


class Records(Protocol):
    """Where finished calls go: a ``Recorder``, or what brings them to one. Never waits, never
    raises.
    """

    def record(self, exchange: Exchange) -> None: ...


_own: list[Records] = []


def default_recorder() -> Records:
    """The recorder of this process, made when first asked for."""
    if not _own:
        _own.append(Recorder())
    return _own[0]


def use(records: Records) -> None:
    """From now on this is where calls go that name no recorder of their own."""
    _own[:] = [records]


def request_id(given: str, trace_id: str | None) -> str:
    """The caller's own id when it is harmless text, else the trace's, else a new one."""
    if given and _REQUEST_ID.fullmatch(given):
        return given
    return trace_id or secrets.token_hex(16)


def trace_id(traceparent: str, sentry_trace: str) -> str | None:
    """The trace id of ``traceparent`` (W3C Trace Context 3.2), else of ``sentry-trace``."""
    if not traceparent and not sentry_trace:
        return None
    match = _TRACEPARENT.fullmatch(traceparent) or _SENTRY_TRACE.fullmatch(sentry_trace)
    return match[1] if match and match[1] != "0" * 32 else None


def template(pattern: str, path: str) -> str:
    """The framework's own template, its placeholders named as the proxy would name them.

    ``/orders/{order_id}`` for ``/orders/7`` is ``/orders/{id}``, so that a call measured in the app
    and one measured in front of it are the same route.
    """
    if "{" not in pattern:
        return pattern
    wanted, given = pattern.split("/"), path.split("/")
    if len(wanted) != len(given):
        return pattern
    return "/".join(
        _placeholder(value) if part.startswith("{") and part.endswith("}") else part
        for part, value in zip(wanted, given, strict=True)
    )


def _placeholder(value: str) -> str:
    shape = shape_of(value)
    return shape if shape.startswith("{") else "{slug}"


def said(failure: BaseException) -> str:
    """An exception in one line, for the row."""
    return f"{type(failure).__name__}: {failure}"[:ERROR_CHARS_MAX]
