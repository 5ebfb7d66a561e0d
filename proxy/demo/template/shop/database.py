"""The database, connected at the first request that needs it."""

import asyncio
import os
from collections.abc import AsyncIterator

import asyncpg
from aiohttp import web

URL = "SHOP_DATABASE_URL"
STATEMENT_TIMEOUT_MS = 300

_POOL = web.AppKey("pool", dict)


async def lifetime(app: web.Application) -> AsyncIterator[None]:
    app[_POOL] = {"lock": asyncio.Lock(), "pool": None}
    yield
    if app[_POOL]["pool"] is not None:
        await app[_POOL]["pool"].close()


async def connect(request: web.Request) -> asyncpg.Pool:
    """The pool of this process. 503 where no database is configured."""
    holder = request.app[_POOL]
    async with holder["lock"]:
        if holder["pool"] is None:
            if URL not in os.environ:
                raise web.HTTPServiceUnavailable(text=f"{URL} is not set")
            holder["pool"] = await asyncpg.create_pool(
                os.environ[URL],
                min_size=1,
                max_size=4,
                server_settings={"statement_timeout": str(STATEMENT_TIMEOUT_MS)},
            )
        return holder["pool"]
