"""Three patches that only a proof can tell apart:

each applies, each passes the shop's own tests.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proxy.demo.git import git
from proxy.demo.patches import BROKEN_ROUTE, PROPOSALS, Kind, make_diffs
from proxy.demo.repository import make_repo

_ASK = f"""
import asyncio, json
from aiohttp.test_utils import TestClient, TestServer
from app import build_app

async def main():
    async with TestClient(TestServer(build_app())) as client:
        answer = await client.get({BROKEN_ROUTE!r})
        print(json.dumps([answer.status, await answer.json()]))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("patches") / "repo"
    make_repo(path)
    return path


def _python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def _answer(folder: Path) -> tuple[int, dict[str, Any]]:
    done = _python(folder, "-c", _ASK)
    assert done.returncode == 0, done.stderr
    status, body = json.loads(done.stdout)
    return status, body


def _patched(repo: Path, folder: Path, kind: Kind) -> Path:
    diff = next(diff for proposal, diff in make_diffs(repo) if proposal.kind == kind)
    clone = folder / kind
    git(folder, "clone", "-q", str(repo), str(clone))
    (folder / "p.diff").write_text(diff, "utf-8")
    git(clone, "apply", "--index", str(folder / "p.diff"))
    return clone


def test_making_them_leaves_the_checkout_alone(repo: Path) -> None:
    kinds = [proposal.kind for proposal, _ in make_diffs(repo)]
    assert sorted(kinds) == ["noop", "right", "wrong"]
    assert len(kinds) == len(PROPOSALS)
    assert git(repo, "status", "--porcelain") == ""


@pytest.mark.parametrize("kind", ["right", "wrong", "noop"])
def test_tests_alone_cannot_tell_them_apart(repo: Path, tmp_path: Path, kind: Kind) -> None:
    done = _python(_patched(repo, tmp_path, kind), "-m", "unittest", "-q")
    assert done.returncode == 0, done.stderr


def test_only_the_right_one_makes_the_request_work(repo: Path, tmp_path: Path) -> None:
    before = _answer(repo)
    assert (before[0], before[1]["error"]) == (500, "ValidationError")
    right = _answer(_patched(repo, tmp_path, "right"))
    assert (right[0], right[1]["shipping_cents"]) == (200, 0)
    wrong = _answer(_patched(repo, tmp_path, "wrong"))
    assert (wrong[0], wrong[1]["error"]) == (500, "TypeError")
    noop = _answer(_patched(repo, tmp_path, "noop"))
    assert (noop[0], noop[1]["message"]) == (500, before[1]["message"])
