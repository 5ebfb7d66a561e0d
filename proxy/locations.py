"""Where a sidecar keeps what belongs to it: the data directory and the few files others look for
in it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


def default_data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """``SELFHEAL_DATA_DIR``, else ``$XDG_DATA_HOME/selfheal``, else ``~/.local/share/selfheal``."""
    env = os.environ if environ is None else environ
    if explicit := env.get("SELFHEAL_DATA_DIR"):
        return Path(explicit)
    base = env.get("XDG_DATA_HOME") or os.path.join(env.get("HOME") or "/", ".local", "share")
    return Path(base) / "selfheal"


@dataclass(frozen=True, slots=True)
class DataDir:
    """Names inside a data directory; nothing here touches the disk."""

    path: Path

    @property
    def control_url(self) -> Path:
        """One line, the control API's address; there while a sidecar runs."""
        return self.path / "control.url"

    @property
    def data_url(self) -> Path:
        return self.path / "data.url"

    @property
    def founder_token(self) -> Path:
        """The founder's copy (0600). The sidecar writes it once and never reads it."""
        return self.path / "founder.token"

    @property
    def pid_file(self) -> Path:
        return self.path / "supervisor.pid"

    @property
    def takeover(self) -> Path:
        """One line, where the running sidecar gives its listening sockets away."""
        return self.path / "takeover.path"

    @property
    def lock_file(self) -> Path:
        return self.path / "supervisor.lock"

    @property
    def logins(self) -> Path:
        """The sidecar's own database login (0600), written by ``migrate``."""
        return self.path / "logins.json"

    @property
    def spool(self) -> Path:
        """Rows waiting on disk while the database is away."""
        return self.path / "spool"
