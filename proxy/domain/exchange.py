"""One request with its answer, as the data plane saw it. Pure values; nothing here waits or stores.

``Exchange`` has slots but is not frozen: one is made per request, and a frozen dataclass takes
4.5 times
as long to build.
"""

from dataclasses import dataclass, field
from enum import IntEnum

Headers = list[tuple[bytes, bytes]]
"""Header fields as they came on the wire: order, case, duplicates and obs-text bytes kept."""


class Outcome(IntEnum):
    """How an exchange ended. Only the ``UPSTREAM_*`` outcomes and an answered 5xx are the app's
    failures.
    """

    ANSWERED = 0
    """The upstream's answer reached its end (whatever its status)."""
    UPSTREAM_REFUSED = 1
    """No connection to the upstream: 502."""
    UPSTREAM_TIMEOUT = 2
    """The upstream did not answer in time: 504."""
    UPSTREAM_BROKEN = 3
    """The upstream's answer was malformed (502) or was cut half-way (the status is the one
    already sent).
    """
    CLIENT_GONE = 4
    """The client left first: counted as 499, never a failure of the app."""
    REJECTED = 5
    """The request was malformed or over a limit: answered 4xx/5xx by the proxy, nothing sent
    upstream.
    """
    PROXY_FAULT = 6
    """The proxy itself failed; never counted against the app."""
    UPGRADED = 7
    """A WebSocket tunnel; its duration says nothing about latency."""
    LOCAL = 8
    """Answered by the sidecar itself below ``ingest.prefix``; not the app's traffic."""


APP_OUTCOMES = frozenset(
    {
        Outcome.ANSWERED,
        Outcome.UPSTREAM_REFUSED,
        Outcome.UPSTREAM_TIMEOUT,
        Outcome.UPSTREAM_BROKEN,
    }
)
"""Outcomes that say something about the app; the others never count for or against it."""


@dataclass(slots=True)
class Capture:
    """A bounded copy of request and answer, kept for replay. Raw: redaction comes before it is
    stored.

    Bodies hold at most ``capture.body_bytes`` bytes each; ``*_truncated`` says that more came.
    """

    request_headers: Headers
    request_body: bytes = b""
    request_truncated: bool = False
    response_headers: Headers = field(default_factory=list)
    response_body: bytes = b""
    response_truncated: bool = False


@dataclass(slots=True)
class Exchange:
    """What was measured. ``started_at`` is seconds since the epoch; ``duration_ms`` runs to the
    end of stream.
    """

    started_at: float
    duration_ms: float
    method: str
    target: bytes
    """The request target exactly as it came, query included."""
    status: int
    """The status the client got; 499 when it left before one was sent."""
    outcome: Outcome
    request_bytes: int = 0
    response_bytes: int = 0
    trace_id: str | None = None
    """32 hex digits from ``traceparent`` or ``sentry-trace``; None when neither came."""
    client: str = ""
    """The peer's address without its port; "" on a unix socket."""
    error: str | None = None
    """What the proxy can say about a broken or refused exchange, in one line."""
    capture: Capture | None = None
    """Present only on failing exchanges."""
    route: str = ""
    """Path template, filled by the recorder: ``/orders/{id}``."""
    sequence: int = 0
    """Position in this worker's stream, filled by the recorder; row and trace ids derive from it.
    """

    @property
    def is_app_failure(self) -> bool:
        """A 5xx of the app, or an upstream that refused, broke or did not answer in time."""
        if self.outcome is Outcome.ANSWERED:
            return self.status >= 500
        return self.outcome in APP_OUTCOMES


Plain = tuple[float, float, str, bytes, int, int, int, str | None, str]
"""An answered exchange with a 2xx status, as the data plane hands it over: ``started_at``,
``duration_ms``, ``method``, ``target``, ``status``, ``request_bytes``, ``response_bytes``,
``trace_id``, ``client``. A tuple of atoms is made at a tenth of the cost, and the garbage collector
has no work with it.
"""


def exchange_of(plain: Plain, route: str = "", sequence: int = 0) -> Exchange:
    """The same as an ``Exchange``, for whoever wants more than a few of its values."""
    started_at, ms, method, target, status, sent, got, trace_id, client = plain
    return Exchange(
        started_at,
        ms,
        method,
        target,
        status,
        Outcome.ANSWERED,
        sent,
        got,
        trace_id,
        client,
        route=route,
        sequence=sequence,
    )
