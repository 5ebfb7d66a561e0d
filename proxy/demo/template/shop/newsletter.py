"""The newsletter: four letters a year, one address each."""

from aiohttp import web

from shop.database import connect

JOIN = "insert into newsletter (email) values ($1)"

routes = web.RouteTableDef()


@routes.post("/api/newsletter")
async def join(request: web.Request) -> web.Response:
    email = str((await request.json()).get("email", "")).strip().lower()
    if "@" not in email:
        return web.json_response({"error": "that is no e-mail address"}, status=422)
    await (await connect(request)).execute(JOIN, email)
    return web.json_response({"joined": True}, status=201)
