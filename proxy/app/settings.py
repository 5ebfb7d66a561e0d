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
    """All settings in force. A password inside ``database.url`` is never shown."""
    loaded = load(file, sets=sets)
    why = reasons()
    rows = []
    for section, values in loaded.config.model_dump(mode="json", by_alias=True).items():
        for name, value in values.items():
            key = f"{section}.{name}"
            shown = (
                re.sub(r"//([^:@/]*):[^@]*@", r"//\1:***@", value)
                if key == "database.url"
                else value
            )
            rows.append(Setting(key, shown, loaded.origins.get(key, "default"), why.get(key, "")))
    return rows
