"""Reviews. The database itself sees to it that nobody writes in another customer's name."""

from aiohttp import web

from shop import catalogue, sessions
from shop.accounts import COOKIE
from shop.database import connect

LIST = "select customer, stars, body from reviews where slug = $1 order by id desc limit 20"
WRITE = "insert into reviews (slug, customer, stars, body) values ($1, $2, $3, $4)"
ACT_AS = "select set_config('shop.customer', $1, true)"
GUEST = "guest"

routes = web.RouteTableDef()


@routes.get("/api/products/{slug}/reviews")
async def list_reviews(request: web.Request) -> web.Response:
    rows = await (await connect(request)).fetch(LIST, request.match_info["slug"])
    return web.json_response({"reviews": [dict(row) for row in rows]})


@routes.post("/api/products/{slug}/reviews")
async def write_review(request: web.Request) -> web.Response:
    slug = request.match_info["slug"]
    if slug not in catalogue.entries():
        return web.json_response({"error": "no such product"}, status=404)
    sent = await request.json()
    token = request.cookies.get(COOKIE)
    customer = sessions.customer_of(token) if token else None
    pool = await connect(request)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(ACT_AS, customer or "")
        # guests may review too, all under one name
        author = customer or GUEST
        await connection.execute(WRITE, slug, author, int(sent["stars"]), str(sent["body"]))
    return web.json_response({"thanks": author}, status=201)
