"""One message, one length: nothing beyond an answer is anybody's answer."""

import asyncio

from tests.support.dataplane import GET, OK, Peer, replying, rig


async def test_bytes_beyond_an_answer_are_nobodys_answer() -> None:
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    async with rig(replying(OK + evil)) as r:
        client = await r.connect()
        for _ in range(3):
            await client.send(GET)
            assert (await client.got()).body == b"ok"
        assert len(r.upstream.peers) == 3


async def test_bytes_on_an_idle_link_close_it() -> None:
    go = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.answer()
        await go.wait()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert not await peer.more()

    async with rig(behave, replying(OK)) as r:
        client = await r.connect()
        await client.send(GET)
        assert (await client.got()).body == b"ok"
        go.set()
        await r.until(lambda: r.server.stats.pool_idle == 0)
        await client.send(GET)
        assert (await client.got()).body == b"ok"
        assert len(r.upstream.peers) == 2
