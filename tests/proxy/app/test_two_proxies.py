"""Two proxies of one service on one database: what fails behind both is one job with all of it; a
second service beside them has a job of its own.
"""

import asyncio
from contextlib import ExitStack
from pathlib import Path

from aiohttp import ClientSession, TCPConnector, web
from pytest_aiohttp.plugin import AiohttpServer

from tests.support.postgres import TestDatabase
from tests.support.worker import data_worker

TIMES = 500
"""Of each proxy."""
JOBS = """select service, error_category, occurrences from selfheal.self_healing_jobs
          where route = '/pay' order by service"""


async def fails(request: web.Request) -> web.Response:
    text = '{"error": "duplicate key value violates unique constraint \\"orders_sku_key\\""}'
    return web.Response(status=500, text=text, content_type="application/json")


async def visit(ports: list[int], times: int) -> None:
    async with ClientSession(connector=TCPConnector(limit=40)) as client:

        async def once(number: int) -> None:
            async with client.get(f"http://127.0.0.1:{ports[number % len(ports)]}/pay") as seen:
                await seen.read()

        await asyncio.gather(*(once(n) for n in range(times * len(ports))))


async def test_a_thousand_failures_behind_two_proxies_are_one_job(
    database: TestDatabase, aiohttp_server: AiohttpServer, tmp_path: Path
) -> None:
    app = web.Application()
    app.router.add_get("/pay", fails)
    upstream = (await aiohttp_server(app)).port or 0
    with ExitStack() as running:
        ports = []
        for name in ("shop", "shop", "blog"):
            home = tmp_path / str(len(ports))
            home.mkdir()
            worker = data_worker(home, upstream, dsn=database.proxy_dsn, app={"service": name})
            ports.append((await asyncio.to_thread(running.enter_context, worker)).port)
        await visit(ports[:2], TIMES)
        await visit(ports[2:], 1)
        # ended, each stores what it still has
        await asyncio.to_thread(running.close)
    conn = await database.connect_installer()
    try:
        found = [tuple(row) for row in await conn.fetch(JOBS)]
    finally:
        await conn.close()
    assert found == [("blog", "DB_ERROR", 1), ("shop", "DB_ERROR", 2 * TIMES)]
