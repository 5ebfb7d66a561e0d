"""Live traffic: a handful of visitors, about twenty requests a second, in a browser's way."""

import asyncio
import logging
import random
from collections import Counter

import aiohttp

from proxy.clock import Clock, SystemClock
from proxy.demo.visitors import PERSONAS, Deed, Visitor, deck
from proxy.tasks import cancel, spawn

_log = logging.getLogger("selfheal.demo.traffic")

DEEDS_PER_S = 11.0
"""A deed is one to three requests, so this makes about twenty a second."""
AT_ONCE_MAX = 12


class Traffic:
    """``start`` … ``stop``;

    in between visitors come and go. A shop that is away only shows in ``stats``.
    """

    def __init__(self, base: str, *, seed: int = 7, clock: Clock | None = None) -> None:
        self._base, self._dice, self._clock = base, random.Random(seed), clock or SystemClock()
        self.stats: Counter[str] = Counter()
        self._visitors: list[Visitor] = []
        self._running: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._visitors = [Visitor(self._base, p, self._clock, self._dice) for p in PERSONAS]
        self._loop = spawn(self._keep_visiting(), name="demo traffic")

    async def stop(self) -> None:
        await cancel(self._loop, *self._running)
        for visitor in self._visitors:
            await visitor.close()

    @property
    def requests(self) -> int:
        return sum(visitor.requests for visitor in self._visitors)

    async def _keep_visiting(self) -> None:
        while True:
            for deed in deck(self._dice):
                if len(self._running) < AT_ONCE_MAX:
                    self._begin(deed)
                await asyncio.sleep(1 / DEEDS_PER_S)

    def _begin(self, deed: Deed) -> None:
        task = spawn(self._do(deed, self._dice.choice(self._visitors)), name="demo visitor")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _do(self, deed: Deed, visitor: Visitor) -> None:
        name = getattr(deed, "__name__", "deed")
        try:
            await deed(visitor)
            self.stats[name] += 1
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self.stats["troubled"] += 1
            _log.debug("%s: %s", name, error)
