"""What is read: lists and filters, one job with evidence, what agents and viewers do not see."""

from typing import Any

import pytest

from proxy.api.openapi import document
from proxy.api.server import ROUTES
from proxy.domain.failure import ReplayRequest
from proxy.store import jobs
from tests.support.api import ApiUnderTest
from tests.support.store import classified, failure

SECRETISH = "token=abcdefabcdefabcdef0123456789"


async def captured(api: ApiUnderTest) -> str:
    request = ReplayRequest("GET", "/orders/1", (("Accept", "*/*"),), b"body\x1b[2J")
    seen = failure(message="boom \x1b]0;x\x07", stack="at app.py", body="{}", request=request)
    async with api.sidecar() as conn:
        return f"J-{(await jobs.record_failure(conn, seen, classified())).job.id}"


async def test_a_job_with_its_evidence(api: ApiUnderTest) -> None:
    number = await captured(api)
    told = await api.ok("founder", "GET", f"/jobs/{number}")
    assert told["job"]["id"] == number
    (event,) = told["events"]
    assert event["message"] == "boom <U+001B>]0;x<U+0007>"
    assert event["request"]["body"] == "body<U+001B>[2J"
    assert event["stack"] == "at app.py"
    assert told["history"][0]["action"] == "job.created"


@pytest.mark.parametrize("role", ["viewer", "agent"])
async def test_agents_and_viewers_see_no_bodies(api: ApiUnderTest, role: str) -> None:
    number = await captured(api)
    told = await api.ok(role, "GET", f"/jobs/{number}")
    (event,) = told["events"]
    assert [event[name] for name in ("stack", "body", "request", "response")] == [None] * 4
    assert told["history"] == []
    assert told["job"]["signature"]
    for entry in (await api.ok(role, "GET", "/audit"))["entries"]:
        assert (entry["before"], entry["after"], entry["reason"]) == (None, None, None)


async def test_lists_filter_and_page(api: ApiUnderTest) -> None:
    async with api.sidecar() as conn:
        for number in range(5):
            await jobs.record_failure(conn, failure(), classified(f"v1:{number:016x}"))
        await jobs.record_failure(conn, failure(), classified("v1:" + "f" * 16, noise=True))
    first = await api.ok("viewer", "GET", "/jobs?limit=2")
    assert (len(first["jobs"]), first["total"]) == (2, 5)
    second = await api.ok("viewer", "GET", f"/jobs?limit=2&cursor={first['next_cursor']}")
    assert not {j["id"] for j in first["jobs"]} & {j["id"] for j in second["jobs"]}
    assert (await api.ok("viewer", "GET", "/jobs?noise=1"))["total"] == 1
    assert (await api.ok("viewer", "GET", "/jobs?status=closed"))["total"] == 0
    assert (await api.ok("viewer", "GET", "/jobs?status=all&severity=high,low"))["total"] == 5
    bad = ("status=never", "severity=huge", "limit=0", "cursor=x", "sort=x", "role=1", "q=%00",
           "limit=1&limit=2", "noise=2")  # fmt: skip
    for query in bad:
        status, answer = await api.call("viewer", "GET", f"/jobs?{query}")
        assert status == 422, (query, answer)


async def test_a_reported_failure_is_redacted_before_it_is_stored(api: ApiUnderTest) -> None:
    job = await api.ok(
        "agent",
        "POST",
        "/jobs",
        {"message": f"boom {SECRETISH}", "stack": SECRETISH, "status": 500},
    )
    told = await api.ok("founder", "GET", f"/jobs/{job['id']}")
    assert SECRETISH.partition("=")[2] not in str(told)
    assert told["events"][0]["origin"] == "api"
    for wrong in ({"route": "no slash"}, {"trace_id": "x"}, {"status": 7}, {"occurred_at": "x"}):
        status, _ = await api.call("agent", "POST", "/jobs", {"message": "m", **wrong})
        assert status == 422, wrong


async def test_a_bad_patch_is_422_with_its_reason(api: ApiUnderTest) -> None:
    job = await api.ok("agent", "POST", "/jobs", {"message": "boom"})
    path = f"/jobs/{job['id']}/patches"
    escaping = "--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n"
    for body in ({}, {"diff": "hello"}, {"diff": escaping}):
        status, answer = await api.call("agent", "POST", path, body)
        assert status == 422, answer
        assert answer["code"]
        assert answer["detail"]


async def test_items_are_answered_by_policy_or_wait(api: ApiUnderTest) -> None:
    low = {"item_type": "campaign", "summary": "spring", "risk_score": 3}
    told = await api.ok("agent", "POST", "/approvals", low)
    assert (told["status"], told["decision"]["actor"]) == ("approved", "policy")
    waits: dict[str, Any] = {}
    for body in (
        {**low, "risk_score": 20},
        {**low, "item_type": "claim"},
        {**low, "details": {"kind": "financial_estimate"}},
    ):
        waits = await api.ok("agent", "POST", "/approvals", body)
        assert waits["status"] == "pending", body
        assert waits["created_by"] == "bot"
    yes = {"decision": "approve", "digest": waits["digest"], "idempotency_key": "k" * 12}
    path = f"/approvals/{waits['id']}/decision"
    assert (await api.call("agent", "POST", path, yes))[0] == 403
    assert (await api.ok("admin", "POST", path, yes))["decision"]["actor"] == "bob"
    late = {**yes, "idempotency_key": "j" * 12, "decision": "reject", "reason": "no"}
    status, answer = await api.call("founder", "POST", path, late)
    assert (status, answer["code"]) == (409, "already_decided")


async def test_rules_are_versioned_and_bite(api: ApiUnderTest) -> None:
    assert (await api.ok("admin", "GET", "/control"))["version"] == 0
    rules = {"rules": [{"name": "quiet", "effect": "forbid", "items": ["email"]}]}
    body = {"based_on": 0, "rules": rules, "reason": "holiday"}
    assert (await api.ok("founder", "PUT", "/control", body))["version"] == 1
    assert (await api.call("founder", "PUT", "/control", body))[0] == 409
    loose = {**body, "based_on": 1, "rules": {"thresholds": {"auto_risk_max": 90}}}
    status, answer = await api.call("founder", "PUT", "/control", loose)
    assert (status, answer["code"]) == (422, "bad_rules")
    mail = {"item_type": "email", "summary": "hello", "risk_score": 0}
    item = await api.ok("agent", "POST", "/approvals", mail)
    assert item["status"] == "pending"
    yes = {"decision": "approve", "digest": item["digest"], "idempotency_key": "k" * 12}
    status, answer = await api.call("founder", "POST", f"/approvals/{item['id']}/decision", yes)
    assert status == 403
    assert "quiet" in answer["detail"]


async def test_ask_answers_with_citations_and_as_a_stream(api: ApiUnderTest) -> None:
    number = await captured(api)
    told = await api.ok("agent", "POST", "/ask", {"text": "what's broken?"})
    assert {"kind": "job", "id": number} in told["citations"]
    headers = api.headers("founder", change=True) | {"Accept": "text/event-stream"}
    async with api.client.post("/api/v1/ask", json={"text": "next"}, headers=headers) as answer:
        assert answer.content_type == "text/event-stream"
        text = await answer.text()
    assert text.rstrip().rpartition("event: done\ndata: ")[2].startswith('{"intent":"what_next"')


async def test_the_audit_pages_filters_and_exports(api: ApiUnderTest) -> None:
    number = await captured(api)
    page = await api.ok("founder", "GET", "/audit?limit=1")
    assert page["next_cursor"] == str(page["entries"][0]["seq"])
    mine = await api.ok("founder", "GET", f"/audit?q={number.lower()}")
    assert {entry["subject"] for entry in mine["entries"]} == {number}
    headers = api.headers("admin", change=False)
    async with api.client.get("/api/v1/audit/export", headers=headers) as answer:
        lines = (await answer.text()).splitlines()
    assert len(lines) == page["total"]


async def test_openapi_is_the_route_table(api: ApiUnderTest) -> None:
    served: dict[str, Any] = await api.ok("viewer", "GET", "/openapi.json")
    assert served == document(ROUTES)
    ways = {(path, method.upper()) for path, ops in served["paths"].items() for method in ops}
    assert ways == {(route.full_path, route.method) for route in ROUTES}
    ids = [op["operationId"] for ops in served["paths"].values() for op in ops.values()]
    assert len(ids) == len(set(ids))
    text = str(served)
    for name in ("JobPage", "DeedRequest", "Problem"):
        assert name in served["components"]["schemas"]
    assert "#/$defs" not in text
