"""The real Python SDK, unchanged, against a live ingest:

what it sends becomes a failure with its stack.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sentry_sdk
from aiohttp.test_utils import TestServer

from proxy.clock import SystemClock
from proxy.config import Config
from proxy.domain.failure import Failure
from proxy.ingest.app import IngestDeps, build_ingest_app


class Live:
    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.stats: Counter[str] = Counter()
        self.dsn = ""


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    live = Live()
    deps = IngestDeps(
        config=Config(),
        accept=live.failures.append,
        redact=lambda text: text.replace("hunter2", "[redacted]"),
        clock=SystemClock(),
        health=lambda _: (200, {}),
        stats=live.stats,
    )
    server = TestServer(build_ingest_app(deps))
    await server.start_server(auto_decompress=False)
    live.dsn = f"http://key@127.0.0.1:{server.port}/__selfheal/42"
    yield live
    await server.close()


def _init(dsn: str, **options: Any) -> None:
    sentry_sdk.init(
        dsn=dsn, release="shop@1.2", environment="staging", default_integrations=False, **options
    )


async def _flush() -> None:
    """The SDK sends from its own thread; closing it off the loop lets the server answer."""
    await asyncio.to_thread(sentry_sdk.get_client().close, 5)


def charge(order: dict[str, str]) -> None:
    raise KeyError(order["password"])


async def test_an_exception_arrives_with_its_stack_and_trace(live: Live) -> None:
    _init(live.dsn, traces_sample_rate=1.0)
    with sentry_sdk.start_transaction(name="/checkout", op="http.server") as transaction:
        trace_id = transaction.trace_id
        try:
            charge({"password": "hunter2"})
        except KeyError:
            sentry_sdk.capture_exception()
    await _flush()
    (failure,) = live.failures
    assert failure.message == "KeyError: '[redacted]'"
    assert (failure.source_kind, failure.origin) == ("server", "sdk")
    assert (failure.release, failure.environment) == ("shop@1.2", "staging")
    assert (failure.trace_id, failure.route) == (trace_id, "/checkout")
    assert failure.stack is not None
    assert failure.stack.startswith("Traceback (most recent call last):")
    assert ", in charge\n" in failure.stack
    assert "hunter2" not in repr(failure)


async def test_causes_come_before_what_was_raised(live: Live) -> None:
    _init(live.dsn)
    try:
        try:
            charge({})
        except KeyError as cause:
            raise RuntimeError("no charge") from cause
    except RuntimeError:
        sentry_sdk.capture_exception()
    await _flush()
    (failure,) = live.failures
    assert failure.message == "RuntimeError: no charge"
    stack = failure.stack or ""
    assert stack.index("KeyError: 'password'") < stack.index("RuntimeError: no charge")


async def test_notes_are_no_failures(live: Live) -> None:
    _init(live.dsn)
    sentry_sdk.capture_message("all is well", level="info")
    sentry_sdk.capture_message("all is lost", level="error")
    await _flush()
    assert [failure.message for failure in live.failures] == ["all is lost"]
    assert live.stats["quiet_events"] == 1


async def test_the_sdk_hears_what_not_to_send(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _init(live.dsn, traces_sample_rate=1.0)
    for _ in range(2):
        with sentry_sdk.start_transaction(name="/quiet", op="http.server"):
            pass
        await asyncio.to_thread(sentry_sdk.get_client().flush, 5)
    transport = sentry_sdk.get_client().transport
    assert transport is not None
    assert "transaction" in transport._disabled_until  # type: ignore[attr-defined]  # the SDK's own memory of it
    await _flush()
    assert live.stats["ignored_items"] == 1
