"""The chain: gapless under load; every changed, removed, swapped or cut row is found."""

import asyncio
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.domain.audit import GENESIS, Head
from proxy.errors import Invalid, NotPermitted
from proxy.store import audit
from proxy.store.pool import AS_PROXY, acting, open_pool
from tests.support.postgres import TestDatabase
from tests.support.store import new_job


async def _chain(db: TestDatabase, length: int = 12) -> list[str]:
    proxy = await db.connect_proxy()
    await new_job(proxy)
    async with acting(proxy, AS_PROXY) as conn:
        for n in range(length):
            await audit.append(
                conn, "release.seen", f"v{n}", before={"n": n}, after=[1.5, "ä\x00"], reason="ö"
            )
        lines = [line async for line in audit.export(conn)]
    await proxy.close()
    return lines


async def test_parallel_writers_make_one_chain(database: TestDatabase) -> None:
    pool = await open_pool(database.proxy_dsn, max_size=8)

    async def write(n: int) -> None:
        async with acting(pool, AS_PROXY) as conn:
            for _ in range(5):
                await audit.append(conn, "release.seen", f"w{n}")

    await asyncio.gather(*(write(n) for n in range(16)))
    async with acting(pool, AS_PROXY) as conn:
        verdict = await audit.verify(conn)
        entries = await audit.list_audit(conn, limit=1000)
    await pool.close()
    assert verdict.ok
    assert [e.seq for e in entries] == list(range(len(entries), 0, -1))
    assert verdict.entries == len(entries) >= 80
    assert verdict.head == entries[0].hash


async def test_notes_name_their_author_and_forge_nothing(database: TestDatabase) -> None:
    proxy, founder = await database.connect_proxy(), await database.connect_as("founder")
    async with acting(founder, database.actor("founder")) as conn:
        seq = await audit.append(conn, "handover.noted", "J-1", reason="I know")
        (entry,) = await audit.list_audit(conn, actor="ada")
    assert (entry.seq, entry.role, entry.origin, entry.reason) == (seq, "founder", "test", "I know")
    for action in (
        "job.status",
        "alert.acknowledged",
        "deed.apply",
        "deploy.announced",
        "Not An Action",
    ):
        with pytest.raises(NotPermitted):
            async with acting(proxy, AS_PROXY) as conn:
                await audit.append(conn, action, "J-1")
    viewer = await database.connect_as("viewer")
    with pytest.raises(NotPermitted):
        async with acting(viewer, database.actor("viewer")) as conn:
            await audit.append(conn, "handover.noted", "J-1")
    async with acting(viewer, database.actor("viewer")) as conn:
        assert {(e.after, e.payload) for e in await audit.list_audit(conn)} == {(None, "")}
    for conn in (proxy, founder, viewer):
        await conn.close()


async def test_an_export_verifies_and_pages_match(database: TestDatabase) -> None:
    lines = await _chain(database)
    verdict = audit.verify_export(lines)
    assert verdict.ok
    assert verdict.entries == len(lines)
    assert audit.verify_export([]).head == GENESIS
    for bad in ("x", "[]", "{}", '{"seq": 1}', "[" * 100_000):
        with pytest.raises(Invalid):
            audit.verify_export([bad])


COLUMNS = ("seq", "at", "actor", "role", "origin", "action", "subject", "before", "after", "reason")


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
async def test_every_tampering_shows(database: TestDatabase, seed: int) -> None:
    """In the export and in the live table alike; each live attack is rolled back afterwards."""
    rng = random.Random(seed)
    lines = await _chain(database, 4)
    entries = [json.loads(line) for line in lines]
    at = rng.randrange(len(entries))
    for kind in ("change", "remove", "swap", "hash", "payload"):
        tampered = [dict(e) for e in entries]
        if kind == "change":
            column = rng.choice(COLUMNS)
            old = tampered[at][column]
            tampered[at][column] = (
                "2001-01-01T00:00:00+00:00" if column == "at" else 999 if column == "seq" else [old]
            )
        elif kind == "remove" and at < len(tampered) - 1:
            del tampered[at]
        elif kind == "swap":
            other = (at + 1) % len(tampered)
            tampered[at], tampered[other] = tampered[other], tampered[at]
        elif kind == "hash":
            tampered[at]["hash"] = "0" * 64
        elif kind == "payload":
            tampered[at]["payload"] += " "
        else:
            continue
        verdict = audit.verify_export(json.dumps(e) for e in tampered)
        assert not verdict.ok, (kind, at)
        assert verdict.first_bad is not None
        assert verdict.first_bad <= at + 2
    await _attack_live(database, entries[at]["seq"], len(entries))


async def _attack_live(db: TestDatabase, seq: int, last: int) -> None:
    conn = await db.connect_installer()
    attacks = {
        f"update audit_log set actor = 'eve' where seq = {seq}": seq,
        f"update audit_log set after = '1' where seq = {seq}": seq,
        f"update audit_log set reason = 'eve' where seq = {seq}": seq,
        f"update audit_log set at = at + interval '1 microsecond' where seq = {seq}": seq,
        f"update audit_log set payload = payload || ' ' where seq = {seq}": seq,
        f"delete from audit_log where seq = {seq}": seq,
        f"delete from audit_log where seq >= {seq}": seq,
        f"update audit_log set seq = {last + 5} where seq = {seq}": seq,
        "update audit_head set hash = repeat('1', 64)": None,
    }
    for attack, expected in attacks.items():
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute("alter table audit_log disable trigger user; " + attack)
        found = await conn.fetchval("select audit_first_bad()")
        await transaction.rollback()
        assert found is not None, attack
        assert expected is None or found == expected, attack
    assert await conn.fetchval("select audit_first_bad()") is None
    await conn.close()


async def test_no_single_change_of_an_export_passes(database: TestDatabase) -> None:
    """Every row × every field, every row removed, every pair swapped, every tail cut off."""
    lines = await _chain(database, 3)
    entries = [json.loads(line) for line in lines]
    heads = [Head(entry["seq"], entry["hash"]) for entry in entries]
    assert audit.verify_export(lines, heads).ok
    for at in range(len(entries)):
        for name, value in entries[at].items():
            for other in _others(value):
                changed = [dict(entry) for entry in entries]
                changed[at][name] = other
                found = audit.verify_export(map(json.dumps, changed))
                assert not found.ok, (at, name, other)
                assert found.first_bad in (at + 1, at + 2), (at, name)
        removed = lines[:at] + lines[at + 1 :]
        assert not audit.verify_export(removed, heads).ok
        assert audit.verify_export(removed).ok == (at == len(lines) - 1), "only a head shows that"
        assert audit.verify_export(lines[:at], heads).first_bad == at + 1
        assert not audit.verify_export([*lines[: at + 1], lines[at], *lines[at + 1 :]]).ok
        for with_ in range(at):
            swapped = list(lines)
            swapped[at], swapped[with_] = lines[with_], lines[at]
            assert audit.verify_export(swapped).first_bad == with_ + 1


def _others(value: object) -> list[object]:
    if isinstance(value, str):
        flipped = value[:-1] + ("0" if value[-1:] != "0" else "1")
        return [flipped, value + " ", None] if value else ["x"]
    return [value + 1] if isinstance(value, int) else [1, "x", {"n": None}]


async def test_no_single_change_of_the_table_passes(database: TestDatabase) -> None:
    """The same live: every column of every row, every row gone, every pair swapped."""
    await _chain(database, 3)
    conn = await database.connect_installer()
    await conn.execute("alter table audit_log disable trigger user")
    last = await conn.fetchval("select max(seq) from audit_log")
    columns = {
        "at": "at - interval '1 microsecond'",
        "before": "coalesce(before, '{}') || '{\"x\": 1}'",
        "after": "'[7]'",
        "reason": "coalesce(reason, '') || ' '",
        "seq": f"seq + {last}",
        "hash": "md5(hash) || md5(hash)",
        "prev_hash": "md5(prev_hash) || md5(prev_hash)",
    }
    columns |= {
        n: f"{n} || ' '" for n in ("actor", "role", "origin", "action", "subject", "payload")
    }
    attacks = []
    for seq in range(1, last + 1):
        attacks += [f"update audit_log set {c} = {v} where seq = {seq}" for c, v in columns.items()]
        attacks += [
            f"delete from audit_log where seq = {seq}",
            f"delete from audit_log where seq >= {seq}",
        ]
        attacks += [
            f"update audit_log set seq = case seq when {seq} then -{other} else -{seq} end"
            f" where seq in ({seq}, {other}); update audit_log set seq = -seq where seq < 0"
            for other in range(1, seq)
        ]
    attacks += [
        "truncate audit_log",
        "update audit_head set seq = seq + 1",
        "delete from audit_log",
    ]
    await conn.execute("alter table audit_head disable trigger user")
    for attack in attacks:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(attack)
        assert await conn.fetchval("select audit_first_bad()") is not None, attack
        await transaction.rollback()
    assert await conn.fetchval("select audit_first_bad()") is None
    await conn.close()
