"""What is usual, kept and shared. Once a minute a worker tells the others of its service what it
has learned, and adds what they have (docs/detection.md); a sidecar's first worker stores the sum.
Without a database all of it waits.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any

from proxy.clock import Clock
from proxy.errors import SelfHealError
from proxy.observability.detector import MLDetector

if TYPE_CHECKING:
    from proxy.store.sharing import Heard, Told

_log = logging.getLogger("selfheal.baselines")

EVERY_S = 60.0
A_TIME = 5
"""One costs up to half a millisecond; requests are served between two handfuls."""

Connect = Callable[[], AbstractAsyncContextManager[Any]]


class BaselineKeeper:
    """``holder`` is ``sidecar/worker``; ``stores`` says whether this worker speaks for its
    sidecar, so that two never overwrite each other; ``on_known`` hears which templates are known.
    """

    def __init__(
        self,
        service: str,
        holder: str,
        detector: MLDetector,
        connect: Connect,
        clock: Clock,
        *,
        stores: bool,
        on_known: Callable[[list[str]], None] = lambda templates: None,
    ) -> None:
        self._service = service
        # what an earlier run of this worker said is another's word
        self._holder = f"{holder}-{os.urandom(4).hex()}"
        self._detector = detector
        self._connect = connect
        self._clock = clock
        self._stores = stores
        self._on_known = on_known
        self._loading = asyncio.Lock()
        self._is_loaded = False
        self._heard_to = 0
        self._minute = 0
        self._untold: list[Told] | None = None
        """Said already, perhaps, but nobody has answered: it is said again, in the same words."""

    async def run(self) -> None:
        """Beside the tick: a verdict must not wait for a database that hangs."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.step_safely()

    async def step_safely(self) -> None:
        try:
            await self.step()
        except (SelfHealError, OSError) as error:
            _log.warning("baselines could not be shared: %s", error)
        except Exception:
            _log.exception("baselines could not be shared")

    async def step(self) -> None:
        """Load once, then tell, hear and store."""
        await self.load()
        await self._exchange()
        if self._stores:
            await self._store()

    async def load(self) -> None:
        """Take over what an earlier run and the others know. Only once; raises when there is no
        database.
        """
        async with self._loading:
            if not self._is_loaded:
                await self._load()

    async def _load(self) -> None:
        from proxy.app.baselines import from_rows, heard_to, ours
        from proxy.store import metrics, sharing

        async with self._connect() as conn:
            rows = ours(await metrics.load_baselines(conn, self._service))
            known = {(row.method, row.route_path): heard_to(row) for row in rows}
            since = min(known.values(), default=0)
            said, self._heard_to = await sharing.heard(conn, self._service, self._holder, since)
        self._is_loaded = True
        taken = self._detector.import_baselines(from_rows(rows), self._clock.time())
        await self._hear([s for s in said if s.id > known.get((s.method, s.route_path), 0)])
        if taken:
            _log.info("baselines of %s taken over", _routes(taken))
        if taken < len(rows):
            _log.warning(
                "baselines of %s could not be taken over; what is usual there is learned anew",
                _routes(len(rows) - taken),
            )

    async def _exchange(self) -> None:
        """What waited first, so that what is stored afterwards holds nothing that is still to be
        told.
        """
        if self._untold is not None:
            await self._say(self._untold)
        from proxy.store.sharing import Told

        self._minute = max(int(self._clock.time() // 60), self._minute + 1)
        self._untold = [
            Told(method, route, counts) for (method, route), counts in self._detector.share()
        ]
        await self._say(self._untold)

    async def _say(self, told: "list[Told]") -> None:
        from proxy.store import sharing

        async with self._connect() as conn:
            said, newest = await sharing.exchange(
                conn,
                self._service,
                self._holder,
                minute=self._minute,
                told=told,
                since=self._heard_to,
            )
        self._untold, self._heard_to = None, newest
        await self._hear(said)

    async def _hear(self, said: "list[Heard]") -> None:
        now = self._clock.time()
        for number, one in enumerate(said):
            self._detector.hear(one.method, one.route_path, one.counts, now)
            if number % A_TIME == 0:
                await asyncio.sleep(0)
        self._on_known(self._detector.well_known())

    async def _store(self) -> None:
        from proxy.app.baselines import to_rows
        from proxy.store import metrics, sharing

        rows = to_rows(self._service, self._detector, self._heard_to)
        async with self._connect() as conn:
            while some := list(islice(rows, A_TIME)):
                await metrics.save_baselines(conn, some)
            await sharing.forget(conn, self._service)


def _routes(number: int) -> str:
    return "1 route" if number == 1 else f"{number} routes"
