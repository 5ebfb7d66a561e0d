"""Real Postgres for tests: one embedded server a session, a fresh database a test from a migrated
template.

``pytest_plugins = ["tests.support.postgres"]`` in tests/conftest.py makes these fixtures known
everywhere: ``database`` (PostgreSQL of the wheel) and ``database_15`` (Debian's, skipped where it
is not installed).
"""

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from proxy.domain.approval import Actor
from proxy.store import binaries
from proxy.store.dsn import with_database
from proxy.store.embedded import Cluster
from proxy.store.members import add_member, connect_member
from proxy.store.migrate import migrate
from proxy.store.pool import AS_PROXY, connect, open_pool

TEMPLATE = "selfheal_template"
THROW_AWAY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
"""Nothing here outlives the session, so nothing waits for a disk."""
MEMBERS = {"ada": "founder", "bob": "admin", "bot": "agent", "vera": "viewer"}


@dataclass(frozen=True)
class Server:
    """A running cluster with a migrated template; logins and secrets are the same in every copy of
    it.
    """

    installer_dsn: str
    proxy_dsn: str
    tokens: dict[str, str]
    cluster: Cluster


@dataclass(frozen=True)
class TestDatabase:
    """One test's own database. ``tokens`` by role: founder (ada), admin (bob), agent (bot), viewer
    (vera).
    """

    __test__ = False

    name: str
    installer_dsn: str
    proxy_dsn: str
    tokens: dict[str, str]
    cluster: Cluster
    schema: str = "selfheal"

    def actor(self, role: str) -> Actor:
        """``founder`` → ada … as Postgres will know them; ``proxy`` → the sidecar."""
        if role == "proxy":
            return AS_PROXY
        return Actor(self.tokens[role].partition(":")[0], role, "test")

    async def connect_as(self, role: str) -> asyncpg.Connection:
        """The member's own login (close it); use with ``acting(conn, database.actor(role))``."""
        name, _, secret = self.tokens[role].partition(":")
        return await connect_member(self.proxy_dsn, name, secret)

    async def connect_proxy(self) -> asyncpg.Connection:
        return await connect(self.proxy_dsn)

    async def connect_installer(self) -> asyncpg.Connection:
        return await connect(self.installer_dsn)


def start_server(installations: list[binaries.Binaries] | None = None) -> tuple[Server, Path]:
    """A cluster in a temporary folder with a migrated template database and four members."""
    folder = Path(tempfile.mkdtemp(prefix="selfheal-pg-"))
    cluster = Cluster(folder, installations=installations, settings=THROW_AWAY)
    running = cluster.ensure_running()
    # a thread of its own: some fixture may already be inside a running loop
    with ThreadPoolExecutor(1) as thread:
        server = thread.submit(asyncio.run, _make_template(cluster, running.dsn)).result()
    return server, folder


def stop_server(server: Server, folder: Path) -> None:
    server.cluster.stop()
    server.cluster.detach()
    shutil.rmtree(server.cluster.home, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


async def _make_template(cluster: Cluster, installer_dsn: str) -> Server:
    admin = await connect(installer_dsn)
    await admin.execute(f"create database {TEMPLATE}")
    await admin.close()
    dsn = with_database(installer_dsn, TEMPLATE)
    result = await migrate(dsn)
    conn = await connect(dsn)
    tokens = {role: await add_member(conn, name, role) for name, role in MEMBERS.items()}
    await conn.close()
    return Server(installer_dsn, result.proxy_dsn, tokens, cluster)


@asynccontextmanager
async def fresh_database(server: Server) -> AsyncIterator[TestDatabase]:
    """A copy of the template, dropped at the end."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    admin = await connect(server.installer_dsn)
    try:
        await admin.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
        yield TestDatabase(
            name,
            with_database(server.installer_dsn, name),
            with_database(server.proxy_dsn, name),
            server.tokens,
            server.cluster,
        )
    finally:
        await admin.execute(f"drop database if exists {name} with (force)")
        await admin.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    server, folder = start_server()
    yield server
    stop_server(server, folder)


@pytest.fixture(scope="session")
def postgres_server_15() -> Iterator[Server]:
    old = [b for b in binaries.find_all() if b.major == 15]
    if not old:
        pytest.skip("PostgreSQL 15 is not installed (Debian package postgresql-15)")
    server, folder = start_server(old)
    yield server
    stop_server(server, folder)


@pytest.fixture
async def database(postgres_server: Server) -> AsyncIterator[TestDatabase]:
    async with fresh_database(postgres_server) as fresh:
        yield fresh


@pytest.fixture
async def database_15(postgres_server_15: Server) -> AsyncIterator[TestDatabase]:
    async with fresh_database(postgres_server_15) as fresh:
        yield fresh


@pytest.fixture(params=["postgres_server", "postgres_server_15"], ids=["pg18", "pg15"])
def each_server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
async def each_database(each_server: Server) -> AsyncIterator[TestDatabase]:
    """The test runs twice: on the wheel's PostgreSQL and on Debian's 15."""
    async with fresh_database(each_server) as fresh:
        yield fresh


@pytest.fixture
async def proxy_pool(database: TestDatabase) -> "AsyncIterator[asyncpg.Pool[asyncpg.Record]]":
    """A pool on the sidecar's login; use with ``acting(pool, AS_PROXY)``."""
    pool = await open_pool(database.proxy_dsn)
    yield pool
    await pool.close()
