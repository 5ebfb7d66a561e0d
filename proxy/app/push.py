"""Messages to people who are not looking: one library (`apprise`), many services by URL.

A message says what to look at and where. It carries no token, no link that acts and nothing that
traffic wrote but the names of routes: it can decide nothing.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, time
from typing import Any

from proxy.errors import SelfHealError
from proxy.store.alerts import Alert
from proxy.visible import one_line

SUMMARY_CHARS_MAX = 200
_TITLES = {
    "break_glass": "broken glass",
    "critical_job": "critical job",
    "expiring": "a decision expires",
}


class NoPush(SelfHealError):
    """Nothing can be pushed: the library is missing, or a URL is none it knows."""


class Push:
    """``send`` is one message to one URL. Blocking work happens in a thread."""

    async def prepare(self, urls: Sequence[str]) -> None:
        """Load the library before it is needed: its hundred services take a second or two."""
        if urls:
            await asyncio.to_thread(_channel, urls[0])

    async def send(self, url: str, title: str, body: str, *, critical: bool) -> bool:
        """True when it was taken. ``NoPush`` when it never will be."""
        return await asyncio.to_thread(_send, url, title, body, critical)


def _send(url: str, title: str, body: str, critical: bool) -> bool:
    kind = "failure" if critical else "warning"
    return bool(_channel(url).notify(body=body, title=title, notify_type=kind))


def _channel(url: str) -> Any:
    try:
        import apprise
    except ImportError:
        raise NoPush("alerts.push needs the package apprise: pip install apprise") from None
    channel: Any = apprise.Apprise()
    if not channel.add(url):
        raise NoPush(f"alerts.push: {scheme_of(url)} is no URL that apprise can take")
    return channel


def scheme_of(url: str) -> str:
    """All of a URL that may be told: the rest is somebody's secret."""
    scheme, colon, _ = url.partition("://")
    return f"{scheme}://…" if colon else "…"


def title_of(alert: Alert, service: str) -> str:
    return f"[{alert.severity}] {alert.subject}: {_TITLES[alert.kind]} ({service})"


def body_of(alert: Alert, console_url: str) -> str:
    lines = [one_line(alert.summary)[:SUMMARY_CHARS_MAX]]
    if alert.expires_at is not None:
        lines.append(f"It expires at {alert.expires_at:%Y-%m-%d %H:%M} UTC, and expiry means no.")
    lines.append(f"Look: {console_url}" if console_url else "Look: selfheal alerts")
    lines.append(f"Told again until somebody says: selfheal acknowledge {alert.subject}")
    return "\n".join(lines)


def is_quiet(hours: str, now: datetime) -> bool:
    """``22:00-07:00`` in UTC; an empty text is never quiet."""
    if not hours:
        return False
    begin, _, end = (part.strip() for part in hours.partition("-"))
    first, last, moment = _clock(begin), _clock(end), now.time()
    if first <= last:
        return first <= moment < last
    return moment >= first or moment < last


def _clock(text: str) -> time:
    hour, _, minute = text.partition(":")
    return time(int(hour), int(minute))


def missing(urls: Sequence[str]) -> str | None:
    """Why nothing can be pushed, for `selfheal doctor`; None when it can or nobody asked for it."""
    from importlib.util import find_spec

    if urls and find_spec("apprise") is None:
        return "alerts.push needs the package apprise: pip install apprise"
    return None
