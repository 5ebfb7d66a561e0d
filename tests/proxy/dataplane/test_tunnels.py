"""WebSocket to the byte: the handshake as it came, refusals as they are, and after the 101 nothing
is looked at.
"""

import asyncio
from base64 import b64encode
from hashlib import sha1

import pytest

from proxy.clock import ManualClock
from proxy.domain.exchange import Outcome
from tests.support.dataplane import GET, OK, Behaviour, Client, Peer, rig

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b64encode(sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
MUST = b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n"
PLAIN = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + MUST + b"\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)


def also(head: bytes, *lines: bytes) -> bytes:
    """``head`` with further lines at its end."""
    return head[:-2] + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def asking(connection: bytes) -> bytes:
    return PLAIN.replace(b"Connection: Upgrade", connection)


SHAKES: list[tuple[bytes, bytes | None]] = [
    (PLAIN, None),
    (PLAIN.replace(b"/ws", b"/a%2Fb//../c?x=1&y"), None),
    (PLAIN.replace(b"Upgrade: websocket", b"Upgrade: WebSocket"), None),
    (PLAIN.replace(b"Upgrade: websocket", b"upgrade:WEBSOCKET"), None),
    (asking(b"connection: upgrade"), asking(b"connection: Upgrade")),
    (asking(b"Connection: keep-alive, Upgrade"), PLAIN),
    (asking(b"Connection: upgrade,keep-alive\r\nKeep-Alive: 5"), PLAIN),
    (asking(b"Connection: Upgrade\r\nConnection: keep-alive"), PLAIN),
    (asking(b"Connection: Upgrade, X-A\r\nX-A: 1"), PLAIN),
    (PLAIN.replace(b"Version: 13", b"Version: 8"), None),
    (also(PLAIN, b"Sec-WebSocket-Protocol: chat, superchat"), None),
    (also(PLAIN, b"Sec-WebSocket-Protocol: chat", b"Sec-WebSocket-Protocol: b"), None),
    (also(PLAIN, b'Sec-WebSocket-Extensions: permessage-deflate; a_bits, x; y="z"'), None),
    (also(PLAIN, b"Origin: http://a", b"Cookie: a=b", b"X-Obs: \xff"), None),
    (also(PLAIN, b"Content-Length: 0"), None),
    (b"GET http://b/ws HTTP/1.1\r\nHost: b\r\n" + PLAIN.partition(b"Host: a\r\n")[2], None),
]
"""A handshake, and what the upstream gets of it; None: the same bytes."""

SWITCHES: list[tuple[bytes, bytes | None]] = [
    (SWITCH, None),
    (SWITCH.replace(b"101 Switching Protocols", b"101 Odd \xe9"), None),
    (SWITCH.replace(b"Upgrade: websocket", b"upgrade: WebSocket"), None),
    (
        SWITCH.replace(b"Connection: Upgrade", b"CONNECTION: keep-alive, upgrade"),
        SWITCH.replace(b"Connection: Upgrade", b"CONNECTION: Upgrade"),
    ),
    (also(SWITCH, b"Sec-WebSocket-Protocol: chat", b"Set-Cookie: a", b"Set-Cookie: b"), None),
    (also(SWITCH, b"Sec-WebSocket-Extensions: permessage-deflate"), None),
    (SWITCH.replace(ACCEPT, b"wrong, and the client's to judge"), None),
    (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SWITCH, None),
]
"""A 101, and what the client gets of it."""


def echoing(switch: bytes = SWITCH) -> Behaviour:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(switch)
        await peer.send(peer.raw.partition(b"\r\n\r\n")[2])
        while data := await peer.reader.read(65536):
            await peer.send(data)

    return behave


async def shaken(client: Client, shake: bytes = PLAIN) -> None:
    await client.send(shake)
    assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_the_handshake_reaches_the_upstream_as_it_came(hot: bool) -> None:
    async with rig(echoing(), hot=hot) as r:
        for shake, expected in SHAKES:
            client = await r.connect()
            await client.send(shake + b"e")
            await client.reader.readuntil(b"\r\n\r\n")
            assert await client.reader.readexactly(1) == b"e"
            head = r.upstream.peers[-1].raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            assert head == (shake if expected is None else expected)
            client.close()


async def test_the_101_reaches_the_client_as_it_came() -> None:
    for switch, expected in SWITCHES:
        async with rig(echoing(switch + b"early")) as r:
            client = await r.connect()
            await client.send(PLAIN)
            whole = (switch if expected is None else expected) + b"early"
            assert await asyncio.wait_for(client.reader.readexactly(len(whole)), 5) == whole


REFUSALS: list[tuple[bytes, bytes]] = [
    (b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nno", b"no"),
    (b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", b""),
    (b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\nX: y\r\n\r\n", b"no"),
    (b"HTTP/1.1 426 O\r\nUpgrade: a\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nno", b"no"),
    (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", b""),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    (b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", b""),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "body"), REFUSALS, ids=range(len(REFUSALS)))
async def test_a_refusal_passes_whole_and_the_connection_stays_http(
    refusal: bytes, body: bytes
) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.answer(refusal)
        await peer.request()
        await peer.answer(OK)

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(PLAIN + GET)
        got = await client.got()
        assert (got.status, got.body, got.complete) == (int(refusal[9:12]), body, True)
        assert (await client.got()).body == b"ok"
        assert r.server.stats.tunnels == 0


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 X\r\n\r\n", b"HTTP/1.1 200"])
async def test_a_handshake_that_fails_is_a_502_and_asked_once(answer: bytes) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer)

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(PLAIN)
        assert (await client.got()).status == 502
        assert len(r.upstream.peers) == 1
        assert (await r.recorded())[0].outcome is Outcome.UPSTREAM_BROKEN


async def test_frames_of_every_kind_pass_as_raw_bytes() -> None:
    frames = [
        b"\x81\x85\x01\x02\x03\x04igomn",  # masked text
        b"\x01\x03abc\x80\x03def",  # fragments
        b"\x89\x00\x8a\x00",  # ping and pong
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",  # compressed
        b"\x82\x7e\xff\xff" + bytes(range(256)) * 255 + bytes(255),
        b"\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00" + b"x" * (1 << 20),
        b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n",
        b"\xff\xff\xff\xff\x00",  # no frame at all
        b"\x88\x02\x03\xe8",  # close
    ]
    async with rig(echoing()) as r:
        client = await r.connect()
        await shaken(client)
        for frame in frames:
            client.writer.write(frame)
            assert await asyncio.wait_for(client.reader.readexactly(len(frame)), 10) == frame
        client.close()
        exchange = (await r.recorded())[0]
        assert exchange.request_bytes == exchange.response_bytes == sum(map(len, frames))
        assert len(r.kept.exchanges) == 1


async def test_the_upstreams_half_close_passes_and_the_client_may_go_on() -> None:
    got = b""

    async def behave(peer: Peer) -> None:
        nonlocal got
        await peer.head()
        await peer.send(SWITCH + b"last words")
        peer.writer.write_eof()
        while data := await peer.reader.read(65536):
            got += data

    async with rig(behave) as r:
        client = await r.connect()
        await shaken(client)
        assert await client.ended() == b"last words"
        await client.send(b"still talking")
        await r.until(lambda: got == b"still talking")
        client.half_close()
        await r.recorded()


async def test_a_client_that_ends_before_the_101_has_ended_in_the_tunnel_too() -> None:
    """Its end was said once, to whoever waited for the answer; an app that is not told keeps the
    tunnel for an hour.
    """
    got = b""

    async def behave(peer: Peer) -> None:
        nonlocal got
        await peer.head()
        await r.until(
            lambda: any(getattr(c, "has_left", False) for c in r.server._plane.connections)
        )
        await peer.send(SWITCH)
        while data := await peer.reader.read(65536):
            got += data
        await peer.send(b"bye")

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(PLAIN + b"early")
        client.half_close()
        assert await client.ended() == SWITCH + b"bye"
        assert got == b"early"
        assert (await r.recorded())[0].outcome is Outcome.UPGRADED
        assert r.server.stats.tunnels == 0


async def test_the_clients_reset_reaches_the_upstream() -> None:
    seen: list[BaseException] = []

    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        try:
            while await peer.reader.read(65536):
                pass
        except ConnectionError as error:
            seen.append(error)

    async with rig(behave) as r:
        client = await r.connect()
        await shaken(client)
        await client.send(b"x")
        client.reset()
        await r.until(lambda: seen)
        assert isinstance(seen[0], ConnectionResetError)
        assert (await r.recorded())[0].outcome is Outcome.UPGRADED


async def test_a_silent_tunnel_outlives_the_http_limits_and_ends_at_its_own() -> None:
    clock = ManualClock()
    async with rig(echoing(), clock=clock) as r:
        client = await r.connect()
        await shaken(client)
        for _ in range(3):
            clock.advance(1000)
            r.server.scan()
        await client.send(b"x")
        assert await client.reader.readexactly(1) == b"x"
        r.server.scan()
        clock.advance(3601)
        r.server.scan()
        assert await client.ended() == b""


async def test_a_slow_reader_of_a_tunnel_stops_its_sender() -> None:
    sent = 0

    async def behave(peer: Peer) -> None:
        nonlocal sent
        await peer.head()
        await peer.send(SWITCH)
        while True:
            await peer.send(b"x" * 65536)
            sent += 65536

    async with rig(behave) as r:
        client = await r.connect()
        await shaken(client)
        client.stop_reading()
        previous = -1
        while sent != previous:
            previous = sent
            await asyncio.sleep(0.1)
        assert sent < 32 << 20
        client.reset()


async def test_many_tunnels_stand_side_by_side_and_leave_nothing() -> None:
    async with rig(echoing()) as r:
        clients = [await r.connect() for _ in range(200)]
        for client in clients:
            await client.send(PLAIN)
        for number, client in enumerate(clients):
            await client.reader.readuntil(b"\r\n\r\n")
            await client.send(b"%04d" % number)
        assert r.server.stats.tunnels == 200
        for number, client in enumerate(clients):
            assert await asyncio.wait_for(client.reader.readexactly(4), 5) == b"%04d" % number
            client.close()
        await r.recorded(200)
        assert r.server.stats.tunnels == r.server.stats.upstream_links == 0
