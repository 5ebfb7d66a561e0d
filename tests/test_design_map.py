"""docs/design-map.md is true: every file, symbol and test it names is there."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_ROW = re.compile(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \| `(.+?)` \|$")
ROWS = [
    match.groups()
    for line in (ROOT / "docs" / "design-map.md").read_text().splitlines()
    if (match := _ROW.match(line))
]


def test_the_map_names_every_system() -> None:
    names = " ".join(row[2] for row in ROWS)
    systems = (
        "MetricsBuffer MLDetector ErrorClassifier SelfHealingService FounderApprovalEngine "
        "FounderControlConfig OrchestratorRouter AIPhillAgent CognitiveTwinAgent "
        "with_observability with_metrics"
    )
    assert [name for name in systems.split() if name not in names] == []


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_the_map_names_is_there(row: tuple[str, str, str, str]) -> None:
    _, file, symbol, test = row
    assert (ROOT / file).is_file()
    if file.endswith(".py"):
        found: object = importlib.import_module(file.removesuffix(".py").replace("/", "."))
        for part in symbol.split("."):
            found = getattr(found, part)
    else:
        assert re.search(
            rf"create table (if not exists )?{symbol}\b", (ROOT / file).read_text(), re.IGNORECASE
        )
    text = (ROOT / test).read_text()
    assert "def test_" in text
    assert mentions(text, file, symbol)


def mentions(text: str, file: str, symbol: str) -> bool:
    """The test speaks of the symbol itself, or imports the room it lives in."""
    if file.endswith(".sql"):
        return "migration_files" in text or Path(file).stem in text
    first, _, last = symbol.rpartition(".")
    room = file.rpartition("/")[0].replace("/", ".")
    return last in text or bool(first and first in text) or f"from {room}" in text
