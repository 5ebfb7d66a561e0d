"""An exchange of the general plane as the recorder gets it, with a copy when it failed."""

from typing import TYPE_CHECKING

from proxy.dataplane import headers
from proxy.domain.exchange import Capture, Exchange, Outcome

if TYPE_CHECKING:
    from proxy.dataplane.forwarding import Forwarding


def report(
    exchange: "Forwarding", now: float, status: int, outcome: Outcome, error: str | None
) -> Exchange:
    """``now`` is monotonic seconds. Redirects carry their heads, failures their bodies too,
    and both whoever asked, also from behind another proxy."""
    failing = error is not None or (status >= 300 and status != 304)
    return Exchange(
        exchange.started_at,
        (now - exchange.started) * 1000.0,
        exchange.request.method.decode(),
        exchange.request.target,
        status,
        outcome,
        exchange.body.size,
        exchange.answering.size,
        exchange.trace,
        exchange.visitor if failing else exchange.peer,
        error,
        _capture(exchange) if failing else None,
    )


def _capture(exchange: "Forwarding") -> Capture:
    response = exchange.answering.head
    keep = response is None or response.status >= 400
    copied, truncated = exchange.answering.copied
    return Capture(
        headers.pairs(exchange.request.lines),
        exchange.copy.whole() if keep else b"",
        keep and exchange.body.size > exchange.copy.size,
        headers.pairs(response.lines) if response is not None else [],
        copied,
        truncated,
    )
