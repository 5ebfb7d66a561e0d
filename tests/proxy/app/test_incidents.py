"""Incidents on their way to the database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from proxy.app.incidents import IncidentBook
from proxy.domain.anomaly import Anomaly, AnomalyKind
from proxy.domain.failure import Severity
from proxy.errors import Unavailable
from proxy.observability.incident import IncidentEnd
from proxy.store import incidents, jobs
from proxy.store.pool import AS_PROXY, acting
from proxy.tasks import cancel, spawn
from tests.support.store import classified, failure


def incident(route: str, kind: AnomalyKind = "latency") -> Anomaly:
    return Anomaly(kind, "GET", route, 1.0, 2.0, 1.0, 9.0, 9.0, 6.0, 50, Severity.HIGH, "slow")


async def test_the_job_of_an_incident_outlives_a_database_that_stays_away() -> None:
    @asynccontextmanager
    async def away() -> AsyncIterator[Any]:
        raise Unavailable("not there")
        yield

    told: list[tuple[str, UUID | None]] = []
    book = IncidentBook(
        "app", "here/worker-0", away, lambda anomaly, known: told.append((anomaly.route, known))
    )
    running = spawn(book.run(), name="incidents")
    book.opened(incident("/slow"))
    book.opened(incident("/failing", "error_rate"))
    await asyncio.sleep(0.01)
    assert told == []
    await cancel(running)
    book.give_up()
    assert told == [("/slow", None)]
    assert book.dropped == 2


async def test_one_that_cannot_be_stored_does_not_hold_up_the_others(
    proxy_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = incidents.open_anomaly

    async def strict(conn: asyncpg.Connection, service: str, anomaly: Anomaly, holder: str) -> UUID:
        if anomaly.route == "/bad":
            raise ValueError("a bug of ours")
        return await real(conn, service, anomaly, holder)

    monkeypatch.setattr(incidents, "open_anomaly", strict)
    told = asyncio.Queue[str]()
    book = IncidentBook(
        "app",
        "here/worker-0",
        lambda: acting(proxy_pool, AS_PROXY),
        lambda anomaly, _: told.put_nowait(anomaly.route),
    )
    running = spawn(book.run(), name="incidents")
    book.opened(incident("/bad"))
    book.opened(incident("/good"))
    async with asyncio.timeout(10):
        assert await told.get() == "/good"
    await cancel(running)
    assert book.dropped == 1


@pytest.mark.parametrize(
    ("told", "after"),
    [
        ((Severity.CRITICAL,), "critical"),
        ((Severity.HIGH,), "high"),
        ((Severity.LOW,), "medium"),
        ((Severity.MEDIUM, Severity.CRITICAL), "critical"),
        ((Severity.HIGH, Severity.MEDIUM), "high"),
    ],
)
async def test_a_job_is_at_least_as_severe_as_its_incident(
    proxy_pool: asyncpg.Pool, told: tuple[Severity, ...], after: str
) -> None:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        async with acting(proxy_pool, AS_PROXY) as conn:
            yield conn

    async with acting(proxy_pool, AS_PROXY) as conn:
        for number, route in enumerate(("/pay", "/other")):
            seen = failure(method="GET", route=route, occurred_at=datetime.now(UTC))
            of_kind = classified(f"v1:000000000000000{number}", severity=Severity.MEDIUM)
            await jobs.record_failure(conn, seen, of_kind)
    book = IncidentBook("app", "here/worker-0", connect, lambda anomaly, known: None)
    running = spawn(book.run(), name="incidents")
    for severity in told:
        book.opened(replace(incident("/pay", "error_rate"), severity=severity))
    async with asyncio.timeout(10):
        await book.written()
    await cancel(running)
    async with acting(proxy_pool, AS_PROXY) as conn:
        found = await conn.fetch("select severity from self_healing_jobs order by route desc")
    assert [row["severity"] for row in found] == [after, "medium"]


async def test_parts_are_rows_and_one_job(proxy_pool: asyncpg.Pool) -> None:
    told: list[tuple[str, UUID | None]] = []
    book = IncidentBook(
        "app",
        "here/worker-0",
        lambda: acting(proxy_pool, AS_PROXY),
        lambda anomaly, known: told.append((anomaly.route, known)),
    )
    running = spawn(book.run(), name="incidents")
    first = incident("/first")
    book.opened(first)
    for n, route in enumerate(("/x", "/y"), 2):
        head = replace(first, explanation=f"{n} of 3 routes")
        book.opened(replace(incident(route), head=head, explanation="part"))
    async with asyncio.timeout(10):
        await book.written()
    async with acting(proxy_pool, AS_PROXY) as conn:
        rows = {row.route: row for row in await incidents.list_anomalies(conn)}
    assert [route for route, _ in told] == ["/first"] * 3, "each part is an occurrence of one job"
    assert [known for _, known in told] == [rows[r].id for r in ("/first", "/x", "/y")]
    assert {route: row.part_of for route, row in rows.items()} == {
        "/first": None,
        "/x": "GET /first",
        "/y": "GET /first",
    }
    assert (rows["/first"].description, rows["/first"].occurrences) == ("3 of 3 routes", 3)
    book.ended(IncidentEnd(first, 9.0, 8.0, 5, 3, "recovered"))
    book.opened(replace(incident("/z"), head=first))
    async with asyncio.timeout(10):
        await book.written()
    await cancel(running)
    async with acting(proxy_pool, AS_PROXY) as conn:
        rows = {row.route: row for row in await incidents.list_anomalies(conn)}
    assert rows["/first"].resolved, "a part that comes late does not open it again"
    assert not rows["/z"].resolved


async def test_two_proxies_that_tell_one_cause_make_one_alert(proxy_pool: asyncpg.Pool) -> None:
    """Each tells a first of its own; the second becomes a part of the first, with all its parts,
    until it is told again.
    """
    told: list[tuple[str, str]] = []

    def book(holder: str) -> IncidentBook:
        return IncidentBook(
            "app",
            holder,
            lambda: acting(proxy_pool, AS_PROXY),
            lambda anomaly, _: told.append((holder, anomaly.route)),
        )

    async def write(book: IncidentBook, *found: Anomaly) -> dict[str, str | None]:
        for anomaly in found:
            book.opened(anomaly)
        async with asyncio.timeout(10):
            await book.written()
        async with acting(proxy_pool, AS_PROXY) as conn:
            return {row.route: row.part_of for row in await incidents.list_anomalies(conn)}

    now = datetime.now(UTC).timestamp()

    def of_many(route: str) -> Anomaly:
        return replace(incident(route), onset=now - 30, detected_at=now, moving=5)

    one, other = book("a/worker-0"), book("a/worker-1")
    running = [spawn(b.run(), name="incidents") for b in (one, other)]
    await write(one, of_many("/first"))
    second = of_many("/second")
    part = replace(of_many("/part"), head=second, moving=0)
    rows = await write(other, second, part)
    assert rows == {"/first": None, "/second": "GET /first", "/part": "GET /first"}
    assert told == [("a/worker-0", "/first")] + [("a/worker-1", "/first")] * 2
    async with acting(proxy_pool, AS_PROXY) as conn:
        said = {row.route: row.description for row in await incidents.list_anomalies(conn)}
    assert said["/second"] == "slow It is part of what began on GET /first, with 5 routes."

    again = book("a/worker-1")
    running.append(spawn(again.run(), name="incidents"))
    rows = await write(again, replace(part, route="/after-a-restart"))
    assert rows["/after-a-restart"] == "GET /first"
    assert told[-1] == ("a/worker-1", "/first")

    rows = await write(other, replace(of_many("/third"), moving=0))
    assert rows["/third"] is None, "what it tells beside that is another cause"
    rows = await write(other, replace(second, explanation="worse", moving=0))
    assert rows["/second"] is None, "and so is what it tells again"
    rows = await write(other, replace(part, head=None))
    assert rows["/part"] is None
    await cancel(*running)


async def test_the_end_after_a_restart_closes_the_row(proxy_pool: asyncpg.Pool) -> None:
    async def live_of_a_worker(do: Callable[[IncidentBook], None]) -> list[bool]:
        book = IncidentBook(
            "app", "here/worker-0", lambda: acting(proxy_pool, AS_PROXY), lambda anomaly, _: None
        )
        running = spawn(book.run(), name="incidents")
        do(book)
        async with asyncio.timeout(10):
            await book.written()
        await cancel(running)
        async with acting(proxy_pool, AS_PROXY) as conn:
            return [row.resolved for row in await incidents.list_anomalies(conn)]

    slow = incident("/slow")
    end = IncidentEnd(slow, 9.0, 8.0, 5, 3, "recovered")
    assert await live_of_a_worker(lambda book: book.ended(end)) == [], "nobody told of it"
    assert await live_of_a_worker(lambda book: book.opened(slow)) == [False]
    assert await live_of_a_worker(lambda book: book.ended(end)) == [True]


def test_the_job_of_a_part_outlives_a_database_that_stays_away() -> None:
    told: list[str] = []
    book = IncidentBook("app", "here", _never, lambda anomaly, _: told.append(anomaly.route))
    book.opened(replace(incident("/part"), head=incident("/first")))
    book.give_up()
    assert told == ["/first"]


def _never() -> Any:
    raise Unavailable("not there")
