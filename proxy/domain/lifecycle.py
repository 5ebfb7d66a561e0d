"""Status machines as tables. The same tables stand in Postgres as rows that triggers read; a test
compares them.
"""

from collections.abc import Mapping
from typing import TypeVar

S = TypeVar("S", bound=str)

Role = str
"""``proxy`` (the sidecar's own), ``founder``, ``admin``, ``agent``, ``viewer``."""


class IllegalTransition(ValueError):
    """This step does not exist, or not for this role."""

    def __init__(self, noun: str, old: str, new: str, role: Role) -> None:
        super().__init__(f"{noun}: {old} → {new} is no step for {role}")
        self.noun, self.old, self.new, self.role = noun, old, new, role


def check_step(
    noun: str, table: Mapping[tuple[S, S], frozenset[Role]], old: S, new: S, role: Role
) -> None:
    """Return if ``role`` may move from ``old`` to ``new``, else raise ``IllegalTransition``."""
    if role not in table.get((old, new), frozenset()):
        raise IllegalTransition(noun, old, new, role)
