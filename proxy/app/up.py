"""`selfheal up`: read the settings, hand over to the supervisor.

The first data worker is launched before the settings are even read, so that its imports run
beside ours.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.app.children import Child, abandon, first_worker

if TYPE_CHECKING:
    import argparse

    from proxy.app.supervisor import Supervisor
    from proxy.config import Loaded

PROG = "selfheal up"


def add_arguments(parser: "argparse.ArgumentParser") -> None:
    parser.add_argument("--upstream", metavar="URL", help="your app: http://host:port")
    parser.add_argument("--listen", metavar="HOST:PORT", help="data port (127.0.0.1:8080)")
    parser.add_argument("--control", metavar="HOST:PORT", help="control port (127.0.0.1:9900)")
    parser.add_argument("--data-dir", metavar="DIR", type=Path, help="where everything is kept")
    parser.add_argument(
        "--database-url", metavar="DSN", help="your PostgreSQL, not the embedded one"
    )
    parser.add_argument("--workers", metavar="N", help="data workers (1)")
    parser.add_argument(
        "--service", metavar="NAME", help="the name everything stored carries (app)"
    )
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="settings, as config/proxy.toml"
    )
    parser.add_argument("--repo", metavar="DIR", help="the app's git checkout")
    parser.add_argument(
        "--set", metavar="SECTION.KEY=VALUE", action="append", default=[], dest="sets"
    )
    parser.add_argument(
        "--takeover", action="store_true", help="share the ports with a running sidecar (upgrade)"
    )


def load_settings(args: "argparse.Namespace") -> "Loaded":
    """Defaults < file < environment < flags. Raises ``ConfigError``."""
    from proxy.config import load

    return load(
        args.config,
        sets=args.sets,
        flags={
            "upstream.url": args.upstream,
            "listen.data": args.listen,
            "listen.control": args.control,
            "listen.workers": args.workers,
            "database.url": args.database_url,
            "app.service": args.service,
            "repo.path": args.repo,
        },
    )


def main(argv: Sequence[str]) -> int:
    # Before even the words are read: a wrong one costs a process that ends unused.
    first = first_worker()
    handed_over = False
    try:
        import argparse

        parser = argparse.ArgumentParser(prog=PROG, description="The sidecar in front of your app.")
        add_arguments(parser)
        args = parser.parse_args(argv)
        handed_over = True
    finally:
        if not handed_over:
            abandon(first)
    return run(args, first)


def run(args: "argparse.Namespace", first: Child | None = None) -> int:
    """Read the settings and supervise; expected errors are one sentence and their exit code."""
    import asyncio

    from proxy.errors import SelfHealError

    supervisor = None
    try:
        supervisor = _prepare(args, first)
        return asyncio.run(supervisor.run())
    except SelfHealError as error:
        sys.stderr.write(f"selfheal up: {error}\n")
        return error.exit_code
    finally:
        if supervisor is None and first is not None:
            abandon(first)


def _prepare(args: "argparse.Namespace", first: Child | None) -> "Supervisor":
    from proxy.app.supervisor import Supervisor
    from proxy.errors import UsageError
    from proxy.locations import default_data_dir
    from proxy.log import setup

    loaded = load_settings(args)
    setup(loaded.config.log.level, "up")
    if not loaded.config.upstream.url:
        raise UsageError("--upstream is missing: say where your app listens, http://host:port")
    check_upstream(loaded.config.upstream.url)
    check_repo(loaded.config.repo.path, loaded.config.repo.main)
    check_machine()
    return Supervisor(
        loaded,
        (args.data_dir or default_data_dir()).resolve(),
        reload=lambda: load_settings(args),
        takeover=args.takeover,
        first=first,
    )


def check_upstream(url: str) -> None:
    """A host that does not resolve is a typing error; an app that does not listen yet only gets a
    warning.
    """
    import logging
    import socket
    from urllib.parse import urlsplit

    from proxy.config import unix_path
    from proxy.errors import ConfigError

    if unix_path(url):
        return
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(
            f"--upstream {url}: the host {parts.hostname} cannot be resolved ({error.strerror});"
            " check its spelling or use an address"
        ) from None
    family, kind, proto, _, sockaddr = addresses[0]
    with socket.socket(family, kind, proto) as probe:
        probe.settimeout(0.2)
        try:
            probe.connect(sockaddr)
        except OSError:
            logging.getLogger("selfheal.up").warning(
                "nothing listens at %s yet: requests get 502 until your app does", url
            )


def check_repo(path: str, main_branch: str) -> None:
    """A wrong ``--repo`` would only show at the first patch; say it now."""
    import shutil
    import subprocess

    from proxy.errors import ConfigError

    if not path:
        return
    if shutil.which("git") is None:
        raise ConfigError("--repo: git is not installed; patches need it")
    # rev-parse reads refs only: no filter, hook or fsmonitor of the app's own configuration runs.
    done = subprocess.run(
        [
            "git",
            "-c",
            "safe.directory=*",
            "-C",
            path,
            "rev-parse",
            "--verify",
            "--quiet",
            main_branch,
        ],
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise ConfigError(
            f"--repo {path}: no git checkout with a branch {main_branch!r};"
            " name the checkout's top folder, and its branch by --set repo.main=NAME"
        )


def check_machine() -> None:
    """Without the C parsers and uvloop we do not start."""
    from proxy.app.fitness import unfit
    from proxy.errors import ConfigError

    if (reason := unfit()) is not None:
        raise ConfigError(reason)
