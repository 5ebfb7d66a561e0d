"""The bytes COPY takes say the same as the values, on a real PostgreSQL."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.exchange import Exchange, Outcome
from proxy.domain.waiting import Answers, exchanges_of
from proxy.store import log_rows, metrics
from proxy.store.log_rows import LogRows
from proxy.store.pool import AS_PROXY, acting
from proxy.store.text import storable

ROWS = LogRows("shop", UUID(int=0xFEDC << 112), str.upper)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
AT = 2 + 4 + 16 + 4
"""Where the time of the first row begins: after the field count and the id."""
HOSTILE = "/caf\u00e9/\udcff/\0/{id}"


def exchange(sequence: int = 0, *, at: float = 1_790_000_000.25, route: str = "/x") -> Exchange:
    return Exchange(at, 12.5, "GET", b"/x", 200, Outcome.ANSWERED, route=route, sequence=sequence)


def different() -> list[Exchange]:
    """Every column in every shape it can have."""
    some = [exchange(n, at=1_790_000_000.0 + n / 7) for n in range(40)]
    some += [exchange(100 + n, route=HOSTILE) for n in range(2)]
    for number, outcome in enumerate(Outcome, 200):
        one = exchange(number)
        one.outcome, one.status, one.method = outcome, 599, "M\u00dcHSAM"
        one.error = f"cut after {number} bytes\0"
        some.append(one)
    some[3].trace_id = "0123456789abcdef" * 2
    some[4].trace_id = "short \u00fc\udc80"
    some[5].error = ""
    some[6].error = "e" * (log_rows.ERROR_CHARS + 1)
    some[7].duration_ms, some[7].status = 1e-9, 0
    some[8].sequence = (1 << 64) - 1
    return some


async def test_packed_rows_are_the_rows(proxy_pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    given_exchanges = different()
    async with acting(proxy_pool, AS_PROXY) as conn:
        await metrics.copy_packed_logs(conn, ROWS.copy(given_exchanges, 7))
        await metrics.copy_packed_logs(conn, ROWS.copy([], 7))
        stored = {row["id"]: tuple(row) for row in await conn.fetch("table observability_logs")}
    for one in given_exchanges:
        row = ROWS.row(one)
        assert stored.pop(row[0]) == tuple(
            storable(cell) if isinstance(cell, str) else cell for cell in row
        )
    assert not stored


def plain(*some: Exchange) -> Answers:
    """As they come from the data plane: of one method and route, numbered one by one."""
    rows = [
        (
            one.started_at,
            one.duration_ms,
            one.method,
            one.target,
            one.status,
            one.request_bytes,
            one.response_bytes,
            one.trace_id,
            one.client,
        )
        for one in some
    ]
    columns = tuple(zip(*rows, strict=True))
    return Answers(some[0].method, some[0].route, some[0].sequence, columns)


def test_a_plain_answer_is_packed_as_its_exchange() -> None:
    some = [one for one in different() if one.outcome is Outcome.ANSWERED and not one.error]
    assert len(some) > 40
    for one in some:
        assert ROWS.pack([plain(one)]) == ROWS.pack([one])
        assert list(ROWS.rows([plain(one)])) == [ROWS.row(one)]


def numbered(first: int, count: int, *, route: str = "/x", trace: str | None = None) -> Answers:
    some = [
        exchange(n, at=1_790_000_000.0 + n / 7e5, route=route) for n in range(first, first + count)
    ]
    for one in some:
        one.duration_ms = 0.37 * (one.sequence % 1000)
        one.trace_id = trace and f"{one.sequence:{trace}}"
    return plain(*some)


def is_packed_as_one_by_one(*waiting: Answers) -> bool:
    singly = [ROWS.pack([one]) for one in exchanges_of(waiting)]
    packed = ROWS.pack(waiting)
    # in an order of their own
    return len(packed) == sum(map(len, singly)) and all(row in packed for row in singly)


def test_answers_of_one_kind_are_packed_together_and_say_the_same() -> None:
    few, enough = log_rows.ALIKE_MIN - 1, log_rows.ALIKE_MIN
    assert is_packed_as_one_by_one(numbered(0, 50), numbered(100, few, route="/few"))
    assert is_packed_as_one_by_one(numbered(0, 50, trace="032x"), numbered(100, enough))
    assert is_packed_as_one_by_one(numbered(0, 50, trace="031x"))
    hostile = numbered(20, 1, trace="\0>32x")
    assert is_packed_as_one_by_one(numbered(0, enough, trace="032x"), hostile), "stored longer"
    odd = numbered(10, 1, trace="\u00e9>32x")
    assert is_packed_as_one_by_one(numbered(0, enough, trace="032x"), odd)
    assert ROWS.pack([numbered(0, 900)]) == b"".join(
        ROWS.pack([one]) for one in numbered(0, 900).exchanges()
    ), "in their order as long as they are of one kind"


def test_ids_are_packed_wherever_they_carry() -> None:
    for first in (0, 200, 255, 256, 0xFFF0, 0xFFFF, 0x10000, 0xFFFFF0, (1 << 40) - 3):
        assert is_packed_as_one_by_one(numbered(first, 40), numbered(first + 300, 600))
    late = LogRows("shop", UUID(int=0xFEDC << 112 | 0xFFFF_FFFF_FF00), str.upper)
    for first in (0, 200, 255, 256):
        some = numbered(first, 30)
        assert late.pack([some]) == b"".join(late.pack([one]) for one in some.exchanges())


def test_statuses_and_trace_ids_that_differ_are_told_apart() -> None:
    some = [exchange(n, at=1_790_000_000.0 + n / 7e5) for n in range(60)]
    for one in some:
        one.status = 201 if one.sequence % 3 else 200
        one.trace_id = f"{one.sequence:032x}" if one.sequence % 2 else None
    assert is_packed_as_one_by_one(plain(*some), numbered(60, 40))


@given(st.lists(st.floats(-3e9, 8e9), min_size=log_rows.ALIKE_MIN, max_size=20))
def test_times_far_apart_are_packed_as_one_by_one(starts: list[float]) -> None:
    some = [exchange(n, at=at) for n, at in enumerate(starts)]
    assert ROWS.pack([plain(*some)]) == b"".join(ROWS.pack([one]) for one in some)


async def test_a_replay_after_a_packed_copy_doubles_nothing(
    proxy_pool: "asyncpg.Pool[asyncpg.Record]",
) -> None:
    some = [exchange(n, at=1_790_000_000 + n * 0.000_000_7) for n in range(300)]
    async with acting(proxy_pool, AS_PROXY) as conn:
        await metrics.copy_packed_logs(conn, ROWS.copy(some, 500))
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert await metrics.copy_logs_idempotent(conn, [ROWS.row(one) for one in some]) == 0


@given(at=st.floats(0, 4e9))
def test_time_is_rounded_as_the_values_round_it(at: float) -> None:
    one = exchange(1, at=at)
    packed = ROWS.pack([one])
    alike = [exchange(n, at=at) for n in range(1, 1 + log_rows.ALIKE_MIN)]
    assert ROWS.pack([plain(*alike)]) == b"".join(ROWS.pack([one]) for one in alike)
    since_2000_us = int.from_bytes(packed[AT : AT + 8], "big", signed=True)
    assert EPOCH + timedelta(microseconds=since_2000_us) == ROWS.row(one)[1]


def test_invented_methods_do_not_fill_the_memory() -> None:
    rows = LogRows("shop", UUID(int=0), str)
    for number in range(log_rows.LABELS_MAX + 10):
        one = exchange(number)
        one.method = f"M{number}"
        rows.pack([one])
    assert len(rows._labels) == 10


async def test_a_broken_copy_stores_nothing(proxy_pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    begin, packed, _ = ROWS.copy([exchange(1), exchange(2)], 7)
    with contextlib.suppress(Exception):
        async with asyncio.timeout(30), acting(proxy_pool, AS_PROXY) as conn:
            await metrics.copy_packed_logs(conn, [begin, packed[:-40]])
    async with acting(proxy_pool, AS_PROXY) as conn:
        assert await conn.fetchval("select count(*) from observability_logs") == 0
