"""Merge and split from the list of jobs: what is marked and what is under the cursor, by id."""

from console.screens.choose import ChooseScreen
from tests.support.console_pilot import Stage, on_stage
from tests.support.console_server import ConsoleServer


async def at(stage: Stage, job: str) -> None:
    """The cursor on this job."""
    await stage.press("g")
    while stage.table("jobs-table").cursor != job:
        await stage.press("j")


async def test_the_marked_job_becomes_part_of_the_other(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("2")
        await at(stage, "J-2")
        await stage.press("space")
        await stage.until(lambda: "◆J-2" in stage.shown())
        assert "marked J-2" in stage.shown()
        await at(stage, "J-3")
        await stage.press("M")
        await stage.armed()
        assert "MERGE J-2 into J-3" in stage.shown()
        await stage.press("y")
        await stage.until(lambda: "J-2 is part of J-3 now, with 933 occurrences" in stage.toasts())
        assert stage.sent() == [("/jobs/3/merge", {"other": "2"})]
        await stage.until(lambda: "◆" not in stage.shown())


async def test_nothing_is_merged_with_itself_or_with_nothing(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("2")
        await at(stage, "J-2")
        await stage.press("M")
        await stage.press("space")
        await stage.press("M")
        await stage.until(lambda: len([t for t in stage.toasts() if "space marks" in t]) == 2)
        await stage.press("space")
        await stage.until(lambda: "marked" not in stage.shown())
        assert stage.sent() == []


async def test_a_sample_is_chosen_then_asked_about(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("2")
        await at(stage, "J-2")
        await stage.until(lambda: "J-2" in stage.app.state.details)
        await stage.press("X")
        await stage.until(lambda: isinstance(stage.app.screen, ChooseScreen))
        await stage.pilot.pause()
        await stage.press("escape")
        await stage.until(lambda: "nothing was done" in stage.toasts())
        await stage.press("X")
        await stage.until(lambda: isinstance(stage.app.screen, ChooseScreen))
        await stage.pilot.pause()
        await stage.press("enter")
        await stage.armed()
        assert "SPLIT J-2" in stage.shown()
        assert stage.sent() == []
        await stage.press("y")
        await stage.until(lambda: "J-90 stands for it now" in stage.toasts())
        event = stage.app.state.details["J-2"].events[0].id
        assert stage.sent() == [("/jobs/2/split", {"event": event})]
