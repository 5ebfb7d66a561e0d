"""`selfheal migrate`, `member`, `db`: what an operator does by hand with the installer's
credential.
"""

import argparse
import json
import sys
from pathlib import Path

from proxy.app.install import install, installer_dsn, show_founder
from proxy.config import Config, load
from proxy.locations import DataDir, default_data_dir
from proxy.store.embedded import Cluster
from proxy.store.members import add_member, link_member, remove_member
from proxy.store.pool import connect


def settings_of(args: argparse.Namespace) -> tuple[Config, Path]:
    """Configuration and data directory of a command that has ``--config``, ``--database-url``,
    ``--data-dir``.
    """
    config = load(args.config, flags={"database.url": args.database_url}).config
    return config, (args.data_dir or default_data_dir()).resolve()


class EmbeddedServer:
    """Holds a share of the embedded server while a command works; with a DSN there is nothing to
    hold.
    """

    def __init__(self, config: Config, data_dir: Path) -> None:
        self._cluster = None if config.database.url else Cluster(data_dir)
        self._data_dir = data_dir

    def __enter__(self) -> None:
        if self._cluster is not None:
            self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._cluster.ensure_running()

    def __exit__(self, *_: object) -> None:
        if self._cluster is not None:
            self._cluster.detach()


async def migrate(args: argparse.Namespace) -> int:
    config, data_dir = settings_of(args)
    with EmbeddedServer(config, data_dir):
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        done = await install(config, data_dir, say=lambda line: _say(line + "\n"))
    if done.founder_token is not None:
        show_founder(done.founder_token, DataDir(data_dir), embedded=not config.database.url)
    result = {"applied": list(done.applied), "proxy_dsn": done.proxy_dsn}
    if args.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        _say(f"up to date; {len(done.applied)} migrations applied\n")
        sys.stdout.write(f"{done.proxy_dsn}\n")
    return 0


async def member_add(args: argparse.Namespace) -> int:
    config, data_dir = settings_of(args)
    with EmbeddedServer(config, data_dir):
        conn = await connect(installer_dsn(config, data_dir), schema=config.database.schema)
        try:
            token = await add_member(conn, args.name, args.role, args.identity)
        finally:
            await conn.close()
    _say("the token is shown only now:\n")
    shown = {"name": args.name, "role": args.role, "token": token}
    sys.stdout.write((json.dumps(shown) if args.json else token) + "\n")
    return 0


async def member_link(args: argparse.Namespace) -> int:
    """Whom the application's profiles know this member as."""
    config, data_dir = settings_of(args)
    with EmbeddedServer(config, data_dir):
        conn = await connect(installer_dsn(config, data_dir), schema=config.database.schema)
        try:
            state = await link_member(conn, args.name, args.identity)
        finally:
            await conn.close()
    shown = {"name": args.name, "identity": str(args.identity), "public.profiles": state}
    if args.json:
        sys.stdout.write(json.dumps(shown) + "\n")
    else:
        _say(f"{args.name} is {args.identity} there; public.profiles: {state}\n")
    return 0


async def member_remove(args: argparse.Namespace) -> int:
    """The right is gone at once, in sessions that are open, too."""
    config, data_dir = settings_of(args)
    with EmbeddedServer(config, data_dir):
        conn = await connect(installer_dsn(config, data_dir), schema=config.database.schema)
        try:
            await remove_member(conn, args.name)
        finally:
            await conn.close()
    if args.json:
        sys.stdout.write(json.dumps({"name": args.name, "removed": True}) + "\n")
    else:
        _say(f"{args.name} is removed: profile, login and token\n")
    return 0


def db_stop(args: argparse.Namespace) -> int:
    _, data_dir = settings_of(args)
    stopped = Cluster(data_dir).stop()
    _say("stopped\n" if stopped else "it was not running\n")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(text)
