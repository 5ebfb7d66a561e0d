"""Wake-ups: LISTEN on ``selfheal_events`` (skeleton, body follows)."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

CHANNEL = "selfheal_events"


@dataclass(frozen=True, slots=True)
class Wakeup:
    kind: str
    """job, patch, approval, anomaly"""
    subject: str
    change: str
    severity: str | None = None


def listen(
    dsn: str, callback: Callable[[Wakeup | None], None]
) -> AbstractAsyncContextManager[None]:
    """Call back on each event, and once with None after every (re)connect: something may have been missed."""
    raise NotImplementedError
