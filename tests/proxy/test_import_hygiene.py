"""What is imported before it is needed costs every start: a data worker forwards, and a command
answers, before anything heavy is loaded.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("aiohttp", "asyncpg", "brotli", "cryptography", "pydantic", "rich", "textual")
ROOMS = ("proxy.api", "proxy.healing", "proxy.ingest", "proxy.agents", "proxy.founder")


def run(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def loaded_by(code: str) -> set[str]:
    return run("-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")


def test_the_first_byte_needs_nothing_heavy_and_no_other_room() -> None:
    assert not run("-m", "tests.support.first_byte") & {*HEAVY, *ROOMS}


@pytest.mark.parametrize(
    "code",
    [
        "import proxy.app.supervisor, proxy.app.up",
        "from proxy.config import load; load(None, environ={}, sets=['listen.workers=2'])",
        "import proxy.cli; proxy.cli.build_parser()",
        "import proxy.observability.detect",
        "import proxy.app.settings",
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert not loaded_by(code) & set(HEAVY)


@pytest.mark.parametrize("words", [["--version"], ["jobs", "--data-dir", "/no/such"]])
def test_a_command_that_waits_for_nothing_loads_no_event_loop(words: list[str]) -> None:
    code = f"""
import contextlib, io, proxy.cli
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    proxy.cli.main({words})
"""
    assert not loaded_by(code) & {*HEAVY, "asyncio"}


def test_the_first_worker_is_launched_before_the_supervisor_imports_anything() -> None:
    code = """
import json, sys
import proxy.__main__, proxy.app.children

def launch(child):
    print(json.dumps(sorted(sys.modules)))
    sys.exit(0)

proxy.app.children.Child.launch = launch
sys.argv = ["selfheal", "up"]
proxy.__main__.main()
"""
    assert not run("-c", code) & {"argparse", "asyncio", "logging", "proxy.config"}
