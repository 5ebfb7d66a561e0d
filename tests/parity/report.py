"""The comparison as a table, and the complaints behind its figures."""

from collections.abc import Mapping, Sequence

from tests.parity.case import Case
from tests.parity.running import Result

Results = Mapping[str, Mapping[str, Sequence[Result]]]
"""Group → door → a result for every case, in order."""


def complaints(cases: Sequence[Case], results: Sequence[Result]) -> list[str]:
    """What is wrong, one line a case; empty when all is well."""
    return [
        f"{case.name}: {words}" for case, (_, words) in zip(cases, results, strict=True) if words
    ]


def table(groups: Mapping[str, Sequence[Case]], results: Results) -> str:
    doors = list(next(iter(results.values())))
    lines = ["".join([f"{'':14}", *(f"{door:>14}" for door in doors)])]
    for group, by_door in results.items():
        cases = groups[group]
        cells = [
            f"{len(cases) - len(complaints(cases, by_door[door]))}/{len(cases)}" for door in doors
        ]
        lines.append("".join([f"{group:14}", *(f"{cell:>14}" for cell in cells)]))
    return "\n".join(lines)
