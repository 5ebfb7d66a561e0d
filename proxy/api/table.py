"""One row per route: method, path, who may, what goes in and what comes out.

The server mounts these rows, `/openapi.json` is generated from them and a test walks them; nothing
is served that has no row.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web
from pydantic import BaseModel

from proxy.api.body import BODY_BYTES_MAX
from proxy.contract.base import API_PREFIX, Answer, Request

if TYPE_CHECKING:
    from proxy.api.call import Call

Handler = Callable[["Call"], Awaitable[BaseModel | web.StreamResponse]]

EVERY_ROLE = frozenset({"viewer", "agent", "admin", "founder"})
WORKERS = frozenset({"agent", "admin", "founder"})
"""Who may send in work: failures, patches, requests, questions."""
PEOPLE = frozenset({"admin", "founder"})
FOUNDER = frozenset({"founder"})
NOBODY_ASKED: frozenset[str] = frozenset()
"""No token at all: the health paths."""


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    """Below ``/api/v1`` unless ``bare``; ids stand as ``{n}``."""
    handler: Handler
    summary: str
    roles: frozenset[str]
    answer: type[Answer] | None = None
    body: type[Request] | None = None
    query: type[Request] | None = None
    status: int = 200
    problems: tuple[int, ...] = ()
    """Answers beyond those every route has."""
    media: str = "application/json"
    bare: bool = False
    body_bytes_max: int = field(default=BODY_BYTES_MAX)
    letter: str = ""
    """Which ids ``{n}`` takes: J, P or A."""

    @property
    def full_path(self) -> str:
        return self.path if self.bare else API_PREFIX + self.path

    @property
    def is_change(self) -> bool:
        return self.method not in ("GET", "HEAD")

    def all_problems(self) -> tuple[int, ...]:
        """Every error status this route can answer, sorted."""
        found = {400, 403, *self.problems}
        if self.roles:
            found |= {401, 429, 503}
        if self.query is not None or self.body is not None:
            found.add(422)
        if self.body is not None:
            found |= {408, 413, 415}
        if self.letter:
            found.add(404)
        return tuple(sorted(found))
