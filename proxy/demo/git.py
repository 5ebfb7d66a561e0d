"""Git for the demo's own repositories: no configuration of this machine, no prompt, no hook."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from proxy.errors import SelfHealError

_OPTIONS = ("-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false", "-c", "safe.directory=*")
_TIMEOUT_S = 60


def git(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """Run one git command in ``folder``;

    its output without the last newline. ``SelfHealError`` with git's words.
    """
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": "/nonexistent",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        **(env or {}),
    }
    try:
        done = subprocess.run(
            ["git", *_OPTIONS, *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise SelfHealError(
            "the demo needs git; install it (Debian: apt-get install git)"
        ) from None
    if done.returncode != 0:
        raise SelfHealError(f"git {words[0]} failed: {done.stderr.strip()[-400:]}")
    return done.stdout.rstrip("\n")
