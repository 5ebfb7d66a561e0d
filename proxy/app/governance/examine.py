"""`selfheal doctor --governance`: attack a scratch installation, then compare it with the live one.

The live installation is only read. Needs the installer's credential, no running sidecar.
"""

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from proxy.app.governance.api_way import attack_by_api
from proxy.app.governance.report import Attempt, Report, differences
from proxy.app.governance.sql_way import attack_by_sql
from proxy.app.governance.stage import open_stage
from proxy.app.install import install, installer_dsn, show_founder
from proxy.app.operations import EmbeddedServer, settings_of
from proxy.config import Config
from proxy.errors import NotPermitted, SelfHealError
from proxy.locations import DataDir
from proxy.store.dsn import LOGIN_PROXY, user_of
from proxy.store.governance import Standing, is_installed, standing
from proxy.store.pool import connect
from proxy.store.scratch import scratch_installation

MEMBER_LINE = re.compile(r"(role|membership) a member who is (founder|admin|agent|viewer)\b")


async def governance(args: argparse.Namespace) -> int:
    """Exit 0 only when every attack failed for the right reason and the two catalogues agree."""
    config, data_dir = settings_of(args)
    with EmbeddedServer(config, data_dir):
        dsn = installer_dsn(config, data_dir)
        if user_of(dsn).endswith(LOGIN_PROXY):
            raise NotPermitted(
                "this DSN is the sidecar's own login; attacking needs the installer's:"
                " give it with --database-url"
            )
        await _ensure_installed(config, data_dir, dsn)
        report = await examine(
            dsn, schema=config.database.schema, reductions=_reductions(DataDir(data_dir))
        )
    if args.json:
        sys.stdout.write(json.dumps(report.as_json(), ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("\n".join(report.as_lines()) + "\n")
    return 0 if report.good else 1


async def examine(dsn: str, *, schema: str, reductions: Sequence[str] = ()) -> Report:
    """``dsn`` carries the installer's credential of the live installation."""
    live = await _standing(dsn, schema)
    attempts: list[Attempt] = []
    adopted = live.app_profiles == "adopted"
    async with scratch_installation(dsn, schema=schema, app_profiles=adopted) as scratch:
        async with open_stage(scratch) as stage:
            before = await _standing(scratch.installer_dsn, schema)
            for way in (attack_by_sql, attack_by_api):
                async with aclosing(way(stage)) as tried:  # type: ignore[type-var]  # generators
                    attempts += [attempt async for attempt in tried]
            after = await _standing(scratch.installer_dsn, schema)
        attempts.append(_unmoved("what a gate rests on", before.digest == after.digest))
        attempts.append(_unmoved("what protects it", before.lines == after.lines))
        server = await _server_version(dsn)
    return Report(
        tuple(attempts),
        tuple(differences(_expected(before.lines, live.lines), live.lines)),
        tuple(f"{sentence}: no rule of the database holds it" for sentence in live.too_strong),
        (*reductions, *_unread(live.app_profiles)),
        server,
    )


def _expected(scratch: Sequence[str], live: Sequence[str]) -> list[str]:
    """The scratch installation has a member of every role, a live one perhaps none of some."""
    return [
        line
        for line in scratch
        if "a login without a profile" not in line
        and (line in live or not MEMBER_LINE.match(line) or _has_role(line, live))
    ]


def _has_role(line: str, live: Sequence[str]) -> bool:
    noun = MEMBER_LINE.match(line)
    return noun is not None and any(noun[2] == m[2] for m in map(MEMBER_LINE.match, live) if m)


def _unmoved(what: str, held: bool) -> Attempt:
    """Every attack together: a refusal that comes too late would show here."""
    told = "unchanged" if held else "changed"
    return Attempt("everybody", "state", f"change {what}", told, held, ("unchanged",))


async def _standing(dsn: str, schema: str) -> Standing:
    conn = await connect(dsn, schema=schema)
    try:
        return await standing(conn)
    finally:
        await conn.close(timeout=5)


async def _server_version(dsn: str) -> str:
    conn = await connect(dsn)
    try:
        version = conn.get_server_version()
        return f"{version.major}.{version.minor}"
    finally:
        await conn.close(timeout=5)


async def _ensure_installed(config: Config, data_dir: Path, dsn: str) -> None:
    """An embedded server that was never used is set up as `up` would; another's database is not."""
    conn = await connect(dsn, schema=config.database.schema)
    try:
        if await is_installed(conn, config.database.schema):
            return
    finally:
        await conn.close(timeout=5)
    if config.database.url:
        raise SelfHealError(
            "nothing of Self-Heal is installed in this database, so there is nothing to examine;"
            " run `selfheal migrate` with the same --database-url first"
        )
    done = await install(config, data_dir, say=lambda line: _say(line + "\n"))
    if done.founder_token is not None:
        show_founder(done.founder_token, DataDir(data_dir), embedded=True)


def _unread(app_profiles: str) -> list[str]:
    if app_profiles in ("absent", "adopted"):
        return []
    told = f"public.profiles is there ({app_profiles}) and has no say in who is founder or admin;"
    return [f"{told} `selfheal migrate` says what is missing"]


def _reductions(files: DataDir) -> list[str]:
    if files.founder_token.exists():
        return [f"the founder's token lies in {files.founder_token}; move it away in production"]
    return []


def _say(text: str) -> None:
    sys.stderr.write(text)


def run(args: argparse.Namespace) -> int:
    return asyncio.run(governance(args))
