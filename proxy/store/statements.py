"""Named SQL: ``sql/queries/<family>.sql`` read once, cut at ``-- name:`` lines. Knows no table."""

import re
from functools import cache

from proxy.data_files import data_path

_NAME = re.compile(r"^-- name: ([a-z_0-9]+)\s*$", re.MULTILINE)


@cache
def family(name: str) -> dict[str, str]:
    """Every statement of ``sql/queries/<name>.sql`` by its name."""
    parts = _NAME.split(data_path("sql", "queries", f"{name}.sql").read_text("utf-8"))
    return {
        key: text.strip().rstrip(";") for key, text in zip(parts[1::2], parts[2::2], strict=True)
    }


@cache
def sql(reference: str) -> str:
    """``jobs.get`` → the text of statement ``get`` in ``jobs.sql``. ``KeyError`` names a missing
    one.
    """
    file, _, name = reference.partition(".")
    return family(file)[name]
