"""Which failures are one bug, by the founder's word: merge two jobs, split one. Durable and
audited; the database does it in one step and says who may.
"""

from collections.abc import Sequence

import asyncpg

from proxy.domain.facet import Facet
from proxy.domain.job import Job
from proxy.store.job_rows import NAME_CHARS_MAX
from proxy.store.statements import sql
from proxy.store.text import clip

KNOWN_MAX = 20_000
"""Signatures of one service that a worker keeps in mind while a storm lasts: about 3 MB."""
SplitKey = tuple[str, str, str]
"""(service, environment, signature) that was split at least once."""


async def merge(conn: asyncpg.Connection, keep: int, other: int, reason: str | None) -> None:
    """``other``'s failures count on ``keep`` from now on; ``other`` is closed and keeps its name.

    ``Conflict`` (``illegal_step``) for a closed one, for two of different services or for itself;
    ``NotFound``, ``NotPermitted``.
    """
    await conn.execute(sql("jobs.merge"), keep, other, clip(reason, NAME_CHARS_MAX))


async def split(
    conn: asyncpg.Connection, job_id: int, events: Sequence[int], facet: Facet, reason: str | None
) -> int:
    """A job of its own for these samples and for later failures with this facet → its number."""
    said = clip(facet.said, NAME_CHARS_MAX)
    made: int = await conn.fetchval(
        sql("jobs.split"), job_id, list(events), facet.key, said, clip(reason, NAME_CHARS_MAX)
    )
    return made


async def unmerge(
    conn: asyncpg.Connection, job_id: int, signature: str, events: Sequence[int]
) -> int:
    """Open the job again that was merged with this signature → its number."""
    former: int = await conn.fetchval(sql("jobs.unmerge"), job_id, signature, list(events))
    return former


async def is_merged(conn: asyncpg.Connection, job: Job, signature: str) -> bool:
    """Whether failures of this signature stand on ``job`` because of a merge."""
    key = (job.service, job.environment, signature, job.signature)
    return bool(await conn.fetchval(sql("jobs.is_merged"), *key))


async def known_signatures(
    conn: asyncpg.Connection, service: str, environment: str
) -> frozenset[SplitKey]:
    """Signatures that have a job to be counted on, whatever it stands for by now."""
    rows = await conn.fetch(sql("jobs.known_signatures"), service, environment, KNOWN_MAX)
    return frozenset((service, environment, r["error_signature"]) for r in rows)


async def split_signatures(conn: asyncpg.Connection) -> frozenset[SplitKey]:
    """Signatures whose failures must not be counted together before their facets are looked at."""
    rows = await conn.fetch(sql("jobs.split_signatures"))
    return frozenset((r["service"], r["environment"], r["error_signature"]) for r in rows)
