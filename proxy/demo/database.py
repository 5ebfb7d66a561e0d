"""The shop's own database, in the same server as the sidecar's, with a login that may only do what
a shop may.

Runs once, with the installer's login; the shop is given its own. The shop's tables are the shop's
business: ``schema.sql`` of its repository is run as it is.
"""

import secrets
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from proxy.errors import Unavailable

NAME = "demo"
LOGIN = "shop"
_SQL = Path(__file__).resolve().parent / "sql"
_TIMEOUT_S = 60


async def make_database(installer_dsn: str, schema: Path) -> str:
    """Create role and database, run ``schema``;

    the shop's DSN. ``Unavailable`` with Postgres' words.
    """
    password = secrets.token_urlsafe(24)
    try:
        await _run(installer_dsn, "role.sql", "database.sql", password=password)
        owner_dsn = _with(installer_dsn, path=f"/{NAME}")
        await _run(owner_dsn, "grants.sql", schema)
    except (asyncpg.PostgresError, OSError) as error:
        raise Unavailable(f"the shop's database could not be made: {error}") from None
    return _with(owner_dsn, login=f"{LOGIN}:{quote(password, safe='')}")


async def _run(dsn: str, *scripts: str | Path, password: str = "") -> None:
    settings = {"demo.password": password} if password else {}
    connection = await asyncpg.connect(dsn, server_settings=settings, timeout=_TIMEOUT_S)
    try:
        for script in scripts:
            text = (_SQL / script).read_text("utf-8")
            await connection.execute(text, timeout=_TIMEOUT_S)
    finally:
        await connection.close(timeout=_TIMEOUT_S)


def _with(dsn: str, *, path: str | None = None, login: str | None = None) -> str:
    parts = urlsplit(dsn)
    old_login, at, host = parts.netloc.rpartition("@")
    netloc = f"{login or old_login}@{host}" if at or login else host
    return urlunsplit(parts._replace(netloc=netloc, path=path or parts.path))
