"""Questions to Phill: one at a time, and `esc` stops it."""

import asyncio
from typing import TYPE_CHECKING

from textual.worker import Worker

from console.screens.phill import Turn
from console.wording import sentence
from proxy.errors import SelfHealError

if TYPE_CHECKING:
    from console.app import ConsoleApp

TURNS_MAX = 40


class Asking:
    def __init__(self, app: "ConsoleApp") -> None:
        self._app = app
        self._thinking: Worker[None] | None = None
        self._since = 0.0

    def ask(self, text: str) -> bool:
        """False while an answer is still awaited."""
        app = self._app
        if self._thinking is not None:
            app.say("one question at a time; esc stops this one")
            return False
        turn = Turn(text)
        app.phill_pane.turns = [*app.phill_pane.turns, turn][-TURNS_MAX:]
        self._since = app.clock.monotonic()
        self._thinking = app.run_worker(self._ask(turn), group="ask", exit_on_error=False)
        app.redraw()
        return True

    async def _ask(self, turn: Turn) -> None:
        try:
            turn.answer = await self._app.client.ask(turn.asked)
        except SelfHealError as error:
            turn.failed = sentence(error)
        except asyncio.CancelledError:
            turn.failed = "stopped"
            raise
        finally:
            turn.took_s = self._app.clock.monotonic() - self._since
            self._thinking = None
            self._app.changed()

    def stop(self) -> bool:
        if self._thinking is None:
            return False
        self._thinking.cancel()
        return True

    def for_s(self) -> float | None:
        """How long the answer has been awaited; None when none is."""
        return self._app.clock.monotonic() - self._since if self._thinking else None
