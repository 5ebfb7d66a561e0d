"""with_metrics and with_observability on a real aiohttp server."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pytest_aiohttp.plugin import AiohttpClient

from proxy.domain.exchange import Exchange, Outcome
from proxy.observability.middleware import (
    IDENTIFY,
    IDENTITY,
    RECORDER,
    REQUEST_ID,
    Handler,
    with_metrics,
    with_observability,
)
from proxy.observability.recorder import Recorder
from proxy.observability.responses import not_found, ok


async def hello(request: web.Request) -> web.StreamResponse:
    return ok({"caller": request.get(IDENTITY), "request_id": request.get(REQUEST_ID)})


async def broken(request: web.Request) -> web.StreamResponse:
    raise RuntimeError("the password is hunter2")


async def refuses(request: web.Request) -> web.StreamResponse:
    raise web.HTTPConflict(text="taken")


async def missing(request: web.Request) -> web.StreamResponse:
    return not_found("No such order.")


async def identify(request: web.Request) -> str | None:
    return "ada" if request.headers.get("Authorization") == "Bearer good" else None


def app(recorder: Recorder, **routes: Handler) -> web.Application:
    made = web.Application()
    made[RECORDER] = recorder
    for name, handler in routes.items():
        made.router.add_get(f"/{name}/{{id}}", handler)
    return made


def recorded(recorder: Recorder) -> list[Exchange]:
    return recorder.buffer.drain(100)


async def test_every_call_is_one_exchange(aiohttp_client: AiohttpClient) -> None:
    recorder = Recorder()
    client = await aiohttp_client(
        app(recorder, hello=with_metrics(hello), named=with_metrics(hello, "orders"))
    )
    assert (await client.get("/hello/7?x=1")).status == 200
    assert (await client.get("/named/7")).status == 200
    first, second = recorded(recorder)
    assert (first.route, first.status, first.target) == ("/hello/{id}", 200, b"/hello/7?x=1")
    assert second.route == "orders"
    assert first.duration_ms > 0
    assert first.response_bytes > 0


async def test_metrics_alone_change_no_answer_and_count_every_end(
    aiohttp_client: AiohttpClient,
) -> None:
    failures: list[Exchange] = []
    recorder = Recorder(on_failure=lambda exchange, log_id: failures.append(exchange))
    client = await aiohttp_client(
        app(recorder, broken=with_metrics(broken), refuses=with_metrics(refuses))
    )
    assert (await client.get("/broken/1")).status == 500
    answer = await client.get("/refuses/1")
    assert (answer.status, await answer.text()) == (409, "taken")
    assert [e.status for e in recorded(recorder)] == [500, 409]
    assert failures[0].error == "RuntimeError: the password is hunter2"


async def test_a_caller_without_identity_is_refused(aiohttp_client: AiohttpClient) -> None:
    recorder = Recorder()
    made = app(recorder, hello=with_observability(hello))
    made[IDENTIFY] = identify
    client = await aiohttp_client(made)
    refused = await client.get("/hello/1")
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.headers["X-Request-ID"]
    granted = await client.get("/hello/1", headers={"Authorization": "Bearer good"})
    assert (await granted.json())["caller"] == "ada"
    assert [e.status for e in recorded(recorder)] == [401, 200]


async def test_without_an_identify_nobody_is_known(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(
        app(
            Recorder(),
            closed=with_observability(hello),
            free=with_observability(hello, skip_auth=True),
        )
    )
    assert (await client.get("/closed/1")).status == 401
    assert (await client.get("/free/1")).status == 200


async def test_request_ids(aiohttp_client: AiohttpClient) -> None:
    client = await aiohttp_client(app(Recorder(), hello=with_observability(hello, skip_auth=True)))
    mine = await client.get("/hello/1", headers={"X-Request-ID": "req-1"})
    assert mine.headers["X-Request-ID"] == "req-1"
    assert (await mine.json())["request_id"] == "req-1"
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    traced = await client.get(
        "/hello/1", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    )
    assert traced.headers["X-Request-ID"] == trace
    hostile = await client.get("/hello/1", headers={"X-Request-ID": "<script>" * 40})
    assert len(hostile.headers["X-Request-ID"]) == 32


async def test_faults_become_problems_and_say_no_more_than_they_may(
    aiohttp_client: AiohttpClient,
) -> None:
    recorder = Recorder()
    client = await aiohttp_client(
        app(
            recorder,
            quiet=with_observability(broken, skip_auth=True),
            loud=with_observability(broken, skip_auth=True, verbose_errors=True),
            missing=with_observability(missing, skip_auth=True),
            refuses=with_observability(refuses, skip_auth=True),
        )
    )
    quiet = await client.get("/quiet/1")
    assert quiet.status == 500
    assert quiet.content_type == "application/problem+json"
    assert "hunter2" not in await quiet.text()
    assert "hunter2" in await (await client.get("/loud/1")).text()
    assert (await client.get("/missing/1")).status == 404
    refused = await client.get("/refuses/1")
    assert refused.status == 409
    assert refused.headers["X-Request-ID"]
    assert [e.status for e in recorded(recorder)] == [500, 500, 404, 409]


async def test_a_client_that_leaves_is_no_failure() -> None:
    failures: list[Exchange] = []
    recorder = Recorder(on_failure=lambda exchange, log_id: failures.append(exchange))
    began = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    made = web.Application()
    made[RECORDER] = recorder
    request = make_mocked_request("GET", "/slow", app=made)

    async def call() -> None:
        await with_metrics(slow, "/slow")(request)

    task = asyncio.create_task(call())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (exchange,) = recorded(recorder)
    assert (exchange.status, exchange.outcome) == (499, Outcome.CLIENT_GONE)
    assert failures == []
