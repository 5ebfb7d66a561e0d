"""The console under a pilot, on a clock turned by hand, against the in-memory API."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from textual.pilot import Pilot

from console.app import ConsoleApp
from console.pooled import PooledClient
from console.screens.confirm import ARM_S, ConfirmScreen
from console.widgets.line_table import LineTable
from proxy.clock import ManualClock
from tests.support import console_facts as facts
from tests.support.console_server import TOKEN, ConsoleServer


@dataclass
class Stage:
    app: ConsoleApp
    pilot: Pilot[Any]
    server: ConsoleServer
    clock: ManualClock

    async def until(self, done: Callable[[], bool]) -> None:
        """Let the app work until ``done``; fails after ten seconds."""
        async with asyncio.timeout(20):
            while not done():
                await self.pilot.pause(0.05)

    async def press(self, *keys: str, gap: float = 0.1) -> None:
        """Each key a tenth of a second after the one before, as a finger does it."""
        for key in keys:
            self.clock.advance(gap)
            await self.pilot.press(key)

    async def armed(self) -> ConfirmScreen:
        """The question is on the screen and has been for long enough."""
        await self.until(lambda: isinstance(self.app.screen, ConfirmScreen))
        screen = self.app.screen
        assert isinstance(screen, ConfirmScreen)
        await self.until(lambda: screen._armed_at < float("inf"))
        self.clock.advance(ARM_S + 0.01)
        return screen

    async def review(self, patch: str = "P-1") -> None:
        """Jobs, the first job, and this patch of it on the screen."""
        await self.press("2")
        await self.until(lambda: self.table("jobs-table").cursor is not None)
        self.app.review_job("J-1", patch)
        await self.until(lambda: patch in self.app.state.patches and self.app._where == "review")
        await self.pilot.pause()

    def table(self, name: str) -> LineTable:
        return self.app.base.query_one(f"#{name}", LineTable)

    def shown(self) -> str:
        """The whole screen as text."""
        size = self.app.size
        strips = self.app.screen._compositor.render_strips(size)
        return "\n".join(strip.text for strip in strips)

    def sent(self) -> list[tuple[str, Any]]:
        """Changes the server got: (path, body)."""
        return [(path, body) for method, path, _, body in self.server.seen if method != "GET"]

    def toasts(self) -> list[str]:
        return [toast.message for toast in self.app._notifications]


@asynccontextmanager
async def on_stage(
    server: ConsoleServer, *, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[Stage]:
    clock = ManualClock(facts.NOW.timestamp())
    app = ConsoleApp(PooledClient(server.url, TOKEN), clock=clock, **options)
    async with app.run_test(size=size) as pilot:
        stage = Stage(app, pilot, server, clock)
        await stage.until(lambda: app.state.connection.kind == "live")
        await stage.until(lambda: {"health", "jobs", "routes", "approvals"} <= app.state.loaded)
        await pilot.pause()
        yield stage
    await app.client.close()
