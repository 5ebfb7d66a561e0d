"""Without the proxy: an app that measures itself stores the same rows and makes the same jobs, and
a database that is away costs it nothing.
"""

import asyncio
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientSession, web
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from proxy.app.in_app import QUEUED_MAX, InApp, observe
from proxy.config import Config
from proxy.domain.exchange import Exchange, Outcome
from proxy.observability import in_app
from proxy.observability.asgi import Receive, Scope, Send
from proxy.observability.middleware import RECORDER, with_metrics
from proxy.store.dsn import with_database
from tests.support.asgi import call
from tests.support.postgres import TestDatabase
from tests.support.worker import data_worker

NOWHERE = "postgresql://nobody:none@127.0.0.1:9/none"
TRACEPARENT = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
ANSWERS: dict[str, tuple[int, str]] = {
    "/orders/7": (200, '{"id": 7}'),
    "/orders/8/lines": (422, '{"detail": "quantity: must be positive"}'),
    "/pay": (500, '{"error": "FATAL: sorry, too many clients already"}'),
    "/report": (504, '{"error": "upstream request timeout"}'),
    "/warm-up": (500, '{"error": "first of all"}'),
}
SCENARIO = [("GET", "/orders/7"), ("POST", "/orders/8/lines"), ("GET", "/pay"), ("GET", "/report")]
TWICE = [*SCENARIO, *SCENARIO]


def settings(service: str) -> Config:
    return Config.of({"app": {"service": service}, "metrics": {"flush_s": 0.2}})


def failed(number: int = 0, status: int = 500) -> Exchange:
    return Exchange(
        time.time(),
        3.0,
        "GET",
        b"/pay",
        status,
        Outcome.ANSWERED,
        error=f"KeyError: 'total{number}'",
        client="::1",
    )


async def rows(database: TestDatabase, sql: str, *args: Any) -> list[asyncpg.Record]:
    conn = await database.connect_installer()
    try:
        return list(await conn.fetch(sql, *args))
    finally:
        await conn.close()


async def until(
    database: TestDatabase, enough: Callable[[list[asyncpg.Record]], bool], sql: str, *args: Any
) -> list[asyncpg.Record]:
    async with asyncio.timeout(30):
        while not enough(found := await rows(database, sql, *args)):
            await asyncio.sleep(0.05)
    return found


async def handled(request: web.Request) -> web.Response:
    await request.read()
    status, body = ANSWERS[request.path]
    return web.Response(status=status, text=body, content_type="application/json")


async def shop(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    status, body = ANSWERS[scope["path"]]
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


async def visit(base: str) -> None:
    async with ClientSession() as client:
        for method, path in TWICE:
            async with client.request(method, base + path, headers=TRACEPARENT, data=b"{}") as seen:
                await seen.read()


async def through_the_proxy(database: TestDatabase, port: int, home: Path) -> None:
    with data_worker(home, port, dsn=database.proxy_dsn, app={"service": "proxied"}) as worker:
        base = f"http://127.0.0.1:{worker.port}"
        async with ClientSession() as client, client.get(f"{base}/warm-up"):
            pass
        # its rules are read: from now on a row says at once what went wrong
        await until(database, bool, "select id from selfheal.self_healing_jobs")
        await visit(base)


async def in_aiohttp(database: TestDatabase, aiohttp_client: AiohttpClient) -> None:
    with closing(InApp(database.proxy_dsn, settings("aiohttp"))) as inside:
        app = web.Application()
        app[RECORDER] = inside
        for path in ("/orders/{order}", "/orders/{order}/lines", "/pay", "/report"):
            app.router.add_route("*", path, with_metrics(handled))
        client = await aiohttp_client(app)
        await visit(str(client.make_url("")).rstrip("/"))


async def in_asgi(database: TestDatabase) -> None:
    with closing(InApp(database.proxy_dsn, settings("asgi"))) as inside:
        app = with_metrics(shop, recorder=inside)
        for method, path in TWICE:
            await call(app, method, path, headers=TRACEPARENT, body=b"{}", client=("127.0.0.1", 1))


async def test_proxy_aiohttp_and_asgi_give_the_same_rows_and_the_same_jobs(
    database: TestDatabase,
    aiohttp_server: AiohttpServer,
    aiohttp_client: AiohttpClient,
    tmp_path: Path,
) -> None:
    plain = web.Application()
    plain.router.add_route("*", "/{rest:.*}", handled)
    upstream = await aiohttp_server(plain)
    await through_the_proxy(database, upstream.port or 0, tmp_path)
    await in_aiohttp(database, aiohttp_client)
    await in_asgi(database)

    logs = """select method, route_path, status_code, outcome, trace_id, error_message
              from selfheal.observability_logs where service = $1 and route_path <> '/warm-up'
              order by created_at, id"""
    jobs = """select method, route, error_category, severity, error_signature, signature_text,
                     occurrences, status
              from selfheal.self_healing_jobs where service = $1 and route <> '/warm-up'
              order by route"""
    for statement, count in ((logs, len(TWICE)), (jobs, 2)):
        expected = await rows(database, statement, "proxied")
        assert len(expected) == count
        assert await rows(database, statement, "aiohttp") == expected
        assert await rows(database, statement, "asgi") == expected


async def test_what_is_usual_and_what_is_not_is_stored(database: TestDatabase) -> None:
    now = time.time()
    with closing(InApp(database.proxy_dsn, settings("shop"))) as inside:
        for n in range(1200):
            at = now - 1260 + n
            inside.record(Exchange(at, 20.0 + n % 7, "GET", b"/orders", 200, Outcome.ANSWERED))
        for n in range(240):
            at = now - 60 + n / 4
            inside.record(
                Exchange(
                    at,
                    20.0,
                    "GET",
                    b"/orders",
                    500 if n % 2 else 200,
                    Outcome.ANSWERED,
                    error="KeyError: 'x'",
                )
            )
    [baseline] = await rows(database, "select * from selfheal.observability_route_baselines")
    assert (baseline["service"], baseline["route_path"]) == ("shop", "/orders")
    [anomaly] = await rows(database, "select * from selfheal.observability_anomalies")
    assert (anomaly["type"], anomaly["service"], anomaly["route"]) == (
        "error_rate_spike",
        "shop",
        "/orders",
    )
    [job] = await rows(database, "select * from selfheal.self_healing_jobs")
    assert job["occurrences"] == 120


async def test_without_a_database_the_app_answers_as_before() -> None:
    inside = InApp(NOWHERE, settings("shop"))
    app = with_metrics(shop, recorder=inside)
    for _ in range(50):
        assert (await call(app, "GET", "/pay")).status == 500
    assert (await call(app, "GET", "/orders/7")).body == b'{"id": 7}'
    async with asyncio.timeout(20):
        while inside.state()["storage"].get("error") is None:
            await asyncio.sleep(0.05)
    assert inside.state()["storage"]["state"] == "starting"
    started = time.monotonic()
    inside.close()
    assert time.monotonic() - started < 5
    inside.record(failed())  # an app that goes on after close is not touched either


async def test_what_happened_before_the_database_came_is_stored(database: TestDatabase) -> None:
    other = f"{database.name}_late"
    late = TestDatabase(
        other,
        with_database(database.installer_dsn, other),
        with_database(database.proxy_dsn, other),
        {},
        database.cluster,
    )
    dsn = late.proxy_dsn
    inside = InApp(dsn, settings("shop"))
    for _ in range(30):
        inside.record(failed())
    async with asyncio.timeout(20):
        while inside.state()["storage"].get("error") is None:
            await asyncio.sleep(0.05)
    admin = await asyncpg.connect(with_database(database.installer_dsn, "postgres"))
    try:
        await admin.execute(f"create database {other} template {database.name}")
        found = await until(
            late,
            lambda found: bool(found) and found[0]["occurrences"] == 30,
            "select occurrences from selfheal.self_healing_jobs",
        )
        assert len(found) == 1
    finally:
        inside.close()
        await admin.execute(f"drop database if exists {other} with (force)")
        await admin.close()


def test_a_full_queue_counts_and_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = InApp(NOWHERE, settings("shop"))
    monkeypatch.setattr(inside, "_start", lambda: None)
    for _ in range(QUEUED_MAX + 3):
        inside.record(failed())
    assert (inside.state()["queued"], inside.dropped) == (QUEUED_MAX, 3)


def test_handing_a_call_over_costs_less_than_a_microsecond_or_two() -> None:
    inside = InApp(NOWHERE, settings("shop"))
    exchange = failed(status=200)

    def hand_over() -> None:
        inside._queue.clear()
        for _ in range(1000):
            inside.record(exchange)

    inside._closed = True  # no thread: what is measured is the app's own part
    assert min(timeit.repeat(hand_over, number=1, repeat=20)) / 1000 < 10e-6


async def test_observe_is_where_calls_without_a_recorder_go(database: TestDatabase) -> None:
    before = list(in_app._own)
    try:
        inside = observe(database.proxy_dsn, service="shop", environment="staging")
        await call(with_metrics(shop), "GET", "/pay")
        inside.close()
    finally:
        in_app._own[:] = before
    [job] = await rows(database, "select service, environment from selfheal.self_healing_jobs")
    assert tuple(job) == ("shop", "staging")
    with pytest.raises(ValueError, match="service"):
        observe(database.proxy_dsn, service="no name")


FORKED = """
import os, sys, time
from proxy.app.in_app import observe
from proxy.domain.exchange import Exchange, Outcome
inside = observe(sys.argv[1], service="forked")
def fail():
    now, said = time.time(), "KeyError: 'total'"
    inside.record(Exchange(now, 3.0, "GET", b"/pay", 500, Outcome.ANSWERED, error=said))
fail()
if child := os.fork():
    os.waitpid(child, 0)
else:
    fail()
"""


async def test_a_server_that_forks_has_one_in_each_process(database: TestDatabase) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", FORKED, database.proxy_dsn],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    [job] = await rows(database, "select occurrences from selfheal.self_healing_jobs")
    assert job["occurrences"] == 2
    [logs] = await rows(database, "select count(*) from selfheal.observability_logs")
    assert logs["count"] == 2
