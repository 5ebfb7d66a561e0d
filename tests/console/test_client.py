"""Every typed call against a real server, and every way it can go wrong; by a connection for each
call and by the console's pool.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from console.carrying import ANSWER_BYTES_MAX
from console.client import Client, Unknown, problem_to_error, seen
from console.pooled import PooledClient
from proxy.contract.approvals import ApprovalDecision
from proxy.contract.patches import AttachPatchRequest, DeedRequest
from proxy.errors import Conflict, Invalid, NotFound, NotPermitted, SelfHealError, Unavailable
from tests.support import console_facts as facts
from tests.support.console_server import TOKEN, ConsoleServer, Problem

KEY = "key-12345678"

Connect = Callable[[str, str], Client]


@pytest.fixture(params=[Client, PooledClient])
def connect(request: pytest.FixtureRequest) -> Connect:
    made: Connect = request.param
    return made


@pytest.fixture
async def client(connect: Connect, server: ConsoleServer) -> AsyncIterator[Client]:
    async with connect(server.url, TOKEN) as connected:
        yield connected


def deed(digest: str) -> DeedRequest:
    return DeedRequest(digest=digest, idempotency_key=KEY)


async def test_reading_calls(client: Client, server: ConsoleServer) -> None:
    assert (await client.health()).score == 87
    assert next(route.route for route in await client.routes()) == "/checkout"
    assert (await client.anomalies())[0].type == "error_rate_spike"
    page = await client.jobs(severity="critical", limit=10)
    assert ([job.id for job in page.jobs], page.total, page.all) == (["J-2"], 1, 4)
    assert (await client.job(1)).job.id == "J-1"
    assert (await client.patch(2)).id == "P-2"
    assert [patch.id for patch in await client.patches(1)] == ["P-1", "P-2"]
    assert {item.item_type for item in await client.approvals()} == {"patch_sandbox"}
    assert (await client.audit(limit=2)).next_cursor == "2"
    assert (await client.verify_audit()).ok
    assert (await client.control()).version == 3
    assert (await client.ask("what now")).citations[0].id == "J-1"
    asked = next(query for _, path, query, _ in server.seen if path == "/jobs")
    assert asked == {"severity": "critical", "limit": "10"}


async def test_changes_carry_the_header_and_the_key(client: Client, server: ConsoleServer) -> None:
    before = await client.patch(1)
    done = await client.deed(1, "sandbox", deed(before.digest), wait_s=3)
    assert done.patch.status == "sandbox_passed"
    method, path, query, body = server.seen[-1]
    assert (method, path, query) == ("POST", "/patches/1/sandbox", {"wait": "3"})
    assert body["idempotency_key"] == KEY
    assert (await client.deed(1, "sandbox", deed(before.digest))).replayed


async def test_decide_and_status_and_attach(client: Client) -> None:
    await client.deed(1, "sandbox", deed(facts.digest("P-1")))
    outcome = await client.decide(
        101,
        ApprovalDecision(decision="approve", digest=facts.digest("P-1"), idempotency_key="k" * 9),
    )
    assert (outcome.ok, outcome.message) == (True, "A-101 is approved")
    assert (await client.patch(1)).status == "approved"
    assert (await client.set_status(3, "closed", reason="old")).status == "closed"
    patch = await client.attach(2, AttachPatchRequest(diff=facts.DIFF))
    assert (patch.id, patch.job_id) == ("P-3", "J-2")


async def test_errors_come_as_families(client: Client) -> None:
    with pytest.raises(NotFound, match="no J-99"):
        await client.job(99)
    with pytest.raises(Conflict, match="changed since"):
        await client.deed(1, "sandbox", deed("0" * 64))
    with pytest.raises(Invalid, match="no hunk") as caught:
        await client.attach(1, AttachPatchRequest(diff="nothing"))
    assert caught.value.code == "empty_diff"
    assert caught.value.__notes__ == ["request req-7f3a"]


async def test_a_refused_token(connect: Connect, server: ConsoleServer) -> None:
    async with connect(server.url, "founder:wrong") as other:
        with pytest.raises(NotPermitted, match="not known") as caught:
            await other.health()
    assert caught.value.exit_code == 77


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, Invalid),
        (401, NotPermitted),
        (403, NotPermitted),
        (404, NotFound),
        (409, Conflict),
        (422, Invalid),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_status_to_family(status: int, family: type[SelfHealError]) -> None:
    error = problem_to_error(status, {"detail": "no\x1b[2J", "request_id": "r\x07"})
    assert type(error) is family
    assert (str(error), error.__notes__) == ("no<U+001B>[2J", ["request r<U+0007>"])


async def test_nobody_there_is_unavailable(connect: Connect) -> None:
    async with connect("http://127.0.0.1:1", TOKEN) as nobody:
        with pytest.raises(Unavailable, match="does not answer") as caught:
            await nobody.health()
        assert type(caught.value) is Unavailable
        with pytest.raises(Unavailable) as caught:
            await nobody.deed(1, "apply", deed("0" * 64))
    assert not isinstance(caught.value, Unknown), "nothing was sent, so nothing is unknown"


async def test_a_change_without_an_answer_is_unknown(client: Client, server: ConsoleServer) -> None:
    server.answerless = 1
    with pytest.raises(Unknown, match="unknown"):
        await client.deed(1, "sandbox", deed(facts.digest("P-1")))
    again = await client.deed(1, "sandbox", deed(facts.digest("P-1")))
    assert (again.replayed, again.patch.status) == (True, "sandbox_passed")


async def test_everything_is_made_visible(client: Client, server: ConsoleServer) -> None:
    server.jobs["J-1"] = facts.job(
        1, signature_text="\x1b]52;c;aGk=\x07 \u202egpj", evidence=["\x9b"]
    )
    shown = (await client.job(1)).job
    assert shown.signature_text == "<U+001B>]52;c;aGk=<U+0007> <U+202E>gpj"
    assert shown.evidence == ["<U+009B>"]


def test_seen_walks_everything() -> None:
    assert seen({"a\x00": [{"b": "\x7f"}, 1, None, "x\ty"]}) == {
        "a<U+0000>": [{"b": "<U+007F>"}, 1, None, "x\ty"]
    }


async def _serve(answer: bytes) -> tuple[asyncio.Server, str]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(one, "127.0.0.1", 0)
    return listening, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "no JSON"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "different versions"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "different versions"),
        (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "versions"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            "different versions",
        ),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n", "does not answer"),
        (b"", "does not answer"),
        (b"HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\nxx", "answered 500"),
        (b"HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nx", "answered 101"),
        (b"HTTP/1.1 302 F\r\nlocation: /x\r\ncontent-length: 2\r\n\r\n{}", "answered 302"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{", "does not answer"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "does not answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n" + b"[" * 20000, "no JSON"),
    ],
)
async def test_a_stranger_at_the_port(connect: Connect, answer: bytes, said: str) -> None:
    listening, url = await _serve(answer)
    async with connect(url, TOKEN) as stranger:
        with pytest.raises(Unavailable, match=said):
            await stranger.health()
    listening.close()


async def test_an_endless_answer_is_cut(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("carrying", "pooled"):
        monkeypatch.setattr(f"console.{module}.ANSWER_BYTES_MAX", 1000)
    assert ANSWER_BYTES_MAX > 1000
    listening, url = await _serve(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + b" " * 5000)
    async with connect(url, TOKEN) as stranger:
        with pytest.raises(Unavailable, match="too long"):
            await stranger.health()
    listening.close()


async def test_a_problem_without_words(client: Client, server: ConsoleServer) -> None:
    server.broken["/health"] = Problem(503, "")
    with pytest.raises(Unavailable, match="refused"):
        await client.health()
