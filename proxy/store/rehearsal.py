"""A throw-away copy of the app's template database, with a login that lives as long as the copy.

The sidecar's own database and credential have no part in this: it works with the login the founder
named for it. Names are made here, quoted by Postgres, and gone afterwards.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, quote, unquote, urlsplit

import asyncpg

from proxy.errors import Unavailable
from proxy.store.dsn import with_database
from proxy.store.faults import translated
from proxy.store.statements import sql

PREFIX = "sh_rehearsal_"
CONNECT_TIMEOUT_S = 10.0
COPY_TIMEOUT_S = 120.0


@contextlib.asynccontextmanager
async def database_copy(
    template_dsn: str, role: str, socket_dir: str
) -> AsyncIterator[tuple[str, str]]:
    """``(dsn, folder)``: a copy of the DSN's database for a fresh login with the rights of
    ``role``, and the socket folder to show as ``socket_dir``, which the DSN names.

    ``Unavailable`` says why there is none: no unix socket, somebody is connected to the template,
    or the login may not create databases and roles.
    """
    folder, port = _socket(template_dsn)
    template = unquote(urlsplit(template_dsn).path.lstrip("/"))
    name, password = PREFIX + secrets.token_hex(8), secrets.token_urlsafe(24)
    maker = await _connect(with_database(template_dsn, "postgres"))
    try:
        await _make(maker, name, password, template, role)
        yield (
            f"postgresql://{name}:{password}@/{name}?host={quote(socket_dir, safe='')}&port={port}",
            folder,
        )
    finally:
        try:
            for statement in ("drop_copy", "drop_role"):
                await _run(maker, statement, name)
        finally:
            await maker.close()


async def _make(
    maker: asyncpg.Connection, name: str, password: str, template: str, role: str
) -> None:
    try:
        await _run(maker, "make_role", name, password)
        if role:
            await _run(maker, "lend_rights", role, name)
        await _run(maker, "make_copy", name, template)
        await _run(maker, "close_copy", name)
        await _run(maker, "open_copy", name, name)
    except asyncpg.ObjectInUseError:
        raise Unavailable(
            f"somebody is connected to {template!r}; repo.database_url names a template of its own"
        ) from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise Unavailable(
            f"the login of repo.database_url may not make a copy: {error}; it needs CREATEDB and "
            f"CREATEROLE, and ADMIN OPTION on repo.database_role"
        ) from None
    except asyncpg.PostgresError as error:
        raise Unavailable(f"no copy of {template!r} could be made: {error}") from None


async def _run(maker: asyncpg.Connection, statement: str, *names: str) -> None:
    text = await maker.fetchval(sql(f"rehearsal.{statement}"), *names)
    await maker.execute(text, timeout=COPY_TIMEOUT_S)


async def _connect(dsn: str) -> asyncpg.Connection:
    with translated():
        return await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)


def _socket(dsn: str) -> tuple[str, int]:
    parts = urlsplit(dsn)
    options = parse_qs(parts.query)
    host = unquote((options.get("host") or [parts.hostname or ""])[0])
    if not host.startswith("/"):
        raise Unavailable(
            "the jail has no network: repo.database_url must name a unix socket "
            "(postgresql://login:password@/template?host=/folder)"
        )
    return host, int((options.get("port") or [str(parts.port or 5432)])[0])
