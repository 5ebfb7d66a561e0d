"""Every setting with its value, where the value came from, and why the default is what it is.

The reasons are the comments of ``config/proxy.toml``: one list, read by people and by this.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from proxy.config import load
from proxy.data_files import data_path

_LINE = re.compile(r"^(\w+) = (?:\"[^\"]*\"|\[[^\]]*\]|\S+)\s+# (.+)$")

_DSNS = frozenset({"database.url", "repo.database_url"})
_PASSWORDS = (
    (re.compile(r"//([^:@/]*):.*@"), r"//\1:***@"),
    (re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE), r"\1***"),
)
"""Both forms libpq takes: a URL, and ``key=value`` words (also as a URL's query)."""


class Setting(NamedTuple):
    key: str
    value: Any
    origin: str
    reason: str


def reasons() -> dict[str, str]:
    """``section.key`` → the comment beside its default."""
    section, found = "", {}
    for line in data_path("config", "proxy.toml").read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[] ")
        elif match := _LINE.match(line):
            found[f"{section}.{match[1]}"] = match[2]
    return found


def describe(file: Path | None = None, sets: Sequence[str] = ()) -> list[Setting]:
    """All settings in force. A password inside a database's DSN is never shown."""
    loaded = load(file, sets=sets)
    why = reasons()
    rows = []
    for section, values in loaded.config.dump().items():
        for name, value in values.items():
            key = f"{section}.{name}"
            shown = _without_password(value) if key in _DSNS else value
            rows.append(Setting(key, shown, loaded.origins.get(key, "default"), why.get(key, "")))
    return rows


def _without_password(dsn: str) -> str:
    for pattern, shown in _PASSWORDS:
        dsn = pattern.sub(shown, dsn)
    return dsn
