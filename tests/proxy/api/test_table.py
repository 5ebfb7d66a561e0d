"""Every route × who asks × how: generated from the route table itself.

Nobody without a token, no role outside the row, no foreign Host or Origin and no form ever gets
past the door; everybody whom the row names does.
"""

import io
from typing import Any

from proxy.api.server import ROUTES
from proxy.api.table import Route
from proxy.contract.base import CHANGE_HEADER
from tests.support.api import ApiUnderTest

ROLES = ("viewer", "agent", "admin", "founder")
NUMBER = {"J": "J-1", "P": "P-1", "A": "A-1", "": ""}
DIGEST = "0" * 64

BODIES: dict[str, dict[str, Any]] = {
    "/jobs": {"message": "boom"},
    "/jobs/{n}/status": {"status": "closed", "reason": "not ours"},
    "/jobs/{n}/merge": {"other": "J-2"},
    "/jobs/{n}/split": {"event": "1"},
    "/jobs/{n}/patches": {"diff": "--- a\n+++ b\n"},
    "/patches/{n}/sandbox": {"digest": DIGEST, "idempotency_key": "k" * 16},
    "/patches/{n}/apply": {"digest": DIGEST, "idempotency_key": "k" * 16},
    "/patches/{n}/rollback": {"digest": DIGEST, "idempotency_key": "k" * 16},
    "/patches/{n}/break-glass": {
        "digest": DIGEST,
        "idempotency_key": "k" * 16,
        "reason": "MAIN is down",
    },
    "/alerts/acknowledge": {"kind": "break_glass", "subject": "P-1"},
    "/approvals": {"item_type": "claim", "summary": "we are fast"},
    "/approvals/{n}/decision": {
        "decision": "approve",
        "digest": DIGEST,
        "idempotency_key": "k" * 16,
    },
    "/control": {"based_on": 0, "rules": {}, "reason": "first"},
    "/deploys": {"version": "v2.1"},
    "/ask": {"text": "what's broken?"},
}
PAST_THE_DOOR = {200, 201, 202, 404, 409}
"""What an empty database answers to somebody who may: done, no such thing, or too late."""


async def send(
    api: ApiUnderTest, route: Route, role: str | None, **more: Any
) -> tuple[int, Any, dict[str, str]]:
    change = route.is_change
    headers = api.headers(role, change) | more.pop("headers", {})
    if change and "data" not in more:
        more.setdefault("json", BODIES[route.path])
    path = route.full_path.replace("{n}", NUMBER[route.letter])
    async with api.client.request(route.method, path, headers=headers, **more) as answer:
        streaming = answer.status == 200 and route.media == "text/event-stream"
        raw = b"" if streaming else await answer.read()
        if answer.status >= 400 and route.method != "HEAD":
            problem = await answer.json(content_type=None)
            if answer.content_type == "application/problem+json":
                assert problem["request_id"] == answer.headers["X-Request-Id"]
                assert problem["code"]
        else:
            problem = raw
        return answer.status, problem, dict(answer.headers)


def test_every_change_has_a_body_here() -> None:
    assert {r.path for r in ROUTES if r.is_change} == set(BODIES)


def test_only_the_health_paths_need_no_token() -> None:
    free = {route.full_path for route in ROUTES if not route.roles}
    assert free == {"/livez", "/readyz", "/healthz", "/metrics"}


def test_only_the_founder_reaches_main() -> None:
    moved = [r for r in ROUTES if r.path.endswith(("/apply", "/rollback"))]
    assert len(moved) == 2
    assert all(route.roles == {"founder"} for route in moved)


def test_no_agent_or_viewer_stands_at_a_gate() -> None:
    gates = [r for r in ROUTES if r.path.endswith(("/sandbox", "/apply", "/rollback", "/decision"))]
    assert not any(route.roles & {"agent", "viewer"} for route in gates)


async def test_no_token_no_answer(api: ApiUnderTest) -> None:
    for route in ROUTES:
        status, answer, headers = await send(api, route, None)
        if not route.roles:
            assert status == 200, route.path
            continue
        assert (status, answer["code"]) == (401, "unauthorised"), route.path
        assert headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_wrong_secret_is_no_token(api: ApiUnderTest) -> None:
    tokens = ["ada", ":", "ada:", "x:y z", "ada:" + "s" * 400]
    for position, route in enumerate(ROUTES):
        # a name of its own for each try, because failures are counted by name
        for token in (*tokens, f"nobody{position}:x", f"postgres{position}:postgres"):
            headers = {"Authorization": f"Bearer {token}"}
            status, _, _ = await send(api, route, None, headers=headers)
            assert status == (401 if route.roles else 200), (route.path, token)


async def test_each_role_gets_what_its_row_says(api: ApiUnderTest) -> None:
    for route in ROUTES:
        for role in ROLES:
            status, answer, _ = await send(api, route, role)
            if not route.roles or role in route.roles:
                assert status in PAST_THE_DOOR, (route.path, role, answer)
            else:
                assert (status, answer["code"]) == (403, "role_refused"), (route.path, role)


async def foreign_hosts(api: ApiUnderTest) -> None:
    hosts = ("evil.example", "evil.example:9900", "localhost.evil.example", "10.9.8.7", "x@y")
    for route in ROUTES:
        for host in hosts:
            status, _, _ = await send(api, route, "founder", headers={"Host": host})
            assert status == 403, (route.path, host)


async def foreign_origins(api: ApiUnderTest) -> None:
    for route in ROUTES:
        for origin in ("https://evil.example", "null", "http://localhost:3000"):
            status, _, headers = await send(api, route, "founder", headers={"Origin": origin})
            assert status == 403, (route.path, origin)
            assert not [name for name in headers if name.lower().startswith("access-control")]


async def forms(api: ApiUnderTest) -> None:
    kinds = ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x")
    for route in (r for r in ROUTES if r.is_change):
        for kind in kinds:
            headers = {"Content-Type": kind}
            status, answer, _ = await send(api, route, "founder", data=b"{}", headers=headers)
            assert (status, answer["code"]) == (415, "not_json"), (route.path, kind)
        status, answer, _ = await send(api, route, "founder", headers={CHANGE_HEADER: "0"})
        assert (status, answer["code"]) == (403, "change_header_missing"), route.path


async def broken_bodies(api: ApiUnderTest) -> None:
    json = {"Content-Type": "application/json"}
    broken = (b"", b"{", b"[]", b'{"a":NaN}', b'{"a":1,"a":2}', b"\xff", b"[" * 30_000)
    hostile = (b'{"text":"\\u0000"}', b'{"text":"\\ud800"}', b'{"text":1e999}')
    for route in (r for r in ROUTES if r.body is not None):
        unknown = BODIES[route.path] | {"role": "founder"}
        status, answer, _ = await send(api, route, "founder", json=unknown)
        assert status == 422, route.path
        assert "role" in answer["detail"]
        for raw in (*broken, *hostile):
            status, _, _ = await send(api, route, "founder", data=raw, headers=json)
            assert status in (400, 422), (route.path, raw[:20])


async def large_bodies(api: ApiUnderTest) -> None:
    headers = {"Content-Type": "application/json"}
    for route in (r for r in ROUTES if r.body is not None):
        large = b'{"x":"' + b"a" * route.body_bytes_max + b'"}'
        said = {"data": io.BytesIO(large), "headers": headers}
        unsaid = {"data": io.BytesIO(large), "headers": headers, "chunked": True}
        for sent in (said, unsaid):
            status, answer, _ = await send(api, route, "founder", **sent)
            assert (status, answer["code"]) == (413, "too_large"), route.path


async def other_methods(api: ApiUnderTest) -> None:
    for route in ROUTES:
        path = route.full_path.replace("{n}", NUMBER[route.letter])
        for method in ("DELETE", "PATCH", "TRACE", "OPTIONS"):
            async with api.client.request(method, path) as answer:
                assert answer.status == 405, (method, path)
                assert answer.content_type == "application/problem+json"
                assert not [n for n in answer.headers if n.lower().startswith("access-control")]
        async with api.client.get(path + "/nothing/at/all") as answer:
            assert answer.status == 404


async def no_ids(api: ApiUnderTest) -> None:
    texts = ("0", "-1", "J-", "1e3", "9" * 40, "%00", "999999999999999999", "X-1")
    for route in (r for r in ROUTES if r.letter):
        other = {"J": "P-1", "P": "J-1", "A": "P-1"}[route.letter]
        for text in (other, *texts):
            path = route.full_path.replace("{n}", text)
            status, _ = await api.call("founder", route.method, path, BODIES.get(route.path))
            assert status == 404, (path, status)


async def test_a_foreign_caller_and_a_form_stay_outside(api: ApiUnderTest) -> None:
    """One database for several columns: making one costs more than asking every route."""
    await foreign_hosts(api)
    await foreign_origins(api)
    await forms(api)
    await other_methods(api)


async def test_what_cannot_be_read_is_refused(api: ApiUnderTest) -> None:
    await broken_bodies(api)
    await large_bodies(api)
    await no_ids(api)
