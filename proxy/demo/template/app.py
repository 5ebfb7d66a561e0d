"""Leaf & Kettle. `python app.py --port 8000`; pages and catalogue work without a database."""

import argparse
import socket

from aiohttp import web

from shop import accounts, baskets, database, newsletter, offers, orders, products, reviews, site
from shop.errors import show_errors

FEATURES = (
    site.routes,
    products.routes,
    baskets.routes,
    orders.routes,
    newsletter.routes,
    accounts.routes,
    reviews.routes,
    offers.routes,
)


def build_app() -> web.Application:
    app = web.Application(middlewares=[show_errors])
    for routes in FEATURES:
        app.add_routes(routes)
    app.router.add_static("/static", site.STATIC)
    app.cleanup_ctx.append(database.lifetime)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--fd", type=int, help="a listening socket handed down by a supervisor")
    args = parser.parse_args()
    if args.fd is None:
        web.run_app(build_app(), host=args.host, port=args.port, print=None, access_log=None)
    else:
        listener = socket.socket(fileno=args.fd)
        web.run_app(build_app(), sock=listener, print=None, access_log=None)


if __name__ == "__main__":
    main()
