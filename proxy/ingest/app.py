"""The ingest as one aiohttp application below ``ingest.prefix`` on the data port.

Takes SDK envelopes, the tunnel form, browser reports, and answers the three health paths;
everything else there is 404. It hands failures to ``accept`` and refuses to know classifier, queue
and database. It never answers a bare 429 (SDKs then drop everything for a minute) and never a 500.

The server that carries it must be built with ``auto_decompress=False``: bodies are unpacked here,
in bounded steps.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from aiohttp import web

from proxy.clock import Clock
from proxy.config import Config
from proxy.domain.failure import Failure
from proxy.ingest.event import Context
from proxy.ingest.faults import BodyFault, Malformed, TooLarge, TooSlow
from proxy.ingest.limits import (
    BODIES_MAX,
    BODY_SECONDS_MAX,
    EXPAND_STEP_BYTES,
    INLINE_BYTES_MAX,
    WIRE_BYTES_MAX,
)
from proxy.ingest.reading import Reader, Reading, read_envelope, read_reports, read_store

_log = logging.getLogger("selfheal.ingest")

HEALTH_NAMES = ("livez", "readyz", "healthz")
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "X-Sentry-Rate-Limits, Retry-After",
}
_PREFLIGHT = {
    **_CORS,
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "content-type, content-encoding, x-sentry-auth, authorization, "
    "sentry-trace, baggage, traceparent",
    "Access-Control-Max-Age": "3600",
}
_SDK = {
    **_CORS,
    "X-Sentry-Rate-Limits": "3600:transaction;span;session;replay;profile:organization",
}
"""Asks SDKs to keep what we would only throw away."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HealthAnswer(Protocol):
    def __call__(self, name: str, /) -> tuple[int, dict[str, Any]]:
        """``livez``, ``readyz`` or ``healthz`` → status and body."""
        ...


@dataclass(frozen=True, slots=True)
class IngestDeps:
    """``accept`` takes a failure and never blocks; ``redact`` must be safe to call from another
    thread.

    ``client_key`` turns a peer's address and its X-Forwarded-For lines into a keyed hash of whoever
    asked; without it nobody is counted.
    """

    config: Config
    accept: Callable[[Failure], None]
    redact: Callable[[str], str]
    clock: Clock
    health: HealthAnswer
    client_key: Callable[[str, Sequence[str]], str | None] | None = None
    stats: Counter[str] = field(default_factory=Counter)


def build_ingest_app(deps: IngestDeps) -> web.Application:
    """The application, ready for a server. ``deps.stats`` counts what happens in it."""
    prefix = deps.config.ingest.prefix
    ingest = _Ingest(deps)
    app = web.Application(client_max_size=WIRE_BYTES_MAX)
    for name in HEALTH_NAMES:
        app.router.add_get(f"{prefix}/{name}", _health(deps, name))  # answers HEAD too
    posts: dict[str, Handler] = {
        "/api/{project}/envelope/": ingest.envelope,
        "/api/{project}/envelope": ingest.envelope,
        "/api/{project}/store/": ingest.store,
        "/api/{project}/store": ingest.store,
        "/tunnel": ingest.tunnel,
        "/reports": ingest.reports,
    }
    for path, handler in posts.items() if deps.config.ingest.enabled else ():
        app.router.add_post(prefix + path, handler)
        app.router.add_options(prefix + path, _preflight)
    app.router.add_route("*", "/{anything:.*}", _nothing_here)
    app.on_cleanup.append(ingest.close)
    return app


class _Ingest:
    """The handlers, and what they share:

    the slots for bodies and the thread that reads large ones.
    """

    def __init__(self, deps: IngestDeps) -> None:
        self._deps = deps
        self._free_slots = BODIES_MAX
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ingest")

    async def close(self, _app: web.Application) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def envelope(self, request: web.Request) -> web.Response:
        return await self._answer(request, read_envelope, _check_project(request))

    async def store(self, request: web.Request) -> web.Response:
        return await self._answer(request, read_store, _check_project(request))

    async def tunnel(self, request: web.Request) -> web.Response:
        return await self._answer(request, read_envelope, None, check=_check_dsn)

    async def reports(self, request: web.Request) -> web.Response:
        answer = await self._answer(request, read_reports, None)
        # the Reporting API wants no body; 2xx says "do not send it again"
        return answer if answer.status != 200 else web.Response(status=204, headers=_CORS)

    async def _answer(
        self,
        request: web.Request,
        reader: Reader,
        fault: BodyFault | None,
        check: Callable[[Reading], None] | None = None,
    ) -> web.Response:
        stats = self._deps.stats
        if self._free_slots == 0:
            stats["shed"] += 1
            return _refusal(503, "too many reports at once; this one is dropped")
        self._free_slots -= 1
        try:
            if fault:
                raise fault
            wire = await _read_body(request)
            reading = await self._read(reader, wire, request)
            if check:
                check(reading)
        except BodyFault as problem:
            stats[problem.counter] += 1
            return _refusal(problem.status, str(problem))
        except ConnectionError:
            stats["cut"] += 1
            return _refusal(400, "the body was cut")
        except Exception:
            stats["faults"] += 1
            _log.exception("an SDK report could not be read")
            return _refusal(503, "this report could not be read")
        finally:
            self._free_slots += 1
        stats.update(reading.counts)
        self._hand_over(reading.failures)
        return web.json_response({"id": reading.event_id}, headers=_SDK)

    async def _read(self, reader: Reader, wire: bytes, request: web.Request) -> Reading:
        coding = request.headers.get("Content-Encoding", "")
        context = self._context(request)
        if not coding and len(wire) <= INLINE_BYTES_MAX:
            return reader(wire, coding, context)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, reader, wire, coding, context)

    def _context(self, request: web.Request) -> Context:
        deps = self._deps
        said = request.headers.getall("X-Forwarded-For", ())
        return Context(
            service=deps.config.app.service,
            environment=deps.config.app.environment,
            now=deps.clock.now(),
            clean=deps.redact,
            client=deps.client_key(request.remote or "", said) if deps.client_key else None,
        )

    def _hand_over(self, failures: list[Failure]) -> None:
        for failure in failures:
            try:
                self._deps.accept(failure)
                self._deps.stats["accepted"] += 1
            except Exception:
                self._deps.stats["faults"] += 1
                _log.exception("a failure was not taken")


async def _read_body(request: web.Request) -> bytes:
    if (request.content_length or 0) > WIRE_BYTES_MAX:
        raise TooLarge(f"a body is at most {WIRE_BYTES_MAX} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            async for chunk in request.content.iter_chunked(EXPAND_STEP_BYTES):
                body += chunk
                if len(body) > WIRE_BYTES_MAX:
                    raise TooLarge(f"a body is at most {WIRE_BYTES_MAX} bytes")
    except TimeoutError:
        raise TooSlow("the body came too slowly") from None
    except web.RequestPayloadError:
        raise Malformed("the body was cut") from None
    return bytes(body)


def _check_project(request: web.Request) -> BodyFault | None:
    project = request.match_info["project"]
    if project.isascii() and project.isdigit() and len(project) <= 20:
        return None
    return Malformed("a project is a number: http://key@host" + "/prefix/1")


def _check_dsn(reading: Reading) -> None:
    """In the tunnel form the envelope itself names the project;

    nothing is ever sent to that address.
    """
    dsn = reading.header.get("dsn")
    try:
        project = urlsplit(dsn).path.rpartition("/")[2] if isinstance(dsn, str) else ""
    except ValueError:
        project = ""
    if not (project.isascii() and project.isdigit()):
        raise Malformed("a tunnelled envelope names its dsn, ending in a project number")


def _refusal(status: int, detail: str) -> web.Response:
    """The protocol's own form of no.

    Without Retry-After: SDKs read it as silence for every category.
    """
    response = web.json_response({"detail": detail}, status=status, headers=_SDK)
    if status in (408, 413):
        response.force_close()  # the rest of the body is never read as a next request
    return response


def _health(deps: IngestDeps, name: str) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        status, body = deps.health(name)
        return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})

    return answer


async def _preflight(_request: web.Request) -> web.Response:
    return web.Response(status=204, headers=_PREFLIGHT)


async def _nothing_here(_request: web.Request) -> web.Response:
    return web.json_response(
        {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "code": "not_found",
            "detail": "nothing answers here but health, SDK envelopes and browser reports",
        },
        status=404,
        content_type="application/problem+json",
    )
