"""Alerts and broken glass over HTTP, on the members' own logins."""

from proxy.domain.failure import Severity
from proxy.store import jobs
from tests.support.api import ApiUnderTest, new_key
from tests.support.store import classified, failure, new_job, new_patch

WHY = "MAIN is down and the sandbox with it"


async def test_the_founder_breaks_the_glass_once_and_everybody_sees_it(api: ApiUnderTest) -> None:
    conn = await api.database.connect_proxy()
    patch = await new_patch(conn, await new_job(conn))
    await conn.close()
    path = f"/patches/P-{patch.id}/break-glass"
    body = {"digest": patch.digest, "idempotency_key": new_key(), "reason": WHY}
    assert (await api.call("admin", "POST", path, body))[0] == 403
    assert (await api.call("founder", "POST", path, body | {"reason": "x"}))[0] == 422
    status, stale = await api.call("founder", "POST", path, body | {"digest": "0" * 64})
    assert (status, stale["code"]) == (409, "digest_changed")
    done = await api.ok("founder", "POST", path, body)
    assert (done["patch"]["status"], done["replayed"]) == ("approved", False)
    again = await api.ok("founder", "POST", path, body)
    assert (again["patch"]["status"], again["replayed"]) == ("approved", True)
    (alert,) = (await api.ok("admin", "GET", "/alerts"))["alerts"]
    assert (alert["kind"], alert["severity"]) == ("break_glass", "critical")
    seen = {"kind": "break_glass", "subject": f"P-{patch.id}", "note": "told the team"}
    assert (await api.ok("admin", "POST", "/alerts/acknowledge", seen))["alerts"] == []
    status, gone = await api.call("founder", "POST", "/alerts/acknowledge", seen)
    assert (status, gone["code"]) == (404, "not_found")


async def test_a_critical_job_waits_for_a_person(api: ApiUnderTest) -> None:
    async with api.sidecar() as conn:
        bad = classified("v1:00000000000000aa", severity=Severity.CRITICAL)
        job = (await jobs.record_failure(conn, failure(), bad)).job.id
    for role in ("agent", "viewer"):
        assert (await api.call(role, "GET", "/alerts"))[0] == 403
    (alert,) = (await api.ok("founder", "GET", "/alerts"))["alerts"]
    assert alert["subject"] == f"J-{job}"
