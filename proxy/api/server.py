"""The control plane on its own port: every row of the route table mounted, and the event feed
beside it.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

from aiohttp import web

from proxy.api import openapi
from proxy.api.auth import Authenticator
from proxy.api.call import API, Api
from proxy.api.control_file import watch_control_file
from proxy.api.deps import ApiDeps, Asker, Healing
from proxy.api.endpoint import endpoint, on_prepare, outermost
from proxy.api.events import EventHub
from proxy.api.feed import Feed
from proxy.api.guard import Guard
from proxy.api.live import LiveView
from proxy.api.routes import (
    alerts,
    approvals,
    ask,
    audit,
    control,
    deploys,
    events,
    health,
    jobs,
    overview,
    patches,
)
from proxy.api.table import Route
from proxy.config import Config, Detector
from proxy.founder.approvals import FounderApprovalEngine
from proxy.observability.buffer import MetricsBuffer
from proxy.observability.detector import MLDetector
from proxy.observability.middleware import RECORDER
from proxy.observability.recorder import Recorder
from proxy.store import members
from proxy.tasks import cancel, spawn

__all__ = ["ROUTES", "ApiDeps", "Asker", "Healing", "LiveView", "build_app", "reload"]

LINE_BYTES_MAX = 65536
"""Of a request line: far above what any query needs, so that a long one is refused by our own words
and not by the server's.
"""
CALLS_KEPT = 100
"""Of our own calls only the counts are read; the buffer behind them stays small."""

_DECLARED: tuple[Route, ...] = (
    *health.ROUTES,
    *overview.ROUTES,
    *deploys.ROUTES,
    *events.ROUTES,
    *jobs.ROUTES,
    *patches.ROUTES,
    *approvals.ROUTES,
    *alerts.ROUTES,
    *audit.ROUTES,
    *control.ROUTES,
    *ask.ROUTES,
)
ROUTES: tuple[Route, ...] = (*_DECLARED, *openapi.routes_for(_DECLARED))
"""Everything this port serves."""


def build_app(deps: ApiDeps) -> web.Application:
    """The application for the control port. Starting it starts the event feed; stopping it ends all
    streams.

    Serve it with ``AppRunner(app, auto_decompress=False, access_log=None)``: tokens never reach a
    log.
    """
    app = web.Application(middlewares=[outermost], client_max_size=0)
    # counted apart: our own calls are no traffic of the app, and no incident of it either
    app[RECORDER] = Recorder(
        buffer=MetricsBuffer(CALLS_KEPT), detector=MLDetector(Detector(enabled=False))
    )
    schema = deps.config.database.schema
    hub = EventHub(deps.clock)
    app[API] = Api(
        deps,
        Authenticator(
            deps.member_dsn,
            partial(members.authenticate, schema=schema),
            partial(members.connect_member, schema=schema),
            deps.clock,
        ),
        hub,
        Guard.of(deps.config),
        _engine(deps),
    )
    for route in ROUTES:
        app.router.add_route(route.method, route.full_path, endpoint(route))
    app.on_response_prepare.append(on_prepare)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.append(_feeding)
    return app


def reload(app: web.Application, config: Config) -> None:
    """Put ``config`` in force from the next request on: allow-lists, redaction, approval days."""
    api = app[API]
    deps = replace(api.deps, config=config)
    api.deps, api.guard, api.engine = deps, Guard.of(config), _engine(deps)


def _engine(deps: ApiDeps) -> FounderApprovalEngine:
    return FounderApprovalEngine(
        clock=deps.clock,
        approval_days=deps.config.founder.approval_days,
        auto_approve_sandbox=lambda: deps.config.founder.auto_approve_sandbox,
        signers=deps.config.founder.signers,
    )


async def _feeding(app: web.Application) -> AsyncIterator[None]:
    api = app[API]
    feed = Feed(api.deps, api.hub, api.deps.wake)
    feed.start()
    watch = spawn(watch_control_file(api.deps), name="control-file")
    yield
    await feed.stop()
    await cancel(watch)


async def _end_streams(app: web.Application) -> None:
    app[API].hub.close()
