"""A list of cases through the lanes of one door, side by side."""

import asyncio
from collections.abc import Sequence

from tests.parity.case import Arrival, Case, Saw
from tests.parity.doors import Lane
from tests.parity.playing import Upstream, play

Result = tuple[Saw, str]


async def run(
    cases: Sequence[Case],
    lanes: Sequence[Lane],
    *,
    by_meaning: bool = False,
    arrival: Arrival = Arrival.WHOLE,
) -> list[Result]:
    """The result of every case, in its order."""
    results: dict[int, Result] = {}
    # the slowest first: they would end the run alone
    waiting = sorted(enumerate(cases), key=lambda numbered: numbered[1].waits_s)

    async def lane(port: int, upstream: Upstream) -> None:
        while waiting:
            number, case = waiting.pop()
            results[number] = await play(
                case, port, upstream, by_meaning=by_meaning, arrival=arrival
            )

    async with asyncio.TaskGroup() as group:
        for port, upstream in lanes:
            group.create_task(lane(port, upstream))
    return [results[number] for number in range(len(cases))]
