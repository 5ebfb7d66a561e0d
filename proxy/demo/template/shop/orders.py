"""What other people drink: the latest orders, and what is bought together."""

from aiohttp import web

from shop.database import connect

LATEST = "select slug, quantity from order_lines order by id desc limit 10"
TOGETHER = """
select a.slug as first, b.slug as second, count(*) as times
from order_lines a
join order_lines b
  on b.ordered_at between a.ordered_at and a.ordered_at + interval '10 minutes'
 and b.slug > a.slug
group by 1, 2
order by 3 desc
limit 10
"""

routes = web.RouteTableDef()


@routes.get("/api/orders/latest")
async def latest(request: web.Request) -> web.Response:
    rows = await (await connect(request)).fetch(LATEST)
    return web.json_response({"orders": [dict(row) for row in rows]})


@routes.get("/api/orders/together")
async def bought_together(request: web.Request) -> web.Response:
    rows = await (await connect(request)).fetch(TOGETHER)
    return web.json_response({"pairs": [dict(row) for row in rows]})
