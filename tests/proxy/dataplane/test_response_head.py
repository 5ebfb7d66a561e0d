"""A malformed, oversized or cut answer becomes a 502 or a visible cut, never a clean end."""

import asyncio

import h11
import pytest

from proxy.domain.exchange import Outcome
from tests.support.dataplane import GET, WAIT_S, Peer, rig
from tests.support.wire import Heard, wire

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

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
    b"HTTP/1.1 100 Continue\r\n\r\n" * 1001,
    b'\r\n',
    b'garbage',
    b'<html>hello</html>',
    b'ICY 200 OK\r\n\r\n',
    b'HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1 200 OK\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1200 OK\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1 \r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1 200 O\nK\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n',
    b'HTTP/1.1 200 OK\rContent-Length: 0\r\r',
    HEAD + b'Content-Length: 0\n\r\n',
    b'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    HEAD + b'Content-Length: 3\r\ncontent-length: 2\r\n\r\nok',
    HEAD + b'Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    HEAD + b'Content-Length: 2, 3\r\n\r\nok',
    HEAD + b'Content-Length: 2 2\r\n\r\nok',
    HEAD + b'Content-Length: two\r\n\r\nok',
    HEAD + b'Content-Length: 2.0\r\n\r\nok',
    HEAD + b'Content-Length: 2;\r\n\r\nok',
    HEAD + b'Content-Length: 9223372036854775808\r\n\r\nok',
    HEAD + b'Content-Length : 2\r\n\r\nok',
    HEAD + b'Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n',
    HEAD + b'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
    HEAD + b'Transfer-Encoding: identity\r\n\r\nok',
    HEAD + b'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n',
    HEAD + b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    HEAD + b'Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n',
    HEAD + b'X: y\r\n\tz\r\nContent-Length: 0\r\n\r\n',
    HEAD + b'X\x00: b\r\nContent-Length: 0\r\n\r\n',
    HEAD + b'X(: y\r\nContent-Length: 0\r\n\r\n',
    HEAD + b'X Y: y\r\nContent-Length: 0\r\n\r\n',
    HEAD + b'X: \x01\r\nContent-Length: 0\r\n\r\n',
    HEAD + b'X: \x7f\r\nContent-Length: 0\r\n\r\n',
    CHUNKED + b'+5\r\nhello\r\n0\r\n\r\n',
    CHUNKED + b'0x5\r\nhello\r\n0\r\n\r\n',
    CHUNKED + b' 5\r\nhello\r\n0\r\n\r\n',
    CHUNKED + b'5 \r\nhello\r\n0\r\n\r\n',
    CHUNKED + b'5\r\nhello0\r\n\r\n',
    CHUNKED + b'5\r\nhelloXX0\r\n\r\n',
    CHUNKED + b'4\r\nhello\r\n0\r\n\r\n',
    CHUNKED + b'6\r\nhello\r\n0\r\n\r\n',
    CHUNKED + b'ffffffffffffffffff\r\nhello',
    CHUNKED + b'ffffffffffffffff\r\nhello',
    CHUNKED + b'\r\nhello\r\n',
    CHUNKED + b'5;\x00\r\nhello\r\n0\r\n\r\n',
    CHUNKED + b'5\r\nhello\r\n0\r\nX : y\r\n\r\n',
    CHUNKED + b'5\r\nhello\r\n0\r\nX\r\n\r\n',
    CHUNKED + b'5\r\nhello\r\n0\r\nX: \x00\r\n\r\n',
    CHUNKED + b'5\r\nhello\r\n0\r\n X: y\r\n\r\n',
    CHUNKED + b'5\r\nhello\r\n0\r\n\n',
    CHUNKED + b'1_0\r\nxxxxxxxxxxxxxxxx\r\n0\r\n\r\n',
    b'HTTP/1.1 101 X\r\n\r\n',
    b'HTTP/1.1 100 Continue\r\n\r\ngarbage\r\n\r\n',
    b'HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello',
    HEAD + b"X: y\r\n" * 12000 + b"Content-Length: 0\r\n\r\n",
    HEAD + b"X: " + b"y" * 300000,
    b"HTTP/1.1 200 " + b"r" * 300000,
    CHUNKED + b"5;" + b"a" * 70000 + b"\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5\r\nhello\r\n0\r\nX: " + b"y" * 80000 + b"\r\n\r\n",
]  # fmt: skip


CUT: list[bytes] = [
    HEAD + b"Content-Length: 10\r\n\r\nhello",
    HEAD + b"Content-Length: 10\r\n\r\n",
    HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 99999,
    *[
        CHUNKED + body
        for body in (
            b"",
            b"5\r\nhel",
            b"5\r\nhello",
            b"5\r\nhello\r",
            b"5\r\nhello\r\n",
            b"5\r\nhello\r\n0",
            b"5\r\nhello\r\n0\r\n",
            b"5\r\nhello\r\n0\r\n\r",
            b"5\r\nhello\r\n0\r\nX: y\r\n",
        )
    ],
]
"""Well-formed as far as they go; the upstream leaves too early."""


def request(version: bytes) -> bytes:
    return b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version


def verdict(heard: Heard) -> str:
    """What a strict client makes of it: ``cut``, ``waits``, or the status of a whole answer."""
    if heard.end == "reset":
        return "cut"
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 22)
    client.send(h11.Request(method=b"GET", target=b"/", headers=[(b"Host", b"a")]))
    client.send(h11.EndOfMessage())
    status = 0
    try:
        client.receive_data(heard.raw)
        if heard.end == "closed" and heard.raw:
            client.receive_data(b"")
        while True:
            event = client.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.EndOfMessage):
                assert not client.trailing_data[0]
                return str(status)
            elif event is h11.NEED_DATA:
                return "waits"
    except h11.RemoteProtocolError:
        return "cut"


@pytest.mark.parametrize("end", ["open", "close", "reset"])
@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_a_malformed_answer_becomes_a_502_or_a_visible_cut(hot: bool, end: str) -> None:
    wrong = []
    async with wire(hot=hot) as w:
        w.told.end = end
        for raw in BROKEN:
            if end == "open" and HEAD.startswith(raw[: len(HEAD)]) and b"\r\n\r\n" not in raw:
                continue  # it may still become an answer
            for version in (b"1.1", b"1.0"):
                w.kept.exchanges.clear()
                w.told.answer = raw
                heard = await w.ask(request(version), until=None)
                told = verdict(heard)
                outcomes = [e.outcome for e in w.kept.exchanges]
                if told not in ("502", "cut") or outcomes != [Outcome.UPSTREAM_BROKEN]:
                    wrong.append((raw[:120], version, told, outcomes, heard))
                if end == "close" and told != "502":
                    wrong.append((raw[:120], version, told, heard))
    assert not wrong


@pytest.mark.parametrize("step", [1, 7])
async def test_the_502_does_not_depend_on_how_the_bytes_arrive(step: int) -> None:
    wrong = []
    async with wire() as w:
        w.told.end, w.told.step = "close", step
        for raw in BROKEN:
            if len(raw) < 200:
                w.told.answer = raw
                heard = await w.ask(request(b"1.1"), until=None)
                if verdict(heard) not in ("502", "cut"):
                    wrong.append((raw, heard))
    assert not wrong


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_a_cut_answer_never_looks_complete(hot: bool, end: str) -> None:
    wrong = []
    async with wire(hot=hot) as w:
        for step in (0, 7):
            w.told.end, w.told.step = end, step
            for raw in CUT:
                for version in (b"1.1", b"1.0"):
                    w.kept.exchanges.clear()
                    w.told.answer = raw if len(raw) < 1000 or not step else CHUNKED
                    heard = await w.ask(request(version), until=None)
                    failed = [e.is_app_failure for e in w.kept.exchanges]
                    if verdict(heard) not in ("502", "cut") or failed != [True]:
                        wrong.append((raw[:120], step, version, heard))
    assert not wrong


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_an_answer_without_length_that_ends_by_a_reset_is_cut(version: bytes) -> None:
    passed = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nsome of it")
        await passed.wait()
        peer.reset()

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(request(version))
        heard = Heard(await client.reader.readuntil(b"some of it"))
        passed.set()
        try:
            while data := await asyncio.wait_for(client.reader.read(65536), WAIT_S):
                heard.raw += data
            heard.end = "closed"
        except ConnectionError:
            heard.end = "reset"
        assert verdict(heard) == "cut"
        assert (await r.recorded())[0].outcome is Outcome.UPSTREAM_BROKEN


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


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_a_length_said_twice_is_one_length(hot: bool) -> None:
    block = b"Content-Length: 2\r\nX: y\r\ncontent-length:2 \r\nZ: 1\r\nContent-Length: 2\r\n"
    async with wire(hot=hot) as w:
        w.told.answer = HEAD + block + b"\r\nok"
        heard = await w.ask(request(b"1.1"), until=b"ok")
    assert heard.raw == HEAD + b"Content-Length: 2\r\nX: y\r\nZ: 1\r\n\r\nok"
