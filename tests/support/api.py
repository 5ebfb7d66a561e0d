"""The real control API on the real database, with the real healing service and a live view held by
hand.

``api`` gives an ``ApiUnderTest``: ``call(role, method, path, ...)`` sends what a well-behaved
client sends; ``headers`` replaces parts of it.
"""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request

from proxy.agents.router import OrchestratorRouter
from proxy.api.facts import StoreFacts
from proxy.api.server import ApiDeps, build_app
from proxy.clock import SystemClock
from proxy.config import Config
from proxy.contract.base import CHANGE_HEADER
from proxy.contract.health import Health, RouteStats
from proxy.domain.patch import Patch
from proxy.errors import Unavailable
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.rules import RuleSet
from proxy.healing.service import SelfHealingService
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase

CONTROL = "/api/v1"
Client = TestClient[Request, Application]


@dataclass
class HandLive:
    """A live view whose facts a test sets."""

    accepting: bool = True
    draining: bool = False
    upstream_refused: bool = False
    score: int | None = 97
    status: str = "ok"

    def health(self) -> Health:
        return Health.model_validate(
            {"status": self.status, "score": self.score, "upstream": {"state": "ok"}}
        )

    def routes(self) -> list[RouteStats]:
        return [RouteStats(method="GET", route="/orders/{id}", requests=9, error_rate=0.5)]

    def prometheus(self) -> str:
        return "# TYPE selfheal_up gauge\nselfheal_up 1\n"


@dataclass
class ApiUnderTest:
    client: Client
    database: TestDatabase
    pool: asyncpg.Pool
    live: HandLive
    away: bool = False
    wakes: list[int] = field(default_factory=list)

    def headers(self, role: str | None, change: bool) -> dict[str, str]:
        sent: dict[str, str] = {}
        if role is not None:
            sent["Authorization"] = f"Bearer {self.database.tokens[role]}"
        if change:
            sent[CHANGE_HEADER] = "1"
        return sent

    async def call(
        self,
        role: str | None,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> tuple[int, Any]:
        """Status and parsed answer; None for an empty one."""
        change = method not in ("GET", "HEAD")
        sent = self.headers(role, change) | (headers or {})
        if change and "data" not in more:
            more["json"] = {} if body is None else body
        full = (
            path if path.startswith(("/api", "/openapi")) or path.endswith("z") else CONTROL + path
        )
        async with self.client.request(method, full, headers=sent, **more) as answer:
            raw = await answer.read()
            if answer.status >= 400 and raw:
                assert answer.content_type in ("application/problem+json", "application/json")
            return answer.status, await answer.json(content_type=None) if raw else None

    async def ok(self, role: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        status, answer = await self.call(role, method, path, body, **more)
        assert 200 <= status < 300, (status, answer)
        return answer

    @asynccontextmanager
    async def sidecar(self) -> AsyncIterator[asyncpg.Connection]:
        async with acting(self.pool, AS_PROXY) as conn:
            yield conn


def new_key() -> str:
    return uuid.uuid4().hex


def deed(patch: Patch, **more: Any) -> dict[str, Any]:
    return {"digest": patch.digest, "idempotency_key": new_key()} | more


async def open_api(
    make_client: Callable[..., Any],
    database: TestDatabase,
    pool: asyncpg.Pool,
    **settings: dict[str, Any],
) -> ApiUnderTest:
    """Start the app on a loopback port of its own."""
    live = HandLive()
    made: list[ApiUnderTest] = []

    def source() -> asyncpg.Pool | None:
        return None if made and made[0].away else pool

    def dsn() -> str | None:
        return None if made and made[0].away else database.proxy_dsn

    @asynccontextmanager
    async def as_sidecar() -> AsyncIterator[asyncpg.Connection]:
        if source() is None:
            raise Unavailable("the database is not there yet")
        async with acting(pool, AS_PROXY) as conn:
            yield conn

    wakes: list[int] = []
    config = Config.of(settings)
    app = build_app(
        ApiDeps(
            config=config,
            pool_source=source,
            member_dsn=dsn,
            live=live,
            service=SelfHealingService(as_sidecar, ErrorClassifier(RuleSet.load()), config),
            ask=OrchestratorRouter(StoreFacts(source, live.health)),
            wake=lambda: wakes.append(1),
            listen_dsn=dsn,
            control_file=None,
            clock=SystemClock(),
        )
    )
    client: Client = await make_client(
        app, server_kwargs={"auto_decompress": False}, timeout=aiohttp.ClientTimeout(total=20)
    )
    made.append(ApiUnderTest(client, database, pool, live, wakes=wakes))
    return made[0]
