"""One row of the route table made into an aiohttp handler: every check in one order, then the
handler.

Cheap checks come first and nothing is read or looked up for a caller who should not be here: Host,
Origin, the form of a change, the token, the role, and only then the body.
"""

import secrets
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from pydantic import BaseModel

from proxy.api.auth import Credential, read_bearer
from proxy.api.body import BODY_TIMEOUT_S, parse_json, parse_query, read_bounded, validated
from proxy.api.call import API, Api, Call
from proxy.api.guard import check_change
from proxy.api.problems import Refusal, answer_for
from proxy.api.table import Route
from proxy.contract.base import parse_id
from proxy.domain.approval import Actor
from proxy.errors import NotFound
from proxy.observability.middleware import REQUEST_ID, with_observability

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
PROBE_PATHS = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
STARTED = web.RequestKey("started", bool)


@web.middleware
async def outermost(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Request id, Host and Origin for whatever path was asked, and a problem for whatever goes
    wrong.
    """
    request_id = secrets.token_hex(8)
    request[REQUEST_ID] = request_id
    try:
        _check_head(request)
        return await handler(request)
    except Exception as error:
        return _refused(request, error)


def _refused(request: web.Request, error: Exception) -> web.Response:
    if request.get(STARTED) and request.transport is not None:
        # half an answer is out: only a cut says that it is not whole
        request.transport.abort()
    return answer_for(error, request[REQUEST_ID])


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    request[STARTED] = True
    response.headers.setdefault("X-Request-Id", request.get(REQUEST_ID, ""))
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.popall(hdrs.SERVER, None)


def _check_head(request: web.Request) -> None:
    guard = request.app[API].guard
    hosts = request.headers.getall(hdrs.HOST, [])
    if len(hosts) > 1:
        raise Refusal(400, "host_doubled", "send one Host header")
    probe = request.path in PROBE_PATHS
    guard.check_host(hosts[0] if hosts else None, _own_address(request), probe=probe)
    guard.check_origin(request.headers.getall(hdrs.ORIGIN, []))


def _own_address(request: web.Request) -> str | None:
    name = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return str(name[0]).lower() if isinstance(name, tuple) else None


def endpoint(route: Route) -> Handler:
    """The aiohttp handler of one row, under the middleware that is offered to every app.

    Who calls is asked here and not there: a refusal of ours names its cause and its fix.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request)
        except Exception as error:
            return _refused(request, error)

    async def answer(request: web.Request) -> web.StreamResponse:
        api = request.app[API]
        if route.is_change:
            check_change(request.headers, request.content_type)
        peer = request.remote or "unix"
        credential, actor = await _who(route, api, request, peer)
        call = Call(
            api,
            request,
            peer,
            actor,
            credential,
            _number(route, request),
            None if route.query is None else parse_query(route.query, list(request.query.items())),
            None if route.body is None else await _body(route, request),
        )
        made = await route.handler(call)
        return _json(route, made) if isinstance(made, BaseModel) else made

    return with_observability(handle, skip_auth=True, route_name=route.full_path)


async def _who(
    route: Route, api: Api, request: web.Request, peer: str
) -> tuple[Credential | None, Actor | None]:
    if not route.roles:
        return None, None
    credential = read_bearer(request.headers.get(hdrs.AUTHORIZATION))
    actor = await api.auth.identify(credential, peer)
    if actor.role not in route.roles:
        raise Refusal(
            403,
            "role_refused",
            f"this takes the role {' or '.join(sorted(route.roles))}; yours is {actor.role}",
        )
    return credential, actor


def _number(route: Route, request: web.Request) -> int:
    letter = route.letter
    if letter not in ("J", "P", "A"):
        return 0
    try:
        return parse_id(request.match_info["n"], letter)  # type: ignore[arg-type]  # narrowed above
    except ValueError as error:
        raise NotFound(str(error)) from None


async def _body(route: Route, request: web.Request) -> BaseModel:
    assert route.body is not None
    raw = await read_bounded(request, route.body_bytes_max, BODY_TIMEOUT_S)
    return validated(route.body, parse_json(raw))


def _json(route: Route, model: BaseModel) -> web.Response:
    return web.Response(
        status=route.status,
        body=model.model_dump_json().encode(),
        content_type="application/json",
    )
