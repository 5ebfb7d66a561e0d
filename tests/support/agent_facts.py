"""Facts held in memory, and builders of the nouns agents read: a real ``Facts``, with nothing
behind it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from proxy.contract.health import Health, WhyTerm
from proxy.domain.approval import Approval, ApprovalStatus, ItemType
from proxy.domain.failure import Category, Classification, Severity
from proxy.domain.job import OPEN_JOB_STATUSES, Job, JobStatus
from proxy.domain.patch import Patch, PatchStatus, PatchType, Risk, patch_digest
from proxy.errors import Unavailable

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def make_job(number: int = 1, **changes: Any) -> Job:
    job = Job(
        id=number,
        service="app",
        environment="production",
        method="GET",
        route="/orders/{id}",
        signature="v1:00112233445566aa",
        signature_text="KeyError: 'total' in orders.show",
        category=Category.DB_ERROR,
        severity=Severity.HIGH,
        status=JobStatus.OPEN,
        occurrences=7,
        first_seen=NOW,
        last_seen=NOW,
        rule="db.key-missing",
        evidence=('db.key-missing @message: "total"',),
    )
    return replace(job, **changes)


def make_patch(number: int = 1, job: int = 1, **changes: Any) -> Patch:
    diff = "--- a/app.py\n+++ b/app.py\n@@ -1 +1 @@\n-a\n+b\n"
    patch = Patch(
        id=number,
        job_id=job,
        service="app",
        patch_type=PatchType.CODE,
        description="read the total with get()",
        status=PatchStatus.PROPOSED,
        digest=patch_digest(None, diff, None),
        created_by="grace",
        created_at=NOW,
        diff=diff,
        files_changed=("app.py",),
        risk=Risk(10, Severity.LOW, ("one file, two lines",)),
    )
    return replace(patch, **changes)


def make_approval(number: int = 1, **changes: Any) -> Approval:
    approval = Approval(
        id=number,
        service="app",
        item_type=ItemType.CAMPAIGN,
        status=ApprovalStatus.PENDING,
        summary="spring mailing",
        risk_level=Severity.MEDIUM,
        created_by="agent1",
        created_at=NOW,
        expires_at=None,
    )
    return replace(approval, **changes)


@dataclass
class MemoryFacts:
    jobs: list[Job] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    approvals: list[Approval] = field(default_factory=list)
    classification: Classification | None = None
    away: bool = False
    over_jobs: frozenset[int] = frozenset()

    def _there(self) -> None:
        if self.away:
            raise Unavailable("the database is out of reach")

    async def health(self) -> Health:
        return Health(
            status="ok",
            score=91,
            why=[WhyTerm(term="latency", points=9, text="p95 is 900 ms")],
            requests=200,
            errors=3,
            open_jobs={"total": len(self.jobs), "critical": 1},
        )

    async def open_jobs(self, limit: int) -> Sequence[Job]:
        self._there()
        found = [j for j in self.jobs if j.status in OPEN_JOB_STATUSES and not j.noise]
        return sorted(found, key=lambda j: (-j.severity.rank, -j.occurrences))[:limit]

    async def over(self, jobs: Collection[int]) -> Collection[int]:
        self._there()
        return [number for number in jobs if number in self.over_jobs]

    async def jobs_since(self, since: datetime, limit: int) -> Sequence[Job]:
        self._there()
        return [j for j in self.jobs if j.last_seen >= since][:limit]

    async def job(self, number: int) -> Job | None:
        self._there()
        return next((j for j in self.jobs if j.id == number), None)

    async def patch(self, number: int) -> Patch | None:
        self._there()
        return next((p for p in self.patches if p.id == number), None)

    async def patches_of(self, job: int) -> Sequence[Patch]:
        self._there()
        return [p for p in self.patches if p.job_id == job]

    async def live_patches(self, limit: int) -> Sequence[Patch]:
        self._there()
        return self.patches[:limit]

    async def approval(self, number: int) -> Approval | None:
        self._there()
        return next((a for a in self.approvals if a.id == number), None)

    async def waiting(self, limit: int) -> Sequence[Approval]:
        self._there()
        return self.approvals[:limit]

    def classify(self, text: str) -> Classification | None:
        return self.classification
