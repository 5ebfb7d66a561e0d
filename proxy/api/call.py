"""One call on its way to a handler: who asks, what was sent, and the shared parts of the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
from aiohttp import web

from proxy.api.auth import Authenticator, Credential
from proxy.api.deps import ApiDeps
from proxy.api.events import EventHub
from proxy.api.guard import Guard
from proxy.api.problems import Refusal
from proxy.domain.approval import Actor
from proxy.errors import Unavailable
from proxy.founder.approvals import FounderApprovalEngine
from proxy.store.pool import AS_PROXY, acting

M = TypeVar("M")

REDACTED_ROLES = frozenset({"viewer", "agent"})
"""Who sees no bodies, captures or stacks."""


@dataclass(slots=True)
class Api:
    """What lives as long as the server; ``deps``, ``guard`` and ``engine`` are replaced at a
    reload.
    """

    deps: ApiDeps
    auth: Authenticator
    hub: EventHub
    guard: Guard
    engine: FounderApprovalEngine


API = web.AppKey("api", Api)


@dataclass(frozen=True, slots=True)
class Call:
    api: Api
    request: web.Request
    peer: str
    actor: Actor | None = None
    credential: Credential | None = None
    number: int = 0
    sent_query: Any = None
    sent_body: Any = None

    @property
    def deps(self) -> ApiDeps:
        return self.api.deps

    @property
    def who(self) -> Actor:
        assert self.actor is not None, "only routes with roles ask who"
        return self.actor

    @property
    def redacted(self) -> bool:
        return self.who.role in REDACTED_ROLES

    def query(self, model: type[M]) -> M:
        assert isinstance(self.sent_query, model)
        return self.sent_query

    def body(self, model: type[M]) -> M:
        assert isinstance(self.sent_body, model)
        return self.sent_body

    @asynccontextmanager
    async def reading(self, actor: Actor = AS_PROXY) -> AsyncIterator[asyncpg.Connection]:
        """A transaction of the sidecar's own role: for reading, and for what the sidecar does
        itself.
        """
        pool = self.deps.pool_source()
        if pool is None:
            raise Unavailable("the database is out of reach; try again")
        async with acting(pool, actor) as conn:
            yield conn

    @asynccontextmanager
    async def deed(self) -> AsyncIterator[asyncpg.Connection]:
        """One transaction on the member's own login, acting as the member's own role."""
        assert self.credential is not None, "only routes with roles do deeds"
        async with self.api.auth.member(self.credential, self.peer) as (own, actor):
            if actor.role != self.who.role:
                raise Refusal(403, "role_refused", f"your role is {actor.role} now; ask again")
            async with acting(own, actor) as conn:
                yield conn
