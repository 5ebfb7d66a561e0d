"""What must be seen is told at once, and again until somebody acknowledged it: as an event to those
who look, and pushed to those who do not.

Quiet hours and the founder's `mute` hold back what is not critical; nothing holds back what is.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import asyncpg

from proxy.app.push import NoPush, Push, body_of, is_quiet, scheme_of, title_of
from proxy.clock import Clock, SystemClock
from proxy.config import Config
from proxy.domain.failure import Severity
from proxy.errors import SelfHealError
from proxy.founder import control as control_rules
from proxy.founder.control import Subject
from proxy.store import alerts as alert_store
from proxy.store import approvals as approval_store
from proxy.store import audit
from proxy.store.alerts import Alert
from proxy.tasks import cancel, spawn

LOOK_S = 5.0
"""Beneath the wake-ups: a decision comes near its end without anybody saying so."""
TO_ONE_PLACE_MAX = 2
"""Messages on their way to one place at once, so that one that hangs takes no more than its share
of the threads."""
RETRY_S = 30.0
EVENTS = ""
"""The event stream, as the place where an alert was told."""
_KIND = {"J": "job", "P": "patch", "A": "approval"}
_log = logging.getLogger("selfheal.alerts")

AsSidecar = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]
Told = tuple[str, tuple[object, ...]]
"""Where (a URL, or the event stream), and which alert."""


class Escalation:
    """``run`` until cancelled; ``wake`` when something may have happened."""

    def __init__(
        self, as_sidecar: AsSidecar, config: Config, push: Push, clock: Clock | None = None
    ) -> None:
        self._as_sidecar = as_sidecar
        self._config = config
        self._push = push
        self._clock = clock or SystemClock()
        self._wake = asyncio.Event()
        self._due: dict[Told, float] = {}
        """When it is to be told (again), in monotonic seconds."""
        self._sending: dict[Told, asyncio.Task[Told | None]] = {}
        self._muted: set[tuple[object, ...]] = set()
        self._useless: set[str] = set()

    def wake(self) -> None:
        self._wake.set()

    def reload(self, config: Config) -> None:
        self._config = config
        self._useless.clear()
        self.wake()

    async def run(self) -> None:
        preparing = spawn(self._prepare(), name="alerts-prepare")
        try:
            await self._look_again_and_again()
        finally:
            await cancel(preparing, *self._sending.values())

    async def _prepare(self) -> None:
        places = self._config.alerts.push
        try:
            await self._push.prepare(places)
        except NoPush as error:
            _log.error("%s", error)
        else:
            _log.info("alerts are pushed to %d place(s)", len(places))

    async def _look_again_and_again(self) -> None:
        while True:
            try:
                # a place that hangs must not keep the next alert from anybody
                await self._begin()
            except (SelfHealError, OSError) as error:
                _log.warning("alerts: %s", error)
            except Exception:
                _log.exception("alerts: one look failed")
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    def _pause_s(self) -> float:
        """Until something is to be told again, and never longer than ``LOOK_S``."""
        now = self._clock.monotonic()
        return min([LOOK_S, *(at - now for at in self._due.values() if at > now)])

    async def look(self) -> list[Told]:
        """Tell what is due, and wait until it was told: where, and which."""
        told, sending = await self._begin()
        results = await asyncio.gather(*sending)
        return [*told, *(result for result in results if result is not None)]

    async def _begin(self) -> tuple[list[Told], list[asyncio.Task[Told | None]]]:
        """Tell the event stream what is due, and set the messages on their way. Each place is asked
        by itself: one that fails is tried again and holds up no other.
        """
        settings = self._config.alerts
        async with self._as_sidecar() as conn:
            found = await alert_store.open_alerts(conn, timedelta(hours=settings.warn_before_h))
            muted = [alert for alert in found if await self._is_muted(conn, alert)]
        self._forget(found)
        due = [alert for alert in found if alert not in muted]
        pushed = [a for a in due if a.severity is Severity.CRITICAL or not self._is_quiet()]
        told = await self._to_events(due)
        return told, [
            self._send(url, alert)
            for alert in pushed
            for url in settings.push
            if self._is_due(url, alert) and self._has_room(url)
        ]

    def _has_room(self, url: str) -> bool:
        return sum(place == url for place, _ in self._sending) < TO_ONE_PLACE_MAX

    def _send(self, url: str, alert: Alert) -> asyncio.Task[Told | None]:
        where = url, alert.key
        task = spawn(self._to(url, alert), name="alerts-push")
        self._sending[where] = task
        task.add_done_callback(lambda _: self._sent(where))
        return task

    def _sent(self, where: Told) -> None:
        del self._sending[where]
        self.wake()  # what had no room may go now

    def _is_quiet(self) -> bool:
        return is_quiet(self._config.alerts.quiet_hours, self._clock.now())

    def _is_due(self, where: str, alert: Alert) -> bool:
        if where in self._useless or (where, alert.key) in self._sending:
            return False
        return self._due.get((where, alert.key), 0.0) <= self._clock.monotonic()

    async def _to_events(self, due: Iterable[Alert]) -> list[Told]:
        now = [alert for alert in due if self._is_due(EVENTS, alert)]
        if now:
            async with self._as_sidecar() as conn:
                for alert in now:
                    kind, change = _KIND[alert.subject[0]], f"alert_{alert.kind}"
                    await alert_store.tell(conn, kind, alert.subject, change, alert.severity)
        return [self._told(EVENTS, alert) for alert in now]

    async def _to(self, url: str, alert: Alert) -> Told | None:
        settings, service = self._config.alerts, self._config.app.service
        critical = alert.severity is Severity.CRITICAL
        try:
            taken = await self._push.send(
                url,
                title_of(alert, service),
                body_of(alert, settings.console_url),
                critical=critical,
            )
        except NoPush as error:
            self._useless.add(url)
            _log.error("%s", error)
            return None
        if not taken:
            _log.warning("%s: %s did not take the message", alert.subject, scheme_of(url))
            self._due[url, alert.key] = self._clock.monotonic() + RETRY_S
            return None
        return self._told(url, alert)

    def _told(self, where: str, alert: Alert) -> Told:
        self._due[where, alert.key] = self._clock.monotonic() + self._config.alerts.repeat_s
        return where, alert.key

    def _forget(self, found: Iterable[Alert]) -> None:
        """What was acknowledged or is over needs no memory."""
        keys = {alert.key for alert in found}
        self._due = {told: at for told, at in self._due.items() if told[1] in keys}
        self._muted &= keys

    async def _is_muted(self, conn: asyncpg.Connection, alert: Alert) -> bool:
        """By a rule of the founder's, named in the audit once; never what is critical."""
        if alert.kind != "expiring" or alert.severity is Severity.CRITICAL:
            return False
        config = await control_rules.load(conn)
        asked = await approval_store.get_approval(conn, int(alert.subject[2:]))
        subject = Subject(asked.item_type, author=asked.created_by)
        firing = config.judge(subject, asked.risk_level, self._clock.now())
        if firing.muted_by is None:
            self._muted.discard(alert.key)
            return False
        if alert.key not in self._muted:
            after = {"rules": list(firing.fired), "version": config.version, "where": "push"}
            await audit.append(conn, "rule.fired", alert.subject, after=after)
            self._muted.add(alert.key)
        return True
