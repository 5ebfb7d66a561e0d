"""Alerts reach the event stream and a real webhook at once, again until acknowledged, and decide
nothing.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from proxy.app.escalation import RETRY_S, TO_ONE_PLACE_MAX, Escalation
from proxy.app.push import Push, is_quiet, missing
from proxy.clock import ManualClock, SystemClock
from proxy.config import Config
from proxy.domain.approval import ApprovalStatus, ItemType
from proxy.domain.failure import Severity
from proxy.errors import ConfigError
from proxy.founder.control import parse_rules
from proxy.store import alerts, approvals, audit, control, jobs, notify
from proxy.store.notify import Wakeup
from proxy.store.pool import AS_PROXY, acting
from proxy.tasks import cancel, spawn
from tests.support.postgres import TestDatabase
from tests.support.store import classified, failure

PROMPT_S = 20.0
"""Bound of the waiting on a loaded machine; what the founder is promised is two seconds."""


class Hook:
    """A webhook as apprise calls it (``json://``)."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.came = asyncio.Event()
        self.status = 200

    async def take(self, request: web.Request) -> web.Response:
        self.heard.append(await request.json())
        self.came.set()
        return web.Response(status=self.status)

    def titles(self) -> list[str]:
        return [message["title"] for message in self.heard]


class Desk:
    """An escalation on a database, with the clock in the test's hand."""

    def __init__(self, database: TestDatabase, pool: asyncpg.Pool, url: str, **more: Any) -> None:
        self.database, self.pool = database, pool
        self.clock = ManualClock(SystemClock().time())
        settings = {"push": [url], "repeat_s": 60.0, **more}
        self.config = Config.of({"alerts": settings})
        self.escalation = Escalation(self.sidecar, self.config, Push(), self.clock)

    @asynccontextmanager
    async def sidecar(self) -> AsyncIterator[asyncpg.Connection]:
        async with acting(self.pool, AS_PROXY) as conn:
            yield conn

    async def critical_job(self, signature: str = "v1:00000000000000aa") -> str:
        async with self.sidecar() as conn:
            bad = classified(signature, severity=Severity.CRITICAL)
            return f"J-{(await jobs.record_failure(conn, failure(), bad)).job.id}"

    async def ask(self, risk: Severity, life: timedelta = timedelta(hours=1)) -> int:
        async with self.sidecar() as conn:
            asked = await approvals.request(
                conn, service="app", item_type=ItemType.CAMPAIGN, summary="spring\x1b[31m sale",
                risk_level=risk, created_by="bot", digest="0" * 64,
                expires_at=SystemClock().now() + life,
            )  # fmt: skip
            return asked.id

    async def acknowledge(self, kind: Any, subject: str) -> None:
        conn = await self.database.connect_as("admin")
        async with acting(conn, self.database.actor("admin")) as inside:
            await alerts.acknowledge(inside, kind, subject)
        await conn.close()


@pytest.fixture
async def hook(aiohttp_server: Callable[..., Any]) -> tuple[Hook, str]:
    taker = Hook()
    app = web.Application()
    app.router.add_post("/alerts", taker.take)
    server = await aiohttp_server(app)
    return taker, f"json://{server.host}:{server.port}/alerts"


async def test_a_critical_job_is_pushed_and_on_the_stream_at_once(
    database: TestDatabase, proxy_pool: asyncpg.Pool, hook: tuple[Hook, str]
) -> None:
    taker, url = hook
    desk = Desk(database, proxy_pool, url, console_url="https://desk.example/")
    heard: list[Wakeup] = []
    connected, told = asyncio.Event(), asyncio.Event()

    def hear(wakeup: Wakeup | None) -> None:
        desk.escalation.wake()
        if wakeup is None:
            connected.set()
        elif wakeup.change == "alert_critical_job":
            heard.append(wakeup)
            told.set()

    async with notify.listen(database.proxy_dsn, hear):
        running = spawn(desk.escalation.run(), name="escalation")
        await asyncio.wait_for(connected.wait(), PROMPT_S)
        subject = await desk.critical_job()
        await asyncio.wait_for(taker.came.wait(), PROMPT_S)
        await asyncio.wait_for(told.wait(), PROMPT_S)
        await cancel(running)
    assert [(w.kind, w.subject, w.severity) for w in heard] == [("job", subject, "critical")]
    (message,) = taker.heard
    assert message["title"] == f"[critical] {subject}: critical job (app)"
    assert "https://desk.example/" in message["message"]
    secrets = [token.partition(":")[2] for token in database.tokens.values()]
    assert not any(secret in json.dumps(message) for secret in secrets)


async def test_it_is_told_again_until_somebody_has_seen_it(
    database: TestDatabase, proxy_pool: asyncpg.Pool, hook: tuple[Hook, str]
) -> None:
    taker, url = hook
    desk = Desk(database, proxy_pool, url)
    subject = await desk.critical_job()
    for seconds, messages in ((0, 1), (30, 1), (31, 2), (10, 2), (61, 3)):
        desk.clock.advance(seconds)
        await desk.escalation.look()
        assert len(taker.heard) == messages, seconds
    await desk.acknowledge("critical_job", subject)
    desk.clock.advance(600)
    assert await desk.escalation.look() == []
    assert len(taker.heard) == 3


async def test_quiet_hours_hold_back_what_is_not_critical(
    database: TestDatabase, proxy_pool: asyncpg.Pool, hook: tuple[Hook, str]
) -> None:
    taker, url = hook
    desk = Desk(database, proxy_pool, url, quiet_hours="00:00-23:59")
    asked = await desk.ask(Severity.HIGH)
    subject = await desk.critical_job()
    told = await desk.escalation.look()
    assert {where for where, _ in told} == {"", url}, "the stream tells both"
    assert taker.titles() == [f"[critical] {subject}: critical job (app)"]
    settings = desk.config.alerts.but(quiet_hours="")
    desk.escalation.reload(desk.config.but(alerts=settings))
    await desk.escalation.look()
    assert taker.titles()[1:] == [f"[high] A-{asked}: a decision expires (app)"]
    assert "\x1b" not in taker.heard[-1]["message"]
    assert "expiry means no" in taker.heard[-1]["message"]


async def test_a_rule_mutes_what_is_not_critical_and_the_audit_says_so(
    database: TestDatabase, proxy_pool: asyncpg.Pool, hook: tuple[Hook, str]
) -> None:
    taker, url = hook
    desk = Desk(database, proxy_pool, url)
    rules = parse_rules({"rules": [{"name": "hush", "effect": "mute", "items": ["campaign"]}]})
    async with desk.sidecar() as conn:
        made = rules.model_dump(mode="json", exclude_none=True)
        await control.put_control(conn, made, based_on=0, reason="calm")
    muted, loud = await desk.ask(Severity.HIGH), await desk.ask(Severity.CRITICAL)
    for _ in range(2):
        await desk.escalation.look()
    assert taker.titles() == [f"[critical] A-{loud}: a decision expires (app)"]
    async with desk.sidecar() as conn:
        told = await audit.list_audit(conn, subject=f"A-{muted}")
    fired = [entry.after for entry in told if entry.action == "rule.fired"]
    assert fired == [{"rules": ["hush"], "version": 1, "where": "push"}]


async def test_a_place_that_fails_is_tried_again_and_a_useless_one_is_not(
    database: TestDatabase, proxy_pool: asyncpg.Pool, hook: tuple[Hook, str]
) -> None:
    taker, url = hook
    desk = Desk(database, proxy_pool, url, push=["nonsense://secret@x", url])
    await desk.critical_job()
    taker.status = 500
    assert {where for where, _ in await desk.escalation.look()} == {""}
    assert await desk.escalation.look() == []
    taker.status = 200
    desk.clock.advance(RETRY_S + 1)
    assert {where for where, _ in await desk.escalation.look()} == {url}
    assert len(taker.heard) == 2


async def test_a_place_that_hangs_keeps_nothing_from_anybody(
    database: TestDatabase, proxy_pool: asyncpg.Pool, hook: tuple[Hook, str]
) -> None:
    """The next alert is on the stream and at the other place while the first still waits."""
    taker, url = hook
    desk = Desk(database, proxy_pool, url, push=["json://hangs", url])
    let_go, asked = threading.Event(), []

    class Hanging(Push):
        async def send(self, url: str, title: str, body: str, *, critical: bool) -> bool:
            if "hangs" not in url:
                return await super().send(url, title, body, critical=critical)
            asked.append(title)
            return await asyncio.to_thread(let_go.wait, PROMPT_S)

    desk.escalation = Escalation(desk.sidecar, desk.config, Hanging(), desk.clock)
    running = spawn(desk.escalation.run(), name="escalation")
    for number in range(4):
        subject = await desk.critical_job(f"v1:00000000000000a{number}")
        desk.escalation.wake()
        async with asyncio.timeout(PROMPT_S):
            while not any(subject in title for title in taker.titles()):
                await asyncio.sleep(0.01)
    assert len(asked) == TO_ONE_PLACE_MAX
    let_go.set()
    async with asyncio.timeout(PROMPT_S):
        while len(asked) < 4:
            await asyncio.sleep(0.01)
    await cancel(running)


async def test_a_message_decides_nothing(
    database: TestDatabase, proxy_pool: asyncpg.Pool, hook: tuple[Hook, str]
) -> None:
    """Told, repeated, acknowledged: the item waits as before and ends by expiring."""
    _, url = hook
    desk = Desk(database, proxy_pool, url)
    asked = await desk.ask(Severity.HIGH)
    for _ in range(3):
        await desk.escalation.look()
        desk.clock.advance(61)
    await desk.acknowledge("expiring", f"A-{asked}")
    async with desk.sidecar() as conn:
        assert (await approvals.get_approval(conn, asked)).status is ApprovalStatus.PENDING
        ended = await approvals.expire(conn, SystemClock().now() + timedelta(hours=2))
    assert ended == [asked]


@pytest.mark.parametrize(
    ("hours", "moment", "quiet"),
    [
        ("", "12:00", False),
        ("22:00-07:00", "23:30", True),
        ("22:00-07:00", "06:59", True),
        ("22:00-07:00", "07:00", False),
        ("12:00-13:00", "12:00", True),
        ("12:00-13:00", "11:59", False),
    ],
)
def test_quiet_hours(hours: str, moment: str, quiet: bool) -> None:
    hour, _, minute = moment.partition(":")
    assert is_quiet(hours, datetime(2026, 1, 1, int(hour), int(minute), tzinfo=UTC)) is quiet


def test_settings_are_checked() -> None:
    from proxy.config import load

    for bad in ("22-07", "25:00-07:00", "22:00"):
        with pytest.raises(ConfigError):
            load(environ={}, sets=[f"alerts.quiet_hours={bad}"])
    assert load(environ={}, sets=["alerts.push=json://a/b, mailto://c"]).config.alerts.push == (
        "json://a/b",
        "mailto://c",
    )
    assert missing(()) is None
