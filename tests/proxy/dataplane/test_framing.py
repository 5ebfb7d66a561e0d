"""What is ambiguous or malformed is refused, on both sides, and nothing of it goes on."""

import asyncio

import pytest

from tests.support.dataplane import GET, OK, Peer, closing, replying, rig

H = b"Host: a\r\n"
POST = b"POST / HTTP/1.1\r\n" + H
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED: list[tuple[int, bytes]] = [
    # two lengths, or none that is clear
    (400, POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    (400, POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    (400, POST + b"Content-Length: 5, 5\r\n\r\nhello"),
    *[
        (400, POST + b"Content-Length: " + value + b"\r\n\r\nhello")
        for value in (
            b"+5",
            b"-5",
            b"0x5",
            b"5 5",
            b"5a",
            b"",
            b"1_0",
            b"9223372036854775808",
            b"9" * 30,
            b"\xb2",
            b"5;",
        )
    ],
    *[
        (501, POST + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n")
        for value in (b"gzip", b"identity", b"xchunked", b"gzip, chunked", b"chunkedx")
    ],
    *[
        (400, POST + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n")
        for value in (
            b"chunked, gzip",
            b"chunked, chunked",
            b"",
            b"\x0bchunked",
            b'"chunked"',
            b"chunked,",
            b"chun ked",
        )
    ],
    (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding:\n chunked\r\n\r\n0\r\n\r\n"),
    (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    # chunk framing
    *[
        (400, CHUNKED + body)
        for body in (
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"5 \r\nhello\r\n0\r\n\r\n",
            b"5_0\r\nhello\r\n0\r\n\r\n",
            b"-1\r\n\r\n",
            b"\r\nhello\r\n0\r\n\r\n",
            b"g\r\nhello\r\n0\r\n\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhelloo\r\n0\r\n\r\n",
            b"5;a\nb\r\nhello\r\n0\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
            b"5;\x00\r\nhello\r\n0\r\n\r\n",
            b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
            b"00000000000000005\r\nhello\r\n0\r\n\r\n",
            b"ffffffffffffffff\r\nhello",
            b"8000000000000000\r\nhello",
            b"10000000000000000\r\nhello",
            b"5\r\rhello\r\n0\r\n\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\n X: y\r\n\r\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\nX\r\n\r\n",
            b"0\r\nX: \x00\r\n\r\n",
            b"0\r\nX: " + b"t" * 70000 + b"\r\n\r\n",
        )
    ],
    # request line
    *[
        (400, line + b"\r\n" + H + b"\r\n")
        for line in (
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
            b"GET\t/ HTTP/1.1",
            b"GET /a b HTTP/1.1",
            b"GET /a\tb HTTP/1.1",
            b"GET /\x00 HTTP/1.1",
            b"GET /\x7f HTTP/1.1",
            b"GET /\x01 HTTP/1.1",
            b"GET /\r HTTP/1.1",
            b"GET / http/1.1",
            b"GET / HTTP/1.1x",
            b"GET / HTTP/11",
            b"GET / HTTP/1.",
            b"GET / HTTP/01.1",
            b"GET / HTTPS/1.1",
            b"GET / XTTP/1.1",
            b"GET /",
            b"GET",
            b"GET HTTP/1.1",
            b"G(T / HTTP/1.1",
            b"G\xc9T / HTTP/1.1",
            b"GET a HTTP/1.1",
            b"GET * HTTP/1.1",
            b"GET ftp://a/ HTTP/1.1",
            b"GET http:///x HTTP/1.1",
            b"GET http://u@a/ HTTP/1.1",
            b"GET http://a b/ HTTP/1.1",
            b"GET http:/a HTTP/1.1",
        )
    ],
    (505, b"GET / HTTP/2.0\r\n" + H + b"\r\n"),
    (505, b"GET / HTTP/0.9\r\n" + H + b"\r\n"),
    (505, b"GET / HTTP/1.2\r\n" + H + b"\r\n"),
    (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (405, b"CONNECT a:443 HTTP/1.1\r\n" + H + b"\r\n"),
    (414, b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\n" + H + b"\r\n"),
    (414, b"GET /" + b"x" * 70000),
    # header lines
    *[
        (400, b"GET / HTTP/1.1\r\n" + H + lines + b"\r\n")
        for lines in (
            b"X : y\r\n",
            b"X\t: y\r\n",
            b" X: y\r\n",
            b"X: y\r\n z\r\n",
            b"X: y\r\n\tz\r\n",
            b"X\r\n",
            b": y\r\n",
            b"X(: y\r\n",
            b"X\xff: y\r\n",
            b"X: \x00\r\n",
            b"X: a\rb\r\n",
            b"X: a\nb\r\n",
            b"X: a\n",
            b"X: \x01\r\n",
            b"X: \x7f\r\n",
            b"X: \x0b\r\n",
            b"X: a\r\r\n",
        )
    ],
    (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    (400, b"\nGET / HTTP/1.1\r\n" + H + b"\r\n"),
    (400, b"\r\n" * 10 + GET),
    (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    (431, b"GET / HTTP/1.1\r\n" + H + b"X: " + b"y" * 70000 + b"\r\n\r\n"),
    (431, b"GET / HTTP/1.1\r\n" + H + b"X: " + b"y" * 70000),
    (431, b"GET / HTTP/1.1\r\n" + H + b"X: y\r\n" * 1100 + b"\r\n"),
    # Host
    (400, b"GET / HTTP/1.1\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"),
    (400, b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    (400, b"GET http://a/ HTTP/1.1\r\n\r\n"),
    *[
        (400, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        for host in (
            b"",
            b"a b",
            b"a/b",
            b"u@a",
            b"a:b",
            b"a:99999",
            b"a?b",
            b"a#b",
            b"[::1",
            b"a\xe9",
            b"a,\tb",
            b"a:1:2",
            b"<a>",
        )
    ],
]


@pytest.mark.parametrize(("status", "raw"), REFUSED, ids=range(len(REFUSED)))
async def test_a_malformed_request_is_refused_and_the_upstream_sees_none_of_it(
    status: int, raw: bytes
) -> None:
    async with rig() as r:
        client = await r.connect()
        await client.send(raw)
        got = await client.got()
        assert got.status == status, got.raw
        assert got.values(b"connection") == [b"close"]
        assert await client.ended() == b""
        assert not r.upstream.seen
        assert all(not peer.raw for peer in r.upstream.peers)
        assert (await r.recorded())[0].status == status


@pytest.mark.parametrize("step", [1, 3, 7])
async def test_refusals_do_not_depend_on_how_the_bytes_arrive(step: int) -> None:
    async with rig() as r:
        for _, raw in [item for item in REFUSED if len(item[1]) < 200][::5]:
            client = await r.connect()
            for start in range(0, len(raw), step):
                client.writer.write(raw[start : start + step])
                await asyncio.sleep(0)
            got = await client.got()
            assert 400 <= got.status < 600, raw
            client.close()
        assert not r.upstream.seen


async def test_bytes_after_a_refused_request_are_never_a_request() -> None:
    async with rig() as r:
        client = await r.connect()
        await client.send(POST + b"Content-Length: x\r\n\r\n" + GET)
        assert (await client.got()).status == 400
        assert await client.ended() == b""
        assert not r.upstream.seen


async def test_broken_framing_in_the_middle_of_a_body_never_completes_it_upstream() -> None:
    async with rig() as r:
        client = await r.connect()
        await client.send(CHUNKED + b"5\r\nhello\r\n")
        await r.until(lambda: r.upstream.peers and b"hello" in r.upstream.peers[0].raw)
        await client.send(b"zz\r\n")
        assert (await client.got()).status == 400
        await r.until(lambda: r.upstream.peers[0].got_eof)
        assert not r.upstream.seen
        assert not r.upstream.peers[0].raw.endswith(b"0\r\n\r\n")


HEAD = b"HTTP/1.1 200 OK\r\n"

BROKEN: list[bytes] = [
    b"",
    b"HTTP/1.1 200",
    HEAD,
    HEAD + b"Content-Length: 2\r\n",
    b"garbage\r\n\r\n",
    b"\x00\x01\x02",
    b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Content-Length: 2, 2\r\n\r\nok",
    HEAD + b"Content-Length: -2\r\n\r\nok",
    HEAD + b"Content-Length: +2\r\n\r\nok",
    HEAD + b"Content-Length: 0x2\r\n\r\nok",
    HEAD + b"Content-Length: \r\n\r\nok",
    HEAD + b"Content-Length: 99999999999999999999\r\n\r\nok",
    HEAD + b"Transfer-Encoding: gzip\r\n\r\nok",
    HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: \r\n\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"X : y\r\nContent-Length: 0\r\n\r\n",
    HEAD + b" X: y\r\nContent-Length: 0\r\n\r\n",
    HEAD + b"X: y\r\n z\r\nContent-Length: 0\r\n\r\n",
    HEAD + b"X\r\nContent-Length: 0\r\n\r\n",
    HEAD + b": y\r\nContent-Length: 0\r\n\r\n",
    HEAD + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    HEAD + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    HEAD + b"X: a\nb\r\nContent-Length: 0\r\n\r\n",
    HEAD + b"X\xff: y\r\nContent-Length: 0\r\n\r\n",
    HEAD + b"X: " + b"y" * 70000 + b"\r\nContent-Length: 0\r\n\r\n",
    HEAD + b"X: y\r\n" * 1100 + b"Content-Length: 0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
]  # fmt: skip


@pytest.mark.parametrize("answer", BROKEN, ids=range(len(BROKEN)))
async def test_a_malformed_answer_becomes_a_502(answer: bytes) -> None:
    async with rig(closing(answer), replying(OK)) as r:
        got = await r.ask(GET)
        assert got.status == 502, got.raw
        assert got.complete
        assert (await r.recorded())[0].is_app_failure
        assert (await r.ask(GET)).status == 200


CUT: list[bytes] = [
    HEAD + b"Content-Length: 10\r\n\r\nhello",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n",
]


@pytest.mark.parametrize("answer", CUT, ids=range(len(CUT)))
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("by_reset", [False, True])
async def test_a_cut_answer_never_looks_complete(
    answer: bytes, version: bytes, by_reset: bool
) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        if by_reset:
            await asyncio.sleep(0.02)
            peer.reset()

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
        got = await client.got()
        assert not (got.complete and got.status == 200)
        assert (await r.recorded())[0].is_app_failure


async def test_a_chunk_error_later_cuts_the_client() -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await asyncio.sleep(0.02)
        await peer.send(b"zz\r\n")
        await peer.more()

    async with rig(behave) as r:
        got = await r.ask(GET)
        assert (got.status, got.body, got.complete) == (200, b"hello", False)


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
