"""WebSocket: one forwarded handshake, then a raw tunnel; everything else stays HTTP."""

import asyncio
from base64 import b64encode
from hashlib import sha1

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Message, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from proxy.domain.exchange import Outcome
from tests.support.dataplane import GET, Peer, replying, rig

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b64encode(sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
SHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: "
    + KEY
    + b"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
)


async def echo(peer: Peer) -> None:
    await peer.head()
    await peer.send(SWITCH)
    while data := await peer.more():
        await peer.send(data)


async def test_a_websocket_conversation_with_compression_and_subprotocol() -> None:
    async def behave(peer: Peer) -> None:
        ws = WSConnection(ConnectionType.SERVER)
        while data := await peer.reader.read(65536):
            ws.receive_data(data)
            for event in ws.events():
                if isinstance(event, Request):
                    assert event.subprotocols == ["chat"]
                    await peer.send(
                        ws.send(
                            AcceptConnection(subprotocol="chat", extensions=[PerMessageDeflate()])
                        )
                    )
                elif isinstance(event, TextMessage):
                    await peer.send(ws.send(Message(data=event.data * 2)))

    async with rig(behave) as r:
        client = await r.connect()
        ws = WSConnection(ConnectionType.CLIENT)
        await client.send(
            ws.send(
                Request(
                    host="a", target="/ws", subprotocols=["chat"], extensions=[PerMessageDeflate()]
                )
            )
        )
        words: list[str] = []
        while len("".join(words)) < 2000:
            ws.receive_data(await asyncio.wait_for(client.reader.read(65536), 5))
            for event in ws.events():
                if isinstance(event, AcceptConnection):
                    assert event.subprotocol == "chat"
                    assert event.extensions
                    await client.send(ws.send(Message(data="a" * 1000)))
                elif isinstance(event, TextMessage):
                    words.append(event.data)
        assert "".join(words) == "a" * 2000
        assert r.server.stats.tunnels == 1
        client.close()
        exchange = (await r.recorded())[0]
        assert (exchange.status, exchange.outcome) == (101, Outcome.UPGRADED)
        assert exchange.request_bytes > 0
        assert r.server.stats.tunnels == 0


async def test_the_handshake_passes_as_it_came_and_bytes_behind_it_too() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH + b"early answer")
        while len(peer.raw.partition(b"\r\n\r\n")[2]) < 5:
            await peer.more()

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(SHAKE + b"early")
        data = await client.ended()
        head, _, rest = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"Sec-WebSocket-Accept: " + ACCEPT in head
        assert b"Sec-WebSocket-Protocol: chat" in head
        assert rest == b"early answer"
        up_head, _, up_rest = r.upstream.peers[0].raw.partition(b"\r\n\r\n")
        assert up_rest == b"early"
        assert b"Upgrade: websocket" in up_head
        assert b"Connection: Upgrade" in up_head
        assert b"Sec-WebSocket-Key: " + KEY in up_head


@pytest.mark.parametrize("status", [200, 400, 401, 403, 426, 302])
async def test_a_refusal_passes_and_the_connection_stays_http(status: int) -> None:
    refusal = b"HTTP/1.1 %d No\r\nContent-Length: 2\r\nSec-WebSocket-Version: 13\r\n\r\nno" % status
    async with rig(replying(refusal)) as r:
        client = await r.connect()
        for raw in (SHAKE, GET):
            await client.send(raw)
            got = await client.got()
            assert (got.status, got.body) == (status, b"no")
        assert len(r.upstream.peers) == 1


@pytest.mark.parametrize(
    "offer",
    [b"websocket, h2c", b"h2c,WebSocket", b"h2c\r\nUpgrade: websocket", b"websocket, websocket"],
)
async def test_of_several_protocols_offered_websocket_alone_goes_on(offer: bytes) -> None:
    async with rig(echo) as r:
        client = await r.connect()
        await client.send(SHAKE.replace(b"websocket", offer, 1) + b"e")
        assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
        assert await client.reader.readexactly(1) == b"e"
        lines = r.upstream.peers[-1].raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
        upgrades = [line for line in lines if line.startswith((b"Upgrade:", b"Connection:"))]
        assert sorted(line.lower() for line in upgrades) == [
            b"connection: upgrade",
            b"upgrade: websocket",
        ]
        client.close()


@pytest.mark.parametrize(
    "raw",
    [
        SHAKE.replace(b"GET", b"POST"),
        SHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        SHAKE.replace(b"websocket", b"h2c"),
        SHAKE.replace(b"websocket", b"websocket/13, h2c"),
        SHAKE.replace(b"keep-alive, Upgrade", b"keep-alive"),
        SHAKE.replace(b"Sec-WebSocket-Key: " + KEY + b"\r\n", b""),
        SHAKE.replace(b"Sec-WebSocket-Version: 13\r\n", b""),
    ],
)
async def test_no_other_upgrade_is_forwarded(raw: bytes) -> None:
    async with rig() as r:
        assert (await r.ask(raw)).status == 200
        seen = r.upstream.seen[0]
        assert not seen.values(b"upgrade")
        assert not seen.values(b"connection")


@pytest.mark.parametrize(
    "switch",
    [
        SWITCH.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        SWITCH.replace(b"Connection: Upgrade\r\n", b""),
    ],
)
async def test_a_101_that_does_not_answer_the_handshake_is_a_502(switch: bytes) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(switch)
        await peer.more()

    async with rig(behave) as r:
        assert (await r.ask(SHAKE)).status == 502


async def test_half_close_passes_and_the_other_way_stays_open() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        while await peer.more():
            pass
        await peer.send(b"after the end")

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(SHAKE)
        await client.reader.readuntil(b"\r\n\r\n")
        client.half_close()
        assert await client.ended() == b"after the end"
        await r.recorded()


async def test_a_reset_passes() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        await peer.more()
        peer.reset()

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(SHAKE)
        await client.reader.readuntil(b"\r\n\r\n")
        await client.send(b"x")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(client.reader.read(), 5)


async def test_a_tunnel_is_cut_at_the_end_of_a_drain() -> None:
    async with rig(echo) as r:
        client = await r.connect()
        await client.send(SHAKE)
        await client.reader.readuntil(b"\r\n\r\n")
        r.server.start_draining()
        await client.send(b"still here")
        assert await client.reader.readexactly(10) == b"still here"
        assert not await r.server.drained(0.05)
        assert await client.ended() == b""


async def test_megabytes_pass_a_tunnel_whole_with_slow_ends() -> None:
    data = bytes(range(256)) * 8192

    async with rig(echo) as r:
        client = await r.connect()
        await client.send(SHAKE)
        await client.reader.readuntil(b"\r\n\r\n")
        client.writer.write(data)
        assert await asyncio.wait_for(client.reader.readexactly(len(data)), 10) == data
