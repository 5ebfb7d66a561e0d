"""Baskets, in memory: a restart empties them, and nobody has minded yet."""

import secrets

from aiohttp import web

from shop import catalogue

COOKIE = "basket"
BASKETS_MAX = 10_000

routes = web.RouteTableDef()
_baskets: dict[str, dict[str, int]] = {}


@routes.get("/api/basket")
async def show_basket(request: web.Request) -> web.Response:
    lines = _baskets.get(request.cookies.get(COOKIE, ""))
    if lines is None:
        return web.json_response({})
    found = [{"slug": slug, "quantity": quantity} for slug, quantity in lines.items()]
    return web.json_response({"lines": found})


@routes.post("/api/basket")
async def add_line(request: web.Request) -> web.Response:
    slug = str((await request.json()).get("slug", ""))
    if slug not in catalogue.entries():
        return web.json_response({"error": "no such product"}, status=404)
    key = request.cookies.get(COOKIE, "")
    if key not in _baskets:
        if len(_baskets) >= BASKETS_MAX:
            _baskets.pop(next(iter(_baskets)))
        key = secrets.token_hex(16)
        _baskets[key] = {}
    _baskets[key][slug] = _baskets[key].get(slug, 0) + 1
    response = web.json_response({"added": slug}, status=201)
    response.set_cookie(COOKIE, key, httponly=True, samesite="Lax")
    return response
