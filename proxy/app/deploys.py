"""Workers hear of releases: a look into the table every few seconds, so that it does not matter
which proxy of the service, or which program, announced one. And they announce those that the app's
own answers name.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from proxy.clock import Clock
from proxy.domain.deploy import Deploy
from proxy.errors import SelfHealError

_log = logging.getLogger("selfheal.deploys")

LOOK_EVERY_S = 5.0
LOOK_BACK = timedelta(minutes=30)
"""A worker that has just started still needs to know of a release this long ago."""
UNSAID_MAX = 10
"""Releases that wait for the database; of more, the newest."""
OVERLAP = timedelta(minutes=1)
"""Rows become visible when they are committed, not in the order of their times."""

Connect = Callable[[], AbstractAsyncContextManager[Any]]


class DeployWatch:
    """Tells each release once, in order."""

    def __init__(
        self, service: str, connect: Connect, clock: Clock, on_deploy: Callable[[Deploy], None]
    ) -> None:
        self._service = service
        self._connect = connect
        self._on_deploy = on_deploy
        self._since = clock.now() - LOOK_BACK
        self._told: set[int] = set()
        self._unsaid: deque[str] = deque(maxlen=UNSAID_MAX)

    def announce(self, version: str) -> None:
        """Announced at the next look."""
        self._unsaid.append(version)

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except (SelfHealError, OSError) as error:
                _log.debug("releases wait for the database: %s", error)
            except Exception:
                _log.exception("releases could not be read")
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        while self._unsaid:
            async with self._connect() as conn:
                # with a connection the driver is loaded; before, nothing may wait for it
                from proxy.store import deploys

                await deploys.announce_news(conn, self._service, self._unsaid[0])
            self._unsaid.popleft()
        async with self._connect() as conn:
            from proxy.store import deploys

            found = await deploys.after(conn, self._service, self._since)
        for deploy in found:
            if deploy.id not in self._told:
                self._on_deploy(deploy)
        if found:
            newest = max(deploy.created_at for deploy in found)
            self._since = max(self._since, newest - OVERLAP)
            self._told = {deploy.id for deploy in found if deploy.created_at > self._since}
