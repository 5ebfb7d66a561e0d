"""The plain commands and the contract never load Textual; registering commands loads no client
either."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REGISTER = (
    "import argparse, console.cli as c; c.register(argparse.ArgumentParser().add_subparsers())"
)


@pytest.mark.parametrize(
    ("code", "never"),
    [
        ("import proxy.contract.jobs, proxy.contract.events", "textual rich aiohttp"),
        (REGISTER, "textual rich aiohttp pydantic asyncpg asyncio dataclasses tempfile"),
        ("import console.reading, console.doing, console.alerts", "textual rich aiohttp"),
        ("import console.state, console.keys", "textual rich"),
    ],
)
def test_never_loads(code: str, never: str) -> None:
    check = f"{code}\nimport sys\nprint([m for m in {never.split()!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
