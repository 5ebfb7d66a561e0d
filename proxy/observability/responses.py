"""Answers in two words: ``ok(...)``, ``not_found(...)``. Errors are problem+json (RFC 9457).

For in-app handlers beside the middlewares. Knows nothing of measuring.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

PROBLEM_TYPE = "application/problem+json"


def problem(
    status: int,
    detail: str = "",
    *,
    code: str = "",
    title: str | None = None,
    request_id: str = "",
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> web.Response:
    """Any error. ``detail`` names the fix, ``code`` is stable; further members ride along."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
    }
    optional = {"detail": detail, "code": code, "request_id": request_id, **members}
    body.update({k: v for k, v in optional.items() if v not in ("", None)})
    # bytes, not text: application/problem+json knows no charset
    response = web.Response(
        body=json.dumps(body).encode(), status=status, content_type=PROBLEM_TYPE
    )
    response.headers.update(headers or {})
    return response


def bad_request(detail: str = "", *, code: str = "bad_request", **members: Any) -> web.Response:
    return problem(400, detail, code=code, **members)


def unauthorized(
    detail: str = "Send credentials of a known caller.",
    *,
    code: str = "unauthorized",
    scheme: str = "Bearer",
    **members: Any,
) -> web.Response:
    """401 with the ``WWW-Authenticate`` it must carry (RFC 9110, 15.5.2)."""
    return problem(401, detail, code=code, headers={"WWW-Authenticate": scheme}, **members)


def forbidden(detail: str = "", *, code: str = "forbidden", **members: Any) -> web.Response:
    return problem(403, detail, code=code, **members)


def not_found(detail: str = "", *, code: str = "not_found", **members: Any) -> web.Response:
    return problem(404, detail, code=code, **members)


def conflict(detail: str = "", *, code: str = "conflict", **members: Any) -> web.Response:
    return problem(409, detail, code=code, **members)


def server_error(
    detail: str = "Something failed on our side.", *, code: str = "server_error", **members: Any
) -> web.Response:
    return problem(500, detail, code=code, **members)


def ok(data: Any = None) -> web.Response:
    return web.json_response(data)


def created(data: Any = None, *, location: str | None = None) -> web.Response:
    response = web.json_response(data, status=201)
    if location is not None:
        response.headers["Location"] = location
    return response


def no_content() -> web.Response:
    return web.Response(status=204)
