import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.exchange import Exchange, Outcome
from proxy.domain.waiting import Answers
from proxy.errors import Invalid
from proxy.observability.flusher import PIECES, Flusher, decode_row
from proxy.observability.spool import Row, Spool
from proxy.store.log_rows import LogRows
from proxy.tasks import cancel, spawn

ROWS = LogRows("app", UUID(int=1), str)


class Buffer:
    def __init__(self, due_at: int = 1 << 30) -> None:
        self.items: list[Exchange] = []
        self._due_at = due_at

    @property
    def is_due(self) -> bool:
        return len(self.items) >= self._due_at

    def drain(self, count: int) -> list[Exchange]:
        taken, self.items = self.items[:count], self.items[count:]
        return taken

    def __len__(self) -> int:
        return len(self.items)

    def fill(self, count: int) -> None:
        start = len(self.items)
        for n in range(count):
            self.items.append(
                Exchange(1000.0 + n, 5.0, "GET", b"/", 200, Outcome.ANSWERED, sequence=start + n)
            )


class Table:
    """Stands for the database: refuses while ``away``."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.batches: list[int] = []
        self.away = False

    async def copy(self, exchanges: Sequence[Exchange]) -> None:
        self.put([ROWS.row(exchange) for exchange in exchanges])

    async def copy_again(self, rows: Sequence[Row]) -> None:
        self.put([row for row in rows if row not in self.rows])

    def put(self, rows: list[Row]) -> None:
        if self.away:
            raise ConnectionError("database is away")
        self.batches.append(len(rows))
        self.rows.extend(rows)


def build(tmp_path: Path, buffer: Buffer, table: Table | None, **settings: float) -> Flusher:
    return Flusher(
        buffer,
        lambda: table,
        Spool(tmp_path / "spool", 1 << 20, encode=list, decode=decode_row),
        rows=ROWS.rows,
        kept=ROWS.kept,
        flush_s=float(settings.get("flush_s", 3600)),
        copy_rows=int(settings.get("copy_rows", 500)),
        spill_at=int(settings.get("spill_at", 5000)),
    )


async def test_stores_in_batches_and_keeps_in_smaller_ones(tmp_path: Path) -> None:
    buffer, table = Buffer(), Table()
    flusher = build(tmp_path, buffer, table, copy_rows=50)
    buffer.fill(PIECES * 50 + 1)
    await flusher.flush()
    assert table.batches == [PIECES * 50, 1]
    assert len(buffer) == 0
    table.away = True
    buffer.fill(120)
    await flusher.flush()
    table.away = False
    table.rows.clear()
    await flusher.flush()
    assert table.batches[2:] == [50, 50, 20], "rows that may be there already cost more each"


class Busy(Table):
    """Requests come while rows are stored: ``coming`` during the next transactions."""

    def __init__(self, buffer: Buffer, coming: list[int]) -> None:
        super().__init__()
        self._buffer = buffer
        self._coming = coming

    async def copy(self, exchanges: Sequence[Exchange]) -> None:
        await super().copy(exchanges)
        if self._coming:
            self._buffer.fill(self._coming.pop(0))


async def test_what_comes_during_a_flush_waits_for_the_next(tmp_path: Path) -> None:
    buffer = Buffer(due_at=100)
    table = Busy(buffer, [9] * 50)
    flusher = build(tmp_path, buffer, table, copy_rows=10)
    buffer.fill(120)
    await flusher.flush()
    # the last packet takes along what came before it
    assert (table.batches, len(buffer)) == ([80, 49], 9)
    await flusher.flush()
    assert (table.batches[2:], len(buffer)) == ([9], 9)


async def test_what_is_due_again_does_not_wait_and_the_last_flush_takes_all(tmp_path: Path) -> None:
    buffer = Buffer(due_at=100)
    table = Busy(buffer, [130, 60, 7])
    flusher = build(tmp_path, buffer, table, copy_rows=500)
    buffer.fill(120)
    await flusher.flush()
    assert (table.batches, len(buffer)) == ([120, 130], 60)
    await flusher.flush(last=True)
    assert (table.batches[2:], len(buffer)) == ([60, 7], 0)


async def test_without_a_database_rows_wait_then_spill(tmp_path: Path) -> None:
    buffer = Buffer()
    flusher = build(tmp_path, buffer, None, spill_at=100)
    buffer.fill(99)
    await flusher.flush()
    assert len(buffer) == 99
    buffer.fill(1)
    await flusher.flush()
    assert len(buffer) == 0


async def test_an_outage_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    buffer, table = Buffer(), Table()
    flusher = build(tmp_path, buffer, table)
    buffer.fill(700)
    table.away = True
    await flusher.flush()
    await flusher.flush(last=True)
    assert table.rows == []
    assert flusher.last_error is not None
    table.away = False
    await flusher.flush()
    assert sorted(row[0].int for row in table.rows) == list(range(1, 701))
    assert flusher.last_error is None


async def test_a_filling_buffer_does_not_wait_for_the_minute(tmp_path: Path) -> None:
    buffer, table = Buffer(), Table()
    flusher = build(tmp_path, buffer, table)
    task = spawn(flusher.run(), name="flusher")
    buffer.fill(3)
    flusher.wake()
    async with asyncio.timeout(5):
        while len(table.rows) < 3:
            await asyncio.sleep(0)
    buffer.fill(2)
    flusher.stop()
    await task
    assert len(table.rows) == 5, "the last flush takes everything along"


async def test_stopping_without_a_database_leaves_everything_on_disk(tmp_path: Path) -> None:
    buffer = Buffer()
    flusher = build(tmp_path, buffer, None)
    buffer.fill(2)
    flusher.stop()
    await flusher.flush(last=True)
    table = Table()
    later = build(tmp_path, buffer, table)
    assert later.recover() == 2
    await later.flush()
    assert len(table.rows) == 2


@given(
    at=st.floats(-2e9, 8e9),
    sequence=st.integers(0, 1 << 40),
    trace=st.one_of(st.none(), st.text(max_size=40)),
    route=st.text(),
)
def test_a_row_survives_the_spool(at: float, sequence: int, trace: str | None, route: str) -> None:
    refused = Exchange(at, 5.0, "GET", b"/x", 502, Outcome.UPSTREAM_REFUSED, error="refused")
    refused.route, refused.sequence, refused.trace_id = route, sequence, trace
    columns = ((at,) * 2, (5.25,) * 2, ("GET",) * 2, (b"/x",) * 2, (200, 201))
    rest = ((0,) * 2, (9,) * 2, (trace, None), ("",) * 2)
    waiting = [refused, Answers("GET", route, sequence, columns + rest)]
    kept = json.loads(json.dumps(list(ROWS.kept(waiting))))
    assert [decode_row(row) for row in kept] == list(ROWS.rows(waiting))


async def test_requests_have_their_turn_while_rows_are_kept(tmp_path: Path) -> None:
    buffer = Buffer()
    flusher = build(tmp_path, buffer, None, copy_rows=10, spill_at=1)
    buffer.fill(80)
    task, turns = spawn(flusher.flush(), name="flush"), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 8
    assert build(tmp_path, buffer, None).recover() == 80


async def test_a_stop_while_rows_are_kept_keeps_the_rest(tmp_path: Path) -> None:
    buffer = Buffer()
    flusher = build(tmp_path, buffer, None, copy_rows=10, spill_at=1)
    buffer.fill(95)
    task = spawn(flusher.run(), name="flusher")
    flusher.wake()
    for _ in range(6):
        await asyncio.sleep(0)
    later = build(tmp_path, buffer, None)
    assert 0 < later.recover() < 80
    await cancel(task)
    assert later.recover() == 95


async def test_a_flush_that_hangs_leaves_everything_on_disk(tmp_path: Path) -> None:
    class Hanging(Table):
        async def copy(self, exchanges: Sequence[Exchange]) -> None:
            await asyncio.Event().wait()

    buffer = Buffer()
    flusher = build(tmp_path, buffer, Hanging(), copy_rows=10)
    buffer.fill(25)
    task = spawn(flusher.run(), name="flusher")
    flusher.stop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await cancel(task)
    later = build(tmp_path, buffer, Table())
    assert later.recover() == 25


async def test_a_stop_in_the_middle_of_a_failing_flush_leaves_the_rest_on_disk(
    tmp_path: Path,
) -> None:
    class Leaving(Table):
        def put(self, rows: list[Row]) -> None:
            flusher.stop()
            raise ConnectionError("database is away")

    buffer = Buffer()
    flusher = build(tmp_path, buffer, Leaving(), copy_rows=10)
    buffer.fill(25)
    flusher.wake()
    await flusher.run()
    later = build(tmp_path, buffer, Table())
    assert (len(buffer), later.recover()) == (0, 25)


async def test_a_row_that_is_refused_for_good_does_not_hold_up_the_others(tmp_path: Path) -> None:
    class Strict(Table):
        def put(self, rows: list[Row]) -> None:
            if any(row[0].int in (3, 9) for row in rows):
                raise Invalid("this cannot be stored")
            super().put(rows)

    buffer, table = Buffer(), Strict()
    flusher = build(tmp_path, buffer, table)
    buffer.fill(12)
    await flusher.flush()
    assert sorted(row[0].int for row in table.rows) == [1, 2, 4, 5, 6, 7, 8, 10, 11, 12]
    assert (flusher.stored, flusher.refused, len(buffer)) == (10, 2, 0)


async def test_a_fault_of_our_own_does_not_end_the_loop(tmp_path: Path) -> None:
    class Faulty(Buffer):
        def drain(self, count: int) -> list[Exchange]:
            taken = super().drain(count)
            if not table.rows and not flusher.failed_flushes:
                raise RuntimeError("once")
            return taken

    buffer, table = Faulty(), Table()
    flusher = build(tmp_path, buffer, table)
    task = spawn(flusher.run(), name="flusher")
    buffer.fill(1)
    flusher.wake()
    async with asyncio.timeout(5):
        while not flusher.failed_flushes:
            await asyncio.sleep(0)
    buffer.fill(2)
    flusher.stop()
    await task
    assert len(table.rows) == 2
