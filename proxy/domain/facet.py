"""Facets of a failure: by what two failures of one signature may still be told apart.

Each is ``name:`` and a hash of something that stays the same from one occurrence to the next. The
founder splits a job by one of them; which one, ``telling`` finds by comparing the kept samples.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from proxy.domain.failure import Failure

TEXT_CHARS_MAX = 400
STACK_CHARS_MAX = 4000
SAID_CHARS_MAX = 120
_VOLATILE = re.compile(r"(?i)\b(?=[0-9a-f-]*[0-9])[0-9a-f-]{6,64}\b|[0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class Facet:
    """``key`` is what is stored and compared, ``said`` what a person reads."""

    key: str
    said: str


def facets(failure: Failure) -> tuple[Facet, ...]:
    """In the order of belief: the place says more than the words, the words more than the stack."""
    values = (
        ("route", f"{failure.method or ''} {failure.route or ''}".strip()),
        ("status", "" if failure.status is None else str(failure.status)),
        ("message", _VOLATILE.sub("#", failure.message[:TEXT_CHARS_MAX].lower())),
        ("stack", _VOLATILE.sub("#", (failure.stack or "")[:STACK_CHARS_MAX])),
    )
    return tuple(
        Facet(f"{name}:{_hash(value)}", f"{name} {' '.join(value.split())}"[:SAID_CHARS_MAX])
        for name, value in values
    )


def keys(failure: Failure) -> list[str]:
    return [facet.key for facet in facets(failure)]


def telling(one: Failure, others: Iterable[Failure]) -> Facet | None:
    """The first facet of ``one`` that some of the others do not share; None where all are alike."""
    known = [set(keys(other)) for other in others]
    return next((f for f in facets(one) if any(f.key not in other for other in known)), None)


def _hash(value: str) -> str:
    return blake2b(value.encode("utf-8", "replace"), digest_size=12).hexdigest()
