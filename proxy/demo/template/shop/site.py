"""The pages. Plain HTML from the server; static/shop.js brings the moving parts to life."""

import html
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

from aiohttp import web

from shop import catalogue

HERE = Path(__file__).resolve().parent
STATIC = HERE / "static"
DISPATCH_UNTIL_HOUR = 15

routes = web.RouteTableDef()


def render(name: str, title: str, **values: str) -> web.Response:
    """A page of `pages/` inside the common frame. Values are HTML already."""
    inner = Template((HERE / "pages" / f"{name}.html").read_text("utf-8")).substitute(values)
    frame = Template((HERE / "pages" / "frame.html").read_text("utf-8"))
    page = frame.substitute(title=html.escape(title), content=inner)
    return web.Response(text=page, content_type="text/html")


def money(cents: int) -> str:
    return f"€ {cents // 100}.{cents % 100:02d}"


def dispatch_line(now: datetime) -> str:
    """The same sentence as `dispatchLine` in static/shop.js."""
    day = "today" if now.hour < DISPATCH_UNTIL_HOUR else "tomorrow"
    return f"It is past {now.hour} o'clock: order now and we dispatch {day}."


@routes.get("/")
async def home(_request: web.Request) -> web.Response:
    cards = "".join(_card(entry) for entry in catalogue.entries().values())
    line = html.escape(dispatch_line(datetime.now(UTC)))
    return render("home", "Leaf & Kettle", cards=cards, dispatch=line)


@routes.get("/products/{slug}")
async def product_page(request: web.Request) -> web.Response:
    entry = catalogue.entries().get(request.match_info["slug"])
    if entry is None:
        raise web.HTTPNotFound(text="We do not sell that (any more).")
    return render(
        "product",
        entry["title"],
        slug=html.escape(entry["slug"]),
        heading=html.escape(entry["title"]),
        notes=html.escape(entry["notes"]),
        price=money(entry["price_cents"]),
    )


@routes.get("/about")
async def about(_request: web.Request) -> web.Response:
    return render("about", "About us")


@routes.get("/basket")
async def basket_page(_request: web.Request) -> web.Response:
    return render("basket", "Your basket")


def _card(entry: dict[str, Any]) -> str:
    return (
        f'<a class="card" href="/products/{html.escape(entry["slug"])}">'
        f"<h2>{html.escape(entry['title'])}</h2><p>{html.escape(entry['notes'])}</p>"
        f"<strong>{money(entry['price_cents'])}</strong></a>"
    )
