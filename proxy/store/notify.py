"""Wake-ups: LISTEN on ``selfheal_events``. Ids only, and never the whole truth: readers fetch, and
poll as well.

Needs a direct or session connection (not a transaction-pooling proxy).
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

from proxy.errors import SelfHealError
from proxy.store.pool import connect
from proxy.tasks import cancel, spawn

CHANNEL = "selfheal_events"
RECONNECT_S = 1.0
RECONNECT_MAX_S = 15.0
PING_S = 30.0
_log = logging.getLogger("selfheal.notify")


@dataclass(frozen=True, slots=True)
class Wakeup:
    """``kind``: job, patch, approval, anomaly, deploy or audit; ``subject``: ``J-1 P-1 A-1``, an
    anomaly's id, a service, ``control``.
    """

    kind: str
    subject: str
    change: str
    severity: str | None = None


@contextlib.asynccontextmanager
async def listen(
    dsn: str, callback: Callable[[Wakeup | None], None], *, schema: str = "selfheal"
) -> AsyncIterator[None]:
    """Call back on each event while the context is open, reconnecting by itself.

    The callback gets None after every (re)connect: something may have been missed. It must not
    block or raise.
    """
    task = spawn(_keep_listening(dsn, callback, schema), name="notify")
    try:
        yield
    finally:
        await cancel(task)


async def _keep_listening(dsn: str, callback: Callable[[Wakeup | None], None], schema: str) -> None:
    def heard(_conn: object, _pid: int, _channel: str, payload: object) -> None:
        if (wakeup := parse(str(payload))) is not None:
            callback(wakeup)

    delay = RECONNECT_S
    while True:
        try:
            conn = await connect(dsn, schema=schema)
        except SelfHealError as error:
            _log.debug("no listener: %s", error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, RECONNECT_MAX_S)
            continue
        try:
            await conn.add_listener(CHANNEL, heard)
            delay = RECONNECT_S
            callback(None)
            await _until_gone(conn)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            _log.debug("listener lost: %s", error)
        finally:
            with contextlib.suppress(Exception):
                await conn.close(timeout=1)


async def _until_gone(conn: asyncpg.Connection) -> None:
    """A dead peer says nothing by itself; a question every half minute finds out."""
    gone = asyncio.Event()
    conn.add_termination_listener(lambda _conn: gone.set())
    while not gone.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), PING_S)
        if not gone.is_set():
            await conn.fetchval("select 1", timeout=5)


def parse(payload: str) -> Wakeup | None:
    """None for anything that is not ours: any login may NOTIFY any channel."""
    try:
        event: Any = json.loads(payload)
        return Wakeup(
            str(event["kind"])[:20],
            str(event["subject"])[:200],
            str(event["change"])[:40],
            None if event.get("severity") is None else str(event["severity"])[:20],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
