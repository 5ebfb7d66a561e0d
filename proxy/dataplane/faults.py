"""Which thing that went wrong means which status and which Outcome, and the words the client gets.

Knows no sockets: a fault is a value here, and an answer is the bytes that tell it.
"""

import errno
import socket
import ssl
from http import HTTPStatus

from proxy.domain.exchange import Outcome


class Fault(Exception):
    """Something ended an exchange. ``token`` is a Proxy-Status error type (RFC 9209 section
    2.3)."""

    def __init__(self, status: int, outcome: Outcome, reason: str, token: str) -> None:
        super().__init__(reason)
        self.status = status
        self.outcome = outcome
        self.reason = reason
        self.token = token


class Refused(Fault):
    """The request is malformed, ambiguous or over a limit; nothing of it may reach the upstream."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(status, Outcome.REJECTED, reason, "http_request_error")


class BadAnswer(Fault):
    """The upstream's answer is malformed, oversized or cut."""

    def __init__(self, reason: str, token: str = "http_protocol_error") -> None:
        super().__init__(502, Outcome.UPSTREAM_BROKEN, reason, token)


class TooSlow(Fault):
    """The upstream let a time-out pass: 504."""

    def __init__(self, reason: str, token: str = "http_response_timeout") -> None:
        super().__init__(504, Outcome.UPSTREAM_TIMEOUT, reason, token)


def own_fault(error: BaseException) -> Fault:
    """What should not have happened here: ours to mark and to mend, never the app's."""
    return Fault(
        500, Outcome.PROXY_FAULT, f"the proxy failed: {error!r}"[:200], "proxy_internal_error"
    )


def is_ours(error: BaseException | None) -> bool:
    """True when a connection ended by an exception in our own callbacks: peers and the network
    end one with an ``OSError``, or without any.
    """
    return error is not None and not isinstance(error, OSError)


_OWN_LIMITS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)


def connect_fault(error: BaseException) -> Fault:
    """Translate what connecting raised. Our own exhaustion is never blamed on the app."""
    if isinstance(error, TimeoutError):
        return TooSlow("the upstream did not accept a connection in time", "connection_timeout")
    if isinstance(error, OSError) and error.errno in _OWN_LIMITS:
        return Fault(
            503,
            Outcome.PROXY_FAULT,
            f"the proxy is out of resources: {error}",
            "proxy_internal_error",
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        words, token = (
            f"the upstream's certificate is not trusted: {error.verify_message}",
            "tls_certificate_error",
        )
    elif isinstance(error, ssl.SSLError):
        words, token = f"TLS with the upstream failed: {error.reason}", "tls_protocol_error"
    elif isinstance(error, socket.gaierror):
        words, token = "the upstream's name does not resolve", "dns_error"
    elif isinstance(error, ConnectionRefusedError):
        words, token = "the upstream refuses connections", "connection_refused"
    elif isinstance(error, OSError):
        words, token = (
            f"the upstream cannot be reached: {error.strerror or error}",
            "destination_unavailable",
        )
    else:
        return Fault(
            502, Outcome.PROXY_FAULT, f"connecting failed: {error!r}", "proxy_internal_error"
        )
    return Fault(502, Outcome.UPSTREAM_REFUSED, words, token)


_EXTRA = {405: b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE\r\n"}


def answer(status: int, reason: str, token: str, *, close: bool, head_only: bool = False) -> bytes:
    """The proxy's own short answer, complete as bytes; ``head_only`` for an answer to HEAD."""
    body = f"{status} {reason}\n".encode("ascii", "replace")
    head = b"HTTP/1.1 %d %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % (
        status,
        _phrase(status),
        len(body),
    )
    head += b"Proxy-Status: selfheal; error=%b\r\n" % token.encode()
    head += _EXTRA.get(status, b"")
    if close:
        head += b"Connection: close\r\n"
    return head + b"\r\n" + (b"" if head_only else body)


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Error"
