"""The ingest over real sockets: what SDKs and browsers send, what they get, what is handed on."""

import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import brotli
import pytest
from aiohttp.test_utils import TestClient, TestServer

from proxy.clock import ManualClock
from proxy.config import Config
from proxy.domain.failure import Failure
from proxy.ingest.app import IngestDeps, build_ingest_app
from proxy.ingest.limits import WIRE_BYTES_MAX

Client = TestClient[Any, Any]
PREFIX = "/__selfheal"
EVENT_ID = "9ec79c33ec9942ab8353589fcb2e04dc"


class Ingest:
    """The application on a socket, and everything it handed on."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.stats: Counter[str] = Counter()
        self.broken_intake = False
        self.broken_redactor = False
        self.client: Client

    def accept(self, failure: Failure) -> None:
        if self.broken_intake:
            raise RuntimeError("full")
        self.failures.append(failure)

    def redact(self, text: str) -> str:
        if self.broken_redactor:
            raise RuntimeError("no")
        return text.replace("hunter2", "[redacted]")

    def deps(self, **config: Any) -> IngestDeps:
        return IngestDeps(
            config=Config.of(config),
            accept=self.accept,
            redact=self.redact,
            clock=ManualClock(),
            health=lambda name: (503 if name == "readyz" else 200, {"status": name}),
            client_key=lambda peer, said: f"key-of-{' '.join([*said, peer])}",
            stats=self.stats,
        )


@pytest.fixture
async def ingest(aiohttp_client: Callable[..., Awaitable[Client]]) -> Ingest:
    ingest = Ingest()
    server = TestServer(build_ingest_app(ingest.deps()))
    await server.start_server(auto_decompress=False)
    ingest.client = await aiohttp_client(server)
    return ingest


def envelope(*events: dict[str, Any], header: dict[str, Any] | None = None) -> bytes:
    lines = [json.dumps(header or {"event_id": EVENT_ID}).encode()]
    for event in events:
        payload = json.dumps(event).encode()
        lines += [json.dumps({"type": "event", "length": len(payload)}).encode(), payload]
    return b"\n".join(lines) + b"\n"


BOOM = {
    "platform": "javascript",
    "exception": {"values": [{"type": "TypeError", "value": "x is undefined, hunter2"}]},
    "request": {"url": "https://shop.example/basket?coupon=1"},
}


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        (None, bytes),
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", brotli.compress),
    ],
)
async def test_an_envelope_in_every_coding_becomes_one_redacted_failure(
    ingest: Ingest, coding: str | None, pack: Callable[[bytes], bytes]
) -> None:
    headers = {"Content-Encoding": coding} if coding else {}
    answer = await ingest.client.post(
        f"{PREFIX}/api/7/envelope/?sentry_key=abc", data=pack(envelope(BOOM)), headers=headers
    )
    assert answer.status == 200
    assert await answer.json() == {"id": EVENT_ID}
    assert "transaction" in answer.headers["X-Sentry-Rate-Limits"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    (failure,) = ingest.failures
    assert failure.message == "TypeError: x is undefined, [redacted]"
    assert (failure.source_kind, failure.route, failure.origin) == ("browser", "/basket", "sdk")
    assert failure.client == "key-of-127.0.0.1"


async def test_the_older_store_form_is_read(ingest: Ingest) -> None:
    answer = await ingest.client.post(
        f"{PREFIX}/api/7/store/", data=json.dumps({**BOOM, "event_id": EVENT_ID})
    )
    assert (await answer.json())["id"] == EVENT_ID
    assert len(ingest.failures) == 1


async def test_the_tunnel_reads_the_dsn_in_the_header(ingest: Ingest) -> None:
    good = envelope(BOOM, header={"dsn": "http://key@shop.example/3"})
    assert (await ingest.client.post(f"{PREFIX}/tunnel", data=good)).status == 200
    assert len(ingest.failures) == 1
    for dsn in (None, 3, "http://key@shop.example/none", "http://[", ""):
        bad = envelope(BOOM, header={"dsn": dsn})
        assert (await ingest.client.post(f"{PREFIX}/tunnel", data=bad)).status == 400
    assert len(ingest.failures) == 1
    assert ingest.stats["malformed"] == 5


async def test_a_project_is_a_number(ingest: Ingest) -> None:
    answer = await ingest.client.post(f"{PREFIX}/api/shop/envelope/", data=envelope(BOOM))
    assert answer.status == 400
    assert "number" in (await answer.json())["detail"]
    assert ingest.failures == []


async def test_preflight_lets_any_page_report(ingest: Ingest) -> None:
    answer = await ingest.client.options(f"{PREFIX}/api/7/envelope/")
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "x-sentry-auth" in answer.headers["Access-Control-Allow-Headers"]


async def test_browser_reports_in_both_forms(ingest: Ingest) -> None:
    csp = {"effectiveDirective": "script-src", "blockedURL": "https://ads.example/x.js?u=1"}
    answer = await ingest.client.post(
        f"{PREFIX}/reports",
        json=[
            {"type": "csp-violation", "url": "https://shop.example/a?b", "age": 2, "body": csp},
            {"type": "crash", "url": "https://shop.example/", "body": {"reason": "oom"}},
            {"type": "coep", "url": "https://shop.example/", "body": {}},
            "not a report",
        ],
    )
    assert answer.status == 204
    older = {"csp-report": {"violated-directive": "img-src", "document-uri": "https://s/x"}}
    assert (await ingest.client.post(f"{PREFIX}/reports", json=older)).status == 204
    assert [f.message for f in ingest.failures] == [
        "Content Security Policy: script-src blocked https://ads.example",
        "Browser tab crashed: oom",
        "Content Security Policy: img-src blocked inline",
    ]
    assert [f.route for f in ingest.failures] == ["/a", "/", "/x"]
    assert ingest.stats["ignored_reports"] == 1


BOMB = brotli.compress(bytes(64 << 20))


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [
        (b"", "", 400),
        (b"not json\n", "", 400),
        (b"[" * 100_000, "", 400),
        (b"[]\n", "", 400),
        (b'{}\n{"type":"event","length":99}\n{}', "", 400),
        (b'{}\n{"type":"event","length":true}\n{}', "", 400),
        (b"{}\n" + b'{"type":"x"}\n{}\n' * 101, "", 413),
        (BOMB, "br", 413),
        (gzip.compress(bytes(64 << 20), mtime=0), "gzip", 413),
        (gzip.compress(b"{}", mtime=0)[:-9], "gzip", 400),
        (b"no brotli", "br", 400),
        (b"{}", "gzip, br", 415),
        (b"{}", "snappy", 415),
        (b" " * (WIRE_BYTES_MAX + 1), "", 413),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_a_bad_body_gets_the_protocols_own_answer(
    ingest: Ingest, body: bytes, coding: str, status: int
) -> None:
    answer = await ingest.client.post(
        f"{PREFIX}/api/7/envelope/", data=io.BytesIO(body), headers={"Content-Encoding": coding}
    )
    assert answer.status == status
    assert (await answer.json())["detail"]
    assert "Retry-After" not in answer.headers  # an SDK would fall silent for everything
    assert ingest.failures == []
    assert sum(ingest.stats.values()) == 1


async def test_one_bad_event_does_not_spoil_the_others(ingest: Ingest) -> None:
    deep = b'{"a":' * 100_000
    wire = envelope(BOOM) + b'{"type":"event","length":%d}\n%s\n' % (len(deep), deep)
    wire += b'{"type":"transaction"}\n{}\n{"type":"client_report"}\n{}\n'
    assert (await ingest.client.post(f"{PREFIX}/api/7/envelope/", data=wire)).status == 200
    assert len(ingest.failures) == 1
    assert ingest.stats["malformed_events"] == 1
    assert ingest.stats["ignored_items"] == 1
    assert ingest.stats["client_reports"] == 1


async def test_text_the_redactor_cannot_read_is_dropped_and_counted(ingest: Ingest) -> None:
    ingest.broken_redactor = True
    assert (
        await ingest.client.post(f"{PREFIX}/api/7/envelope/", data=envelope(BOOM))
    ).status == 200
    assert "hunter2" not in repr(ingest.failures)
    assert ingest.stats["redaction_failed"] == 2  # message and route


async def test_a_broken_intake_is_ours_not_the_senders(ingest: Ingest) -> None:
    ingest.broken_intake = True
    answer = await ingest.client.post(f"{PREFIX}/api/7/envelope/", data=envelope(BOOM))
    assert answer.status == 200
    assert ingest.stats["faults"] == 1


async def test_health_is_answered_for_get_and_head(ingest: Ingest) -> None:
    for name, status in (("livez", 200), ("readyz", 503), ("healthz", 200)):
        answer = await ingest.client.get(f"{PREFIX}/{name}")
        assert (answer.status, await answer.json()) == (status, {"status": name})
        assert answer.headers["Cache-Control"] == "no-store"
        assert (await ingest.client.head(f"{PREFIX}/{name}")).status == status


@pytest.mark.parametrize("path", ["", "/", "/admin", "/api/7/", "/livez/x", "/metrics"])
async def test_everything_else_is_a_problem_of_its_own(ingest: Ingest, path: str) -> None:
    answer = await ingest.client.get(PREFIX + path)
    assert answer.status == 404
    assert answer.content_type == "application/problem+json"
    assert (await answer.json())["code"] == "not_found"


async def test_switched_off_it_still_answers_health(
    aiohttp_client: Callable[..., Awaitable[Client]],
) -> None:
    deps = Ingest().deps(ingest={"enabled": False, "prefix": "/deep/down"})
    client = await aiohttp_client(build_ingest_app(deps))
    assert (await client.get("/deep/down/livez")).status == 200
    assert (await client.post("/deep/down/api/1/envelope/", data=envelope(BOOM))).status == 404
