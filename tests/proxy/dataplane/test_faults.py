"""Who failed is who is named: the upstream, the client, or the proxy; and nothing is sent twice
that must not be.
"""

import asyncio
import socket
import sys
import threading
import time

import pytest
from aiohttp import web

from proxy.clock import ManualClock
from proxy.dataplane import general
from proxy.domain.exchange import Outcome
from tests.support.dataplane import GET, OK, Peer, Rig, closing, replying, rig

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
PUT = POST.replace(b"POST", b"PUT")


LATE_S = general.GONE_GRACE_S + 0.5


async def silent(peer: Peer) -> None:
    await peer.request()
    while await peer.more():
        pass


async def turn(r: Rig, clock: ManualClock, seconds: float) -> None:
    """Turn the clock and have the deadlines looked at."""
    await asyncio.sleep(0.02)
    clock.advance(seconds)
    r.server.scan()


async def test_refused_is_502_at_once_and_health_knows() -> None:
    async with rig() as r:
        r.upstream.listen_no_more()
        began = time.perf_counter()
        got = await r.ask(GET)
        assert time.perf_counter() - began < 1
        assert (got.status, got.complete) == (502, True)
        assert got.values(b"proxy-status") == [b"selfheal; error=connection_refused"]
        assert r.server.stats.upstream == "refusing"
        exchange = (await r.recorded())[0]
        assert (exchange.status, exchange.outcome) == (502, Outcome.UPSTREAM_REFUSED)
        assert exchange.error is not None


async def test_a_client_keeps_its_connection_over_a_refusal_and_the_return() -> None:
    async with rig() as r:
        port = r.upstream.port
        r.upstream.listen_no_more()
        client = await r.connect()
        await client.send(GET)
        assert (await client.got()).status == 502
        await r.upstream.start(port)
        await client.send(GET)
        assert (await client.got()).status == 200
        assert r.server.stats.upstream == "ok"


async def test_connecting_too_long_is_504() -> None:
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    port = full.getsockname()[1]
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    try:
        async with rig(upstream={"url": f"http://127.0.0.1:{port}", "connect_timeout_s": 0.2}) as r:
            assert (await r.ask(GET)).status == 504
            assert (await r.recorded())[0].outcome is Outcome.UPSTREAM_TIMEOUT
    finally:
        for sock in [full, *fillers]:
            sock.close()


async def test_no_answer_in_time_is_504() -> None:
    clock = ManualClock()
    async with rig(silent, clock=clock, upstream={"response_timeout_s": 60}) as r:
        client = await r.connect()
        await client.send(GET)
        await r.until(lambda: r.upstream.seen)
        await turn(r, clock, 59)
        assert not r.kept.exchanges
        await turn(r, clock, 2)
        assert (await client.got()).status == 504
        assert (await r.recorded())[0].outcome is Outcome.UPSTREAM_TIMEOUT
        await r.until(lambda: r.upstream.peers[0].got_eof)


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_a_head_that_drips_is_no_answer_in_time_but_an_interim_one_is_a_sign_of_life(
    hot: bool,
) -> None:
    step = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        for piece in (b"HTTP/1.1 103 Hint\r\n\r\n", b"HTTP/1.1 ", b"200 ", b"OK\r\n"):
            await step.wait()
            step.clear()
            await peer.send(piece)
        await peer.more()

    clock = ManualClock()
    async with rig(behave, clock=clock, hot=hot) as r:
        client = await r.connect()
        await client.send(GET)
        await r.until(lambda: r.upstream.seen)
        await turn(r, clock, 50)
        step.set()
        await client.reader.readuntil(b"\r\n\r\n")
        for _ in range(2):
            await turn(r, clock, 25)
            assert not r.kept.exchanges
            step.set()
        await turn(r, clock, 25)
        assert (await client.got()).status == 504
        assert (await r.recorded())[0].outcome is Outcome.UPSTREAM_TIMEOUT


async def test_a_stalled_answer_is_cut_and_a_steady_slow_one_is_not() -> None:
    clock = ManualClock()
    step = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(4):
            await step.wait()
            step.clear()
            await peer.send(b"x")
        await peer.more()

    async with rig(behave, clock=clock) as r:
        client = await r.connect()
        await client.send(GET)
        await client.reader.readuntil(b"\r\n\r\n")
        for _ in range(4):
            await turn(r, clock, 50)
            step.set()
            assert await client.reader.readexactly(1) == b"x"
        await turn(r, clock, 61)
        assert await client.ended() == b""
        exchange = (await r.recorded())[0]
        assert (exchange.status, exchange.outcome) == (200, Outcome.UPSTREAM_TIMEOUT)


@pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
async def test_a_slow_head_is_408(begun: bytes) -> None:
    clock = ManualClock()
    async with rig(clock=clock) as r:
        client = await r.connect()
        await client.send(begun)
        await turn(r, clock, 9)
        await client.send(b"x")
        await turn(r, clock, 2)
        assert (await client.got()).status == 408
        assert await client.ended() == b""


async def test_a_stalled_body_is_408_and_never_completed() -> None:
    clock = ManualClock()
    async with rig(clock=clock) as r:
        client = await r.connect()
        await client.send(POST[:-2])
        await r.until(lambda: r.upstream.peers and b"hel" in r.upstream.peers[0].raw)
        await turn(r, clock, 31)
        assert (await client.got(b"POST")).status == 408
        await r.until(lambda: r.upstream.peers[0].got_eof)
        assert not r.upstream.seen
        assert (await r.recorded())[0].outcome is Outcome.REJECTED


async def test_an_idle_connection_closes_without_words() -> None:
    clock = ManualClock()
    async with rig(clock=clock) as r:
        client = await r.connect()
        await client.send(GET)
        await client.got()
        await turn(r, clock, 74)
        await client.send(GET)
        await client.got()
        await turn(r, clock, 76)
        assert await client.ended() == b""
        assert len(r.kept.exchanges) == 2


async def test_idle_links_are_closed_in_time() -> None:
    clock = ManualClock()
    async with rig(clock=clock) as r:
        await r.ask(GET)
        assert r.server.stats.pool_idle == 1
        await turn(r, clock, 31)
        assert r.server.stats.pool_idle == 0
        await r.until(lambda: r.upstream.peers[0].got_eof)


@pytest.mark.parametrize("by_reset", [False, True])
async def test_a_client_that_leaves_cancels_the_request_and_counts_as_499(by_reset: bool) -> None:
    clock = ManualClock()
    async with rig(silent, clock=clock) as r:
        client = await r.connect()
        await client.send(GET)
        await r.until(lambda: r.upstream.seen)
        client.reset() if by_reset else client.close()
        await turn(r, clock, 1.5)
        await r.until(lambda: r.upstream.peers[0].got_eof)
        exchange = (await r.recorded())[0]
        assert (exchange.status, exchange.outcome) == (499, Outcome.CLIENT_GONE)
        assert not exchange.is_app_failure


async def test_a_half_closed_client_still_gets_its_answer() -> None:
    async with rig() as r:
        client = await r.connect()
        await client.send(GET)
        client.half_close()
        assert (await client.got()).body == b"ok"


async def late(peer: Peer) -> None:
    """Answers when nobody would wait on a mere guess any more."""
    await peer.request()
    await asyncio.sleep(LATE_S)
    await peer.answer()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds a socket")
@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_a_client_of_this_host_may_half_close_for_long(hot: bool) -> None:
    async with rig(late, hot=hot) as r:
        client = await r.connect()
        await client.send(GET)
        client.half_close()
        assert (await client.got()).body == b"ok"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds a socket")
@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_a_client_of_this_host_that_closed_is_not_waited_for(hot: bool) -> None:
    async with rig(silent, hot=hot) as r:
        client = await r.connect()
        await client.send(GET)
        await r.until(lambda: r.upstream.seen)
        left = time.monotonic()
        client.close()
        await r.until(lambda: r.upstream.peers[0].got_eof)
        assert time.monotonic() - left < general.GONE_GRACE_S
        assert (await r.recorded())[0].outcome is Outcome.CLIENT_GONE


async def test_where_nobody_knows_a_half_closed_client_has_a_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(general, "is_here", lambda sock: None)
    clock = ManualClock()
    async with rig(silent, clock=clock) as r:
        client = await r.connect()
        await client.send(GET)
        await r.until(lambda: r.upstream.seen)
        client.half_close()
        await turn(r, clock, general.GONE_GRACE_S - 0.1)
        assert r.server.stats.in_flight == 1
        await turn(r, clock, 0.2)
        assert (await r.recorded())[0].outcome is Outcome.CLIENT_GONE


@pytest.mark.parametrize(
    "raw",
    [POST[:-1], b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
)
@pytest.mark.parametrize("how", ["half_close", "close", "reset"])
async def test_a_cut_upload_is_never_completed(raw: bytes, how: str) -> None:
    async with rig() as r:
        client = await r.connect()
        await client.send(raw)
        await r.until(lambda: r.upstream.peers and b"hell" in r.upstream.peers[0].raw)
        getattr(client, how)()
        await r.until(lambda: r.upstream.peers[0].got_eof)
        assert not r.upstream.seen
        assert (await r.recorded())[0].outcome is Outcome.CLIENT_GONE


async def until_idle_and_closed(r: Rig) -> None:
    await r.until(lambda: r.server.stats.pool_idle == 0)


async def dying_on_the_second(peer: Peer) -> None:
    """Answers one request, takes the next and dies without a word: the race of an idle link."""
    await peer.request()
    await peer.answer()
    await peer.request()


@pytest.mark.parametrize("raw", [GET, PUT])
async def test_what_may_be_repeated_is_retried_on_a_fresh_link_once(raw: bytes) -> None:
    async with rig(dying_on_the_second, replying(OK)) as r:
        assert (await r.ask(GET)).status == 200
        assert (await r.ask(raw)).status == 200
        assert len(r.upstream.seen) == 3
        assert r.server.stats.retries_total == 1


async def test_a_post_is_sent_once() -> None:
    async with rig(dying_on_the_second, replying(OK)) as r:
        assert (await r.ask(GET)).status == 200
        assert (await r.ask(POST)).status == 502
        assert [seen.method for seen in r.upstream.seen].count(b"POST") == 1


async def test_nothing_is_retried_on_a_fresh_link_or_after_a_byte_or_when_switched_off() -> None:
    async def one_byte(peer: Peer) -> None:
        await peer.request()
        await peer.answer()
        await peer.request()
        await peer.send(b"H")

    async with rig(closing(b"")) as r:
        assert (await r.ask(GET)).status == 502
        assert len(r.upstream.seen) == 1
    async with rig(one_byte, replying(OK)) as r:
        await r.ask(GET)
        assert (await r.ask(GET)).status == 502
    async with rig(dying_on_the_second, upstream={"retry_idempotent": False}) as r:
        await r.ask(GET)
        assert (await r.ask(GET)).status == 502


async def test_a_restarted_upstream_costs_nobody_a_request() -> None:
    async with rig() as r:
        client = await r.connect()
        for _ in range(10):
            await client.send(POST)
            assert (await client.got(b"POST")).status == 200
            r.upstream.peers[-1].shut_down()
        assert [seen.method for seen in r.upstream.seen] == [b"POST"] * 10


async def test_drain_ends_what_is_under_way_and_closes_the_rest() -> None:
    go = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        await go.wait()
        await peer.answer()

    async with rig(behave) as r:
        idle, busy = await r.connect(), await r.connect()
        await busy.send(GET)
        await r.until(lambda: r.upstream.seen)
        r.server.start_draining()
        assert await idle.ended() == b""
        waiting = asyncio.ensure_future(r.server.drained(5))
        go.set()
        got = await busy.got()
        assert (got.status, got.values(b"connection")) == (200, [b"close"])
        assert await busy.ended() == b""
        assert await waiting


async def test_what_outlasts_the_drain_is_cut_and_marked_as_ours() -> None:
    async with rig(silent) as r:
        client = await r.connect()
        await client.send(GET)
        await r.until(lambda: r.upstream.seen)
        r.server.start_draining()
        assert not await r.server.drained(0.05)
        assert await client.ended() == b""
        assert (await r.recorded())[0].outcome is Outcome.PROXY_FAULT


async def test_a_reload_changes_the_upstream_and_drops_nobody() -> None:
    from tests.support.dataplane import ScriptedUpstream, config_for

    other = ScriptedUpstream(replying(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"))
    await other.start()
    async with rig() as r:
        client = await r.connect()
        await client.send(GET)
        assert (await client.got()).body == b"ok"
        r.server.reload(config_for(other.port))
        await client.send(GET)
        assert (await client.got()).body == b"new"
    await other.stop()


async def test_connections_above_the_limit_are_told_so() -> None:
    async with rig(downstream={"connections": 2}) as r:
        held = [await r.connect() for _ in range(2)]
        await r.until(lambda: r.server.stats.connections == 2)
        got = await (await r.connect()).got()
        assert got.status == 503
        held[0].close()
        await r.until(lambda: r.server.stats.connections == 1)
        assert (await r.ask(GET)).status == 200


@pytest.mark.parametrize(("keepalive_s", "patience_s"), [(75, 75), (5, 60)])
async def test_a_stalled_reader_stops_the_upstream_and_bounds_memory(
    keepalive_s: int, patience_s: int
) -> None:
    block = b"x" * 65536
    sent = 0

    async def behave(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        while True:
            await peer.send(block)
            sent += len(block)

    clock = ManualClock()
    limits = {"keepalive_timeout_s": keepalive_s}
    async with rig(behave, clock=clock, downstream=limits) as r:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", r.port))
        sock.sendall(GET)
        previous = -1
        while sent != previous:
            previous = sent
            await asyncio.sleep(0.1)
        assert 0 < sent < 16 << 20
        await turn(r, clock, 1)
        await turn(r, clock, patience_s - 2)
        await turn(r, clock, 1)
        assert not r.kept.exchanges
        await turn(r, clock, 3)
        assert (await r.recorded())[0].outcome is Outcome.CLIENT_GONE
        sock.close()


async def test_a_client_that_pipelines_and_never_reads_is_not_read_for_ever() -> None:
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + b"y" * 65536
    async with rig(replying(big)) as r:
        client = await r.connect()
        client.stop_reading()
        client.writer.write(GET * 5000)
        seen = -1
        while len(r.upstream.seen) != seen:
            seen = len(r.upstream.seen)
            await asyncio.sleep(0.2)
        assert 0 < seen < 1000


async def test_below_the_prefix_the_local_app_answers_and_nothing_else_is_shadowed() -> None:
    async def hello(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=f"local {request.rel_url} {len(await request.read())}")

    local = web.Server(hello)
    async with rig(local=local) as r:
        for target in (b"/__selfheal", b"/__selfheal/livez", b"/__selfheal?x"):
            got = await r.ask(
                b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" % target
            )
            assert got.body == b"local %b 3" % target
            assert got.values(b"connection") == [b"close"]
        ask = b"GET /__selfheal HTTP/1.1\r\nHost: a\r\n"
        for first in (ask + b"\r\n", ask + b"Content-Length: 3\r\n\r\nabc"):
            got = await r.ask(first + GET)
            assert got.body.startswith(b"local /__selfheal "), "what is pipelined hides no answer"
        for target in (b"/__selfheal2", b"/x/__selfheal/livez", b"/__SELFHEAL", b"//__selfheal"):
            assert (await r.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)).body == b"ok"
        assert len(r.upstream.seen) == 4
        assert r.server.stats.local_total == 5
    local.pre_shutdown()
    await local.shutdown(1)


async def test_a_connection_accepted_while_draining_may_ask_once() -> None:
    async with rig() as r:
        r.server.start_draining()
        client, idle = await r.connect(), await r.connect()
        await client.send(GET)
        got = await client.got()
        assert (got.body, got.values(b"connection")) == (b"ok", [b"close"])
        await r.until(lambda: r.server.stats.connections <= 1)
        r.server.scan()
        assert await idle.ended() == b""


BUFFERS_BYTES = 16 << 20
"""Two kernel buffers of Linux's largest sizes on loopback, and ours."""


async def test_a_slow_reader_that_goes_on_reading_is_not_cut() -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        while True:
            await peer.send(b"x" * 65536)

    clock = ManualClock()
    async with rig(behave, clock=clock) as r:
        client = await r.connect()
        await client.send(GET)
        await asyncio.sleep(0.1)
        client.stop_reading()
        await asyncio.sleep(0.2)
        for _ in range(6):
            await turn(r, clock, 40)
            client.read_on()
            # more than all buffers between hold: what is read has made the proxy write again
            left = BUFFERS_BYTES
            while left > 0:
                left -= len(await asyncio.wait_for(client.reader.read(1 << 20), 20))
            client.stop_reading()
        assert not r.kept.exchanges


async def test_an_early_refusal_reaches_a_client_that_uploads_to_the_end_first() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(
            b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
        )

    size = 8 << 20
    async with rig(behave) as r:
        client = await r.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            await client.send(b"u" * 65536)
        got = await client.got(b"POST")
        assert (got.status, got.body, got.complete) == (413, b"no", True)


def refuse_and_leave(listener: socket.socket) -> None:
    """An app that reads a head, answers, and closes over the body it never read: a reset follows
    its answer.
    """
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        with sock:
            data = b""
            while b"\r\n\r\n" not in data and (more := sock.recv(4096)):
                data += more
            sock.sendall(
                b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
            )


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_an_early_refusal_is_not_lost_behind_a_write_that_failed(hot: bool) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        app = threading.Thread(target=refuse_and_leave, args=(listener,))
        app.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with rig(hot=hot, upstream={"url": url}) as r:
            for _ in range(30):
                client = await r.connect()
                await client.send(
                    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (4 << 20)
                )
                for _ in range(64):
                    await client.send(b"u" * 65536)
                got = await client.got(b"POST")
                assert (got.status, got.body, got.complete) == (413, b"no", True)
                client.close()
        listener.shutdown(socket.SHUT_RDWR)
    await asyncio.to_thread(app.join)


async def post_until_closed(r: Rig) -> int:
    """POST after POST on one connection until it ends; how many were answered whole."""
    client, answered = await r.connect(), 0
    while True:
        try:
            await client.send(POST)
        except ConnectionError:
            return answered
        got = await client.got(b"POST")
        answered += got.complete
        if not got.complete or b"close" in got.values(b"connection"):
            return answered


@pytest.mark.parametrize("_round", range(3))
async def test_a_drain_under_load_loses_nothing_that_reached_the_upstream(_round: int) -> None:
    async with rig() as r:
        clients = [asyncio.ensure_future(post_until_closed(r)) for _ in range(20)]
        await r.until(lambda: len(r.upstream.seen) > 200)
        r.server.start_draining()
        assert await r.server.drained(5)
        answered = sum(await asyncio.gather(*clients))
        assert len(r.upstream.seen) == answered == len(r.kept.exchanges)


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_a_client_that_asks_nothing_has_a_heads_time(hot: bool) -> None:
    clock = ManualClock()
    limits = {"header_timeout_s": 10, "keepalive_timeout_s": 75}
    async with rig(clock=clock, hot=hot, downstream=limits) as r:
        nobody, friend = await r.connect(), await r.connect()
        await friend.send(GET)
        assert (await friend.got()).status == 200
        await turn(r, clock, 9)
        assert r.server.stats.connections == 2
        await turn(r, clock, 2)
        assert await nobody.ended() == b""
        assert r.server.stats.connections == 1
        await turn(r, clock, 60)
        await friend.send(GET)
        assert (await friend.got()).status == 200
