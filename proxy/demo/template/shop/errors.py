"""What a visitor sees when something breaks: the error itself, as JSON below /api or as a page."""

import html
import traceback

from aiohttp import web
from aiohttp.typedefs import Handler


@web.middleware
async def show_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException:
        raise
    except Exception as error:
        return _answer(request, error)


def _answer(request: web.Request, error: Exception) -> web.Response:
    trace = "".join(traceback.format_exception(error))
    if request.path.startswith("/api/"):
        body = {"error": type(error).__name__, "message": str(error), "traceback": trace}
        if code := getattr(error, "sqlstate", None):
            body["code"] = code
        return web.json_response(body, status=500)
    title = html.escape(f"{type(error).__name__}: {error}")
    page = (
        f"<!doctype html><title>{title}</title><link rel=stylesheet href=/static/shop.css>"
        f"<main><h1>{title}</h1><pre class=trace>{html.escape(trace)}</pre></main>"
    )
    return web.Response(text=page, status=500, content_type="text/html")
