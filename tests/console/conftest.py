"""One in-memory control API per test."""

from collections.abc import AsyncIterator

import pytest

from console.pooled import PooledClient
from tests.support.console_server import TOKEN, ConsoleServer


@pytest.fixture
async def server() -> AsyncIterator[ConsoleServer]:
    async with ConsoleServer() as running:
        yield running


@pytest.fixture
async def client(server: ConsoleServer) -> AsyncIterator[PooledClient]:
    async with PooledClient(server.url, TOKEN) as connected:
        yield connected
