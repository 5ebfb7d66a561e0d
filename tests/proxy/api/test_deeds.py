"""The way of a patch over the API: propose, sandbox, approve, apply, roll back; and every way it
must not go.

The healer's part is played by hand, with the sidecar's own role.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from proxy.clock import SystemClock
from proxy.domain.patch import Patch, PatchStatus
from proxy.store import approvals as approval_store
from proxy.store import control as control_store
from proxy.store import jobs as job_store
from proxy.store import patches as patch_store
from proxy.store.pool import acting
from tests.support.api import ApiUnderTest, deed, new_key
from tests.support.store import ask_main, new_job, new_patch, step

DIFF = "--- a/app.py\n+++ b/app.py\n@@ -1 +1 @@\n-a\n+b\n"


async def proposed(api: ApiUnderTest) -> Patch:
    """A job, a patch for it by an agent, and the request at gate ``sandbox`` that comes with it."""
    job = await api.ok("agent", "POST", "/jobs", {"message": "boom: no such table orders"})
    made = await api.ok("agent", "POST", f"/jobs/{job['id']}/patches", {"diff": DIFF})
    assert made["created_by"] == "bot"
    async with api.sidecar() as conn:
        return await patch_store.get_patch(conn, int(made["id"][2:]))


async def heal_sandbox(api: ApiUnderTest, patch: Patch, *, passed: bool = True) -> Patch:
    """What the healer does with the order: run, store evidence, finish the deed, ask for main."""
    conn = await api.database.connect_proxy()
    try:
        proxy = api.database.actor("proxy")
        patch = await step(conn, proxy, patch, PatchStatus.SANDBOX_RUNNING)
        end = PatchStatus.SANDBOX_PASSED if passed else PatchStatus.SANDBOX_FAILED
        patch = await step(conn, proxy, patch, end, evidence=report(patch, passed=passed))
        async with acting(conn, proxy) as inside:
            for one in await approval_store.pending_deeds(inside):
                await approval_store.finish_deed(inside, one.id, True, {"message": "it ran"})
        if passed:
            await ask_main(conn, patch)
    finally:
        await conn.close()
    return patch


async def ordered_deed(conn: asyncpg.Connection, api: ApiUnderTest) -> approval_store.Deed:
    """The order the founder gave, as soon as it stands in the database."""
    async with asyncio.timeout(10):
        while True:
            async with acting(conn, api.database.actor("proxy")) as inside:
                if orders := await approval_store.pending_deeds(inside):
                    return orders[0]
            await asyncio.sleep(0.02)


def report(patch: Patch, *, passed: bool) -> dict[str, Any]:
    run = {"ran": True, "ok": True, "exit_code": 0, "output": "3 passed", "duration_s": 0.2}
    replay = {"ran": True, "status": 500, "failed": True, "same_signature": True, "excerpt": "boom"}
    return {
        "digest": patch.digest,
        "base_commit": "c0ffee0",
        "applies": True,
        "replay_before": replay,
        "replay_after": {**replay, "status": 200, "failed": not passed, "same_signature": None},
        "tests_before": run,
        "tests_after": run,
        "reproduced": True,
        "fixed": passed,
        "changed": passed,
        "passed": passed,
        "verdict": "fixed" if passed else "not fixed",
        "against": [],
        "started_at": "2026-11-23T00:00:00Z",
        "duration_s": 0.5,
    }


async def waiting(api: ApiUnderTest, item: str, role: str = "founder") -> dict[str, Any]:
    found = (await api.ok(role, "GET", "/approvals"))["approvals"]
    return next(one for one in found if one["item_type"] == item)


def decision(patch: Patch, word: str = "approve", **more: Any) -> dict[str, Any]:
    return {"decision": word, "digest": patch.digest, "idempotency_key": new_key()} | more


async def approved(api: ApiUnderTest) -> Patch:
    patch = await proposed(api)
    await api.ok("founder", "POST", f"/patches/P-{patch.id}/sandbox", deed(patch))
    patch = await heal_sandbox(api, patch)
    main = await waiting(api, "patch_main")
    said = await api.ok("founder", "POST", f"/approvals/{main['id']}/decision", decision(patch))
    assert (said["status"], said["decision"]["actor"]) == ("approved", "ada")
    return replace(patch, status=PatchStatus.APPROVED)


async def test_the_whole_way(api: ApiUnderTest) -> None:
    patch = await proposed(api)
    gate = await waiting(api, "patch_sandbox")
    assert gate["patch_id"] == f"P-{patch.id}"
    path = f"/patches/P-{patch.id}"
    ordered = await api.ok("founder", "POST", f"{path}/sandbox", deed(patch))
    assert (ordered["ok"], ordered["approval_id"]) == (True, gate["id"])
    assert "is ordered" in ordered["message"]
    assert api.wakes

    patch = await heal_sandbox(api, patch)
    main = await waiting(api, "patch_main")
    assert main["evidence_digest"] == patch.evidence_digest
    await api.ok("founder", "POST", f"/approvals/{main['id']}/decision", decision(patch))
    shown = await api.ok("founder", "GET", path)
    assert shown["status"] == "approved"
    assert shown["evidence"]["tests_after"]["output"] == "3 passed"
    assert {a["item_type"] for a in shown["approvals"]} == {"patch_sandbox", "patch_main"}

    # the answer waits for the healer
    sent = asyncio.ensure_future(
        api.ok(
            "founder",
            "POST",
            f"{path}/apply?wait=15",
            deed(patch, evidence_digest=patch.evidence_digest),
        )
    )
    conn = await api.database.connect_proxy()
    proxy = api.database.actor("proxy")
    order = await ordered_deed(conn, api)
    patch = replace(patch, status=PatchStatus.APPROVED)
    await step(conn, proxy, patch, PatchStatus.APPLIED, applied_commit="a" * 40)
    async with acting(conn, proxy) as inside:
        await approval_store.finish_deed(inside, order.id, True, {"message": "on MAIN"})
    done = await sent
    assert (done["patch"]["status"], done["message"]) == ("applied", "on MAIN")
    assert done["patch"]["applied_commit"] == "a" * 40

    back = await api.ok("founder", "POST", f"{path}/rollback", deed(patch, reason="it was worse"))
    assert back["patch"]["status"] == "applied"
    await conn.close()

    chain = await api.ok("founder", "GET", "/audit/verify")
    assert chain["ok"]
    told = {entry["action"] for entry in (await api.ok("admin", "GET", "/audit"))["entries"]}
    assert {"deed.sandbox", "deed.apply", "deed.rollback", "approval.decided"} <= told


async def test_the_same_key_is_answered_once(api: ApiUnderTest) -> None:
    patch = await proposed(api)
    body = deed(patch)
    first = await api.ok("founder", "POST", f"/patches/{patch.id}/sandbox", body)
    again = await api.ok("founder", "POST", f"/patches/{patch.id}/sandbox", body)
    assert (first["replayed"], again["replayed"]) == (False, True)
    status, answer = await api.call("founder", "POST", f"/patches/{patch.id}/rollback", body)
    assert (status, answer["code"]) == (409, "key_reused")
    status, answer = await api.call("founder", "POST", f"/patches/{patch.id}/sandbox", deed(patch))
    assert status == 409


async def test_anything_changed_is_409(api: ApiUnderTest) -> None:
    patch = await proposed(api)
    other = deed(patch, digest="0" * 64)
    for word in ("sandbox", "apply", "rollback"):
        status, answer = await api.call("founder", "POST", f"/patches/{patch.id}/{word}", other)
        assert (status, answer["code"]) == (409, "digest_changed")
    await api.ok("founder", "POST", f"/patches/{patch.id}/sandbox", deed(patch))
    patch = await heal_sandbox(api, patch)
    main = await waiting(api, "patch_main")
    path = f"/approvals/{main['id']}/decision"
    for changed in ({"digest": "1" * 64}, {"evidence_digest": "2" * 64}):
        status, answer = await api.call("founder", "POST", path, decision(patch) | changed)
        assert (status, answer["code"][-8:]) == (409, "_changed")
    assert (await waiting(api, "patch_main"))["status"] == "pending"


@pytest.mark.parametrize("word", ["apply", "rollback"])
async def test_a_step_before_its_time_is_409(api: ApiUnderTest, word: str) -> None:
    patch = await proposed(api)
    status, _ = await api.call("founder", "POST", f"/patches/{patch.id}/{word}", deed(patch))
    assert status == 409


async def test_an_admin_passes_the_sandbox_only_where_the_founder_allowed_it(
    api: ApiUnderTest,
) -> None:
    patch = await proposed(api)
    path = f"/patches/{patch.id}/sandbox"
    status, _ = await api.call("admin", "POST", path, deed(patch))
    assert status == 403
    own = await api.database.connect_as("founder")
    async with acting(own, api.database.actor("founder")) as conn:
        await control_store.set_switch(conn, "admin_sandbox", True, "bob is careful")
    await own.close()
    answer = await api.ok("admin", "POST", path, deed(patch))
    assert answer["ok"]


async def test_an_admin_never_opens_main_but_may_close_it(api: ApiUnderTest) -> None:
    patch = await proposed(api)
    await api.ok("founder", "POST", f"/patches/{patch.id}/sandbox", deed(patch))
    patch = await heal_sandbox(api, patch)
    path = f"/approvals/{(await waiting(api, 'patch_main'))['id']}/decision"
    status, _ = await api.call("admin", "POST", path, decision(patch))
    assert status == 403
    status, answer = await api.call("admin", "POST", path, decision(patch, "reject"))
    assert (status, answer["code"]) == (422, "reason_missing")
    await api.ok("admin", "POST", path, decision(patch, "reject", reason="not our style"))
    shown = await api.ok("admin", "GET", f"/patches/{patch.id}")
    assert shown["status"] == "rejected"


async def test_reject_closes_the_job_unless_another_patch_lives(api: ApiUnderTest) -> None:
    one = await proposed(api)
    conn = await api.database.connect_proxy()
    two = await new_patch(conn, one.job_id, DIFF.replace("+b", "+c"))
    await conn.close()
    gate = await waiting(api, "patch_sandbox")
    path = f"/approvals/{gate['id']}/decision"
    await api.ok("founder", "POST", path, decision(one, "reject", reason="no"))
    job = await api.ok("founder", "GET", f"/jobs/{one.job_id}")
    assert job["job"]["status"] != "closed"
    await api.ok("founder", "POST", f"/patches/{two.id}/sandbox", deed(two))
    two = await heal_sandbox(api, two)
    main = await waiting(api, "patch_main")
    path = f"/approvals/{main['id']}/decision"
    body = decision(two, "reject", reason="no again")
    await api.ok("founder", "POST", path, body)
    job = await api.ok("founder", "GET", f"/jobs/{one.job_id}")
    assert job["job"]["status"] == "closed"
    # the same answer once more is the same answer
    again = await api.ok("founder", "POST", path, body)
    assert again["status"] == "rejected"


async def test_reject_keeps_the_job_open_where_asked(api: ApiUnderTest) -> None:
    patch = await proposed(api)
    path = f"/approvals/{(await waiting(api, 'patch_sandbox'))['id']}/decision"
    body = decision(patch, "reject", reason="later", keep_job_open=True)
    await api.ok("founder", "POST", path, body)
    job = await api.ok("founder", "GET", f"/jobs/{patch.job_id}")
    assert job["job"]["status"] != "closed"


async def test_a_failed_patch_is_rejected_through_its_answered_gate(api: ApiUnderTest) -> None:
    patch = await proposed(api)
    gate = await waiting(api, "patch_sandbox")
    await api.ok("founder", "POST", f"/patches/{patch.id}/sandbox", deed(patch))
    patch = await heal_sandbox(api, patch, passed=False)
    path = f"/approvals/{gate['id']}/decision"
    await api.ok("founder", "POST", path, decision(patch, "reject", reason="it fixes nothing"))
    assert (await api.ok("founder", "GET", f"/patches/{patch.id}"))["status"] == "rejected"


async def test_two_founders_decide_once(api: ApiUnderTest) -> None:
    patch = await proposed(api)
    await api.ok("founder", "POST", f"/patches/{patch.id}/sandbox", deed(patch))
    patch = await heal_sandbox(api, patch)
    path = f"/approvals/{(await waiting(api, 'patch_main'))['id']}/decision"
    bodies = [decision(patch), decision(patch, "reject", reason="no")]
    told = await asyncio.gather(*(api.call("founder", "POST", path, b) for b in bodies))
    statuses = sorted(status for status, _ in told)
    shown = await api.ok("founder", "GET", f"/patches/{patch.id}")
    # approve first: the later no still ends the patch before anything moved; reject first: the yes
    # is late
    assert statuses in ([200, 200], [200, 409])
    assert shown["status"] == "rejected" or statuses == [200, 409]


async def test_a_removed_member_loses_the_right_at_once(api: ApiUnderTest) -> None:
    patch = await proposed(api)
    await api.ok("founder", "GET", "/jobs")
    installer = await api.database.connect_installer()
    # not remove_member: its login is shared by every database of this server
    await installer.execute("delete from profiles where name = 'ada'")
    await installer.close()
    # reading is remembered for a minute; a deed never is
    assert (await api.call("founder", "GET", "/jobs"))[0] == 200
    status, _ = await api.call("founder", "POST", f"/patches/{patch.id}/sandbox", deed(patch))
    assert status == 401
    assert (await api.call("founder", "GET", "/jobs"))[0] == 401


async def test_a_changed_role_counts_at_once(api: ApiUnderTest) -> None:
    patch = await proposed(api)
    await api.ok("founder", "GET", "/jobs")
    installer = await api.database.connect_installer()
    await installer.execute("update profiles set role = 'VIEWER' where name = 'ada'")
    await installer.close()
    status, _ = await api.call("founder", "POST", f"/patches/{patch.id}/sandbox", deed(patch))
    assert status == 403


async def test_status_by_hand(api: ApiUnderTest) -> None:
    conn = await api.database.connect_proxy()
    job = await new_job(conn)
    await conn.close()
    path = f"/jobs/J-{job}/status"
    later = (SystemClock().now() + timedelta(hours=2)).isoformat()
    snoozed = await api.ok("admin", "POST", path, {"status": "snoozed", "until": later})
    assert snoozed["status"] == "snoozed"
    for body in ({"status": "snoozed"}, {"status": "snoozed", "until": "2020-01-01T00:00:00Z"}):
        status, _ = await api.call("admin", "POST", path, body)
        assert status == 422
    await api.ok("founder", "POST", path, {"status": "closed", "reason": "gone"})
    status, answer = await api.call("founder", "POST", path, {"status": "closed", "reason": "x"})
    assert (status, answer["code"]) == (409, "illegal_step")
    assert (await api.ok("founder", "POST", path, {"status": "open"}))["status"] == "open"
    async with api.sidecar() as inside:
        assert (await job_store.get_job(inside, job)).status == "open"
