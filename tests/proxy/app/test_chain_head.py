"""The chain's head outside the database: what is cut off or written anew shows."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from proxy.app.chain_head import HeadKeeper
from proxy.cli import main
from proxy.clock import ManualClock
from proxy.config import Config
from proxy.errors import Invalid, Unavailable
from proxy.store import audit
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase


class Kept:
    """A keeper on a database, with the file it writes."""

    def __init__(self, pool: asyncpg.Pool, path: Path, **more: Any) -> None:
        self.pool, self.path = pool, path
        self.config = Config.of({"audit": {"head_file": str(path), **more}})
        self.keeper = self.again()

    def again(self) -> HeadKeeper:
        return HeadKeeper(self.sidecar, self.config, ManualClock())

    @asynccontextmanager
    async def sidecar(self) -> AsyncIterator[asyncpg.Connection]:
        async with acting(self.pool, AS_PROXY) as conn:
            yield conn

    async def note(self, subject: str) -> None:
        async with self.sidecar() as conn:
            await audit.append(conn, "release.seen", subject)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    async def verified(self) -> audit.Verified:
        async with self.sidecar() as conn:
            chain = [line async for line in audit.export(conn)]
        with self.path.open() as file:
            return audit.verify_export(chain, audit.read_heads(file))


@pytest.fixture
def kept(proxy_pool: asyncpg.Pool, tmp_path: Path) -> Kept:
    return Kept(proxy_pool, tmp_path / "heads.jsonl")


async def cut(db: TestDatabase, statement: str) -> None:
    """What only a superuser who hides it could do: rows and head agree again afterwards."""
    conn = await db.connect_installer()
    await conn.execute("alter table audit_log disable trigger user")
    await conn.execute(statement)
    await conn.execute(
        "update audit_head h set (seq, hash) ="
        " (select seq, hash from audit_log order by seq desc limit 1)"
    )
    await conn.execute("alter table audit_log enable trigger user")
    assert await conn.fetchval("select audit_first_bad()") is None, "the chain alone shows nothing"
    await conn.close()


async def test_each_new_head_is_one_line_on_disk(kept: Kept) -> None:
    for n in range(3):
        await kept.note(f"v{n}")
        newest = await kept.keeper.look()
        await kept.keeper.look()
        assert kept.lines()[-1] | {"at": ""} == {
            "service": "app", "at": "", "seq": newest.seq, "hash": newest.hash,
        }  # fmt: skip
    assert len(kept.lines()) == 3
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert (await kept.verified()).ok
    assert kept.keeper.broken is None


@pytest.mark.parametrize("newest", [1, 2, 5])
async def test_newest_entries_cut_off_show(database: TestDatabase, kept: Kept, newest: int) -> None:
    for n in range(6):
        await kept.note(f"v{n}")
    head = await kept.keeper.look()
    await cut(database, f"delete from audit_log where seq > {head.seq - newest}")
    verdict = await kept.verified()
    assert (verdict.ok, verdict.first_bad) == (False, head.seq)
    await kept.note("goes on as if nothing had been")
    again = kept.again()
    await again.look()
    assert again.broken is not None
    assert f"#{head.seq}" in again.broken
    assert not (await kept.verified()).ok, "what was kept is never taken back"


async def test_a_chain_written_anew_shows(database: TestDatabase, kept: Kept) -> None:
    """Whoever can rewrite rows can compute hashes, too: only what lies elsewhere tells."""
    for n in range(4):
        await kept.note(f"v{n}")
    head = await kept.keeper.look()
    await cut(
        database,
        f"""
        do $do$ declare r record; last text; text_now text; begin
          select hash into last from audit_log where seq = {head.seq - 2};
          for r in select * from audit_log where seq > {head.seq - 2} order by seq loop
            text_now := jsonb_set(r.payload::jsonb, '{{2}}', '"eve"')::text;
            update audit_log set actor = 'eve', payload = text_now, prev_hash = last,
              hash = encode(sha256(convert_to(last || text_now, 'UTF8')), 'hex') where seq = r.seq
              returning hash into last;
          end loop;
        end $do$""",
    )
    assert (await kept.verified()).first_bad == head.seq
    await kept.keeper.look()
    assert kept.keeper.broken is not None


async def test_a_line_cut_by_a_crash_is_no_head_and_no_obstacle(kept: Kept) -> None:
    await kept.note("v0")
    await kept.keeper.look()
    with kept.path.open("a") as file:
        file.write('{"service":"app","seq":99')
    await kept.note("v1")
    newest = await kept.again().look()
    assert [line["seq"] for line in kept.lines()] == [newest.seq - 1, newest.seq]
    assert (await kept.verified()).ok
    kept.path.write_text('{"seq":1')
    await kept.again().look()
    assert [line["seq"] for line in kept.lines()] == [newest.seq]


async def test_another_file_is_not_written_over(kept: Kept) -> None:
    kept.path.write_text("dear diary\n")
    with pytest.raises(Invalid, match=r"heads\.jsonl"):
        await kept.keeper.look()
    assert kept.path.read_text() == "dear diary\n"


async def test_the_command_compares_an_export_with_the_heads(
    kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await kept.note("v0")
    head = await kept.keeper.look()
    async with kept.sidecar() as conn:
        chain = [line async for line in audit.export(conn)]
    for lines, code in ((chain, 0), (chain[:-1], 1)):
        file = tmp_path / "chain.jsonl"
        file.write_text("".join(line + "\n" for line in lines))
        assert main(["audit", "verify", str(file), "--head", str(kept.path), "--json"]) == code
        told = json.loads(capsys.readouterr().out)
        assert told["first_bad"] == (head.seq if code else None)
    assert main(["audit", "verify", str(file)]) == 0, "without the head nothing is missing"


async def test_the_webhook_hears_each_head_until_it_was_taken(
    proxy_pool: asyncpg.Pool, tmp_path: Path, aiohttp_server: Any
) -> None:
    heard: list[dict[str, Any]] = []
    answers = [503, 200, 200]

    async def hook(request: web.Request) -> web.Response:
        heard.append(await request.json())
        return web.Response(status=answers[len(heard) - 1])

    app = web.Application()
    app.router.add_post("/hook", hook)
    server = await aiohttp_server(app)
    url = str(server.make_url("/hook"))
    kept = Kept(proxy_pool, tmp_path / "heads.jsonl", head_webhook=url)
    await kept.note("v0")
    with pytest.raises(Unavailable, match="503"):
        await kept.keeper.look()
    first = await kept.keeper.look()
    await kept.keeper.look()
    await kept.note("v1")
    second = await kept.keeper.look()
    assert [line["seq"] for line in heard] == [first.seq, first.seq, second.seq]
    assert heard[-1]["hash"] == second.hash
