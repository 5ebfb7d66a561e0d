"""An app of projects and invoices, as many run one: its routes and what they take."""

import random

from tests.support.apart_shapes import (
    Draw,
    by_payload,
    by_tenant,
    cached,
    gamma,
    long_tailed,
    ticked,
)
from tests.support.apart_traffic import Day, Endpoint

# What an app of projects and invoices answers: method, path, what sort of work it is.
WORK = (
    ("GET", "/app", "page"),
    ("GET", "/v1/projects", "list"),
    ("GET", "/v1/projects/{id}", "row"),
    ("GET", "/v1/me", "row"),
    ("POST", "/v1/tasks", "write"),
    ("GET", "/v1/tasks", "list"),
    ("PATCH", "/v1/tasks/{id}", "write"),
    ("POST", "/v1/sessions", "hash"),
    ("GET", "/v1/notifications", "row"),
    ("GET", "/avatars/{id}", "file"),
    ("POST", "/v1/files", "upload"),
    ("GET", "/v1/search", "search"),
    ("POST", "/v1/comments", "write"),
    ("GET", "/v1/invoices", "list"),
    ("GET", "/v1/invoices/{id}", "file"),
    ("POST", "/v1/invoices", "write"),
    ("GET", "/v1/reports/{name}", "report"),
    ("DELETE", "/v1/tasks/{id}", "write"),
    ("GET", "/pricing", "page"),
    ("POST", "/hooks/stripe", "write"),
    ("GET", "/v1/audit", "list"),
    ("POST", "/v1/invites", "mail"),
    ("GET", "/v1/export", "report"),
    ("PUT", "/v1/settings", "write"),
)


def answer(rng: random.Random, work: str) -> Draw:
    """What a route that does this sort of work takes."""
    u = rng.uniform
    match work:
        case "page":
            return gamma(u(40, 220), u(4, 9))
        case "list":
            return by_tenant(rng, u(15, 90))
        case "row":
            return rng.choice((cached(u(2, 6), u(25, 70), u(0.8, 0.95)), ticked(15.6, u(12, 30))))
        case "write":
            return gamma(u(25, 160), u(2.5, 6))
        case "hash":
            return gamma(u(150, 350), 40)
        case "file":
            return by_payload(3, u(4, 9), u(60, 160), u(0.15, 0.4))
        case "upload":
            return by_payload(20, u(60, 120), u(600, 2500), u(0.2, 0.5))
        case "search":
            return long_tailed(u(50, 150), u(1.9, 2.6))
        case "mail":
            return gamma(u(300, 800), 3)
        case _:
            return by_tenant(rng, u(600, 2500))


def app(rng: random.Random, count: int, total: float = 1.9, **day: float) -> Day:
    """``count`` routes with ``total`` requests a second, the first the busiest."""
    shares = [1 / (n + 1.5) ** 1.1 for n in range(count)]
    return Day(
        rng,
        [
            Endpoint(
                path,
                method,
                max(0.008, total * share / sum(shares) * rng.uniform(0.8, 1.25)),
                answer(rng, work),
                errors=rng.choice((0.0, 0.0005, 0.0005, 0.002)),
                refused=rng.choice((0.0, 0.01, 0.04)),
                company=rng.uniform(1.2, 3.0),
                sense=rng.uniform(0.0, 0.25),
            )
            for (method, path, work), share in zip(WORK, shares, strict=False)
        ],
        **day,
    )
