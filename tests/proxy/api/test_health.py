"""What load balancers ask: codes exactly as the contract has them, HEAD too, no token, no store."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.api import ApiUnderTest

PATHS = ("/livez", "/readyz", "/healthz", "/metrics")

STATES: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({}, (200, 200, 200, 200)),
    ({"accepting": False}, (200, 503, 503, 200)),
    ({"draining": True}, (200, 503, 503, 200)),
    ({"upstream_refused": True}, (200, 200, 503, 200)),
    ({"score": None, "status": "degraded"}, (200, 200, 200, 200)),
]


async def test_codes(api: ApiUnderTest) -> None:
    for state, codes in STATES:
        before = {name: getattr(api.live, name) for name in state}
        for name, value in state.items():
            setattr(api.live, name, value)
        for path, code in zip(PATHS, codes, strict=True):
            for method in ("GET", "HEAD"):
                async with api.client.request(method, path) as answer:
                    body = await answer.read()
                    assert answer.status == code, (state, path)
                    assert answer.headers["Cache-Control"] == "no-store"
                    assert "Server" not in answer.headers
                    assert bool(body) == (method == "GET")
        for name, value in before.items():
            setattr(api.live, name, value)


async def test_healthz_says_what_lies_around(api: ApiUnderTest) -> None:
    async with api.client.get("/healthz") as answer:
        body = json.loads(await answer.read())
    assert set(body) == {"status", "score", "upstream", "storage", "capture"}
    assert (body["status"], body["score"]) == ("ok", 97)
    api.live.draining = True
    async with api.client.get("/healthz") as answer:
        assert json.loads(await answer.read())["status"] == "draining"


async def test_metrics_are_prometheus_text(api: ApiUnderTest) -> None:
    async with api.client.get("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "selfheal_up 1" in await answer.text()


async def test_our_own_calls_are_counted_by_the_middleware_we_offer(api: ApiUnderTest) -> None:
    assert (await api.call("viewer", "GET", "/jobs"))[0] == 200
    assert (await api.call("viewer", "PUT", "/control", {}))[0] == 403
    async with api.client.get("/metrics") as answer:
        text = await answer.text()
    assert 'selfheal_control_requests_total{class="2xx"} 1' in text
    assert 'selfheal_control_requests_total{class="4xx"} 1' in text


@pytest.mark.parametrize("path", PATHS)
async def test_a_probe_without_a_host_is_answered(api: ApiUnderTest, path: str) -> None:

    host, port = api.client.host, api.client.port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert b" 200 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
