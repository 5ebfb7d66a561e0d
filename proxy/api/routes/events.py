"""`GET /events`: what changes, as server-sent events, with a heartbeat in every silence."""

import asyncio

from aiohttp import web

from proxy.api.call import Call
from proxy.api.events import HEARTBEAT, Reader, TooManyReaders, encode
from proxy.api.problems import Refusal
from proxy.api.table import EVERY_ROLE, Route
from proxy.contract.base import HEARTBEAT_S
from proxy.errors import Unavailable

WRITE_TIMEOUT_S = 10.0
"""A reader whose socket takes nothing for this long is gone."""
RECHECK_S = 60.0
"""A stream may live for days; whether its reader is still a member is asked this often."""
BEAT_S = HEARTBEAT_S * 0.8


async def events(call: Call) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    try:
        with call.api.hub.reader(call.request.headers.get("Last-Event-ID")) as reader:
            await response.prepare(call.request)
            await response.write(HEARTBEAT)
            await _pump(call, reader, response)
    except TooManyReaders:
        raise Refusal(
            429, "too_many_streams", "too many event streams are open", {"Retry-After": "5"}
        ) from None
    except TimeoutError:
        if call.request.transport is not None:
            call.request.transport.abort()
    return response


async def _pump(call: Call, reader: Reader, response: web.StreamResponse) -> None:
    clock = call.deps.clock
    checked = clock.monotonic()
    while True:
        try:
            item = await reader.next(BEAT_S)
        except TimeoutError:
            item, data = None, HEARTBEAT
        else:
            if item is None:
                return
            data = encode(*item)
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await response.write(data)
        if clock.monotonic() - checked >= RECHECK_S:
            checked = clock.monotonic()
            if not await _still_member(call):
                return


async def _still_member(call: Call) -> bool:
    assert call.credential is not None, "only routes with roles stream events"
    try:
        actor = await call.api.auth.identify(call.credential, call.peer)
    except Unavailable:
        return True
    except Refusal as refusal:
        return refusal.status == 429
    return actor.role == call.who.role


ROUTES = (
    Route(
        "GET",
        "/events",
        events,
        "What changes, as it changes; ids only.",
        EVERY_ROLE,
        media="text/event-stream",
    ),
)
