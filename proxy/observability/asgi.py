"""In-app middlewares for any ASGI app (Starlette, FastAPI, Django, Quart …): the same names, the
same rows and the same refusals as for aiohttp.

``app = with_metrics(app)`` measures; ``with_observability`` also asks who calls, names the request
and turns what the app throws into problem+json. Lifespan events pass untouched.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from aiohttp import web

from proxy.clock import Clock, SystemClock
from proxy.domain.exchange import Capture, Exchange, Outcome
from proxy.observability.in_app import (
    CAPTURE_BYTES,
    CLIENT_GONE,
    REQUEST_ID_HEADER,
    Records,
    default_recorder,
    said,
    template,
)
from proxy.observability.in_app import request_id as name_request
from proxy.observability.in_app import trace_id as read_trace
from proxy.observability.responses import server_error, unauthorized

_log = logging.getLogger("selfheal.middleware")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Identify = Callable[[Scope], Awaitable[str | None]]

IDENTITY = "selfheal_identity"
"""``scope["state"][IDENTITY]``: who calls; an outer middleware may set it beforehand."""
REQUEST_ID = "selfheal_request_id"
_CLOCK = SystemClock()


def with_metrics(
    app: AsgiApp,
    route_name: str | None = None,
    *,
    recorder: Records | None = None,
    clock: Clock = _CLOCK,
) -> AsgiApp:
    """Measure every request and every WebSocket. Errors pass through. ``recorder``: without one the
    process's own.
    """

    async def measured(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        call = _Call(scope, receive, send, clock)
        try:
            await app(scope, call.receive, call.send)
        except asyncio.CancelledError:
            call.gone = True
            raise
        except Exception as failure:
            call.error = said(failure)
            raise
        finally:
            (recorder or default_recorder()).record(call.exchange(route_name))

    return measured


def with_observability(
    app: AsgiApp,
    *,
    skip_auth: bool = False,
    route_name: str | None = None,
    verbose_errors: bool = False,
    identify: Identify | None = None,
    recorder: Records | None = None,
    clock: Clock = _CLOCK,
) -> AsgiApp:
    """``with_metrics``, and: a caller without identity gets 401, every answer its request id, a
    fault problem+json.

    ``identify`` says who calls, or None; without one ``scope["state"]["selfheal_identity"]``
    counts, or the authenticated ``scope["user"]`` of Starlette. ``verbose_errors`` puts the
    exception's words into the 500: for development only.
    """

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _observed(app, scope, receive, send, skip_auth, identify, verbose_errors)
        elif scope["type"] == "websocket" and not skip_auth and not await _who(scope, identify):
            # before the handshake is accepted, a close is answered as 403
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await app(scope, receive, send)

    return with_metrics(inner, route_name, recorder=recorder, clock=clock)


async def _observed(
    app: AsgiApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    skip_auth: bool,
    identify: Identify | None,
    verbose_errors: bool,
) -> None:
    name = name_request(_header(scope, b"x-request-id"), _trace_id(scope))
    state = scope.setdefault("state", {})
    state[REQUEST_ID] = name
    started = False

    async def named(message: Message) -> None:
        nonlocal started
        if message["type"] == "http.response.start":
            started = True
            kept = [
                pair
                for pair in message.get("headers", ())
                if bytes(pair[0]).lower() != b"x-request-id"
            ]
            message["headers"] = [*kept, (REQUEST_ID_HEADER.lower().encode(), name.encode())]
        await send(message)

    try:
        if not skip_auth:
            identity = await _who(scope, identify)
            if not identity:
                await _answer(unauthorized(request_id=name), named)
                return
            state[IDENTITY] = identity
        await app(scope, receive, named)
    except Exception as failure:
        _log.exception("handler of %s failed (request %s)", scope.get("path"), name)
        if started:
            # half an answer is out: only a cut says that it is not whole
            raise
        words = {"detail": said(failure)} if verbose_errors else {}
        await _answer(server_error(**words, request_id=name), named)


async def _who(scope: Scope, identify: Identify | None) -> str | None:
    if identify is not None:
        return await identify(scope)
    user = scope.get("user")
    if getattr(user, "is_authenticated", False):
        return str(getattr(user, "display_name", "") or "authenticated")
    known = (scope.get("state") or {}).get(IDENTITY)
    return str(known) if known else None


async def _answer(response: web.Response, send: Send) -> None:
    body = response.body if isinstance(response.body, bytes) else b""
    headers = [(k.lower().encode(), v.encode()) for k, v in response.headers.items()]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Call:
    """One request on its way through the app: what was sent, and a bounded copy of both bodies."""

    __slots__ = (
        "_began",
        "_clock",
        "_headers",
        "_receive",
        "_request",
        "_request_bytes",
        "_response",
        "_response_bytes",
        "_scope",
        "_send",
        "_started_at",
        "_status",
        "complete",
        "error",
        "gone",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, clock: Clock) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._clock = clock
        self._started_at, self._began = clock.time(), clock.monotonic()
        self._request = bytearray()
        self._response = bytearray()
        self._request_bytes = self._response_bytes = self._status = 0
        self._headers: Iterable[Any] = ()
        self.error: str | None = None
        self.complete = self.gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        kind = message["type"]
        if kind == "http.request":
            body = message.get("body", b"")
            self._request_bytes += len(body)
            if len(self._request) < CAPTURE_BYTES:
                self._request += body[: CAPTURE_BYTES - len(self._request)]
        elif kind == "http.disconnect" and not self.complete:
            self.gone = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
            self._headers = message.get("headers", ())
        elif kind == "http.response.body":
            body = message.get("body", b"")
            self._response_bytes += len(body)
            if self._status >= 400 and len(self._response) < CAPTURE_BYTES:
                self._response += body[: CAPTURE_BYTES - len(self._response)]
            self.complete = not message.get("more_body", False)
        elif kind == "websocket.accept":
            self._status, self.complete = 101, True
        elif kind == "websocket.close" and not self._status:
            self._status, self.complete = 403, True
        await self._send(message)

    def exchange(self, route_name: str | None) -> Exchange:
        scope, clock = self._scope, self._clock
        status, outcome = self._end()
        query = scope.get("query_string") or b""
        path = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
        client = scope.get("client")
        return Exchange(
            started_at=self._started_at,
            duration_ms=(clock.monotonic() - self._began) * 1000.0,
            method=scope.get("method") or "GET",
            target=path + b"?" + query if query else path,
            status=status,
            outcome=outcome,
            request_bytes=self._request_bytes,
            response_bytes=self._response_bytes,
            trace_id=_trace_id(scope),
            client=client[0] if client else "",
            error=self.error,
            capture=self._capture() if status >= 300 else None,
            route=route_name or _route(scope),
        )

    def _end(self) -> tuple[int, Outcome]:
        """As the proxy in front would have seen it."""
        if self._status == 101:
            return 101, Outcome.UPGRADED
        if self.error is None and self.gone and not self.complete:
            return self._status or CLIENT_GONE, Outcome.CLIENT_GONE
        if not self._status:
            return 500, Outcome.ANSWERED
        if not self.complete:
            return self._status, Outcome.UPSTREAM_BROKEN
        return self._status, Outcome.ANSWERED

    def _capture(self) -> Capture:
        return Capture(
            request_headers=[(bytes(k), bytes(v)) for k, v in self._scope.get("headers", ())],
            request_body=bytes(self._request),
            request_truncated=self._request_bytes > CAPTURE_BYTES,
            response_headers=[(bytes(k), bytes(v)) for k, v in self._headers],
            response_body=bytes(self._response),
            response_truncated=self._response_bytes > CAPTURE_BYTES,
        )


def _header(scope: Scope, wanted: bytes) -> str:
    for name, value in scope.get("headers", ()):
        if name == wanted:
            return bytes(value).decode("latin-1")
    return ""


def _trace_id(scope: Scope) -> str | None:
    return read_trace(_header(scope, b"traceparent"), _header(scope, b"sentry-trace"))


def _route(scope: Scope) -> str:
    """The template the framework found, where it says so; else the recorder infers one."""
    pattern = getattr(scope.get("route"), "path", None)
    path = scope.get("path", "")
    prefix = scope.get("root_path", "")
    if not isinstance(pattern, str) or not pattern.startswith("/"):
        return ""
    if prefix and path.startswith(prefix) and not pattern.startswith(prefix):
        pattern = prefix + pattern
    return template(pattern, path)
