"""Answers in two words."""

import json

import pytest
from aiohttp import web

from proxy.observability import responses as r


def body(response: web.Response) -> dict[str, object]:
    assert isinstance(response.body, bytes)
    found: dict[str, object] = json.loads(response.body)
    return found


@pytest.mark.parametrize(
    ("response", "status", "code"),
    [
        (r.bad_request("Send a name."), 400, "bad_request"),
        (r.unauthorized(), 401, "unauthorized"),
        (r.forbidden(), 403, "forbidden"),
        (r.not_found("No such order."), 404, "not_found"),
        (r.conflict(code="stale"), 409, "stale"),
        (r.server_error(request_id="abc"), 500, "server_error"),
    ],
)
def test_errors_are_problem_json(response: web.Response, status: int, code: str) -> None:
    assert response.status == status
    assert response.content_type == "application/problem+json"
    problem = body(response)
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == "about:blank"
    assert problem["title"]


def test_members_and_headers() -> None:
    assert r.unauthorized().headers["WWW-Authenticate"] == "Bearer"
    assert body(r.bad_request("x", field="name"))["field"] == "name"
    assert body(r.server_error(request_id="abc"))["request_id"] == "abc"
    assert "detail" not in body(r.forbidden())


def test_good_answers() -> None:
    assert (r.ok({"a": 1}).status, body(r.ok({"a": 1}))) == (200, {"a": 1})
    made = r.created({"id": 7}, location="/orders/7")
    assert (made.status, made.headers["Location"]) == (201, "/orders/7")
    assert (r.no_content().status, r.no_content().body) == (204, None)
