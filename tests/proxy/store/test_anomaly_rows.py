"""One incident is one row, however many proxies see it, and it ends with the last of them."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from proxy.domain.anomaly import Anomaly, AnomalyKind
from proxy.domain.failure import Category, Severity
from proxy.store import incidents, jobs
from proxy.store.pool import AS_PROXY, acting
from tests.support.store import classified, failure

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = "here/worker-0", "there/worker-0"


def incident(
    kind: AnomalyKind = "latency",
    *,
    route: str = "/x",
    onset: float = 1000.0,
    ratio: float = 4.5,
    severity: Severity = Severity.MEDIUM,
    says: str = "slow",
) -> Anomaly:
    observed = 20.0 * ratio
    return Anomaly(
        kind, "GET", route, onset, onset + 60, 20.0, observed, ratio, 6.0, 80, severity, says
    )


async def test_one_row_per_incident(proxy_pool: asyncpg.Pool) -> None:
    worse = incident(ratio=10.0, severity=Severity.HIGH, says="worse")
    async with acting(proxy_pool, AS_PROXY) as conn:
        ids = [
            await incidents.open_anomaly(conn, "app", a, A)
            for a in (incident(), worse, incident("error_rate"))
        ]
        assert ids[0] == ids[1] != ids[2]
        latency = next(a for a in await incidents.list_anomalies(conn) if a.id == ids[0])
        assert latency.type == "latency_spike"
        assert (latency.occurrences, latency.severity) == (2, Severity.HIGH)
        assert (latency.observed, latency.description) == (200.0, "worse")
        assert latency.onset == datetime.fromtimestamp(1000, UTC)
        assert await incidents.close_anomaly(conn, ids[0], A, NOON, "recovered")
        assert not await incidents.close_anomaly(conn, ids[0], A, NOON, "recovered")
        assert [a.id for a in await incidents.list_anomalies(conn, resolved=False)] == [ids[2]]
        assert await incidents.list_anomalies(conn, service="other") == []
        again = await incidents.open_anomaly(conn, "app", incident(), A)
        assert again == ids[0], "the same onset told again reopens its row"


async def test_two_proxies_at_once_raise_one(proxy_pool: asyncpg.Pool) -> None:
    async def opened(holder: str, found: Anomaly) -> object:
        async with acting(proxy_pool, AS_PROXY) as conn:
            return await incidents.open_anomaly(conn, "app", found, holder)

    reports = [
        opened(f"host-{n}/worker-0", incident(onset=1000.0 + n, ratio=2.0 + n, says=f"x{n}"))
        for n in range(8)
    ]
    assert len(set(await asyncio.gather(*reports))) == 1
    async with acting(proxy_pool, AS_PROXY) as conn:
        [row] = await incidents.list_anomalies(conn)
    assert (row.occurrences, row.ratio, row.description) == (1, 9.0, "x7")


async def test_it_ends_with_the_last_that_saw_it(proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        known = await incidents.open_anomaly(conn, "app", incident(), A)
        assert await incidents.open_anomaly(conn, "app", incident(onset=1030.0), B) == known
        assert not await incidents.close_anomaly(conn, known, A, NOON, "recovered")
        assert [a.resolved for a in await incidents.list_anomalies(conn)] == [False]
        assert await incidents.close_anomaly(
            conn, known, B, NOON + timedelta(minutes=1), "recovered"
        )
        [row] = await incidents.list_anomalies(conn)
        assert row.resolved_at == NOON + timedelta(minutes=1)
        later = await incidents.open_anomaly(conn, "app", incident(onset=9000.0), A)
        assert later != known, "another incident is another row"


async def test_what_nobody_watches_any_more_is_closed(proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        for route in ("/gone", "/live"):
            early = incident(route=route, onset=NOON.timestamp())
            await incidents.open_anomaly(conn, "app", early, A)
        new = incident(route="/new", onset=(NOON + timedelta(hours=1)).timestamp())
        await incidents.open_anomaly(conn, "app", new, A)
        await incidents.open_anomaly(
            conn, "other", incident(route="/gone", onset=NOON.timestamp()), A
        )
        await conn.execute(
            "insert into observability_anomalies"
            " (service, route, type, severity, onset, detected_at) values"
            " ('app', '/foreign', 'latency_spike', 'low', $1, $1)",
            NOON,
        )
        before = NOON + timedelta(minutes=30)
        live: set[tuple[AnomalyKind, str, str]] = {("latency", "GET", "/live")}
        assert await incidents.close_forgotten(conn, "app", "here", before, live) == 1
        left = await incidents.list_anomalies(conn, resolved=False)
    assert {(a.service, a.route) for a in left} == {
        ("app", "/live"), ("app", "/new"), ("app", "/foreign"), ("other", "/gone"),
    }  # fmt: skip


async def test_another_sidecar_keeps_what_it_sees_until_it_falls_silent(
    proxy_pool: asyncpg.Pool,
) -> None:
    before = NOON + timedelta(minutes=30)
    async with acting(proxy_pool, AS_PROXY) as conn:
        known = await incidents.open_anomaly(conn, "app", incident(onset=NOON.timestamp()), B)
        assert await incidents.close_forgotten(conn, "app", "here", before, ()) == 0
        silent = incidents.SILENT_AFTER + timedelta(seconds=1)
        await conn.execute(
            "update observability_anomaly_holders set seen_at = seen_at - $1::interval", silent
        )
        live: set[tuple[AnomalyKind, str, str]] = {("latency", "GET", "/x")}
        assert await incidents.close_forgotten(conn, "app", "there", before, live) == 0, "renewed"
        await conn.execute(
            "update observability_anomaly_holders set seen_at = seen_at - $1::interval", silent
        )
        assert await incidents.close_forgotten(conn, "app", "here", before, ()) == 1
        assert [(a.id, a.resolved) for a in await incidents.list_anomalies(conn)] == [(known, True)]


async def test_an_error_rate_incident_names_the_jobs_of_its_route(
    proxy_pool: asyncpg.Pool,
) -> None:
    async def job(signature: str, route: str, minute: int) -> None:
        seen = failure(method="GET", route=route, occurred_at=NOON + timedelta(minutes=minute))
        await jobs.record_failure(conn, seen, classified(signature, category=Category.DB_ERROR))

    async with acting(proxy_pool, AS_PROXY) as conn:
        await job("v1:000000000000000a", "/x", 5)
        await job("v1:000000000000000b", "/x", -5)
        await job("v1:000000000000000c", "/y", 5)
        onset = incident("error_rate", onset=NOON.timestamp())
        known = await incidents.open_anomaly(conn, "app", onset, A)
        assert len(await incidents.link_jobs(conn, known)) == 1
        assert await incidents.link_jobs(conn, known) == []
        tied = await conn.fetch(
            "select error_signature from self_healing_jobs where $1 = any (related_anomaly_ids)",
            known,
        )
        links = await conn.fetchval("select count(*) from self_healing_links where ref = $1", known)
    assert [row["error_signature"] for row in tied] == ["v1:000000000000000a"]
    assert links == 1


async def test_a_part_that_is_told_after_all_is_part_of_nothing(proxy_pool: asyncpg.Pool) -> None:
    part = replace(incident(), head=incident(route="/first"))
    async with acting(proxy_pool, AS_PROXY) as conn:
        opened = await incidents.open_anomaly(conn, "app", part, A)
        (row,) = await incidents.list_anomalies(conn)
        assert row.part_of == "GET /first"
        again = await incidents.open_anomaly(conn, "app", incident(says="far worse"), A)
        (row,) = await incidents.list_anomalies(conn)
        assert again == opened
        assert (row.part_of, row.description) == (None, "far worse")
        await incidents.open_anomaly(conn, "app", part, B)
        (row,) = await incidents.list_anomalies(conn)
        assert row.part_of is None, "another proxy that counts it as a part takes nothing back"


async def test_of_one_row_what_is_told_keeps_its_words(proxy_pool: asyncpg.Pool) -> None:
    """One proxy counts as a part what another told, or the other way round; for most or for one."""
    head = incident(route="/first")
    for n, (reports, words) in enumerate(
        [
            ([("told", 2.0, 0, False), ("part", 3.0, 0, True)], "told"),
            ([("part", 3.0, 0, True), ("told", 2.0, 0, False)], "told"),
            ([("all", 2.0, 9, False), ("one", 3.0, 0, False)], "all"),
            ([("one", 3.0, 0, False), ("all", 2.0, 9, False)], "one"),
            ([("part", 3.0, 0, True), ("worse", 4.0, 0, True)], "worse"),
        ]
    ):
        async with acting(proxy_pool, AS_PROXY) as conn:
            for holder, (says, ratio, moving, is_part) in zip((A, B), reports, strict=True):
                found = replace(
                    incident(route=f"/{n}", ratio=ratio, says=says),
                    moving=moving,
                    head=head if is_part else None,
                )
                known = await incidents.open_anomaly(conn, "app", found, holder)
            row = next(a for a in await incidents.list_anomalies(conn) if a.id == known)
        assert row.description == words
        assert row.part_of == ("GET /first" if reports[0][3] and reports[1][3] else None)


async def test_what_another_told_of_most_routes_speaks_for_this_one(
    proxy_pool: asyncpg.Pool,
) -> None:
    now = datetime.now(UTC).timestamp()
    told = replace(incident(route="/first", onset=now - 60, ratio=3.0, says="everything"), moving=8)
    late = replace(incident(route="/x", onset=now - 50), detected_at=now + 10)
    ask: list[tuple[str, Anomaly, str, float]] = [
        ("app", late, B, 2.9),
        ("app", late, A, 2.9),
        ("other", late, B, 2.9),
        ("app", late, B, 3.1),
        ("app", replace(late, kind="error_rate"), B, 2.9),
        ("app", replace(late, route="/first"), B, 2.9),
        ("app", replace(late, onset=now - 1000), B, 2.9),
        ("app", replace(late, detected_at=now + 200), B, 2.9),
    ]
    async with acting(proxy_pool, AS_PROXY) as conn:
        await incidents.open_anomaly(conn, "app", replace(told, moving=0), A)
        assert await incidents.same_cause(conn, *ask[0]) is None, "it speaks for itself alone"
        known = await incidents.open_anomaly(conn, "app", told, A)
        first, *others = [await incidents.same_cause(conn, *words) for words in ask]
        assert first is not None
        assert (first.route, first.explanation, first.moving) == ("/first", "everything", 8)
        assert first.onset == pytest.approx(told.onset, abs=1e-3)
        assert others == [None] * 7
        await incidents.close_anomaly(conn, known, A, NOON, "recovered")
        assert await incidents.same_cause(conn, *ask[0]) is None, "it is over"


async def test_a_job_knows_its_incidents_the_newest_first(proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        for onset in (1000.0, 9000.0):
            known = await incidents.open_anomaly(conn, "app", incident(onset=onset), A)
            seen = replace(failure(), anomaly_id=known, occurred_at=datetime.now(UTC))
            job = (await jobs.record_failure(conn, seen, classified("v1:0000000000000001"))).job
            await incidents.close_anomaly(conn, known, A, NOON, "recovered")
        found = await incidents.anomalies_of_job(conn, job.id, 5)
        assert [row.onset.timestamp() for row in found] == [9000.0, 1000.0]
        assert all(row.resolved_at == NOON for row in found)
        await conn.execute(
            'update observability_anomalies set metrics = metrics || \'{"part_of": "GET /y"}\''
            " where onset = to_timestamp(9000)"
        )
        [told] = await incidents.anomalies_of_job(conn, job.id, 1)
        assert told.part_of is None, "what was told comes before its parts"
        assert await incidents.anomalies_of_job(conn, job.id + 1, 5) == []


async def test_a_job_knows_since_when_its_incidents_are_over_and_how_the_last_ended(
    proxy_pool: asyncpg.Pool,
) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        first = await incidents.open_anomaly(conn, "app", incident(), A)
        second = await incidents.open_anomaly(conn, "app", incident(route="/y"), A)
        for known in (first, second):
            seen = replace(failure(route="/x"), anomaly_id=known)
            recorded = await jobs.record_failure(conn, seen, classified("v1:000000000000000a"))
        job = recorded.job.id
        without = await jobs.record_failure(conn, failure(), classified("v1:000000000000000b"))
        later = NOON + timedelta(hours=1)
        await incidents.close_anomaly(conn, first, A, later, "new_normal")
        assert await incidents.over_since(conn, [job, without.job.id]) == {}, "one goes on"
        await incidents.close_anomaly(conn, second, A, NOON, "recovered")
        over = await incidents.over_since(conn, [job, without.job.id])
        rows = {row.route: row.ended for row in await incidents.list_anomalies(conn)}
        again = await incidents.open_anomaly(conn, "app", incident(route="/y"), A)
        assert again == second
        assert await incidents.over_since(conn, [job]) == {}
    assert over == {job: incidents.Over(later, "new_normal")}
    assert rows == {"/x": "new_normal", "/y": "recovered"}


async def test_what_nobody_reports_any_more_did_not_recover(proxy_pool: asyncpg.Pool) -> None:
    async with acting(proxy_pool, AS_PROXY) as conn:
        await incidents.open_anomaly(conn, "app", incident(onset=NOON.timestamp()), A)
        assert await incidents.close_forgotten(conn, "app", "here", NOON + timedelta(hours=1), ())
        [row] = await incidents.list_anomalies(conn)
    assert (row.resolved, row.ended) == (True, "unwatched")
