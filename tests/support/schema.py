"""Writes sql/schema.sql: what all migrations add up to, dumped from a throw-away server.

``python -m tests.support.schema`` after every new migration; a test compares the two catalogues.
"""

import asyncio
import os
import re
import subprocess

from proxy.data_files import data_path
from proxy.store import binaries
from proxy.store.dsn import with_database
from proxy.store.migrate import migration_files
from proxy.store.pool import connect
from tests.support.postgres import start_server, stop_server

HEAD = """\
-- What all migrations add up to, for reading and for comparing.
-- Generated: python -m tests.support.schema
-- Migrations make databases, this file makes none: roles and seed rows are not in it.

"""


async def migrations_only(installer_dsn: str, name: str) -> str:
    """A database where the files ran and nothing else did (no partitions of today)."""
    admin = await connect(installer_dsn)
    await admin.execute(f"create database {name}")
    await admin.close()
    conn = await connect(with_database(installer_dsn, name))
    await conn.execute("create schema selfheal")
    for file in migration_files():
        async with conn.transaction():
            await conn.execute(file.read_text("utf-8"))
    await conn.close()
    return with_database(installer_dsn, name)


def dump(dsn: str) -> str:
    newest = binaries.find_all()[0]
    run = subprocess.run(
        [newest["pg_dump"], "--schema-only", "--no-comments", "-n", "selfheal", dsn],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    lines = [
        line
        for line in run.stdout.splitlines()
        if not re.match(r"--|\\|SET |SELECT pg_catalog\.set_config|$", line)
    ]
    return HEAD + "SET check_function_bodies = false;\n" + "\n".join(lines) + "\n"


def main() -> None:
    server, folder = start_server()
    try:
        dsn = asyncio.run(migrations_only(server.installer_dsn, "for_dump"))
        data_path("sql", "schema.sql").write_text(dump(dsn))
    finally:
        stop_server(server, folder)


if __name__ == "__main__":
    main()
