"""A child's view of the database: unknown at first, told by the supervisor, away at times; never
waited for by traffic.
"""

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from proxy.domain.waiting import Waiting
from proxy.errors import SelfHealError, Unavailable
from proxy.store.log_rows import LogRows

if TYPE_CHECKING:
    import asyncpg

    from proxy.observability.spool import Row

_log = logging.getLogger("selfheal.database")

RETRY_S = 0.5
RETRY_MAX_S = 5.0


class Database:
    """``pool`` is None until the supervisor has said where the database is and one connection
    worked.
    """

    def __init__(self, schema: str, *, max_size: int) -> None:
        self._schema = schema
        self._max_size = max_size
        self.dsn: str | None = None
        """The sidecar's own login; members' logins lead to the same server and database."""
        self.pool: asyncpg.Pool | None = None
        self.last_error: str | None = None
        self.ready = asyncio.Event()

    async def connect(self, message: dict[str, Any]) -> None:
        """Open the pool, again and again until it works. ``message`` is the supervisor's
        ``database`` message.
        """
        if self.pool is not None:
            return
        # the driver belongs after the first byte, and traffic goes on while it is imported
        await asyncio.to_thread(importlib.import_module, "proxy.store.pool")
        from proxy.store.pool import AS_PROXY, acting, open_pool

        self.dsn = message["proxy_dsn"]
        pause = RETRY_S
        while self.pool is None:
            pool = None
            try:
                # No floor of connections: the pool would log a traceback at every outage.
                pool = await open_pool(self.dsn, schema=self._schema, max_size=self._max_size)
                async with acting(pool, AS_PROXY):
                    pass
                self.pool = pool
            except (SelfHealError, OSError) as error:
                if pool is not None:
                    pool.terminate()
                self.last_error = str(error)
                _log.warning("database: %s; trying again in %.1f s", error, pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_MAX_S)
        self.last_error = None
        self.ready.set()

    @asynccontextmanager
    async def as_sidecar(self) -> "AsyncIterator[asyncpg.Connection]":
        """A transaction as the sidecar's own role. ``Unavailable`` while there is no database."""
        if self.pool is None:
            raise Unavailable("the database is not there yet")
        from proxy.store.pool import AS_PROXY, acting

        try:
            async with acting(self.pool, AS_PROXY) as conn:
                yield conn
            self.last_error = None
        except Unavailable as error:
            self.last_error = str(error)
            raise

    def close(self) -> None:
        if self.pool is not None:
            self.pool.terminate()

    def state(self) -> dict[str, Any]:
        """For health: ``starting`` until it was reached once, then ``ok`` or ``away`` with the
        reason.
        """
        if self.pool is None:
            return {"state": "starting", "error": self.last_error}
        if self.last_error is not None:
            return {"state": "away", "error": self.last_error}
        return {"state": "ok"}


class LogWriter:
    """Rows into ``observability_logs``."""

    def __init__(self, database: Database, rows: LogRows, at_once: int) -> None:
        """``at_once``: rows packed before others have their turn."""
        self._database = database
        self._rows = rows
        self._at_once = at_once

    async def copy(self, waiting: Sequence[Waiting]) -> None:
        from proxy.store import metrics

        pieces = self._rows.copy(waiting, self._at_once)
        async with self._database.as_sidecar() as conn:
            await metrics.copy_packed_logs(conn, pieces)

    async def copy_again(self, rows: "Sequence[Row]") -> None:
        from proxy.store import metrics

        async with self._database.as_sidecar() as conn:
            await metrics.copy_logs_idempotent(conn, [_storable(row) for row in rows])


TEXT_COLUMNS = (3, 4, 8, 9)
"""route_path, method, error_message, error_stack: text that traffic wrote."""


def _storable(row: "Row") -> "Row":
    """One hostile text must not make Postgres refuse the whole batch."""
    from proxy.store.text import storable

    cells = list(row)
    for column in TEXT_COLUMNS:
        if cells[column] is not None:
            cells[column] = storable(cells[column])
    return tuple(cells)
