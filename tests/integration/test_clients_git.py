"""git over HTTP, smart and dumb: what is cloned and pushed through the proxy is the same commit."""

import os
import random
from pathlib import Path

import pytest

from tests.support.campaign import amount
from tests.support.client_app import GIT_BACKEND
from tests.support.clients import Ways, done, program

PARTS = amount(10, 100)
PART_BYTES = 30_000
SMALL_POST_BUFFER = "65536"
"""Bytes above which git sends a push in chunks instead of with a length."""


def environ(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@shop.example",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@shop.example",
        "NO_PROXY": "*",
    }


class Git:
    def __init__(self, home: Path) -> None:
        self._program = program("git", "git")
        self._home = home
        self._environ = environ(home)

    def __call__(self, *words: str, at: Path | None = None) -> str:
        return done((self._program, *words), at or self._home, self._environ)


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return Git(tmp_path)


@pytest.fixture
def shop(ways: Ways, git: Git, tmp_path: Path) -> Path:
    """A bare repository that takes pushes, with a history that no buffer holds whole."""
    work, bare = tmp_path / "work", ways.app.files / f"{tmp_path.name}.git"
    git("init", "-q", "-b", "main", str(work))
    grow(work, seed=1)
    git("add", ".", at=work)
    git("commit", "-q", "-m", "Parts", at=work)
    git("clone", "-q", "--bare", str(work), str(bare))
    git("config", "http.receivepack", "true", at=bare)
    git("update-server-info", at=bare)
    return bare


def grow(work: Path, seed: int) -> None:
    dice = random.Random(seed)
    for number in range(PARTS):
        (work / f"part-{seed}-{number}").write_bytes(dice.randbytes(PART_BYTES))


def test_clone_and_push_through_the_proxy(ways: Ways, git: Git, shop: Path, tmp_path: Path) -> None:
    assert GIT_BACKEND.exists()
    for kind in ("git", "files"):
        heads = []
        for name, base in (("direct", ways.direct), ("through", ways.through)):
            clone = tmp_path / f"{kind}-{name}"
            git("clone", "-q", f"{base}/{kind}/{shop.name}", str(clone))
            heads.append(git("rev-parse", "HEAD^{tree}", "HEAD", at=clone))
        assert heads[0] == heads[1]
    clone = tmp_path / "git-through"
    for turn, buffer in enumerate(("100000000", SMALL_POST_BUFFER)):
        grow(clone, seed=2 + turn)
        git("add", ".", at=clone)
        git("commit", "-q", "-m", f"More parts {turn}", at=clone)
        git("-c", f"http.postBuffer={buffer}", "push", "-q", "origin", "main", at=clone)
        assert git("rev-parse", "main", at=shop) == git("rev-parse", "HEAD", at=clone)
    git("fsck", "--full", "--strict", at=shop)
    git("pull", "-q", at=tmp_path / "git-direct")
    assert git("rev-parse", "HEAD", at=tmp_path / "git-direct") == git(
        "rev-parse", "HEAD", at=clone
    )
