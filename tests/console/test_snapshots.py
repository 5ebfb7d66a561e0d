"""What Health, Jobs, Review and Alerts look like, as SVG, on a frozen clock.
`SELFHEAL_SNAPSHOTS=update` takes new ones, each when the screen has stood still for a second."""

import difflib
import html
import os
import re
from pathlib import Path

import pytest

from tests.support import console_facts as facts
from tests.support.console_pilot import Stage, on_stage
from tests.support.console_server import ConsoleServer, proven

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = os.environ.get("SELFHEAL_SNAPSHOTS") == "update"
STILL = 20
"""Looks, a twentieth of a second apart, that agree before a new snapshot is believed."""


def words(svg: str) -> list[str]:
    """The text of a picture, a line each, for an error a person can read."""
    rows = re.findall(r"<text[^>]*>(.*?)</text>", svg, re.DOTALL)
    return [html.unescape(row).replace("\xa0", " ") for row in rows]


async def settled(stage: Stage) -> str:
    """A picture that no longer changes."""
    seen, same = "", 0
    while same < STILL:
        now = stage.app.export_screenshot()
        same = same + 1 if now == seen else 0
        seen = now
        await stage.pilot.pause(0.05)
    return seen


async def looks_like(stage: Stage, name: str) -> None:
    """The screen comes to look like its snapshot. Answers arrive one by one, so a picture taken at
    a given moment may lack the last of them: what is judged is where the screen comes to rest."""
    width, height = stage.app.size
    path = SNAPSHOTS / f"{name}_{width}x{height}.svg"
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(await settled(stage) + "\n")
    wanted = path.read_text()
    try:
        await stage.until(lambda: stage.app.export_screenshot() + "\n" == wanted)
    except TimeoutError:
        now = stage.app.export_screenshot()
        change = list(difflib.unified_diff(words(wanted), words(now), "kept", "seen", lineterm=""))
        pytest.fail(f"{path.name} looks different now: {change or 'colours alone'}")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_screens(
    server: ConsoleServer, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    server.patches["P-1"] = proven(facts.patch(1))
    server.items = {"A-9": facts.approval(9, "campaign", risk="high")}
    async with on_stage(server, size=size) as stage:
        await looks_like(stage, "health")
        await stage.press("2", gap=0)
        await looks_like(stage, "jobs")
        await stage.press("enter", gap=0)
        await looks_like(stage, "review")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_what_must_be_seen(
    server: ConsoleServer, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    server.alerts = [
        facts.alert("break_glass", "P-1", summary="P-1 went past gate main without a proof"),
        facts.alert(subject="J-2", summary="DB_ERROR GET /orders/{id}"),
        facts.alert("expiring", "A-9", severity="high", summary="campaign: spring sale",
                    expires_at=facts.NOW),
    ]  # fmt: skip
    async with on_stage(server, size=size) as stage:
        await looks_like(stage, "health_alerts")
        await stage.press("8", gap=0)
        await looks_like(stage, "alerts")
