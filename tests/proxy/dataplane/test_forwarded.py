"""Who asked: our own words, and those of others only where they are trusted."""

import asyncio
import os
import socket

import pytest

from proxy.clock import SystemClock
from proxy.dataplane.forwarded import forwarding
from proxy.dataplane.request_head import RequestHead, read_request
from proxy.dataplane.server import DataServer, serve
from tests.support.dataplane import GET, Client, Kept, ScriptedUpstream, config_for, replying, rig

SPOOFED = (
    b"GET / HTTP/1.1\r\nHost: app.example:8080\r\n"
    b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: https\r\n"
    b"X-Forwarded-Host: shop.example\r\nX-Forwarded-Port: 443\r\nX-Forwarded-User: root\r\n"
    b"Forwarded: for=6.6.6.6\r\nForwarded: for=7.7.7.7;proto=https\r\nX-Real: kept\r\n\r\n"
)


def request(raw: bytes = SPOOFED) -> RequestHead:
    found = read_request(raw, 65536, 256)
    found.judge.retire()
    return found


def said(lines: list[bytes]) -> dict[bytes, bytes]:
    words = {name: value for name, _, value in (line.partition(b": ") for line in lines)}
    assert len(words) == len(lines), "one line each"
    return words


def test_a_trusted_chain_is_extended() -> None:
    lines, replaced = forwarding(request(), "10.0.0.1", b"http", extend=True, trusted=True)
    assert said(lines) == {
        b"X-Forwarded-For": b"6.6.6.6, 7.7.7.7, 10.0.0.1",
        b"X-Forwarded-Proto": b"https",
        b"X-Forwarded-Host": b"shop.example",
        b"Forwarded": b"for=6.6.6.6, for=7.7.7.7;proto=https, "
        b'for=10.0.0.1;proto=http;host="app.example:8080"',
    }
    assert b"x-forwarded-port" not in replaced, "the words we do not write are its own"


@pytest.mark.parametrize(("extend", "trusted"), [(True, False), (False, True), (False, False)])
def test_anything_else_is_replaced(extend: bool, trusted: bool) -> None:
    lines, replaced = forwarding(request(), "10.0.0.1", b"https", extend=extend, trusted=trusted)
    assert said(lines) == {
        b"X-Forwarded-For": b"10.0.0.1",
        b"X-Forwarded-Proto": b"https",
        b"X-Forwarded-Host": b"app.example:8080",
        b"Forwarded": b'for=10.0.0.1;proto=https;host="app.example:8080"',
    }
    assert {b"forwarded", b"x-forwarded-for"} <= replaced
    assert (b"x-forwarded-user" in replaced) is not trusted
    assert b"x-real" not in replaced


@pytest.mark.parametrize(
    ("peer", "chain", "node"),
    [
        ("2001:db8::1", b"2001:db8::1", b'for="[2001:db8::1]"'),
        ("fe80::1%eth0", b"fe80::1", b'for="[fe80::1]"'),
        ("::ffff:192.0.2.7", b"192.0.2.7", b"for=192.0.2.7"),
        ("", None, b"for=unknown"),
    ],
)
def test_addresses_are_written_as_rfc_7239_has_them(
    peer: str, chain: bytes | None, node: bytes
) -> None:
    plain = request(GET)
    words = said(forwarding(plain, peer, b"http", extend=True, trusted=True)[0])
    assert words.get(b"X-Forwarded-For") == chain
    assert words[b"Forwarded"].startswith(node + b";proto=http")


@pytest.mark.parametrize(
    ("trusted", "chain"),
    [(["127.0.0.0/8"], b"6.6.6.6, 7.7.7.7, 127.0.0.1"), (["10.0.0.0/8"], b"127.0.0.1")],
)
async def test_the_settings_reach_the_wire_and_reload(trusted: list[str], chain: bytes) -> None:
    async with rig() as r:
        assert (await r.ask(SPOOFED)).body == b"ok"
        assert r.upstream.seen[0].raw == SPOOFED, "off adds nothing and takes nothing"
        config = config_for(r.upstream.port, downstream={"forwarded": "append", "trusted": trusted})
        r.server.reload(config)
        assert (await r.ask(SPOOFED)).body == b"ok"
        seen = r.upstream.seen[1]
        assert seen.values(b"x-forwarded-for") == [chain]
        assert len(seen.values(b"forwarded")) == 1
        assert bool(seen.values(b"x-forwarded-user")) is (trusted == ["127.0.0.0/8"])


@pytest.mark.parametrize("family", [socket.AF_INET6, socket.AF_UNIX])
async def test_peers_of_other_families(family: socket.AddressFamily) -> None:
    upstream = ScriptedUpstream()
    await upstream.start()
    path = f"/tmp/selfheal-test-f-{os.getpid()}.sock"
    sock = socket.socket(family)
    sock.bind(path if family == socket.AF_UNIX else ("::1", 0))
    config = config_for(upstream.port, downstream={"forwarded": "append"})
    runner = await serve(DataServer(config, Kept(), clock=SystemClock()), [sock])
    try:
        if family == socket.AF_UNIX:
            client = Client(*await asyncio.open_unix_connection(path))
        else:
            client = Client(*await asyncio.open_connection("::1", sock.getsockname()[1]))
        await client.send(SPOOFED)
        assert (await client.got()).body == b"ok"
        client.close()
        seen = upstream.seen[0]
        last = b"6.6.6.6, 7.7.7.7" + (b"" if family == socket.AF_UNIX else b", ::1")
        assert seen.values(b"x-forwarded-for") == [last]
        node = b"unknown" if family == socket.AF_UNIX else b'"[::1]"'
        assert b", for=" + node + b";proto=http;" in seen.values(b"forwarded")[0]
    finally:
        await runner.cleanup()
        await upstream.stop()
        if family == socket.AF_UNIX:
            os.unlink(path)


async def test_what_fails_is_the_visitors_whoever_passed_it_on() -> None:
    """Behind a load balancer every failure would else be one client's."""
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n\r\n"
    async with rig(replying(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")) as r:
        assert (await r.ask(head)).status == 404
        assert (await r.ask(GET)).status == 404
        r.server.reload(config_for(r.upstream.port, downstream={"trusted": []}))
        assert (await r.ask(head)).status == 404
    asked = [exchange.client for exchange in r.kept.exchanges]
    assert asked == ["192.0.2.7", "127.0.0.1", "127.0.0.1"]
