import asyncio
from collections.abc import Callable
from pathlib import Path

from proxy.app.status_link import STALE_AFTER_S, Desk, Reporter
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
        return {"worker": "worker-0", "count": count[0]}

    reporter = Reporter(tmp_path, report)
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
    task = spawn(Reporter(tmp_path, lambda: {"worker": "w"}).run(), name="reporter")
    await until(lambda: bool(desk.reports()))
    await cancel(task)
    desk.close()
