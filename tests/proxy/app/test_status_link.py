import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from proxy.app.status_link import ROUTES_A_LINE, STALE_AFTER_S, Desk, Reporter
from proxy.clock import ManualClock
from proxy.tasks import cancel, spawn


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_reports_arrive_and_the_newest_counts(tmp_path: Path) -> None:
    clock, count = ManualClock(), [0]

    def report() -> dict[str, object]:
        count[0] += 1
        return {"worker": "worker-0", "count": count[0], "snapshot": {}}

    reporter = Reporter(tmp_path, report, tuple)
    task = spawn(reporter.run(), name="reporter")
    await asyncio.sleep(0.01)  # the desk opens later than the worker starts
    desk = Desk(tmp_path, clock)
    await desk.open()
    await until(lambda: bool(desk.reports()))
    before = count[0]
    reporter.hurry()
    await until(lambda: bool(desk.reports()) and desk.reports()[0]["count"] > before)

    clock.advance(STALE_AFTER_S)
    assert desk.reports() == [] or desk.reports()[0]["count"] > before + 1
    await cancel(task)
    await until(lambda: desk.reports() == [])
    desk.close()


async def test_a_broken_report_harms_nobody(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ManualClock())
    await desk.open()
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "status.sock"))
    writer.write(b"{not json\n")
    await writer.drain()
    writer.close()
    task = spawn(
        Reporter(tmp_path, lambda: {"worker": "w", "snapshot": {}}, tuple).run(), name="reporter"
    )
    await until(lambda: bool(desk.reports()))
    await cancel(task)
    desk.close()


async def test_many_routes_come_whole_and_let_others_run_between(tmp_path: Path) -> None:
    ran: list[int] = []
    turns = 0

    def routes() -> Iterator[dict[str, object]]:
        for number in range(95):
            ran.append(turns)
            yield {"route": number}

    desk = Desk(tmp_path, ManualClock())
    await desk.open()
    reporter = Reporter(tmp_path, lambda: {"worker": "w", "snapshot": {"now": 1}}, routes)
    task = spawn(reporter.run(), name="reporter")
    while not desk.reports():
        turns += 1
        await asyncio.sleep(0)
    expected = {"now": 1, "routes": [{"route": number} for number in range(95)]}
    assert desk.reports()[0]["snapshot"] == expected
    assert len(set(ran[:95])) >= 95 // ROUTES_A_LINE
    first = len(ran)
    reporter.hurry()
    await until(lambda: len(ran) > first and len(ran) % 95 == 0)
    assert desk.reports()[0]["snapshot"] == expected, "one report's routes are not the next one's"
    await cancel(task)
    desk.close()
