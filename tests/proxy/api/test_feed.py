"""What becomes an event: notifications, a changed score, and a count nobody told about."""

from typing import get_args

import pytest

from proxy.agents.router import OrchestratorRouter
from proxy.api import feed as feed_module
from proxy.api.deps import ApiDeps
from proxy.api.events import EventHub, Reader
from proxy.api.feed import Feed
from proxy.clock import ManualClock
from proxy.config import Config
from proxy.contract.events import Event, EventKind
from proxy.contract.health import Health
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.rules import RuleSet
from proxy.healing.service import SelfHealingService
from proxy.store.notify import Wakeup
from tests.support.agent_facts import MemoryFacts
from tests.support.api import HandLive


def never() -> object:
    raise AssertionError("no database here")


def make(live: HandLive) -> tuple[Feed, EventHub, list[int]]:
    clock, wakes = ManualClock(), list[int]()
    hub = EventHub(clock)
    deps = ApiDeps(
        config=Config(),
        pool_source=lambda: None,
        member_dsn=lambda: None,
        live=live,
        service=SelfHealingService(never, ErrorClassifier(RuleSet.load()), Config()),  # type: ignore[arg-type]  # never called
        ask=OrchestratorRouter(MemoryFacts()),
        clock=clock,
        control_file=None,
    )
    return Feed(deps, hub, lambda: wakes.append(1)), hub, wakes


async def drain(reader: Reader) -> list[Event]:
    found: list[Event] = []
    while True:
        try:
            item = await reader.next(0.01)
        except TimeoutError:
            return found
        assert item is not None
        found.append(item[1])


async def test_a_notification_becomes_an_event_and_wakes_the_healer() -> None:
    feed, hub, wakes = make(HandLive())
    with hub.reader() as reader:
        feed.take(Wakeup("job", "J-1", "created", "critical"))
        feed.take(Wakeup("nonsense", "J-2", "created"))
        feed.take(Wakeup("patch", "P-1\x1b[2J", "x" * 999, "made up"))
        first, second = await drain(reader)
    assert (first.kind, first.subject, first.severity) == ("job", "J-1", "critical")
    assert (second.subject, second.severity) == ("P-1<U+001B>[2J", None)
    assert len(second.change) == 200
    assert len(wakes) == 3
    assert first.kind in get_args(EventKind)


async def test_a_reconnect_is_told_but_the_first_connect_is_not() -> None:
    feed, hub, _ = make(HandLive())
    with hub.reader() as reader:
        feed.take(None)
        assert await drain(reader) == []
        feed.take(None)
        (told,) = await drain(reader)
    assert (told.kind, told.change) == ("resync", "reconnected")


async def test_health_is_told_when_it_changes() -> None:
    live = HandLive()
    feed, hub, _ = make(live)
    with hub.reader() as reader:
        feed.look_at_health()
        feed.look_at_health()
        assert await drain(reader) == []
        live.score = None
        feed.look_at_health()
        live.score, live.status = 40, "degraded"
        feed.look_at_health()
        told = await drain(reader)
    assert [event.change for event in told] == ["ok none", "degraded 40"]


async def test_a_count_nobody_told_about_is_a_resync() -> None:
    feed, hub, _ = make(HandLive())
    with hub.reader() as reader:
        feed.take_counts({"total": 1})
        feed.take(Wakeup("job", "J-2", "created"))
        feed.take_counts({"total": 2})
        feed.take_counts({"total": 2})
        feed.take_counts({"total": 3})
        told = await drain(reader)
    assert [event.kind for event in told] == ["job", "resync"]


async def test_one_bad_look_does_not_blind_the_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(HandLive):
        looks = 0

        def health(self) -> Health:
            self.looks += 1
            if self.looks == 2:
                raise KeyError("a report without its snapshot")
            self.score = 97 - self.looks
            return super().health()

    monkeypatch.setattr(feed_module, "LOOK_S", 0.01)
    feed, hub, _ = make(Broken())
    with hub.reader() as reader:
        feed.start()
        item = await reader.next(5)
        await feed.stop()
    assert item is not None
    assert item[1].kind == "health"
