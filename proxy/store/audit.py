"""The audit chain: notes of the acting role, reading, verifying, and an export that verifies
without a database.

Triggers write jobs, patches, approvals, deeds and rules by themselves; ``append`` is for everything
else.
"""

import base64
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from proxy.domain.audit import GENESIS, AuditEntry, Head, first_bad, first_missing
from proxy.errors import Invalid
from proxy.store.statements import sql
from proxy.store.text import clip, jsonable
from proxy.visible import one_line

REASON_CHARS_MAX = 4000


@dataclass(frozen=True, slots=True)
class Verified:
    """``head`` is the newest hash: compare it with one kept outside. ``first_bad`` is the first
    wrong seq.
    """

    ok: bool
    entries: int
    head: str
    first_bad: int | None = None


async def append(
    conn: asyncpg.Connection,
    action: str,
    subject: str,
    *,
    before: Any = None,
    after: Any = None,
    reason: str | None = None,
) -> int:
    """A note of the acting role (proxy, admin, founder) → its seq.

    Actions below ``job. patch. approval. deed. control. switch. member.`` are the database's own:
    ``NotPermitted``.
    """
    seq: int = await conn.fetchval(
        sql("audit.append"),
        action,
        clip(subject, 200),
        jsonable(before),
        jsonable(after),
        clip(reason, REASON_CHARS_MAX),
    )
    return seq


async def list_audit(
    conn: asyncpg.Connection,
    actor: str | None = None,
    subject: str | None = None,
    before_seq: int | None = None,
    limit: int = 100,
) -> list[AuditEntry]:
    """Newest first; the next page is ``before_seq`` = the last seq of this one."""
    rows = await conn.fetch(sql("audit.list"), actor, subject, before_seq, limit)
    return [_entry(row) for row in rows]


async def verify(conn: asyncpg.Connection) -> Verified:
    """Recompute every hash in the database, and compare columns, order and head."""
    row = await conn.fetchrow(sql("audit.verify"))
    return Verified(row["first_bad"] is None, row["entries"], row["head"], row["first_bad"])


async def export(conn: asyncpg.Connection) -> AsyncIterator[str]:
    """JSON lines, oldest first; needs the transaction ``acting`` opens."""
    async for row in conn.cursor(sql("audit.export")):
        line = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Record iterates over its values
        line["at"] = row["at"].isoformat()
        yield json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def verify_export(lines: Iterable[str], heads: Iterable[Head] = ()) -> Verified:
    """The same check on an exported file, and against heads that were kept elsewhere. ``Invalid``
    when a line is no audit entry at all.
    """
    chain = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            fields = (entry["seq"], str(entry["prev_hash"]), entry["payload"], str(entry["hash"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Invalid(f"line {number} is no audit entry", code="not_audit") from None
        seq, prev_hash, payload, stored = fields
        # a column that disagrees with the hashed text is as bad as a wrong hash
        chain.append((seq, prev_hash, _agreed_text(entry, payload), stored))
    bad = first_bad(chain)
    if bad is None:
        bad = first_missing({entry[0]: entry[3] for entry in chain}, heads)
    return Verified(bad is None, len(chain), chain[-1][3] if chain else GENESIS, bad)


def read_heads(lines: Iterable[str]) -> list[Head]:
    """Lines ``{"seq","hash",…}`` as `audit.head_file` keeps them. ``Invalid`` for another file."""
    heads = []
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            break  # cut in mid-line by a crash: it was never said to be kept
        try:
            kept = json.loads(line)
            heads.append(Head(int(kept["seq"]), str(kept["hash"])))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Invalid(f"line {number} is no head of a chain", code="not_head") from None
    return heads


async def head(conn: asyncpg.Connection) -> Head:
    """The newest entry; seq 0 and ``GENESIS`` for an empty chain."""
    row = await conn.fetchrow(sql("audit.head"))
    return Head(0, GENESIS) if row is None else Head(row["seq"], row["hash"])


async def hash_at(conn: asyncpg.Connection, seq: int) -> str | None:
    found: str | None = await conn.fetchval(sql("audit.hash_at"), seq)
    return found


_HASHED = ("seq", "at", "actor", "role", "origin", "action", "subject", "before", "after", "reason")


def _agreed_text(entry: dict[str, Any], payload: Any) -> str:
    """What was hashed, where every column says the same; nothing where one does not."""
    try:
        text = _hashed_text(payload)
        return text if _columns_agree(entry, json.loads(text)) else ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


def _hashed_text(payload: str) -> str:
    """The hashed text: as it is in the database's own export, base64 as the API hands it out."""
    if payload.startswith("["):
        return payload
    return base64.b64decode(payload, validate=True).decode()


def _columns_agree(entry: dict[str, Any], hashed: list[Any]) -> bool:
    """Columns are compared as they look on a screen: the API shows control characters by name."""
    if len(hashed) != len(_HASHED):
        return False
    return all(
        _look(entry[name]) == _look(value)
        for name, value in zip(_HASHED, hashed, strict=True)
        if name != "at"
    ) and _same_time(entry["at"], hashed[1])


def _look(value: Any) -> Any:
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, list):
        return [_look(item) for item in value]
    if isinstance(value, dict):
        return {_look(key): _look(item) for key, item in value.items()}
    return value


def _same_time(column: str, hashed: str) -> bool:
    return datetime.fromisoformat(column) == datetime.fromisoformat(hashed)


def _entry(row: asyncpg.Record) -> AuditEntry:
    return AuditEntry(**{name: row[name] for name in AuditEntry.__dataclass_fields__})
