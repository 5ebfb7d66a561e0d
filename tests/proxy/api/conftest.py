"""One running API per test, on its own database."""

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from tests.support.api import ApiUnderTest, open_api
from tests.support.postgres import TestDatabase


@pytest.fixture
async def api(
    aiohttp_client: Callable[..., Any], database: TestDatabase, proxy_pool: asyncpg.Pool
) -> ApiUnderTest:
    return await open_api(aiohttp_client, database, proxy_pool)
