"""Bring a database to this version and make the logins: the only code that holds the installer's
credential.

Runs in short-lived processes (`selfheal migrate`, `selfheal member`, and the child `up` starts),
never in the sidecar.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proxy.config import Config
from proxy.errors import Invalid, NotPermitted, Unavailable
from proxy.locations import DataDir
from proxy.store.authority import advice, only_founder
from proxy.store.dsn import LOGIN_PROXY
from proxy.store.embedded import Cluster
from proxy.store.members import add_member
from proxy.store.migrate import migrate
from proxy.store.pool import connect

FOUNDER = "founder"


@dataclass(frozen=True, slots=True)
class Installed:
    """``proxy_dsn`` carries the sidecar's own login; ``founder_token`` only where a founder was
    made just now.
    """

    proxy_dsn: str
    applied: tuple[str, ...] = ()
    founder_token: str | None = None


def installer_dsn(config: Config, data_dir: Path) -> str:
    """The configured DSN, else the embedded server's superuser. ``SelfHealError`` when there is
    none yet.
    """
    return config.database.url or Cluster(data_dir).installer_dsn()


async def install(
    config: Config, data_dir: Path, *, say: Callable[[str], None] = lambda _line: None
) -> Installed:
    """Migrate, set the sidecar's login, make the first founder. Safe to repeat and to run twice
    at once.
    """
    dsn = installer_dsn(config, data_dir)
    if LOGIN_PROXY in dsn.partition("@")[0]:
        # The operator migrated with another credential and gave us the sidecar's own: nothing to
        # install.
        return Installed(dsn)
    files = DataDir(data_dir)
    try:
        result = await migrate(
            dsn,
            schema=config.database.schema,
            on_log=say,
            proxy_secret=_read_secret(files.logins),
            switches={"auto_approve_sandbox": config.founder.auto_approve_sandbox},
        )
    except NotPermitted as error:
        raise NotPermitted(
            f"the database login may not install Self-Heal: {error}; run"
            " `selfheal migrate --database-url DSN` once with a login that may create roles and"
            " schemas, and give `up` the DSN it prints"
        ) from None
    except Unavailable as error:
        if not config.database.url:
            raise
        raise Unavailable(
            f"--database-url: {error}; check host, port and database name, and that the server runs"
        ) from None
    write_private(files.logins, json.dumps({"proxy_secret": result.proxy_secret}))
    if (told := advice(result.app_profiles, result.prefix)) is not None:
        say(told)
    token = None
    if result.needs_founder:
        try:
            token = await _make_founder(config, dsn, files)
        except Invalid as error:
            # Traffic flows and is measured without a founder; nothing can be decided.
            say(str(error))
    return Installed(result.proxy_dsn, result.applied, token)


async def _make_founder(config: Config, dsn: str, files: DataDir) -> str:
    conn = await connect(dsn, schema=config.database.schema)
    try:
        token = await add_member(conn, FOUNDER, "founder", await only_founder(conn))
    finally:
        await conn.close()
    if not config.database.url:
        write_private(files.founder_token, token)
    return token


def show_founder(token: str, files: DataDir, *, embedded: bool) -> None:
    """The one time the token is shown."""
    kept = f" (kept for you in {files.founder_token})" if embedded else "; it is shown only now"
    sys.stderr.write(f"founder's token: {token}{kept}\n")


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, readable by its owner only."""
    part = path.with_name(path.name + ".new")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    part.replace(path)


def _read_secret(path: Path) -> str | None:
    try:
        secret = json.loads(path.read_text("utf-8"))["proxy_secret"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(secret)
