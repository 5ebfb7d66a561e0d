"""Two proxies of one service on one database: each knows what both have seen, exactly once."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from proxy.app.sharing import BaselineKeeper
from proxy.clock import ManualClock
from proxy.errors import Unavailable
from proxy.observability.detector import MLDetector
from proxy.store import sharing
from proxy.store.pool import AS_PROXY, acting

Connect = Callable[[], AbstractAsyncContextManager[Any]]


class Proxy:
    """A detector and its keeper; ``serve`` gives it requests."""

    def __init__(
        self, name: str, connect: Connect, clock: ManualClock, *, stores: bool = True
    ) -> None:
        self.clock = clock
        self.detector = MLDetector(sharing=True)
        self.keeper = BaselineKeeper(
            "app", f"{name}/worker-0", self.detector, connect, clock, stores=stores
        )
        self._rng = random.Random(name)

    def serve(self, requests: int) -> None:
        """Learned while it warms up: ``requests`` and the seconds a slice needs to close."""
        for n in range(requests):
            at = self.clock.time() + 12.0 * n / requests
            self.detector.observe("GET", "/x", 200, self._rng.lognormvariate(4, 0.4), at, False)
        self.detector.tick(self.clock.time() + 60.0)

    @property
    def knows(self) -> float:
        """How many requests its baseline has learned."""
        routes = self.detector.export_baselines()["routes"]
        return float(routes["GET /x"]["baseline"]["requests"]) if routes else 0.0


def connector(pool: asyncpg.Pool) -> Connect:
    return lambda: acting(pool, AS_PROXY)


async def test_each_knows_what_both_have_seen(proxy_pool: asyncpg.Pool) -> None:
    clock = ManualClock()
    one, two = (Proxy(name, connector(proxy_pool), clock) for name in ("here", "there"))
    for minute in range(1, 4):
        one.serve(300)
        two.serve(100)
        clock.advance(60)
        await one.keeper.step()
        await two.keeper.step()
        await one.keeper.step()
        assert one.knows == pytest.approx(400 * minute, rel=0.02)
        assert two.knows == pytest.approx(400 * minute, rel=0.02)
    # a third, and one after a restart, know the same at once, and nothing of it twice
    for name in ("third", "here"):
        late = Proxy(name, connector(proxy_pool), clock)
        await late.keeper.load()
        assert late.knows == pytest.approx(1200, rel=0.02)
        for _ in range(3):
            clock.advance(60)
            await late.keeper.step()
            await one.keeper.step()
        assert late.knows == one.knows == pytest.approx(1200, rel=0.02)


async def test_what_one_stored_the_others_said_since_is_added(proxy_pool: asyncpg.Pool) -> None:
    clock = ManualClock()
    one = Proxy("here", connector(proxy_pool), clock)
    two = Proxy("there", connector(proxy_pool), clock, stores=False)
    for proxy, requests in ((one, 100), (two, 300), (two, 500)):
        proxy.serve(requests)
        clock.advance(60)
        await proxy.keeper.step()
    assert (one.knows, two.knows) == (pytest.approx(100, rel=0.02), pytest.approx(900, rel=0.02))
    late = Proxy("third", connector(proxy_pool), clock)
    await late.keeper.step()
    assert late.knows == pytest.approx(900, rel=0.02)


async def test_without_a_database_it_waits_and_is_then_said_once(proxy_pool: asyncpg.Pool) -> None:
    clock = ManualClock()
    away = broken = False

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        if away:
            raise Unavailable("not there")
        async with acting(proxy_pool, AS_PROXY) as conn:
            yield conn
        if broken:
            # committed, and the answer was lost on the way
            raise Unavailable("connection lost")

    one, two = Proxy("here", connect, clock), Proxy("there", connector(proxy_pool), clock)
    await one.keeper.step()
    away = True
    for _ in range(3):
        one.serve(100)
        clock.advance(60)
        with pytest.raises(Unavailable):
            await one.keeper.step()
        await one.keeper.step_safely()
    away, broken = False, True
    with pytest.raises(Unavailable):
        await one.keeper.step()
    broken = False
    for _ in range(3):
        await one.keeper.step()
        await two.keeper.step()
    assert one.knows == two.knows == pytest.approx(300, rel=0.02)


async def test_what_was_said_is_forgotten_in_time(
    proxy_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    one = Proxy("here", connector(proxy_pool), clock)
    one.serve(100)
    monkeypatch.setattr(sharing, "KEPT_FOR", -sharing.KEPT_FOR)
    await one.keeper.step()
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert await sharing.heard(conn, "app", "nobody/x", 0) == ([], 0)
    monkeypatch.undo()
    one.serve(100)
    clock.advance(60)
    await one.keeper.step()
    late = Proxy("third", connector(proxy_pool), clock)
    await late.keeper.load()
    assert late.knows == one.knows


async def test_rubbish_another_wrote_is_passed_over(proxy_pool: asyncpg.Pool) -> None:
    clock = ManualClock()
    one = Proxy("here", connector(proxy_pool), clock)
    async with acting(proxy_pool, AS_PROXY) as conn:
        told = [sharing.Told("GET", "/x", {"step": "no"}), sharing.Told("GET", "/y\0", {})]
        await sharing.exchange(conn, "app", "evil/x", minute=1, told=told, since=0)
        await sharing.exchange(conn, "other", "there/x", minute=1, told=told[:1], since=0)
    await one.keeper.step()
    assert one.detector.export_baselines()["routes"] == {}


async def test_what_cannot_be_taken_over_is_said(
    proxy_pool: asyncpg.Pool, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    one = Proxy("here", connector(proxy_pool), clock)
    one.serve(300)
    clock.advance(60)
    await one.keeper.step()
    async with acting(proxy_pool, AS_PROXY) as conn:
        await conn.execute(
            "update observability_route_baselines set counts = jsonb_set(counts, '{route}', '{}')"
        )
    late = Proxy("late", connector(proxy_pool), clock)
    await late.keeper.load()
    assert "baselines of 1 route could not be taken over" in caplog.text
