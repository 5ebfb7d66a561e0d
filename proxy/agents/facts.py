"""What an agent may know: facts handed in from outside, read only.

The agents have no pool, no connection and no way to act; whoever builds them decides what they
can see.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from proxy.contract.health import Health
from proxy.domain.approval import Approval
from proxy.domain.failure import Classification
from proxy.domain.job import Job
from proxy.domain.patch import Patch


class Facts(Protocol):
    """Every method raises ``Unavailable`` while the database is away; ``health`` never does."""

    async def health(self) -> Health: ...

    async def open_jobs(self, limit: int) -> Sequence[Job]:
        """Jobs that may still need somebody, noise left out, worst first."""
        ...

    async def over(self, jobs: Collection[int]) -> Collection[int]:
        """Those of which an incident was told and none goes on."""
        ...

    async def jobs_since(self, since: datetime, limit: int) -> Sequence[Job]:
        """Jobs of any status seen at or after ``since``, newest first."""
        ...

    async def job(self, number: int) -> Job | None: ...

    async def patch(self, number: int) -> Patch | None: ...

    async def patches_of(self, job: int) -> Sequence[Patch]: ...

    async def live_patches(self, limit: int) -> Sequence[Patch]:
        """Patches that wait for a step or are being watched: proposed to regressed."""
        ...

    async def approval(self, number: int) -> Approval | None: ...

    async def waiting(self, limit: int) -> Sequence[Approval]:
        """Approval requests nobody has answered yet, oldest first."""
        ...

    def classify(self, text: str) -> Classification | None:
        """What the proxy's own classifier makes of an error text; None without a classifier."""
        ...
