"""The failing request, sent again to the app inside the jail; what came back is a value.

The target is always the jail's own loopback: scheme, host and port are never taken from stored
data. A truncated request is not sent as if it were whole, and unsafe methods only where whatever
they change is thrown away.
"""

import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from proxy.domain.exchange import Capture, Exchange, Outcome
from proxy.domain.failure import Failure, ReplayRequest, Signature
from proxy.errors import Unavailable
from proxy.healing.extract import Redacting, failure_from_exchange
from proxy.healing.jail import Bind, JailSpec, run_jailed

START_TIMEOUT_S = 30.0
SOCKET_DIR = "/run/database"
"""Where the jail sees the socket of the throw-away database's server."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
TIMES_SAFE = 2
"""Twice, so that what differs by itself (times, ids) is not taken for the patch's doing."""
TIMES_UNSAFE = 1

Judge = Callable[[Failure], Signature | None]
"""What the proxy would call this failure: its signature, or None when it is none."""


@dataclass(frozen=True, slots=True)
class Lent:
    """What the app gets for its state: environment, and host paths it may see."""

    env: dict[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()


class Rehearsal(Protocol):
    """Where the app's state comes from in the jail. ``throw_away``: nothing of it outlives a
    run.
    """

    throw_away: bool

    def clone(self, sql: str | None = None) -> AbstractAsyncContextManager[Lent]:
        """A fresh copy for one run, ``sql`` (the patch's own) already applied; gone afterwards.

        ``proxy.errors.Unavailable`` or ``Invalid`` say why there is none.
        """
        ...


class NoDatabase:
    """The app keeps its state in its own tree, and the jail's tree is thrown away anyhow."""

    throw_away = True

    @asynccontextmanager
    async def clone(self, sql: str | None = None) -> AsyncIterator[Lent]:
        if sql:
            raise Unavailable(
                "the patch holds SQL and no throw-away database is known to try it in"
            )
        yield Lent()


class DatabaseCopies:
    """A copy of a template database for every run (``repo.database_url``), made by ``copies``.

    ``copies`` yields the copy's DSN for a fresh login and the folder of the server's socket, which
    is all the jail gets to see of the server.
    """

    throw_away = True

    def __init__(
        self, copies: Callable[[str], AbstractAsyncContextManager[tuple[str, str]]], env: str
    ) -> None:
        self._copies = copies
        self._env = env

    @asynccontextmanager
    async def clone(self, sql: str | None = None) -> AsyncIterator[Lent]:
        if sql:
            raise Unavailable("SQL of a patch is not rehearsed yet; try it in a copy by hand")
        async with self._copies(SOCKET_DIR) as (dsn, folder):
            yield Lent({self._env: dsn}, (Bind(folder, SOCKET_DIR),))


class Answer(BaseModel):
    """One answer of the app, as the driver wrote it down. Every field is hostile."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: int | None = Field(None, ge=100, le=999)
    headers: list[tuple[str, str]] = Field([], max_length=500)
    body: str = Field("", max_length=200_000)
    truncated: bool = False
    chain: list[str] = Field([], max_length=32)
    duration_ms: float = Field(0.0, ge=0)
    error: str = Field("", max_length=1000)

    @property
    def raw(self) -> bytes:
        try:
            return base64.b64decode(self.body)
        except ValueError:
            return b""

    @property
    def text(self) -> str:
        return self.raw.decode("utf-8", "replace")

    @property
    def in_circle(self) -> bool:
        """The redirects came back to where they had been."""
        return len(set(self.chain)) < len(self.chain)


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    problem: str | None = Field(None, max_length=1000)
    answers: list[Answer] = Field([], max_length=8)
    log: str = Field("", max_length=65536)


@dataclass(frozen=True, slots=True)
class Replayed:
    """``reason`` says why there is no answer; ``log`` is the tail of what the app printed."""

    answers: tuple[Answer, ...] = ()
    log: str = ""
    reason: str | None = None


def why_not(request: ReplayRequest | None, start: str, *, throw_away: bool) -> str | None:
    """Why this request cannot be replayed, or None when it can."""
    if request is None:
        return "no request of this failure was kept, so it cannot be replayed"
    if request.truncated:
        return "the kept request is truncated; half a request is never replayed as if whole"
    if not start:
        return "repo.start is not set; without it the app cannot be started for a replay"
    if request.method not in SAFE_METHODS and not throw_away:
        return f"{request.method} changes state, and the app's state here is no throw-away copy"
    if not request.target.startswith("/"):
        return f"the target {request.target[:80]!r} is no path of the app"
    return None


async def replay(spec: JailSpec, request: ReplayRequest, start: str, *, follow: bool) -> Replayed:
    """Start the app in the jail of ``spec`` and send ``request``. Never raises for what the app
    does.
    """
    order = _order(request, start, follow=follow, timeout_s=spec.limits.timeout_s)
    command = [_python(), "-I", "-S", "-c", _driver()]
    ran = await run_jailed(spec, command, stdin=json.dumps(order).encode(), merge=False)
    if ran.timed_out:
        return Replayed(reason=f"the replay took over {spec.limits.timeout_s:.0f} s")
    try:
        report = _Report.model_validate_json(ran.output)
    except ValidationError:
        said = ran.errors.decode("utf-8", "replace").strip()[-500:]
        return Replayed(reason=f"the replay driver did not report (exit {ran.exit_code}): {said}")
    if report.problem or not report.answers:
        return Replayed(log=report.log, reason=report.problem or "the replay gave no answer")
    return Replayed(tuple(report.answers), report.log)


@cache
def _python() -> str:
    """The real interpreter below any virtual environment: the driver needs the standard library."""
    return os.path.realpath(sys.executable)


@cache
def _driver() -> str:
    return Path(__file__).with_name("replay_driver.py").read_text("utf-8")


def _order(request: ReplayRequest, start: str, *, follow: bool, timeout_s: float) -> dict[str, Any]:
    # redacted values go out as their stand-ins: the app sees the shape it saw before
    headers = list(request.headers)
    return {
        "start": start,
        "start_timeout_s": min(START_TIMEOUT_S, timeout_s / 2),
        "timeout_s": timeout_s / 4,
        "method": request.method,
        "target": request.target,
        "host": next((v for n, v in headers if n.lower() == "host"), None),
        "headers": headers,
        "body": base64.b64encode(request.body).decode(),
        "times": TIMES_SAFE if request.method in SAFE_METHODS else TIMES_UNSAFE,
        "follow": follow,
    }


def request_of(failure: Failure | None) -> ReplayRequest | None:
    """The request to send again: the kept one, or the GET that a redirect circle or a slow route
    names by itself.
    """
    if failure is None or failure.request is not None:
        return None if failure is None else failure.request
    if failure.redirect_chain:
        return ReplayRequest("GET", failure.redirect_chain[0])
    if failure.origin == "detector" and failure.method == "GET" and failure.route:
        return None if "{" in failure.route else ReplayRequest("GET", failure.route)
    return None


def as_failure(original: Failure, answer: Answer, redactor: Redacting) -> Failure:
    """The answer read exactly as the proxy would have read it, so that one judge serves both."""
    if original.redirect_chain:
        chain = tuple(hop.partition("?")[0] for hop in answer.chain)
        told = "redirect loop: " + " -> ".join(chain)
        return replace(original, message=told, status=answer.status, redirect_chain=chain)
    if original.origin == "detector":
        return replace(original, latency_ms=answer.duration_ms)
    read = failure_from_exchange(
        _exchange(original, answer),
        service=original.service,
        environment=original.environment,
        log_id=None,
        occurred_at=original.occurred_at,
        redactor=redactor,
    )
    return replace(read, latency_budget_ms=original.latency_budget_ms, request=None)


def _exchange(original: Failure, answer: Answer) -> Exchange:
    headers = [(n.encode("latin-1", "replace"), v.encode("latin-1", "replace"))
               for n, v in answer.headers]  # fmt: skip
    capture = Capture([], response_headers=headers, response_body=answer.raw)
    return Exchange(
        started_at=original.occurred_at.timestamp(),
        duration_ms=answer.duration_ms,
        method=original.method or "GET",
        target=b"/",
        status=answer.status or 502,
        outcome=Outcome.ANSWERED if answer.status else Outcome.UPSTREAM_BROKEN,
        capture=capture,
        route=original.route or "",
    )
