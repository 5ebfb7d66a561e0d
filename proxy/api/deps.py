"""What the API is built from: handed in by the composition root, so that no room is imported
sideways.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from proxy.api.live import LiveView
from proxy.clock import Clock, SystemClock
from proxy.config import Config
from proxy.contract.ask import AskAnswer
from proxy.data_files import data_path
from proxy.domain.failure import Failure
from proxy.domain.job import Job, JobStatus
from proxy.domain.patch import Patch, PatchType


class Healing(Protocol):
    """The part of ``SelfHealingService`` the API uses. ``conn`` acts as the member who asked."""

    async def record_error_and_create_job(self, failure: Failure) -> Job: ...

    async def attach_patch(
        self,
        conn: asyncpg.Connection,
        job_id: int,
        *,
        patch_type: PatchType,
        description: str,
        diff: str | None,
        sql: str | None,
        base_commit: str | None,
        created_by: str,
    ) -> Patch:
        """``Invalid`` with a stable code when the patch cannot be taken."""
        ...

    async def mark_status(
        self,
        conn: asyncpg.Connection,
        job_id: int,
        status: JobStatus,
        *,
        reason: str | None = None,
        until: datetime | None = None,
    ) -> Job: ...

    async def merge_jobs(
        self, conn: asyncpg.Connection, keep: int, other: int, *, reason: str | None = None
    ) -> Job: ...

    async def split_job(
        self, conn: asyncpg.Connection, job_id: int, event_id: int, *, reason: str | None = None
    ) -> Job:
        """The other job; ``Conflict`` where nothing tells the event from the rest."""
        ...


class Asker(Protocol):
    async def ask(self, text: str) -> AskAnswer: ...


@dataclass(frozen=True, slots=True)
class ApiDeps:
    """``pool_source`` and ``member_dsn`` answer None while the database is away."""

    config: Config
    pool_source: Callable[[], asyncpg.Pool | None]
    member_dsn: Callable[[], str | None]
    live: LiveView
    service: Healing
    ask: Asker
    wake: Callable[[], None] = lambda: None
    """Tell the healer that there may be something to do."""
    status: Callable[[], dict[str, Any]] = field(default=dict)
    """More facts for `/healthz` and `/health`: storage, capture, workers."""
    listen_dsn: Callable[[], str | None] = lambda: None
    """A direct connection string for LISTEN, or None: then events come by polling alone."""
    control_file: Path | None = field(default_factory=lambda: data_path("config", "control.toml"))
    """The founder's rules as a file: imported as a new version when it changes. None: no file."""
    clock: Clock = field(default_factory=SystemClock)
