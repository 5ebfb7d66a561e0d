"""Health for load balancers: no token, no database, nothing to wait for."""

from typing import Any

from aiohttp import web

from proxy.api.call import Call
from proxy.api.table import NOBODY_ASKED, Route
from proxy.contract.base import Answer
from proxy.observability.middleware import RECORDER
from proxy.observability.recorder import Recorder

NO_STORE = {"Cache-Control": "no-store"}
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Simple(Answer):
    status: str


class HealthSummary(Answer):
    status: str
    score: int | None
    upstream: dict[str, Any]
    storage: dict[str, Any]
    capture: dict[str, Any]


def _answer(call: Call, status: int, body: Answer) -> web.Response:
    return web.Response(
        status=status,
        headers=NO_STORE,
        body=b"" if call.request.method == "HEAD" else body.model_dump_json().encode(),
        content_type="application/json",
    )


async def livez(call: Call) -> web.Response:
    return _answer(call, 200, Simple(status="ok"))


async def readyz(call: Call) -> web.Response:
    """200 while the data port accepts. A database or a model that is away changes nothing here."""
    live = call.deps.live
    if live.draining:
        return _answer(call, 503, Simple(status="draining"))
    return _answer(call, *((200, Simple(status="ok")) if live.accepting else (503, _STARTING)))


_STARTING = Simple(status="starting")


async def healthz(call: Call) -> web.Response:
    """Like readyz, and 503 too while the app refuses connections."""
    live = call.deps.live
    health = live.health()
    told = call.deps.status()
    summary = HealthSummary(
        status="draining" if live.draining else health.status,
        score=health.score,
        upstream=health.upstream or told.get("upstream") or {},
        storage=health.storage or told.get("storage") or {},
        capture=health.capture or told.get("capture") or {},
    )
    bad = live.draining or not live.accepting or live.upstream_refused
    return _answer(call, 503 if bad else 200, summary)


async def metrics(call: Call) -> web.Response:
    text = "" if call.request.method == "HEAD" else call.deps.live.prometheus() + _own_calls(call)
    return web.Response(body=text.encode(), headers={**NO_STORE, "Content-Type": PROMETHEUS})


def _own_calls(call: Call) -> str:
    """The control API's own answers by class, apart from the app's traffic."""
    recorder = call.request.config_dict[RECORDER]
    counts = recorder.summary()["statuses"] if isinstance(recorder, Recorder) else {}
    lines = [
        f'selfheal_control_requests_total{{class="{c}"}} {n}' for c, n in sorted(counts.items())
    ]
    return "\n".join(["# TYPE selfheal_control_requests_total counter", *lines, ""])


def _pair(
    path: str, handler: Any, summary: str, answer: type[Answer] | None
) -> tuple[Route, Route]:
    media = "application/json" if answer is not None else "text/plain"
    get, head = (
        Route(
            method,
            path,
            handler,
            summary,
            NOBODY_ASKED,
            answer=answer,
            media=media,
            bare=True,
            problems=(503,) if path in ("/readyz", "/healthz") else (),
        )
        for method in ("GET", "HEAD")
    )
    return get, head


ROUTES = (
    *_pair("/livez", livez, "The process serves.", Simple),
    *_pair("/readyz", readyz, "The data port accepts; 503 while starting or draining.", Simple),
    *_pair("/healthz", healthz, "Status, score and what lies around the proxy.", HealthSummary),
    *_pair("/metrics", metrics, "Prometheus text.", None),
)
