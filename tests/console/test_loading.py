"""What is on the screen is read again, also where no event says that it changed."""

import asyncio

import pytest

from console.news import Lost
from tests.support import console_facts as facts
from tests.support.console_pilot import on_stage
from tests.support.console_server import ConsoleServer


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.loading.REREAD_S", 0.05)


async def test_counts_and_incidents_follow_without_an_event(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("2")
        await stage.until(lambda: "sample 1" in stage.shown())
        server.jobs["J-1"] = server.jobs["J-1"].model_copy(update={"occurrences": 77_777})
        await stage.until(lambda: "77 777×" in stage.shown())
        server.incidents = facts.anomalies()
        await stage.until(lambda: "It goes on." in stage.shown())


async def test_the_score_and_the_routes_follow(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        server.health = server.health.model_copy(update={"score": 12})
        await stage.until(lambda: "12 / 100" in stage.shown())
        before = len(server.seen)
        await stage.until(lambda: any(path == "/routes" for _, path, *_ in server.seen[before:]))


async def test_nobody_is_asked_while_the_connection_is_lost(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        stage.app.hear(Lost("gone", 60.0))
        await stage.until(lambda: not stage.app.state.due)
        before = len(server.seen)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await stage.until(lambda: len(server.seen) > before)
