"""The audit trail and its verdict."""

from datetime import datetime
from typing import Any

from proxy.contract.base import Answer


class AuditView(Answer):
    seq: int
    at: datetime
    actor: str
    role: str
    origin: str
    action: str
    subject: str
    before: Any = None
    after: Any = None
    reason: str | None = None
    prev_hash: str
    hash: str
    payload: str = ""
    """Base64 of the bytes that were hashed: an exported chain is checked without a database."""


class AuditPage(Answer):
    entries: list[AuditView]
    total: int
    next_cursor: str | None = None


class AuditVerdict(Answer):
    ok: bool
    entries: int
    head: str
    first_bad: int | None = None
