"""What the two documented switches add to a request, and to its answer; nothing by default."""

from typing import Any, NamedTuple

from proxy.dataplane import headers
from proxy.dataplane.forwarded import forwarding
from proxy.dataplane.plane import Plane
from proxy.dataplane.request_head import RequestHead


class Additions(NamedTuple):
    """``lines`` replace those that came under the names in ``replaced``; ``trace`` is a trace begun
    here, and ``answer_line`` names it to the browser.
    """

    lines: list[bytes]
    replaced: frozenset[bytes]
    trace: str | None = None
    answer_line: bytes = b""


_NOTHING = Additions([], frozenset())
_TRACE = frozenset({b"traceparent", b"sentry-trace"})


def additions(
    plane: Plane, request: RequestHead, peer: str, transport: Any, trace: str | None
) -> Additions:
    """``trace`` is the one that came with the request; a new one begins only where none did."""
    begins = plane.trace_start and trace is None
    if plane.forwarded == "off" and not begins:
        return _NOTHING
    lines: list[bytes] = []
    replaced: frozenset[bytes] = frozenset()
    if plane.forwarded != "off":
        secure = transport.get_extra_info("sslcontext") is not None
        lines, replaced = forwarding(
            request,
            peer,
            b"https" if secure else b"http",
            extend=plane.forwarded == "append",
            trusted=plane.trusts(peer),
        )
    if not begins:
        return Additions(lines, replaced)
    trace, ours, answer_line = headers.begin_trace()
    return Additions(lines + ours, replaced | _TRACE, trace, answer_line)
