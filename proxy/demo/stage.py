"""Everything the story needs around it: folder, repository, shop, sidecar, database, visitors; and
its end.

``Stage`` is an async context manager. Whatever happens inside, on leaving every child is ended by
its id; without ``--data-dir`` nothing is left on disk.
"""

import asyncio
import json
import logging
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from proxy.demo.app_host import AppHost
from proxy.demo.database import make_database
from proxy.demo.git import git
from proxy.demo.repository import make_repo
from proxy.demo.sidecar import Sidecar
from proxy.demo.traffic import Traffic
from proxy.errors import SelfHealError, UsageError
from proxy.store.embedded import Cluster
from proxy.tasks import cancel, spawn

RESTART_SIGNAL = signal.SIGUSR1
VERIFY_S = 6.0
"""Silence under traffic before a job counts as resolved: the default minute, in demo time."""
_DRAIN_S = 2.0
_MARKER = "made-by-demo"

Say = Callable[[str], None]


class Stage:
    """``repo``, ``host``, ``sidecar`` and ``traffic`` are there once ``set_up`` returned."""

    def __init__(self, data_dir: Path | None, say: Say) -> None:
        self._kept, self._say = data_dir is not None, say
        self.data_dir = _kept_folder(data_dir) if data_dir else _temporary_folder()
        self.repo = self.data_dir / "repo"
        self.host = AppHost(self.repo, self.data_dir / "shop.log")
        self.sidecar = Sidecar(self.data_dir)
        self.traffic: Traffic | None = None
        self._restart: asyncio.Task[None] | None = None
        self._cluster = Cluster(self.data_dir)
        # a terminal belongs to the console, so what this process logs goes to a file
        self._log = logging.FileHandler(self.data_dir / "demo.log", delay=True)
        logging.getLogger("selfheal").addHandler(self._log)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        keep_server = self._kept and error is None
        steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("traffic", self._stop_traffic),
            # our share keeps the server up for a look; it ends with `selfheal db stop`
            *([("database", self._hold_database)] if keep_server else []),
            ("sidecar", self.sidecar.stop),
            ("shop", self._stop_shop),
            *([] if keep_server else [("database", self._stop_database)]),
            *([] if self._kept else [("folder", self._remove)]),
        ]
        for name, step in steps:
            # whatever one step meets, the others are done
            try:
                await step()
            except (SelfHealError, OSError) as trouble:
                self._say(f"Cleaning up, {name}: {trouble}")
        logging.getLogger("selfheal").removeHandler(self._log)
        self._log.close()

    async def set_up(self) -> None:
        """The whole stage, in the order a person would do it by hand."""
        commits = await asyncio.to_thread(make_repo, self.repo)
        self._say(f"The shop lies in {self.repo}, a git repository of {len(commits)} commits.")
        await asyncio.to_thread(self._forget_older_cluster)
        config = self._write_config()
        await self.sidecar.start(self.host.url, config, self.repo)
        self._say(
            f"The sidecar stands in front of it: visitors use {self.sidecar.data_url}, "
            f"you use {self.sidecar.control_url}."
        )
        await self.sidecar.wait_for_database()
        (self._cluster.home / _MARKER).touch()
        url = await make_database(self._cluster.installer_dsn(), self.repo / "schema.sql")
        await self.host.start(SHOP_DATABASE_URL=url)
        self._say("PostgreSQL is up; the shop has a database of its own in it, and is open.")
        self.traffic = Traffic(self.sidecar.data_url)
        await self.traffic.start()
        self._say("The first visitors come in, about twenty requests a second.")

    @property
    def database_url(self) -> str:
        return self._cluster.installer_dsn()

    def main_commit(self) -> str:
        return git(self.repo, "rev-parse", "main")

    def restart_shop(self) -> None:
        """What ``repo.after_apply`` asks for, by signal."""
        self._restart = spawn(self.host.restart(), name="shop restart")

    def _write_config(self) -> Path:
        """The few settings a founder would make for this app."""
        python = shlex.quote(sys.executable)
        poke = f"import os, signal; os.kill({os.getpid()}, signal.{RESTART_SIGNAL.name})"
        settings: dict[str, dict[str, str | float]] = {
            "app": {"service": "demo", "environment": "demo"},
            "downstream": {"drain_s": _DRAIN_S},
            "repo": {
                "test": f"{python} -m unittest -q",
                "start": f"{python} app.py --port {{port}}",
                "after_apply": f"{python} -c {shlex.quote(poke)}",
                "verify_s": VERIFY_S,
            },
        }
        lines: list[str] = []
        for section, values in settings.items():
            # a JSON string or number is TOML as well
            pairs = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
            lines += [f"[{section}]", *pairs, ""]
        config = self.data_dir / "demo.toml"
        config.write_text("\n".join(lines), "utf-8")
        return config

    def _forget_older_cluster(self) -> None:
        """As root the cluster lies elsewhere, by the folder's name: of a folder deleted and now
        used again it would still be there. Only a demo's own is removed.
        """
        if not self._cluster.data.is_dir():
            return
        if not (self._cluster.home / _MARKER).exists():
            raise UsageError(
                f"{self._cluster.home} holds the database of another {self.data_dir};"
                " choose another --data-dir"
            )
        self._cluster.stop()
        shutil.rmtree(self._cluster.home)

    async def _stop_traffic(self) -> None:
        if self.traffic:
            await self.traffic.stop()

    async def _stop_shop(self) -> None:
        await cancel(self._restart)
        await self.host.stop()

    async def _hold_database(self) -> None:
        await asyncio.to_thread(self._cluster.ensure_running)

    async def _stop_database(self) -> None:
        await asyncio.to_thread(self._cluster.stop)

    async def _remove(self) -> None:
        """The folder, and the cluster where it lies elsewhere, as it does for root."""
        for folder in {self._cluster.home, self._cluster.socket_dir, self.data_dir}:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="selfheal-demo-")).resolve()


def _kept_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(path.iterdir()):
            raise UsageError(f"--data-dir {path}: not empty; the demo wants a folder of its own")
    except OSError as error:
        raise UsageError(f"--data-dir {path}: cannot be used: {error.strerror}") from None
    return path.resolve()
