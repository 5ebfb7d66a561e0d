"""What `doctor --governance` found: every attempt, and whether this installation is the one that
was attacked. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Way = Literal["sql", "api", "state"]
Assurance = Literal["full", "reduced", "none"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """``held``: it was refused, and for a reason that is right (``expected``)."""

    role: str
    way: Way
    attack: str
    refused_by: str
    held: bool
    expected: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "role": self.role,
            "way": self.way,
            "attack": self.attack,
            "refused_by": self.refused_by,
            "held": self.held,
        }
        return facts if self.held else facts | {"expected": list(self.expected)}


@dataclass(frozen=True, slots=True)
class Difference:
    """``missing``: a protection the scratch installation has and this one lacks; ``added``: what
    this one has beyond it."""

    kind: Literal["missing", "added"]
    line: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.line}"


def differences(reference: Sequence[str], live: Sequence[str]) -> list[Difference]:
    have, want = set(live), set(reference)
    return [
        *(Difference("missing", line) for line in reference if line not in have),
        *(Difference("added", line) for line in live if line not in want),
    ]


@dataclass(frozen=True, slots=True)
class Report:
    attempts: tuple[Attempt, ...]
    differences: tuple[Difference, ...]
    refusals: tuple[str, ...] = ()
    """Why this installation is not called good, whatever else holds."""
    reductions: tuple[str, ...] = ()
    """What weakens it without breaking it."""
    server: str = ""

    @property
    def broken(self) -> tuple[Attempt, ...]:
        return tuple(attempt for attempt in self.attempts if not attempt.held)

    @property
    def catalogue_equal(self) -> bool:
        return not self.differences

    @property
    def good(self) -> bool:
        return not self.broken and self.catalogue_equal and not self.refusals

    @property
    def assurance(self) -> Assurance:
        if not self.good:
            return "none"
        return "reduced" if self.reductions else "full"

    def as_json(self) -> dict[str, Any]:
        return {
            "attacks": [attempt.as_json() for attempt in self.attempts],
            "catalogue_equal": self.catalogue_equal,
            "assurance": self.assurance,
            "differences": [str(difference) for difference in self.differences],
            "reasons": [*self.refusals, *self.reductions],
            "server": self.server,
        }

    def as_lines(self) -> list[str]:
        """For people: what broke first, then the sum."""
        lines = [
            f"BROKEN  {a.role} by {a.way}: {a.attack}: {a.refused_by},"
            f" not {' or '.join(a.expected)}"
            for a in self.broken
        ]
        lines += [f"DIFFERS {difference}" for difference in self.differences]
        lines += [f"REFUSED {reason}" for reason in self.refusals]
        lines += [f"reduced {reason}" for reason in self.reductions]
        held = len(self.attempts) - len(self.broken)
        lines.append(
            f"{held} of {len(self.attempts)} attacks held on PostgreSQL {self.server};"
            f" catalogue {'equal' if self.catalogue_equal else 'differs'};"
            f" assurance {self.assurance}"
        )
        return lines
