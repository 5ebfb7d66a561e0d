"""The audit chain: append-only, hash-chained, checkable without a database."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """``payload`` is the exact text Postgres hashed; ``hash`` = sha256(prev_hash || payload),
    hex.
    """

    seq: int
    at: datetime
    actor: str
    role: str
    origin: str
    action: str
    subject: str
    before: Any
    after: Any
    reason: str | None
    prev_hash: str
    hash: str
    payload: str


def chain_hash(prev_hash: str, payload: str) -> str:
    """sha256 hex over the previous hash (as hex text) followed by the canonical payload text,
    UTF-8.
    """
    return hashlib.sha256((prev_hash + payload).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """What the chain ended with at some moment, kept where the database cannot reach."""

    seq: int
    hash: str


GENESIS = "0" * 64


def first_bad(entries: Iterable[tuple[int, str, str, str]]) -> int | None:
    """Walk ``(seq, prev_hash, payload, hash)`` in order; the first sequence number that does not
    fit, or None.
    """
    expected_seq, expected_prev = 1, GENESIS
    for seq, prev_hash, payload, stored in entries:
        if (
            seq != expected_seq
            or prev_hash != expected_prev
            or chain_hash(prev_hash, payload) != stored
        ):
            return expected_seq
        expected_seq, expected_prev = seq + 1, stored
    return None


def first_missing(hashes: Mapping[int, str], heads: Iterable[Head]) -> int | None:
    """The first seq a kept head knows and the chain does not, or knows otherwise: cut off since, or
    written anew from an earlier entry on.
    """
    wrong = [head.seq for head in heads if head.seq and hashes.get(head.seq) != head.hash]
    return min(wrong, default=None)
