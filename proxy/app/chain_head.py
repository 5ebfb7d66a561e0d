"""The audit chain's head, kept where the database cannot reach: a file, a webhook, or both.

A chain alone cannot show that its newest entries were cut off, or that all of it was written anew;
a head kept elsewhere can. What was kept is never taken back: one that no longer fits is an alarm.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import asyncpg

from proxy.clock import Clock, SystemClock
from proxy.config import Config
from proxy.domain.audit import Head
from proxy.errors import Invalid, SelfHealError, Unavailable
from proxy.store import audit

WEBHOOK_S = 10.0
TAIL_BYTES = 4096
"""Enough for the last lines of the file; older ones are for `selfheal audit verify --head`."""

_log = logging.getLogger("selfheal.audit")
AsSidecar = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]


class HeadKeeper:
    """``run`` looks every ``audit.head_every_s``; ``broken`` says why the chain is not trusted."""

    def __init__(self, as_sidecar: AsSidecar, config: Config, clock: Clock | None = None) -> None:
        self._as_sidecar = as_sidecar
        self._config = config
        self._clock = clock or SystemClock()
        self._kept: Head | None = None
        self._posted: Head | None = None
        self.broken: str | None = None

    def reload(self, config: Config) -> None:
        if config.audit.head_file != self._config.audit.head_file:
            self._kept = None
        self._config = config

    @property
    def is_wanted(self) -> bool:
        settings = self._config.audit
        return bool(settings.head_file or settings.head_webhook)

    async def run(self) -> None:
        """Until cancelled; a database, disk or hook that is away is tried again."""
        while True:
            if self.is_wanted:
                try:
                    await self.look()
                except (SelfHealError, OSError) as error:
                    _log.warning("the chain's head is not kept: %s", error)
            await asyncio.sleep(self._config.audit.head_every_s)

    async def look(self) -> Head:
        """Compare with what was kept last, keep what is new."""
        if self._kept is None:
            self._kept = self._posted = await asyncio.to_thread(self._last_kept)
        async with self._as_sidecar() as conn:
            newest = await audit.head(conn)
            known = self._kept
            found = await audit.hash_at(conn, known.seq) if known and known.seq else None
        stands = known is None or not known.seq or found == known.hash
        if known is not None and not stands:
            self._alarm(known)
        if newest != self._kept:
            await asyncio.to_thread(self._keep, newest)
            self._kept = newest
        if newest != self._posted and self._config.audit.head_webhook:
            await self._post(newest)
            self._posted = newest
        return newest

    def _alarm(self, kept: Head) -> None:
        self.broken = (
            f"audit entry #{kept.seq} is not what was kept outside: the chain was cut or rewritten"
        )
        _log.critical("%s; compare with `selfheal audit verify --head FILE`", self.broken)

    def _last_kept(self) -> Head | None:
        path = self._config.audit.head_file
        if not path:
            return None
        try:
            with Path(path).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL_BYTES))
                tail = file.read().decode(errors="replace")
        except FileNotFoundError:
            return None
        if "\n" not in tail:
            return None  # nothing, or a first line that a crash cut off
        lines = [line for line in tail.splitlines(keepends=True) if line.startswith("{")]
        heads = audit.read_heads(lines[-2:])
        if not heads:
            raise Invalid(f"{Path(path).name} is no file of heads; audit.head_file names another")
        return heads[-1] if heads else None

    def _keep(self, head: Head) -> None:
        """One line, on disk before it counts; a line cut by a crash is closed first."""
        path = self._config.audit.head_file
        if not path:
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    file.truncate(self._whole_lines(file.fileno(), size))
            file.write(self._line(head).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _whole_lines(descriptor: int, size: int) -> int:
        tail = os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))
        cut = tail.rfind(b"\n")
        return max(0, size - len(tail)) + cut + 1

    async def _post(self, head: Head) -> None:
        timeout = aiohttp.ClientTimeout(total=WEBHOOK_S)
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(
                    self._config.audit.head_webhook,
                    data=self._line(head),
                    headers=headers,
                    allow_redirects=False,
                ) as answer,
            ):
                if answer.status >= 300:
                    raise Unavailable(f"audit.head_webhook answers {answer.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"audit.head_webhook: {type(error).__name__}") from None

    def _line(self, head: Head) -> str:
        facts = {
            "service": self._config.app.service,
            "at": self._clock.now().isoformat(),
            "seq": head.seq,
            "hash": head.hash,
        }
        return json.dumps(facts)
