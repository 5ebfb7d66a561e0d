"""How much of the traffic each open bug meets, every few seconds, and what that makes of its
severity. The control process alone sees all workers' requests.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import asyncpg

from proxy.clock import Clock
from proxy.config import Config
from proxy.domain.job import Job
from proxy.errors import SelfHealError
from proxy.healing.blast import Shares
from proxy.healing.intake import Limits, raise_by_reach
from proxy.store import jobs

_log = logging.getLogger("selfheal.reach")

EVERY_S = 10.0
JOBS_MAX = 200
"""The worst and latest ones; a share of those far below raises nothing."""


class Reach:
    def __init__(
        self,
        as_sidecar: Callable[[], AbstractAsyncContextManager[asyncpg.Connection]],
        config: Config,
        requests: Callable[[], int],
        *,
        clock: Clock,
    ) -> None:
        """``requests``: how many the app has answered so far, all workers together."""
        self.config = config
        self._as_sidecar = as_sidecar
        self._requests = requests
        self._clock = clock
        self._shares = Shares()

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except SelfHealError as error:
                _log.debug("the reach of bugs is not known now: %s", error)
            except Exception:
                _log.exception("the reach of bugs could not be measured")
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        app = self.config.app
        async with self._as_sidecar() as conn:
            found = await jobs.list_open_jobs(conn, JOBS_MAX, service=app.service)
        ours = {job.id: job for job in found if job.environment == app.environment}
        counts = {number: job.occurrences for number, job in ours.items()}
        shares = self._shares.observe(self._clock.monotonic(), self._requests(), counts)
        for number, share in shares.items():
            await self._note(ours[number], share)

    async def _note(self, job: Job, share: float) -> None:
        """One job a transaction: its severity locks the head of the audit."""
        if share == 0.0 and not job.affected_share:
            return
        async with self._as_sidecar() as conn:
            await jobs.set_share(conn, job.id, share)
            job = await jobs.get_job(conn, job.id)
            await raise_by_reach(conn, job, Limits.of(self.config.healing).blast)
