"""The server as a whole: what it leaves behind, and what it reports."""

import asyncio
import gc
import os
import socket
import tracemalloc
from typing import cast

from aiohttp import web

from proxy.clock import SystemClock
from proxy.dataplane.server import DataServer, serve
from tests.support.dataplane import (
    GET,
    Kept,
    Peer,
    Rig,
    ScriptedUpstream,
    config_for,
    replying,
    rig,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
ROUNDS = [
    GET,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"GET /half",
]


async def one_round(r: Rig) -> None:
    clients = [await r.connect() for _ in ROUNDS]
    for client, raw in zip(clients, ROUNDS, strict=True):
        await client.send(raw)
    for client in clients[:-1]:
        await client.got()
    for client in clients:
        client.reset()
    r._clients.clear()
    await r.until(lambda: r.server.stats.connections == 0)
    r.kept.exchanges.clear()
    r.upstream.seen.clear()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_nothing_is_left_behind() -> None:
    async with rig(replying(CHUNKED)) as r:
        for _ in range(5):
            await one_round(r)
        gc.collect()
        before = descriptors()
        tracemalloc.start()
        for _ in range(10):
            await one_round(r)
        gc.collect()
        first = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            await one_round(r)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - first
        tracemalloc.stop()
        assert descriptors() <= before + 3
        assert grown < 100_000


async def test_it_reports_what_it_does() -> None:
    async with rig() as r:
        assert r.server.stats.upstream == "unknown"
        client = await r.connect()
        await client.send(GET)
        await client.got()
        stats = r.server.stats
        assert (stats.connections, stats.in_flight, stats.requests_total) == (1, 0, 1)
        assert (stats.upstream, stats.pool_idle, stats.upstream_links) == ("ok", 1, 1)


async def test_a_unix_socket_on_either_side() -> None:
    upstream = ScriptedUpstream()
    await upstream.start()
    path = f"/tmp/selfheal-test-{os.getpid()}.sock"
    kept = Kept()
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    inner = await serve(DataServer(config_for(upstream.port), kept, clock=SystemClock()), [sock])
    try:
        async with rig(upstream={"url": f"unix:{path}"}) as r:
            assert (await r.ask(GET)).body == b"ok"
        assert upstream.seen[0].raw == GET
        assert kept.exchanges[0].client == ""
    finally:
        await inner.cleanup()
        await upstream.stop()
        os.unlink(path)


async def test_cleanup_of_the_runner_drains() -> None:
    upstream = ScriptedUpstream()
    await upstream.start()
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    server = DataServer(config_for(upstream.port), Kept(), clock=SystemClock())
    runner = await serve(server, [sock])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await runner.cleanup()
    assert await reader.read() == b"ok"
    writer.close()
    assert server.stats.connections == 0
    assert server.stats.pool_idle == 0
    await upstream.stop()


async def test_the_runner_of_aiohttp_can_carry_it() -> None:
    async with rig() as r:
        sock = socket.create_server(("127.0.0.1", 0))
        runner = web.ServerRunner(cast("web.Server", r.server))
        await runner.setup()
        await web.SockSite(runner, sock).start()
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        writer.write(GET)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await runner.cleanup()
        assert await reader.read() == b"ok"
        writer.close()


async def test_an_answer_that_promised_to_go_on_may_be_followed_in_a_drain() -> None:
    """Its head went out before the drain began; closing now would cost the next request."""
    go = asyncio.Event()

    async def behave(peer: Peer) -> None:
        while await peer.request() is not None:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
            await go.wait()
            await peer.answer(b"k")

    for hot in (True, False):
        go.clear()
        async with rig(behave, hot=hot) as r:
            client = await r.connect()
            await client.send(GET)
            await client.reader.readuntil(b"\r\n\r\no")
            r.server.start_draining()
            go.set()
            assert await client.reader.readexactly(1) == b"k"
            await client.send(GET)
            got = await client.got()
            assert (got.body, got.values(b"connection")) == (b"ok", [b"close"])
            assert await r.server.drained(5)


async def test_an_idle_connection_goes_at_the_end_of_a_drain_without_a_reset() -> None:
    async with rig() as r:
        client = await r.connect()
        await client.send(GET)
        await client.got()
        r.server.start_draining()
        assert await r.server.drained(0)
        assert await client.reader.read() == b""
