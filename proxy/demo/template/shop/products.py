"""The catalogue as JSON, for the mobile app."""

from aiohttp import web

from shop import catalogue

routes = web.RouteTableDef()


@routes.get("/api/products")
async def list_products(_request: web.Request) -> web.Response:
    cards = [
        {"slug": entry["slug"], "title": entry["title"], "price_cents": entry["price_cents"]}
        for entry in catalogue.entries().values()
    ]
    return web.json_response({"products": cards})


@routes.get("/api/products/{slug}")
async def show_product(request: web.Request) -> web.Response:
    product = catalogue.product(request.match_info["slug"])
    if product is None:
        return web.json_response({"error": "no such product"}, status=404)
    body = product.model_dump() | {"shipping_cents": product.shipping_cents}
    return web.json_response(body)
