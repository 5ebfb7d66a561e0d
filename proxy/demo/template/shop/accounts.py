"""Signing in, and one's own page."""

import html

from aiohttp import web

from shop import sessions
from shop.site import render

COOKIE = "session"

routes = web.RouteTableDef()


@routes.post("/api/login")
async def log_in(request: web.Request) -> web.Response:
    customer = str((await request.json()).get("customer", "")).strip()
    if not customer:
        return web.json_response({"error": "who are you?"}, status=422)
    response = web.json_response({"customer": customer})
    response.set_cookie(COOKIE, sessions.issue(customer), httponly=True, samesite="Lax")
    return response


@routes.get("/account")
async def account(request: web.Request) -> web.Response:
    token = request.cookies.get(COOKIE)
    if token is None:
        raise web.HTTPSeeOther("/")
    return render("account", "Your account", customer=html.escape(sessions.customer_of(token)))
