"""Distinct clients in a few numbers: the k smallest hashes seen (k minimum values, Bar-Yossef et
al. 2002). Joined with others it says how many different ones there were; nobody can be read from
it.
"""

from collections.abc import Iterable
from hashlib import blake2b

KEPT_MAX = 64
"""Exact up to 63 clients, then within about 13 %; sql/migrations/322 holds the same number."""
_MASK = (1 << 63) - 1


def value(client: str) -> int:
    """A client's keyed hash as a number from 0 to 2**63 - 1."""
    return int.from_bytes(blake2b(client.encode(), digest_size=8).digest()) & _MASK


def kept(*clients: str | None) -> list[int]:
    """The sketch of these clients; nobody is not counted."""
    return smallest(value(client) for client in clients if client)


def smallest(values: Iterable[int]) -> list[int]:
    return sorted(set(values))[:KEPT_MAX]
