"""merge and split through the API: people's deeds, with their reasons."""

from tests.support.api import ApiUnderTest


async def report(api: ApiUnderTest, message: str, **more: object) -> dict[str, object]:
    job = await api.ok("agent", "POST", "/jobs", {"message": message, **more})
    assert isinstance(job, dict)
    return job


async def test_two_jobs_become_one(api: ApiUnderTest) -> None:
    one = await report(api, "KeyError: 'total' in checkout")
    two = await report(api, "ZeroDivisionError: division by zero in checkout")
    path = f"/jobs/{one['id']}/merge"
    body = {"other": two["id"], "reason": "one rounding bug"}
    for role in ("agent", "viewer"):
        assert (await api.call(role, "POST", path, body))[0] == 403
    merged = await api.ok("admin", "POST", path, body)
    assert (merged["id"], merged["occurrences"]) == (one["id"], 2)
    assert (await report(api, "ZeroDivisionError: division by zero in checkout"))["id"] == one["id"]
    closed = await api.ok("admin", "GET", f"/jobs/{two['id']}")
    assert closed["job"]["reason"] == f"merged into {one['id']}: one rounding bug"
    status, problem = await api.call("admin", "POST", path, body)
    assert (status, problem["code"]) == (409, "illegal_step")
    status, problem = await api.call("admin", "POST", path, {"other": "P-1"})
    assert status == 422


async def test_one_job_becomes_two(api: ApiUnderTest) -> None:
    one = await report(api, "KeyError: 'total'", route="/orders", status=500)
    await report(api, "KeyError: 'total'", route="/refunds", status=500)
    detail = await api.ok("founder", "GET", f"/jobs/{one['id']}")
    assert detail["job"]["occurrences"] == 2, detail
    event = next(e for e in detail["events"])
    path = f"/jobs/{one['id']}/split"
    assert (await api.call("agent", "POST", path, {"event": event["id"]}))[0] == 403
    status, problem = await api.call("founder", "POST", path, {"event": "999"})
    assert (status, problem["code"]) == (404, "not_found")
    other = await api.ok("founder", "POST", path, {"event": event["id"]})
    assert other["id"] != one["id"]
    assert (await report(api, "KeyError: 'total'", route="/refunds", status=500))["id"] == other[
        "id"
    ]
    assert (await report(api, "KeyError: 'total'", route="/orders", status=500))["id"] == one["id"]
    left = (await api.ok("founder", "GET", f"/jobs/{other['id']}"))["events"]
    status, problem = await api.call(
        "founder", "POST", f"/jobs/{other['id']}/split", {"event": left[0]["id"]}
    )
    assert (status, problem["code"]) == (409, "indistinguishable")
