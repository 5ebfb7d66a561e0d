"""Offers differ from region to region, so we first need to know where the visitor is."""

from aiohttp import web

from shop.site import render

COOKIE = "region"
REGIONS = {"de": "Germany", "fr": "France", "ja": "Japan"}
ELSEWHERE = "the rest of the world"

routes = web.RouteTableDef()


@routes.get("/offers")
async def offers(request: web.Request) -> web.Response:
    region = request.cookies.get(COOKIE)
    if region is None:
        raise web.HTTPFound("/offers/region")
    return render("offers", "Offers", region=REGIONS.get(region, ELSEWHERE))


@routes.get("/offers/region")
async def choose_region(request: web.Request) -> web.Response:
    language = request.headers.get("Accept-Language", "")[:2].lower()
    response = web.HTTPFound("/offers")
    response.set_cookie(COOKIE, language if language in REGIONS else "xx", path="/offers/region")
    raise response
