"""Patches: one digest in database and domain, content kept exactly, steps compare and set."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.domain.failure import Severity
from proxy.domain.patch import PatchStatus, PatchType, Risk, evidence_digest, patch_digest
from proxy.errors import Conflict, Invalid, NotFound
from proxy.store import approvals, patches
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase
from tests.support.store import evidence_for, key, new_job, new_patch, run_sandbox, step

CONTENT = st.none() | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(parts=st.lists(st.tuples(CONTENT, CONTENT, CONTENT), min_size=20, max_size=40))
async def test_the_digest_of_the_database_is_the_domains(
    database: TestDatabase, parts: list[tuple[str | None, str | None, str | None]]
) -> None:
    conn = await database.connect_installer()
    rows = await conn.fetch(
        "select patch_digest(b, d, s) from unnest($1::text[], $2::text[], $3::text[]) t(b, d, s)",
        *(list(column) for column in zip(*parts, strict=True)),
    )
    await conn.close()
    assert [r[0] for r in rows] == [patch_digest(*part) for part in parts]


async def test_every_control_character_is_escaped_alike(database: TestDatabase) -> None:
    conn = await database.connect_installer()
    for code in (*range(1, 0x21), 0x22, 0x5C, 0x7F, 0x80, 0x9F, 0x2028, 0xFFFF, 0x1F600):
        text = f"a{chr(code)}b"
        assert await conn.fetchval("select patch_digest(null, $1, null)", text) == patch_digest(
            None, text, None
        ), hex(code)
    await conn.close()


async def test_content_is_kept_exactly_or_not_at_all(database: TestDatabase) -> None:
    proxy = await database.connect_proxy()
    job = await new_job(proxy)
    diff = "--- a\r\n+++ b\n-\ttab \u2028 \U0001f600\n"
    patch = await new_patch(proxy, job, diff)
    assert patch.diff == diff
    assert patch.digest == patch_digest(patch.base_commit, diff, None)
    assert (patch.status, patch.created_by, patch.service) == (PatchStatus.PROPOSED, "ada", "app")
    for bad in ("nul\x00", "half\ud800", "x" * (patches.CONTENT_CHARS_MAX + 1)):
        with pytest.raises(Invalid):
            await new_patch(proxy, job, bad)
    with pytest.raises(Conflict) as twice:
        await new_patch(proxy, job, diff)
    assert twice.value.code == "exists"
    with pytest.raises(NotFound):
        await new_patch(proxy, 99)
    await proxy.close()


async def test_empty_patches_are_refused_unless_manual(database: TestDatabase) -> None:
    proxy = await database.connect_proxy()
    job = await new_job(proxy)
    for kind, works in ((PatchType.CODE, False), (PatchType.MANUAL, True)):
        try:
            async with acting(proxy, AS_PROXY) as conn:
                await patches.attach(
                    conn,
                    job,
                    patch_type=kind,
                    description="turn it off and on",
                    diff=None,
                    sql=None,
                    base_commit=None,
                    files_changed=(),
                    risk=Risk(0, Severity.LOW),
                    payload={},
                    created_by="ada",
                )
            assert works
        except Invalid:
            assert not works
    await proxy.close()


async def test_evidence_is_bound_to_its_bytes_and_to_the_digest(database: TestDatabase) -> None:
    proxy, founder = await database.connect_proxy(), await database.connect_as("founder")
    patch = await new_patch(proxy, await new_job(proxy))
    passed = await run_sandbox(database, proxy, founder, patch)
    assert passed.evidence == evidence_for(patch)
    assert passed.evidence_digest == evidence_digest(evidence_for(patch))
    assert passed.sandbox_branch == "b"
    with pytest.raises(Conflict) as stale:
        await step(proxy, AS_PROXY, patch, PatchStatus.SUPERSEDED)
    assert stale.value.code == "changed"
    running = await step(proxy, AS_PROXY, passed, PatchStatus.SUPERSEDED, reason="a better one")
    assert running.status is PatchStatus.SUPERSEDED
    await proxy.close()
    await founder.close()


async def test_evidence_for_another_digest_passes_nothing(database: TestDatabase) -> None:
    proxy, founder = await database.connect_proxy(), await database.connect_as("founder")
    patch = await new_patch(proxy, await new_job(proxy))
    async with acting(founder, database.actor("founder")) as conn:
        await approvals.record_deed(conn, "sandbox", patch.id, patch.digest, None, key())
    running = await step(proxy, AS_PROXY, patch, PatchStatus.SANDBOX_RUNNING)
    for evidence in (None, {"digest": "0" * 64}, {}):
        with pytest.raises(Conflict) as refusal:
            await step(proxy, AS_PROXY, running, PatchStatus.SANDBOX_PASSED, evidence=evidence)
        assert refusal.value.code == "digest_changed"
    with pytest.raises(Conflict):
        await step(
            proxy,
            AS_PROXY,
            running,
            PatchStatus.SANDBOX_FAILED,
            evidence={"digest": patch.digest},
            evidence_digest="0" * 64,
        )
    failed = await step(
        proxy, AS_PROXY, running, PatchStatus.SANDBOX_FAILED, evidence={"digest": patch.digest}
    )
    assert failed.evidence == {"digest": patch.digest}
    await proxy.close()
    await founder.close()


async def test_risk_is_weighed_before_it_is_shown_and_then_only_rises(
    database: TestDatabase,
) -> None:
    proxy, founder = await database.connect_proxy(), await database.connect_as("founder")
    patch = await new_patch(proxy, await new_job(proxy), risk=Risk(90, Severity.CRITICAL, ("a",)))
    patch = await step(
        proxy, AS_PROXY, patch, PatchStatus.PROPOSED, risk=Risk(30, Severity.MEDIUM, ("b",))
    )
    assert patch.risk == Risk(30, Severity.MEDIUM, ("b",))
    patch = await run_sandbox(database, proxy, founder, patch)
    raised = Risk(80, Severity.CRITICAL, ("c",))
    assert (await step(proxy, AS_PROXY, patch, patch.status, risk=raised)).risk == raised
    with pytest.raises(Conflict) as lowered:
        await step(proxy, AS_PROXY, patch, patch.status, risk=Risk(0, Severity.LOW))
    assert lowered.value.code == "immutable"
    await proxy.close()
    await founder.close()


async def test_lists(database: TestDatabase) -> None:
    proxy = await database.connect_proxy()
    one, two = await new_job(proxy), await new_job(proxy, "v1:ffffffffffffffff")
    first, second = await new_patch(proxy, one, "+1"), await new_patch(proxy, two, "+2")
    await step(proxy, AS_PROXY, first, PatchStatus.SUPERSEDED)
    async with acting(proxy, AS_PROXY) as conn:
        assert [p.id for p in await patches.list_patches(conn)] == [second.id, first.id]
        assert [p.id for p in await patches.list_patches(conn, one)] == [first.id]
        live = await patches.list_patches(conn, statuses={PatchStatus.PROPOSED})
        assert [p.id for p in live] == [second.id]
        with pytest.raises(NotFound):
            await patches.get_patch(conn, 99)
    await proxy.close()
