"""The founder's rules in a file: looked at every few seconds, imported as a new version when they
changed.

A file that cannot be taken changes nothing: the version in force stays, and the log says why once.
"""

import asyncio
import logging
from pathlib import Path

import asyncpg

from proxy.api.deps import ApiDeps
from proxy.domain.approval import Actor
from proxy.errors import SelfHealError, Unavailable
from proxy.founder.control import import_file
from proxy.store.pool import acting

LOOK_S = 5.0
IMPORTER = Actor("control.toml", "proxy", "file", interactive=False)

_log = logging.getLogger("selfheal.control-file")
Stamp = tuple[int, int]


async def watch_control_file(deps: ApiDeps) -> None:
    """Run until cancelled; the database may be away as long as it likes."""
    done: Stamp | None = None
    while True:
        path, pool = deps.control_file, deps.pool_source()
        now = None if path is None else _stamp(path)
        if path is not None and pool is not None and now is not None and now != done:
            done = now if await _import(path, pool) else done
        await asyncio.sleep(LOOK_S)


async def _import(path: Path, pool: asyncpg.Pool) -> bool:
    """False when the database was away and the same file must be tried again."""
    try:
        async with acting(pool, IMPORTER) as conn:
            version = await import_file(conn, path)
    except Unavailable:
        return False
    except SelfHealError as error:
        _log.error("the rules in %s are not in force: %s", path.name, error)
        return True
    if version is not None:
        _log.info("rules imported from %s as version %d", path.name, version)
    return True


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
