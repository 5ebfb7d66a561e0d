"""In-app middlewares, for apps that want to be measured without a proxy in front: around an aiohttp
handler, or around any ASGI app (``asgi.py``, told by its three parameters).

``with_metrics`` measures. ``with_observability`` also asks who calls, names the request and turns
what a handler throws into problem+json. Both hand one ``Exchange`` to the recorder at the end;
neither knows what becomes of it.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, cast, overload

from aiohttp import hdrs, web

from proxy.clock import Clock, SystemClock
from proxy.domain.exchange import Capture, Exchange, Outcome
from proxy.observability import asgi
from proxy.observability.asgi import AsgiApp
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

__all__ = [
    "CLOCK",
    "IDENTIFY",
    "IDENTITY",
    "RECORDER",
    "REQUEST_ID",
    "REQUEST_ID_HEADER",
    "Handler",
    "Identify",
    "default_recorder",
    "with_metrics",
    "with_observability",
]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Identify = Callable[[web.Request], Awaitable[str | None]]

RECORDER: web.AppKey[Records] = web.AppKey("selfheal_recorder")
"""``app[RECORDER]``: where exchanges go; without one a recorder of the process is used."""
IDENTIFY: web.AppKey[Identify] = web.AppKey("selfheal_identify")
"""``app[IDENTIFY]``: who calls, or None; without one, ``request[IDENTITY]`` counts."""
IDENTITY: web.RequestKey[str] = web.RequestKey("selfheal_identity", str)
"""``request[IDENTITY]``: who calls; an app's own middleware may set it beforehand."""
REQUEST_ID: web.RequestKey[str] = web.RequestKey("selfheal_request_id", str)
CLOCK: web.AppKey[Clock] = web.AppKey("selfheal_clock")

_CLOCK = SystemClock()


def _is_asgi(handler: Any) -> bool:
    """An ASGI app takes (scope, receive, send), an aiohttp handler the request alone."""
    try:
        parameters = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError):
        return False
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) >= 3


@overload
def with_metrics(
    handler: Handler, route_name: str | None = None, *, recorder: Records | None = None
) -> Handler: ...
@overload
def with_metrics(
    handler: AsgiApp, route_name: str | None = None, *, recorder: Records | None = None
) -> AsgiApp: ...
def with_metrics(
    handler: Handler | AsgiApp,
    route_name: str | None = None,
    *,
    recorder: Records | None = None,
) -> Handler | AsgiApp:
    """Measure every call. ``route_name`` replaces the template of the framework. Errors pass
    through.

    ``recorder``: where exchanges go; without one ``app[RECORDER]`` (aiohttp), else the process's.
    """
    if _is_asgi(handler):
        return asgi.with_metrics(cast("AsgiApp", handler), route_name, recorder=recorder)
    return _measured(cast("Handler", handler), route_name, recorder)


def _measured(handler: Handler, route_name: str | None, recorder: Records | None) -> Handler:
    @wraps(handler)
    async def measured(request: web.Request) -> web.StreamResponse:
        settings = request.config_dict
        clock = settings.get(CLOCK) or _CLOCK
        started_at, began = clock.time(), clock.monotonic()
        answer: web.StreamResponse | None = None
        status, outcome, error = 500, Outcome.ANSWERED, None
        try:
            answer = await handler(request)
            status = answer.status
            return answer
        except web.HTTPException as thrown:
            answer, status = thrown, thrown.status
            raise
        except asyncio.CancelledError:
            status, outcome = CLIENT_GONE, Outcome.CLIENT_GONE
            raise
        except Exception as failure:
            error = said(failure)
            raise
        finally:
            (recorder or settings.get(RECORDER) or default_recorder()).record(
                Exchange(
                    started_at=started_at,
                    duration_ms=(clock.monotonic() - began) * 1000.0,
                    method=request.method,
                    target=request.raw_path.encode("utf-8", "surrogateescape"),
                    status=status,
                    outcome=outcome,
                    request_bytes=request.content_length or 0,
                    response_bytes=0 if answer is None else answer.content_length or 0,
                    trace_id=_trace_id(request),
                    client=request.remote or "",
                    error=error,
                    capture=_capture(request, answer) if status >= 300 else None,
                    route=route_name or _resource(request),
                )
            )

    return measured


@overload
def with_observability(
    handler: Handler,
    *,
    skip_auth: bool = False,
    route_name: str | None = None,
    verbose_errors: bool = False,
    recorder: Records | None = None,
) -> Handler: ...
@overload
def with_observability(
    handler: AsgiApp,
    *,
    skip_auth: bool = False,
    route_name: str | None = None,
    verbose_errors: bool = False,
    identify: asgi.Identify | None = None,
    recorder: Records | None = None,
) -> AsgiApp: ...
def with_observability(
    handler: Handler | AsgiApp,
    *,
    skip_auth: bool = False,
    route_name: str | None = None,
    verbose_errors: bool = False,
    identify: asgi.Identify | None = None,
    recorder: Records | None = None,
) -> Handler | AsgiApp:
    """``with_metrics``, and: a caller without identity gets 401, every answer its request id, a
    fault problem+json.

    ``verbose_errors`` puts the exception's words into the 500: for development only. ``identify``
    is for ASGI; an aiohttp app says it as ``app[IDENTIFY]``.
    """
    if _is_asgi(handler):
        return asgi.with_observability(
            cast("AsgiApp", handler),
            skip_auth=skip_auth,
            route_name=route_name,
            verbose_errors=verbose_errors,
            identify=identify,
            recorder=recorder,
        )
    called = cast("Handler", handler)

    async def inner(request: web.Request) -> web.StreamResponse:
        request_id = _request_id(request)
        request[REQUEST_ID] = request_id
        try:
            response = await _answer(called, request, request_id, skip_auth)
        except web.HTTPException as answer:
            answer.headers[REQUEST_ID_HEADER] = request_id
            raise
        except Exception as failure:
            _log.exception("handler of %s failed (request %s)", request.path, request_id)
            words = {"detail": said(failure)} if verbose_errors else {}
            response = server_error(**words, request_id=request_id)
        if not response.prepared:
            response.headers[REQUEST_ID_HEADER] = request_id
        return response

    return wraps(called)(_measured(inner, route_name, recorder))


async def _answer(
    handler: Handler, request: web.Request, request_id: str, skip_auth: bool
) -> web.StreamResponse:
    if not skip_auth:
        identify = request.config_dict.get(IDENTIFY)
        identity = await identify(request) if identify else request.get(IDENTITY)
        if not identity:
            return unauthorized(request_id=request_id)
        request[IDENTITY] = identity
    return await handler(request)


def _request_id(request: web.Request) -> str:
    """The one an outer middleware gave it, else as ``in_app.request_id`` says."""
    if REQUEST_ID in request:
        return request[REQUEST_ID]
    return name_request(request.headers.get(REQUEST_ID_HEADER, ""), _trace_id(request))


def _trace_id(request: web.Request) -> str | None:
    headers = request.headers
    return read_trace(headers.get("traceparent", ""), headers.get("sentry-trace", ""))


def _resource(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "" if resource is None else template(resource.canonical, request.path)


def _capture(request: web.Request, answer: web.StreamResponse | None) -> Capture:
    """Without the request's body: what the handler did not keep is gone."""
    body = answer.body if isinstance(answer, web.Response) else None
    raw = body if isinstance(body, bytes | bytearray) else b""
    headers = (
        [] if answer is None else [(k.encode(), v.encode()) for k, v in answer.headers.items()]
    )
    if answer is not None and hdrs.CONTENT_TYPE not in answer.headers:
        headers.append((b"Content-Type", answer.content_type.encode()))
    return Capture(
        request_headers=list(request.raw_headers),
        request_truncated=request.body_exists,
        response_headers=headers,
        response_body=bytes(raw[:CAPTURE_BYTES]),
        response_truncated=len(raw) > CAPTURE_BYTES,
    )
