"""What feeds the event stream: Postgres notifications, the score of the running proxy, and a poll
beneath both.

Ids only travel; readers fetch. A (re)connect of the listener means something may have been missed,
so it is told as one ``resync``. Without a listening connection the counts of waiting things are
polled instead.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import get_args

from proxy.api.deps import ApiDeps
from proxy.api.events import EventHub
from proxy.contract.events import Event, EventKind
from proxy.contract.words import SeverityWord
from proxy.errors import Unavailable
from proxy.store import jobs as job_store
from proxy.store import notify
from proxy.store.notify import Wakeup
from proxy.store.pool import AS_PROXY, acting
from proxy.tasks import cancel, spawn
from proxy.visible import one_line

_log = logging.getLogger("selfheal.events")

LOOK_S = 1.0
"""How often score and status are looked at; an event goes out only when they changed."""
POLL_EVERY = 5
"""Looks between two polls of the counts."""
RETRY_S = 2.0

_KINDS = frozenset(get_args(EventKind))
_SEVERITIES = frozenset(get_args(SeverityWord))


class Feed:
    """Start with ``start``, end with ``stop``; publishes into the hub it was given."""

    def __init__(self, deps: ApiDeps, hub: EventHub, on_wake: Callable[[], None]) -> None:
        self._deps = deps
        self._hub = hub
        self._on_wake = on_wake
        self._tasks: list[asyncio.Task[None]] = []
        self._connected_once = False
        self._heard = False
        """A notification came since the last poll: then a changed count is no news."""
        self._seen_health: tuple[str, int | None] | None = None
        self._seen_counts: dict[str, int] | None = None

    def start(self) -> None:
        self._tasks = [
            spawn(self._listen(), name="events-listen"),
            spawn(self._look(), name="events-look"),
        ]

    async def stop(self) -> None:
        await cancel(*self._tasks)

    async def _listen(self) -> None:
        while True:
            dsn = self._deps.listen_dsn()
            if dsn is not None:
                try:
                    async with notify.listen(
                        dsn, self.take, schema=self._deps.config.database.schema
                    ):
                        # the listener reconnects by itself; this waits for the end of the process
                        await asyncio.Event().wait()
                except Unavailable as error:
                    _log.info("no notifications now: %s", error)
            await asyncio.sleep(RETRY_S)

    def take(self, wakeup: Wakeup | None) -> None:
        """One notification, or None after a (re)connect."""
        self._on_wake()
        self._heard = True
        if wakeup is None:
            if self._connected_once:
                self._publish("resync", "", "reconnected")
            self._connected_once = True
            return
        if wakeup.kind in _KINDS:
            self._publish(wakeup.kind, wakeup.subject, wakeup.change, wakeup.severity)

    async def _look(self) -> None:
        looks = 0
        while True:
            try:
                self.look_at_health()
                if looks % POLL_EVERY == 0:
                    await self._poll()
            except Exception:
                # one bad look must not leave every reader blind for good
                _log.exception("a look at the score or the counts failed")
            looks += 1
            await asyncio.sleep(LOOK_S)

    def look_at_health(self) -> None:
        """One ``health`` event when status or score is another than before."""
        health = self._deps.live.health()
        now = (health.status, health.score)
        if self._seen_health is not None and now != self._seen_health:
            score = "none" if health.score is None else str(health.score)
            self._publish("health", "health", f"{health.status} {score}")
        self._seen_health = now

    async def _poll(self) -> None:
        pool = self._deps.pool_source()
        if pool is None:
            return
        try:
            async with acting(pool, AS_PROXY) as conn:
                counts = await job_store.open_job_counts(conn)
        except Unavailable:
            return
        self.take_counts(counts)

    def take_counts(self, counts: dict[str, int]) -> None:
        """A count that changed though nobody told: readers are sent to look again."""
        if self._seen_counts is not None and counts != self._seen_counts and not self._heard:
            self._publish("resync", "", "counts")
        self._seen_counts, self._heard = counts, False

    def _publish(self, kind: str, subject: str, change: str, severity: str | None = None) -> None:
        self._hub.publish(
            Event.model_validate(
                {
                    "kind": kind,
                    "subject": one_line(subject)[:200],
                    "change": one_line(change)[:200],
                    "at": self._deps.clock.now(),
                    "severity": severity if severity in _SEVERITIES else None,
                }
            )
        )
