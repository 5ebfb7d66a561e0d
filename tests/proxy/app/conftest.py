"""An empty database: nothing of ours in it yet."""

import uuid
from collections.abc import AsyncIterator

import pytest

from proxy.store.dsn import with_database
from proxy.store.pool import connect
from tests.support.postgres import Server, TestDatabase


@pytest.fixture
async def bare_database(postgres_server: Server) -> AsyncIterator[TestDatabase]:
    name = f"bare_{uuid.uuid4().hex[:12]}"
    admin = await connect(postgres_server.installer_dsn)
    try:
        await admin.execute(f"create database {name}")
        dsn = with_database(postgres_server.installer_dsn, name)
        yield TestDatabase(name, dsn, dsn, {}, postgres_server.cluster)
    finally:
        await admin.execute(f"drop database if exists {name} with (force)")
        await admin.close()
