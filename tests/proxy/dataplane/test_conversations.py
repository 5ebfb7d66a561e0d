"""Exchanges step by step: who speaks when, who leaves when, and who is told what."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from proxy.clock import ManualClock
from proxy.dataplane import forwarding, headers, upstream
from proxy.domain.exchange import Outcome
from proxy.tasks import spawn
from tests.support.dataplane import GET, OK, Peer, Rig, replying, rig

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
both_planes = pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])


@both_planes
async def test_both_directions_stream_at_once(hot: bool) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(STREAM)
        sent = 0
        while b"0\r\n\r\n" not in peer.raw:
            body = peer.raw.partition(b"\r\n\r\n")[2]
            await peer.send(body[sent:])
            sent = len(body)
            await peer.more()
        await peer.send(b"0\r\n\r\n")

    async with rig(behave, hot=hot) as r:
        client = await r.connect()
        await client.send(CHUNKED)
        await client.reader.readuntil(b"\r\n\r\n")
        for number in range(20):
            piece = b"4\r\n%04d\r\n" % number
            await client.send(piece)
            assert await asyncio.wait_for(client.reader.readexactly(len(piece)), 5) == piece
        await client.send(b"0\r\n\r\n")
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"


@both_planes
async def test_a_banner_before_the_request_is_nobodys_answer(hot: bool) -> None:
    async def behave(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await peer.more()

    async with rig(behave, replying(OK), hot=hot) as r:
        # before our request went out it is a 502; after it nobody can tell it from an answer
        assert (await r.ask(GET)).status in (200, 502)
        for _ in range(3):
            assert b"evil" not in (await r.ask(GET)).raw


STRAY = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@both_planes
@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"GET", OK),
        (b"GET", STREAM + b"2\r\nok\r\n0\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"),
        (b"POST", OK),
    ],
)
async def test_a_second_answer_reaches_nobody(hot: bool, method: bytes, answer: bytes) -> None:
    async with rig(replying(answer + STRAY), hot=hot) as r:
        one, two = await r.connect(), await r.connect()
        for client in (one, two, one, two):
            await client.send(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
            got = await client.got(method)
            assert got.raw == answer
        assert len(r.upstream.peers) == 4


async def test_pipelined_requests_of_every_kind_keep_their_order() -> None:
    async def behave(peer: Peer) -> None:
        while (seen := await peer.request()) is not None:
            body = b"" if seen.method == b"HEAD" else seen.target + seen.body
            length = len(seen.target)
            if seen.target.startswith(b"/chunked"):
                await peer.answer(STREAM + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            else:
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
                await peer.answer(head % (len(body) or length) + body)

    requests = [
        (b"GET", b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n", b"/0"),
        (b"POST", b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", b"/1abc"),
        (b"HEAD", b"HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n", b""),
        (b"PUT", CHUNKED.replace(b"POST /", b"PUT /3") + b"3\r\ndef\r\n0\r\n\r\n", b"/3def"),
        (b"GET", b"GET /chunked HTTP/1.1\r\nHost: a\r\n\r\n", b"/chunked"),
        (b"FOO", b"FOO /5 HTTP/1.1\r\nHost: a\r\n\r\n", b"/5"),
        (b"GET", b"GET /6 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"/6"),
    ]  # fmt: skip
    async with rig(behave) as r:
        client = await r.connect()
        await client.send(b"".join(raw for _, raw, _ in requests) + GET)
        for method, _, body in requests:
            got = await client.got(method)
            assert (got.body, got.complete) == (body, True)
        # nothing after the close that was asked for
        assert await client.ended() == b""
        assert len(r.upstream.seen) == len(requests)


@both_planes
async def test_a_delayed_100_and_a_client_that_does_not_wait_for_it(hot: bool) -> None:
    go = asyncio.Event()

    async def behave(peer: Peer) -> None:
        while True:
            await peer.head()
            await go.wait()
            await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            if await peer.request() is None:
                return
            await peer.answer()
            peer.raw = b""

    clock = ManualClock()
    shake = POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    async with rig(behave, clock=clock, hot=hot) as r:
        client = await r.connect()
        await client.send(shake)
        await r.until(lambda: r.upstream.peers and r.upstream.peers[0].raw)
        clock.advance(40)  # longer than a body may be idle: the client is not the one to blame
        r.server.scan()
        go.set()
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"hello")
        assert (await client.got(b"POST")).body == b"ok"
        await client.send(shake + b"hello")
        got = await client.got(b"POST")
        assert (got.status, got.interim) == (200, [100])
        assert [seen.body for seen in r.upstream.seen] == [b"hello", b"hello"]


@both_planes
async def test_an_app_that_never_says_100_still_gets_its_body(
    hot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "CONTINUE_AFTER_S", 0.05)

    async def behave(peer: Peer) -> None:
        while await peer.request() is not None:
            # too late: the client has had its 100
            await peer.answer(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)

    shake = POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    async with rig(behave, hot=hot) as r:
        client = await r.connect()
        for _ in range(2):
            await client.send(shake)
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send(b"hello")
            got = await client.got(b"POST")
            assert (got.status, got.interim) == (200, [])
        assert [seen.body for seen in r.upstream.seen] == [b"hello", b"hello"]


@both_planes
async def test_a_refusal_of_websocket_names_it_and_no_other_protocol(hot: bool) -> None:
    refusal = b"HTTP/1.1 426 x\r\nUpgrade: %b\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n"
    async with rig(replying(refusal % b"websocket", refusal % b"h2c"), hot=hot) as r:
        client = await r.connect()
        await client.send(GET)
        got = await client.got()
        assert (got.values(b"upgrade"), got.values(b"connection")) == ([b"websocket"], [b"Upgrade"])
        await client.send(GET)
        assert (await client.got()).values(b"upgrade") == []


async def until_cancelled(r: Rig, clock: ManualClock) -> None:
    """The upstream's end is closed within the grace, and nobody is blamed."""
    await asyncio.sleep(0.02)
    clock.advance(1.5)
    r.server.scan()
    await r.until(lambda: r.upstream.peers[0].got_eof)
    exchange = (await r.recorded())[0]
    assert exchange.outcome is Outcome.CLIENT_GONE
    assert not exchange.is_app_failure
    assert r.server.stats.upstream_links == r.server.stats.in_flight == 0


@both_planes
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (GET, b""),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Len"),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        (GET, STREAM + b"5\r\nhello\r\n"),
        (GET, b"HTTP/1.1 200 OK\r\n\r\nhello"),
        (POST + b"Content-Length: 10\r\n\r\nhello", b""),
        (CHUNKED + b"5\r\nhello\r\n", b""),
        (CHUNKED + b"5\r\nhello\r\n", STREAM + b"5\r\nhello\r\n"),
        (POST + b"Content-Length: 5\r\n\r\nhello", b""),
        (POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", b""),
    ],
)
async def test_whenever_the_client_leaves_the_upstream_hears_of_it(
    hot: bool, how: str, sent: bytes, answered: bytes
) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(answered)
        try:
            while await peer.reader.read(65536):
                pass
        finally:
            peer.got_eof = True

    clock = ManualClock()
    async with rig(behave, clock=clock, hot=hot) as r:
        client = await r.connect()
        await client.send(sent)
        await r.until(lambda: r.upstream.peers and b"\r\n\r\n" in r.upstream.peers[0].raw)
        if answered.endswith((b"hello", b"hello\r\n")):
            await client.reader.readuntil(b"hello")
        getattr(client, how)()
        await until_cancelled(r, clock)


@both_planes
async def test_an_upload_that_waits_for_a_connection_is_bounded(
    hot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 24 << 20

    async def behave(peer: Peer) -> None:
        left = size - len((await peer.more()).partition(b"\r\n\r\n")[2])
        while left:
            left -= len(await peer.reader.read(1 << 20))
        await peer.send(OK)
        await peer.reader.read()

    async with rig(behave, hot=hot, upstream={"connect_timeout_s": 30.0}) as r:
        accept = asyncio.Event()

        def slowly(connecting: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
            async def late() -> None:
                await accept.wait()
                await connecting

            return spawn(late(), name=name)

        monkeypatch.setattr(upstream, "spawn", slowly)  # a slow network
        client = await r.connect()
        client.writer.write(POST + b"Content-Length: %d\r\n\r\n" % size)
        client.writer.write(b"x" * size)
        left = -1
        while left != (left := client.writer.transport.get_write_buffer_size()):
            await asyncio.sleep(0.1)
        assert left > size // 4
        accept.set()
        assert (await client.got(b"POST")).status == 200


@both_planes
async def test_what_breaks_in_the_proxy_is_marked_as_its_own(
    hot: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> bytes:
        raise KeyError("a bug")

    odd = b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n"
    async with rig(hot=hot) as r:
        with monkeypatch.context() as patch:
            patch.setattr(headers, "request_block", broken)
            got = await r.ask(odd)
            assert (got.status, got.complete) == (500, True)
            assert got.values(b"proxy-status") == [b"selfheal; error=proxy_internal_error"]
        with monkeypatch.context() as patch:
            patch.setattr(headers, "response_block", broken)
            got = await r.ask(odd)
            assert not (got.complete and got.status < 500)
        assert (await r.ask(odd)).status == 200
        one, two, three = await r.recorded(3)
        assert one.outcome is two.outcome is Outcome.PROXY_FAULT
        assert three.outcome is Outcome.ANSWERED
        assert not any(e.is_app_failure for e in r.kept.exchanges)
        assert r.server.stats.in_flight == 0
    assert "a bug" in caplog.text


async def test_a_recorder_that_fails_costs_no_request() -> None:
    async with rig() as r:
        record = r.kept.record
        r.server._plane.record = lambda exchange: record(exchange) or 1 / 0  # type: ignore[func-returns-value] # both happen
        client = await r.connect()
        for _ in range(3):
            await client.send(b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.got()).body == b"ok"
        assert len(r.kept.exchanges) == 3
