"""What Health, Jobs and Review look like, as SVG, on a frozen clock. `SELFHEAL_SNAPSHOTS=update`
takes new ones."""

import os
from pathlib import Path

import pytest

from tests.support import console_facts as facts
from tests.support.console_pilot import on_stage
from tests.support.console_server import ConsoleServer, proven

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_screens(
    server: ConsoleServer, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    server.patches["P-1"] = proven(facts.patch(1))
    server.items = {"A-9": facts.approval(9, "campaign", risk="high")}
    taken: dict[str, str] = {}
    async with on_stage(server, size=size) as stage:
        await stage.until(lambda: "REVIEW" in stage.shown() and "● live" in stage.shown())
        taken["health"] = stage.app.export_screenshot()
        await stage.press("2", gap=0)
        await stage.until(lambda: "J-1" in stage.app.state.details)
        await stage.until(lambda: "▸ J-1" in stage.shown())
        await stage.until(lambda: size[0] < 100 or "── history" in stage.shown())
        taken["jobs"] = stage.app.export_screenshot()
        await stage.press("enter", gap=0)
        await stage.until(lambda: "P-1" in stage.app.state.seen or bool(stage.app.state.seen))
        await stage.until(
            lambda: "sandbox_passed" in stage.shown() and "seen 0" not in stage.shown()
        )
        taken["review"] = stage.app.export_screenshot()
    for name, svg in taken.items():
        path = SNAPSHOTS / f"{name}_{size[0]}x{size[1]}.svg"
        if os.environ.get("SELFHEAL_SNAPSHOTS") == "update":
            path.parent.mkdir(exist_ok=True)
            path.write_text(svg + "\n")
        assert svg + "\n" == path.read_text(), f"{path.name} looks different now"
