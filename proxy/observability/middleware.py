"""In-app middlewares for aiohttp handlers, for apps that want to be measured without a proxy in
front.

``with_metrics`` measures. ``with_observability`` also asks who calls, names the request and turns
what a handler throws into problem+json. Both hand one ``Exchange`` to the recorder at the end;
neither knows what becomes of it.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from functools import wraps

from aiohttp import web

from proxy.clock import Clock, SystemClock
from proxy.domain.exchange import Exchange, Outcome
from proxy.observability.recorder import Recorder
from proxy.observability.responses import server_error, unauthorized

_log = logging.getLogger("selfheal.middleware")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Identify = Callable[[web.Request], Awaitable[str | None]]

RECORDER: web.AppKey[Recorder] = web.AppKey("selfheal_recorder", Recorder)
"""``app[RECORDER]``: where exchanges go; without one a recorder of the process is used."""
IDENTIFY: web.AppKey[Identify] = web.AppKey("selfheal_identify")
"""``app[IDENTIFY]``: who calls, or None; without one, ``request[IDENTITY]`` counts."""
IDENTITY: web.RequestKey[str] = web.RequestKey("selfheal_identity", str)
"""``request[IDENTITY]``: who calls; an app's own middleware may set it beforehand."""
REQUEST_ID: web.RequestKey[str] = web.RequestKey("selfheal_request_id", str)
CLOCK: web.AppKey[Clock] = web.AppKey("selfheal_clock")

REQUEST_ID_HEADER = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
_CLIENT_GONE = 499

_own: list[Recorder] = []


def default_recorder() -> Recorder:
    """The recorder of this process, made when first asked for."""
    if not _own:
        _own.append(Recorder())
    return _own[0]


def with_metrics(handler: Handler, route_name: str | None = None) -> Handler:
    """Measure every call. ``route_name`` replaces the template of the aiohttp resource. Errors
    pass through.
    """

    @wraps(handler)
    async def measured(request: web.Request) -> web.StreamResponse:
        clock = request.config_dict.get(CLOCK) or SystemClock()
        started_at, began = clock.time(), clock.monotonic()
        status, outcome, error = 500, Outcome.ANSWERED, None
        sent = 0
        try:
            response = await handler(request)
            status, sent = response.status, _length(response)
            return response
        except web.HTTPException as answer:
            status, sent = answer.status, _length(answer)
            raise
        except asyncio.CancelledError:
            status, outcome = _CLIENT_GONE, Outcome.CLIENT_GONE
            raise
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"[:500]
            raise
        finally:
            recorder = request.config_dict.get(RECORDER) or default_recorder()
            recorder.record(
                Exchange(
                    started_at=started_at,
                    duration_ms=(clock.monotonic() - began) * 1000.0,
                    method=request.method,
                    target=request.raw_path.encode("utf-8", "surrogateescape"),
                    status=status,
                    outcome=outcome,
                    request_bytes=request.content_length or 0,
                    response_bytes=sent,
                    trace_id=_trace_id(request),
                    client=request.remote or "",
                    error=error,
                    route=route_name or _resource(request),
                )
            )

    return measured


def with_observability(
    handler: Handler,
    *,
    skip_auth: bool = False,
    route_name: str | None = None,
    verbose_errors: bool = False,
) -> Handler:
    """``with_metrics``, and: a caller without identity gets 401, every answer its request id, a
    fault problem+json.

    ``verbose_errors`` puts the exception's words into the 500: for development only.
    """

    async def inner(request: web.Request) -> web.StreamResponse:
        request_id = _request_id(request)
        request[REQUEST_ID] = request_id
        try:
            response = await _answer(handler, request, request_id, skip_auth)
        except web.HTTPException as answer:
            answer.headers[REQUEST_ID_HEADER] = request_id
            raise
        except Exception as failure:
            _log.exception("handler of %s failed (request %s)", request.path, request_id)
            words = f"{type(failure).__name__}: {failure}" if verbose_errors else ""
            response = (
                server_error(words, request_id=request_id)
                if words
                else server_error(request_id=request_id)
            )
        if not response.prepared:
            response.headers[REQUEST_ID_HEADER] = request_id
        return response

    return wraps(handler)(with_metrics(inner, route_name))


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
    """The caller's own id when it is harmless text, else the trace's, else a new one."""
    given = request.headers.get(REQUEST_ID_HEADER, "")
    if _REQUEST_ID.fullmatch(given):
        return given
    return _trace_id(request) or secrets.token_hex(16)


def _trace_id(request: web.Request) -> str | None:
    """The trace id of ``traceparent`` (W3C Trace Context 3.2)."""
    match = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    return match[1] if match and match[1] != "0" * 32 else None


def _resource(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


def _length(response: web.StreamResponse) -> int:
    return response.content_length or 0
