"""``python -m tests.parity``: every case through our two planes and the peers installed here, and a
table. ``--only GROUP`` runs one group, ``--cases`` tells every complaint. Exit code 1 when ours has
one.
"""

import argparse
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop

from tests.parity.doors import PEERS, Lane, ours, peer, program
from tests.parity.groups import GROUPS
from tests.parity.report import complaints, table
from tests.parity.running import Result, run

LANES = 12
OURS = ("ours, hot", "ours, general")
HINT = "not installed and left out: {0} (apt-get install {0})"


@contextlib.asynccontextmanager
async def _door(name: str, lanes: int) -> AsyncIterator[list[Lane]]:
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        opened = ours(lanes, hot=name == OURS[0]) if name in OURS else peer(name, lanes, home)
        async with opened as made:
            yield made


async def compare(only: str, lanes: int) -> dict[str, dict[str, list[Result]]]:
    """Group → door → results."""
    here = [name for name in PEERS if program(name)]
    for name in set(PEERS) - set(here):
        print(HINT.format(name))
    results: dict[str, dict[str, list[Result]]] = {}
    for name in (*here, *OURS):
        async with _door(name, lanes) as made:
            for group, cases in GROUPS.items():
                if only in group:
                    got = await run(cases, made, by_meaning=name not in OURS)
                    results.setdefault(group, {})[name] = got
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("--only", default="", help="a group, or part of its name")
    parser.add_argument("--cases", action="store_true", help="tell every complaint")
    parser.add_argument("--lanes", type=int, default=LANES, help="cases side by side")
    options = parser.parse_args()
    results = uvloop.run(compare(options.only, options.lanes))
    failed = 0
    for group, by_door in results.items():
        for door, got in by_door.items():
            told = complaints(GROUPS[group], got)
            failed += len(told) if door in OURS else 0
            if options.cases or door in OURS:
                for words in told:
                    print(f"{group} | {door} | {words}")
    print(table(GROUPS, results))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
