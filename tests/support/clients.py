"""A real client's program, and the two ways it may take to the app: directly, and through us."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.campaign import IS_WHOLE
from tests.support.client_app import ClientApp

PROGRAM_TIMEOUT_S = 60.0


@dataclass
class Ways:
    app: ClientApp
    direct: str
    through: str
    """Base URLs, ``http://127.0.0.1:port``."""


def program(name: str, package: str) -> str:
    """Where ``name`` is. A sample goes on without a foreign program; the whole demands it."""
    found = shutil.which(name)
    if found is None:
        words = f"{name} is not installed: sudo apt-get install {package}"
        if IS_WHOLE:
            pytest.fail(words)
        pytest.skip(words)
    return found


def run(
    *words: str, cwd: Path | None = None, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        words,
        cwd=cwd,
        env=environ,
        capture_output=True,
        timeout=PROGRAM_TIMEOUT_S,
        check=False,
    )


def done(words: Sequence[str], cwd: Path, environ: dict[str, str]) -> str:
    """What a program that must succeed said on stdout."""
    ended = run(*words, cwd=cwd, environ=environ)
    assert ended.returncode == 0, (words, ended.stdout, ended.stderr)
    return ended.stdout.decode().strip()
