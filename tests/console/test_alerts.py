"""What must be seen: a line on every screen, a list, and an acknowledgement that is asked for."""

from datetime import timedelta

import pytest

from console.frame import alert_strip
from console.news import Got, Received
from console.screens.confirm import ConfirmScreen
from console.state import State, new_critical, reduce
from proxy.contract.events import Event
from tests.support import console_facts as facts
from tests.support.console_pilot import Stage, on_stage
from tests.support.console_server import ConsoleServer


def line_of(stage: Stage) -> str:
    return stage.shown().split("\n")[1]


async def test_a_critical_job_surfaces_on_the_screen_that_is_open(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.press("4")
        assert "critical job" not in stage.shown()
        server.alerts = [facts.alert(subject="J-2")]
        server.publish("job", "J-2", "alert_critical_job")
        await stage.until(lambda: "■CRIT J-2 critical job" in line_of(stage))
        assert "8 shows it" in line_of(stage)
        assert "J-2: critical job; 8 shows it" in stage.toasts()
        # told again later: the same alert is no second toast
        server.publish("job", "J-2", "alert_critical_job")
        await stage.press("8")
        await stage.until(lambda: "That decides nothing" in stage.shown())
        assert len([toast for toast in stage.toasts() if "J-2" in toast]) == 1
        await stage.press("enter")
        await stage.until(lambda: stage.app.review_pane.job_id == "J-2")


async def test_an_acknowledgement_is_asked_for_and_told_to_the_server(
    server: ConsoleServer,
) -> None:
    server.alerts = [facts.alert("break_glass", "P-1"), facts.alert(subject="J-2")]
    async with on_stage(server) as stage:
        await stage.until(lambda: "P-1 broken glass" in line_of(stage))
        assert "+1   8 shows them" in line_of(stage)
        await stage.press("8")
        await stage.until(lambda: stage.table("alerts-table").cursor == "break_glass P-1")
        await stage.press("K")
        await stage.armed()
        assert "ACKNOWLEDGE P-1: broken glass" in stage.shown()
        await stage.press("enter")
        await stage.until(lambda: "nothing was done" in stage.toasts())
        assert stage.sent() == []
        await stage.press("K")
        await stage.armed()
        await stage.press("y")
        await stage.until(lambda: "P-1 is acknowledged; 1 left" in stage.toasts())
        assert stage.sent() == [
            ("/alerts/acknowledge", {"kind": "break_glass", "subject": "P-1", "note": ""})
        ]
        await stage.until(lambda: "J-2 critical job" in line_of(stage))
        # the row that left took the cursor's meaning with it
        await stage.press("K")
        await stage.until(lambda: "no alert is chosen" in stage.toasts())


async def test_glass_is_broken_with_a_typed_reason_and_stands_there(server: ConsoleServer) -> None:
    async with on_stage(server) as stage:
        await stage.review()
        await stage.press("B")
        screen = await stage.armed()
        assert screen.plan.tier == 3
        await stage.press(*"no time", "enter")
        assert "10 characters at least" in screen._said
        await stage.press(*" for it", "enter")
        await stage.until(lambda: screen._step == "type")
        await stage.until(lambda: screen._armed_at < float("inf"))
        stage.clock.advance(1)
        await stage.press("1", "enter", gap=0.2)
        await stage.until(lambda: server.patches["P-1"].status == "approved")
        path, body = stage.sent()[0]
        assert path == "/patches/1/break-glass"
        assert (body["reason"], body["digest"]) == ("no time for it", facts.digest("P-1"))
        await stage.until(lambda: "P-1 broken glass" in line_of(stage))


async def test_a_reader_acknowledges_nothing(server: ConsoleServer) -> None:
    server.alerts = [facts.alert()]
    async with on_stage(server, read_only=True) as stage:
        await stage.press("8")
        await stage.until(lambda: stage.table("alerts-table").cursor is not None)
        await stage.press("K")
        await stage.until(lambda: any("read-only" in toast for toast in stage.toasts()))
        assert not isinstance(stage.app.screen, ConfirmScreen)
        assert stage.sent() == []


def test_what_is_new_and_critical() -> None:
    old = facts.alert()
    again = facts.alert(since=facts.ago(1))
    mild = facts.alert("expiring", "A-1", severity="high")
    assert new_critical((), (old, mild)) == [old]
    assert new_critical((old,), (old, mild)) == []
    assert new_critical((old,), (again,)) == [again]


@pytest.mark.parametrize("kind", ["job", "patch", "approval"])
def test_what_the_stream_tells_of_loads_the_alerts(kind: str) -> None:
    event = Event.model_validate(
        {"kind": kind, "subject": "J-1", "change": "alert_critical_job", "at": facts.NOW}
    )
    assert ("alerts", "") in reduce(State(), Received(event), 0.0).due
    loaded = reduce(State(), Got("alerts", [facts.alert()]), 0.0)
    assert loaded.alerts == (facts.alert(),)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_strip_fits(width: int) -> None:
    alerts = (facts.alert(summary="x" * 200), facts.alert("expiring", "A-1"))
    text = "".join(part for part, _ in alert_strip(alerts, width, facts.NOW + timedelta(hours=1)))
    assert len(text) <= width
    assert text.rstrip().endswith("+1   8 shows them")
    assert alert_strip((), width, facts.NOW) == []
