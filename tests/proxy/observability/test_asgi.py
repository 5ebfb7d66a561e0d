"""with_metrics and with_observability around any ASGI app, and beside the other two ways to be
measured.
"""

import asyncio
import json
import socket
import timeit
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import make_mocked_request
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from proxy.clock import SystemClock
from proxy.config import Config
from proxy.dataplane.server import DataServer
from proxy.dataplane.server import serve as listen
from proxy.domain.exchange import Exchange, Outcome
from proxy.domain.waiting import exchanges_of
from proxy.observability.asgi import IDENTITY, REQUEST_ID, Message, Receive, Scope, Send
from proxy.observability.middleware import RECORDER, with_metrics, with_observability
from proxy.observability.recorder import Recorder
from proxy.store.log_rows import LogRows
from tests.support.asgi import call

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ANSWERS: dict[str, tuple[int, str]] = {
    "/orders/7": (200, '{"id": 7}'),
    "/orders/8/lines": (422, '{"detail": "quantity: must be positive"}'),
    "/pay": (503, '{"error": "could not connect to server: Connection refused"}'),
    "/orders/9": (404, '{"detail": "not found"}'),
}


async def answer(send: Send, status: int, body: bytes, kind: bytes = b"application/json") -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def shop(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    status, body = ANSWERS[scope["path"]]
    await answer(send, status, body.encode())


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("the password is hunter2")


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    state = scope["state"]
    said = {"caller": state.get(IDENTITY), "request_id": state[REQUEST_ID]}
    await answer(send, 200, json.dumps(said).encode())


async def identify(scope: Scope) -> str | None:
    return "ada" if (b"authorization", b"Bearer good") in scope["headers"] else None


def recorded(recorder: Recorder) -> list[Exchange]:
    return list(exchanges_of(recorder.buffer.drain(100)))


async def test_every_request_is_one_exchange_with_its_answer_kept_where_it_failed() -> None:
    recorder = Recorder()
    app = with_metrics(shop, recorder=recorder)
    await call(app, "GET", "/orders/7?x=1", headers={"sentry-trace": f"{TRACE}-{'1' * 16}-0"})
    await call(app, "POST", "/orders/8/lines", body=b'{"quantity": -1}')
    good, bad = recorded(recorder)
    assert (good.route, good.status, good.target) == ("/orders/{id}", 200, b"/orders/7?x=1")
    assert (good.trace_id, good.capture, good.client) == (TRACE, None, "127.0.0.1")
    assert bad.capture is not None
    assert bad.capture.request_body == b'{"quantity": -1}'
    assert b"must be positive" in bad.capture.response_body
    assert (bad.request_bytes, bad.response_bytes) == (16, len(ANSWERS["/orders/8/lines"][1]))


async def test_a_framework_that_knows_its_route_names_it_as_the_proxy_would() -> None:
    recorder = Recorder()

    class Route:
        path = "/orders/{order_id}"

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = Route
        await answer(send, 200, b"")

    await call(with_metrics(routed, recorder=recorder), "GET", "/orders/7")
    await call(with_metrics(routed, "checkout", recorder=recorder), "GET", "/orders/7")
    assert [e.route for e in recorded(recorder)] == ["/orders/{id}", "checkout"]


async def test_every_end_is_told_as_the_proxy_would_have_seen_it() -> None:
    recorder = Recorder()
    left = asyncio.Event()

    async def cut(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half-way")

    async def abandoned(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        left.set()
        await receive()

    async def tunnel(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    for app in (broken, cut, abandoned):
        await call(with_metrics(app, recorder=recorder), "GET", "/x", before_answer=left)
    await call(with_metrics(tunnel, recorder=recorder), "GET", "/ws", kind="websocket")
    ends = [(e.status, e.outcome, e.error) for e in recorded(recorder)]
    assert ends == [
        (500, Outcome.ANSWERED, "RuntimeError: the password is hunter2"),
        (200, Outcome.UPSTREAM_BROKEN, "RuntimeError: half-way"),
        (499, Outcome.CLIENT_GONE, None),
        (101, Outcome.UPGRADED, None),
    ]


async def test_what_is_no_request_passes_untouched() -> None:
    recorder = Recorder()
    seen: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    app = with_observability(lifespan, recorder=recorder)

    async def nothing() -> Message:
        raise AssertionError("nobody asks")

    async def nowhere(message: Message) -> None:
        raise AssertionError("nobody answers")

    await app({"type": "lifespan"}, nothing, nowhere)
    assert seen == ["lifespan"]
    assert recorded(recorder) == []


async def test_a_caller_without_identity_is_refused() -> None:
    recorder = Recorder()
    app = with_observability(who, identify=identify, recorder=recorder)
    refused = await call(app, "GET", "/x")
    assert (refused.status, refused.headers["content-type"]) == (401, "application/problem+json")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert json.loads(refused.body)["request_id"] == refused.headers["x-request-id"]
    granted = await call(app, "GET", "/x", headers={"Authorization": "Bearer good"})
    assert json.loads(granted.body)["caller"] == "ada"
    assert [e.status for e in recorded(recorder)] == [401, 200]
    nobody = await call(with_observability(who, recorder=recorder), "GET", "/x")
    assert nobody.status == 401
    outer = await call(
        with_observability(who, recorder=recorder), "GET", "/x", state={IDENTITY: "bob"}
    )
    assert json.loads(outer.body)["caller"] == "bob"
    socket = await call(app, "GET", "/ws", kind="websocket")
    assert socket.messages == [{"type": "websocket.close", "code": 1008}]


async def test_request_ids_and_faults() -> None:
    app = with_observability(who, skip_auth=True, recorder=Recorder())
    mine = await call(app, "GET", "/x", headers={"X-Request-ID": "req-1"})
    assert (mine.headers["x-request-id"], json.loads(mine.body)["request_id"]) == ("req-1",) * 2
    hostile = await call(app, "GET", "/x", headers={"X-Request-ID": "<script>" * 40})
    assert len(hostile.headers["x-request-id"]) == 32
    quiet = await call(with_observability(broken, skip_auth=True), "GET", "/x")
    assert (quiet.status, quiet.headers["content-type"]) == (500, "application/problem+json")
    assert b"hunter2" not in quiet.body
    loud = await call(with_observability(broken, skip_auth=True, verbose_errors=True), "GET", "/x")
    assert b"hunter2" in loud.body


# --- one scenario, three ways ---------------------------------------------------------------------


async def handled(request: web.Request) -> web.Response:
    await request.read()
    status, body = ANSWERS[request.path]
    return web.Response(status=status, text=body, content_type="application/json")


SCENARIO = [
    ("GET", "/orders/7"),
    ("POST", "/orders/8/lines"),
    ("GET", "/pay"),
    ("GET", "/orders/9"),
    ("GET", "/orders/7"),
]
TRACEPARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


@asynccontextmanager
async def proxy_before(port: int, recorder: Recorder) -> AsyncIterator[str]:
    """A data plane of its own in front of that port, as its URL."""
    sock = socket.create_server(("127.0.0.1", 0))
    config = Config.of({"upstream": {"url": f"http://127.0.0.1:{port}"}})
    runner = await listen(DataServer(config, recorder, clock=SystemClock()), [sock])
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    await runner.cleanup()


def rows(recorder: Recorder) -> list[tuple[Any, ...]]:
    """Without id, time and duration, which are each call's own."""
    log_rows = LogRows("shop", recorder.log_id(0), str)
    made = sorted(map(log_rows.row, recorded(recorder)), key=itemgetter(1))
    return [row[2:6] + row[7:] for row in made]


async def visit(base: str) -> None:
    async with ClientSession() as client:
        for method, path in SCENARIO:
            async with client.request(method, base + path, headers=TRACEPARENT, data=b"{}") as seen:
                await seen.read()


async def test_proxy_aiohttp_and_asgi_give_the_same_rows(
    aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient
) -> None:
    plain, inside, asgi = Recorder(), Recorder(), Recorder()

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handled)
    upstream = await aiohttp_server(app)
    async with proxy_before(upstream.port or 0, plain) as base:
        await visit(base)

    observed = web.Application()
    observed[RECORDER] = inside
    for path in ("/orders/{order}", "/orders/{order}/lines", "/pay"):
        observed.router.add_route("*", path, with_metrics(handled))
    client = await aiohttp_client(observed)
    await visit(str(client.make_url("")).rstrip("/"))

    wrapped = with_metrics(shop, recorder=asgi)
    for method, path in SCENARIO:
        await call(wrapped, method, path, headers=TRACEPARENT, body=b"{}")

    expected = rows(plain)
    assert len(expected) == len(SCENARIO)
    assert rows(inside) == expected
    assert rows(asgi) == expected


@pytest.mark.parametrize("ways", ["aiohttp", "asgi"])
def test_measuring_costs_microseconds(ways: str) -> None:
    """The promise is 30 us a call; a loaded machine gets ten times that before this fails."""
    recorder = Recorder()
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/orders/7",
        "raw_path": b"/orders/7",
        "headers": [(b"host", b"a"), (b"traceparent", TRACEPARENT["traceparent"].encode())],
        "client": ("127.0.0.1", 1),
    }

    async def ok(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def nothing() -> Message:
        return {"type": "http.request"}

    async def nowhere(message: Message) -> None:
        return

    app = with_metrics(ok, recorder=recorder)

    def asgi_call(measured: Any) -> None:
        try:
            measured(dict(scope), nothing, nowhere).send(None)
        except StopIteration:
            return

    request = make_mocked_request("GET", "/orders/7", headers=TRACEPARENT)
    fixed = web.Response(text="ok")

    async def handler(request: web.Request) -> web.StreamResponse:
        return fixed

    metered = with_metrics(handler, "/orders/{id}", recorder=recorder)

    def aiohttp_call(measured: Any) -> None:
        try:
            measured(request).send(None)
        except StopIteration:
            return

    step, bare, full = (asgi_call, ok, app) if ways == "asgi" else (aiohttp_call, handler, metered)

    def cost(measured: Any) -> float:
        return min(timeit.repeat(lambda: step(measured), number=200, repeat=20)) / 200

    took = cost(full) - cost(bare)
    print(f"{ways}: {took * 1e6:.1f} us a call")
    assert took < 300e-6
