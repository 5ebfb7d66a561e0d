"""What the screens show, fetched: a part when a screen opens, and whatever the stream calls out of
date. Tells the news to the app; draws nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, get_args

from console import state as world
from console.deeds import number_of
from console.format import STATUS_SAYS
from console.frame import COUNTS
from console.news import Failed, Got, What
from console.wording import sentence
from proxy.contract.words import CategoryWord
from proxy.errors import NotPermitted, SelfHealError

if TYPE_CHECKING:
    from console.app import ConsoleApp

CATEGORIES = get_args(CategoryWord)
REFRESH_S = 0.25
REREAD_S = 10.0
JOBS_LOADED = 500
AUDIT_LOADED = 500


class Loading:
    def __init__(self, app: "ConsoleApp") -> None:
        self._app = app
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Load what the stream calls out of date, at most every ``REFRESH_S``, and every
        ``REREAD_S`` what changes without an event: counts, rates and ages.
        """
        app = self._app
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), REREAD_S)
            except TimeoutError:
                app.state = world.asked_again(app.state, self._counting())
            self._wake.clear()
            if app.paused:
                continue
            due, app.state = world.taken_due(app.state)
            await asyncio.gather(*(self.load(what, shown) for what, shown in due))
            await asyncio.sleep(REFRESH_S)

    def _counting(self) -> list[tuple[What, str]]:
        pane = self._app.pane
        parts: list[tuple[What, str]] = [("health", "")]
        parts += [(what, "") for what in COUNTS.get(pane.where, ())]
        if pane.where == "jobs" and self._app.jobs_pane.job_id:
            parts.append(("job", self._app.jobs_pane.job_id))
        return parts

    async def load(self, what: What, shown: str = "") -> None:
        app = self._app
        try:
            value = await self._call(what, shown)
        except SelfHealError as error:
            app.hear(Failed(what, sentence(error)))
        else:
            if what == "verify":
                app.verified_at = app.clock.now()
            app.hear(Got(what, value))

    def soon(self, what: What, shown: str = "") -> None:
        group = f"load-{what}-{shown}"
        self._app.run_worker(
            self.load(what, shown), group=group, exclusive=True, exit_on_error=False, name=group
        )

    async def _call(self, what: What, shown: str) -> Any:
        client = self._app.client
        calls: dict[What, Callable[[], Awaitable[Any]]] = {
            "health": client.health,
            "jobs": self._jobs,
            "job": lambda: client.job(number_of(shown)),
            "patch": lambda: client.patch(number_of(shown)),
            "routes": client.routes,
            "approvals": client.approvals,
            "alerts": self._alerts,
            "audit": lambda: client.audit(limit=AUDIT_LOADED),
            "verify": client.verify_audit,
            "control": client.control,
        }
        return await calls[what]()

    async def _alerts(self) -> Any:
        """Viewers and agents are not told; for them there is nothing to be seen."""
        try:
            return await self._app.client.alerts()
        except NotPermitted:
            return []

    async def _jobs(self) -> Any:
        chosen = self._app.jobs_pane.chosen
        text = " ".join(chosen.words) or None
        return await self._app.client.jobs(
            # A word still being typed is matched here; the server takes whole ones only.
            status=chosen.status if chosen.status in (*STATUS_SAYS, "all") else None,
            category=chosen.category if chosen.category in CATEGORIES else None,
            severity=chosen.severity,
            q=text,
            limit=JOBS_LOADED,
        )
