"""Two sidecars on one Postgres, one of them of two workers: what each learned, the other knows."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.postgres import TestDatabase
from tests.support.sidecar import Sidecar, run_sidecar, until

SLICE_S = 12.0
"""A slice of a new route closes after ten seconds."""


@contextmanager
def visited(sidecar: Sidecar) -> Iterator[list[int]]:
    """Requests without a pause, each on a connection of its own so that both workers get some."""
    statuses: list[int] = []
    stop = threading.Event()

    def visit() -> None:
        while not stop.wait(0.02):
            statuses.append(sidecar.get("/page").status)

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        thread.join()


async def rows(database: TestDatabase, question: str) -> list[Any]:
    conn = await database.connect_proxy()
    try:
        await conn.execute("set search_path to selfheal")
        await conn.execute("set role sh_proxy")
        return list(await conn.fetch(question))
    finally:
        await conn.close()


def test_two_sidecars_learn_together(tmp_path: Path, upstream: str, database: TestDatabase) -> None:
    def asked(question: str) -> list[Any]:
        return asyncio.run(rows(database, question))

    where = ("--database-url", database.proxy_dsn)
    with run_sidecar(tmp_path, upstream, *where, "--workers", "2") as one:
        one.wait_for_database()
        with visited(one) as statuses:
            threading.Event().wait(SLICE_S)
        assert one.stop() == 0
    assert set(statuses) == {200}
    told = asked(
        "select split_part(holder, '/', 2) as worker, (counts->'counts'->>0)::float as requests"
        " from observability_baseline_deltas where route_path = '/page' order by holder"
    )
    assert [row["worker"][:8] for row in told] == ["worker-0", "worker-1"]
    together = sum(row["requests"] for row in told)
    assert together > 0.2 * len(statuses)
    with run_sidecar(tmp_path, upstream, *where, data_dir=tmp_path / "other") as two:
        two.wait_for_database()
        until(lambda: "baselines of 1 route taken over" in two.log(), what="the baselines")
        with visited(two) as statuses:
            threading.Event().wait(SLICE_S)
        assert two.stop() == 0
    assert set(statuses) == {200}
    [stored] = asked(
        "select (counts->'route'->'baseline'->>'requests')::float as requests"
        " from observability_route_baselines where route_path = '/page'"
    )
    # of a slice that has not closed nothing is learned yet
    assert stored["requests"] > together + 0.2 * len(statuses)
