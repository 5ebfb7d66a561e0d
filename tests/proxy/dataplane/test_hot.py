"""The hot plane and the general plane are one: the same bytes in give the same bytes out, however
they arrive.

Hostile mutations are judged by h11: what reaches the upstream is one well-formed message, or
nothing whole.
"""

import asyncio
import itertools
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.dataplane import GET, OK, Behaviour, Peer, Rig, replying, rig

EXAMPLES = 3000 if os.environ.get("SELFHEAL_CAMPAIGN") == "full" else 60
campaign = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=EXAMPLES == 60,
)

TRACE = b"0af7651916cd43dd8448eb211c80319c"
REQUEST_LINES = [
    b"Connection: keep-alive",
    b"connection:keep-alive",
    b"Connection: close",
    b"Connection: X-Name, keep-alive",
    b"Keep-Alive: timeout=5",
    b"X-Name: value",
    b"x-name:  two ",
    b"X-Obs: \xe9\xff",
    b"Cookie: " + b"c" * 300,
    b"Content-Type: text/plain",
    b"traceparent: 00-" + TRACE + b"-b7ad6b7169203331-01",
    b"sentry-trace: " + TRACE + b"-b7ad6b7169203331-1",
    b"CONNECTION: Keep-Alive",
    b"sEntry-Trace: " + TRACE + b"-b7ad6b7169203331",
    b"Traceparent: 00-" + TRACE.upper() + b"-b7ad6b7169203331-01",
    b"Proxy-Connection: keep-alive",
    b"X-Empty:",
    b"TE: trailers",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
]
ANSWER_LINES = [
    b"Connection: keep-alive",
    b"CONNECTION:  Keep-Alive",
    b"Connection: X-Gone",
    b"Keep-Alive: timeout=5",
    b"X-Gone: 1",
    b"Set-Cookie: a=1",
    b"Set-Cookie: b=2",
    b"Content-Type: text/html",
    b"X-Obs: \xe9\xff",
    b"Date: Mon, 23 Nov 2026 00:00:00 GMT",
]
bodies = st.one_of(st.none(), st.binary(max_size=40), st.just(b"b" * 70000))


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A well-formed request and its method."""
    method = draw(st.sampled_from([b"GET", b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"FOO"]))
    target = draw(st.sampled_from([b"/", b"/a?b=%2F", b"//x/../y;z", b"/" + b"t" * 200]))
    lines = [b"Host: " + draw(st.sampled_from([b"a", b"example.com:8080", b"[::1]:80"]))]
    lines += draw(st.lists(st.sampled_from(REQUEST_LINES), max_size=4))
    body = draw(bodies)
    rest = b""
    if body is not None and method not in (b"GET", b"HEAD"):
        if body and draw(st.booleans()):
            lines.append(b"Transfer-Encoding: chunked")
            rest = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
        else:
            lines.append(b"Content-Length: %d" % len(body))
            rest = body
    order = draw(st.permutations(lines))
    return method + b" " + target + b" HTTP/1.1\r\n" + b"\r\n".join(
        [*order, b"", b""]
    ) + rest, method


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A well-formed answer to anything but HEAD."""
    status = draw(st.sampled_from([200, 200, 200, 201, 204, 206, 302, 304, 404, 500]))
    lines = draw(st.lists(st.sampled_from(ANSWER_LINES), max_size=4))
    body = draw(st.one_of(st.just(b""), st.binary(max_size=60), st.just(b"a" * 70000)))
    if status in (204, 304):
        return b"HTTP/1.1 %d S\r\n" % status + b"\r\n".join([*lines, b"", b""])
    if body and draw(st.booleans()):
        lines.append(b"Transfer-Encoding: chunked")
        rest = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    else:
        lines.append(b"Content-Length: %d" % len(body))
        rest = body
    return b"HTTP/1.1 %d S\r\n" % status + b"\r\n".join([*lines, b"", b""]) + rest


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def in_pieces(answer: bytes, cuts: list[int]) -> Behaviour:
    async def behave(peer: Peer) -> None:
        while (seen := await peer.request()) is not None:
            whole = (
                answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if seen.method == b"HEAD" else answer
            )
            for piece in pieces_of(whole, cuts):
                await peer.send(piece)
                await asyncio.sleep(0)
            await peer.answer(b"")

    return behave


async def play(
    hot: bool,
    raws: list[tuple[bytes, bytes]],
    answer: bytes,
    cuts: list[int],
    answer_cuts: list[int],
) -> tuple[object, ...]:
    """One connection, one request after another; everything that could differ."""
    async with rig(in_pieces(answer, answer_cuts), hot=hot) as r:
        client = await r.connect()
        told: list[object] = []
        for raw, method in raws:
            for piece in pieces_of(raw, cuts):
                client.writer.write(piece)
                await asyncio.sleep(0)
            got = await client.got(method)
            told.append((got.status, got.headers, got.body, got.complete, got.interim))
            if not got.complete or b"close" in got.values(b"connection"):
                break
        await r.recorded(len(told))
        seen = [s.raw for s in r.upstream.seen]
        facts = [
            (
                e.method,
                e.target,
                e.status,
                e.outcome,
                e.request_bytes,
                e.response_bytes,
                e.trace_id,
                e.error,
            )
            for e in r.kept.exchanges
        ]
        copies = [
            (e.capture.request_body, e.capture.response_headers, e.capture.response_body)
            if e.capture
            else None
            for e in r.kept.exchanges
        ]
        assert bool(r.server.stats.hot_total) <= hot
        return told, seen, facts, copies


@given(
    st.lists(requests(), min_size=1, max_size=3),
    answers(),
    st.lists(st.integers(0, 80000), max_size=3),
    st.lists(st.integers(0, 80000), max_size=3),
)
@campaign
@pytest.mark.campaign
async def test_hot_and_general_do_the_same(
    raws: list[tuple[bytes, bytes]], answer: bytes, cuts: list[int], answer_cuts: list[int]
) -> None:
    hot = await play(True, raws, answer, cuts, answer_cuts)
    general = await play(False, raws, answer, cuts, answer_cuts)
    assert hot == general


async def stream(
    hot: bool, raws: list[tuple[bytes, bytes]], cuts: list[int], answer_cuts: list[int]
) -> tuple[object, ...]:
    """All requests at once, cut anywhere; then their answers, one after another."""
    async with rig(in_pieces(OK, answer_cuts), hot=hot) as r:
        client = await r.connect()
        for piece in pieces_of(b"".join(raw for raw, _ in raws), cuts):
            client.writer.write(piece)
            await asyncio.sleep(0)
        told: list[object] = []
        for _, method in raws:
            got = await client.got(method)
            told.append((got.status, got.headers, got.body, got.complete, got.interim))
            if not got.complete or b"close" in got.values(b"connection"):
                break
        await r.recorded(len(told))
        facts = [(e.method, e.target, e.status, e.outcome) for e in r.kept.exchanges]
        return told, [s.raw for s in r.upstream.seen], facts


@given(
    st.lists(requests(), min_size=2, max_size=4),
    st.lists(st.integers(0, 2000), max_size=3),
    st.lists(st.integers(0, 200), max_size=2),
)
@campaign
@pytest.mark.campaign
async def test_pipelined_requests_get_the_same(
    raws: list[tuple[bytes, bytes]], cuts: list[int], answer_cuts: list[int]
) -> None:
    # who waits for a 100 does not send on
    raws = [(raw, method) for raw, method in raws if b"Expect" not in raw]
    hot = await stream(True, raws, cuts, answer_cuts)
    assert hot == await stream(False, raws, cuts, answer_cuts)


BASES = [
    b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT:\r\n\r\n",
]
HOSTILE = [bytes([b]) for b in b'\r\n\t \x00:;,0_+-x\x0b\x7f"'] + [
    b"\r\n",
    b"\n\n",
    b"\r\n ",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding : chunked\r\n",
    b"Host: b\r\n",
    b"Connection: Content-Length\r\n",
    b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"0\r\n\r\n",
    b"0x",
    b"HTTP/1.0",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = draw(st.sampled_from(BASES))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.sampled_from([0, 0, 1, 2]))
        data = data[:at] + draw(st.sampled_from([b"", *HOSTILE])) + data[at + gone :]
    return data


async def judged(raw: bytes, hot: bool) -> tuple[list[bytes], bytes]:
    async with rig(hot=hot) as r:
        client = await r.connect()
        await client.send(raw)
        client.half_close()
        answer = await client.ended()
        await still(r)
        for peer in r.upstream.peers:
            whole = b"".join(s.raw for s in r.upstream.seen)
            assert len(r.upstream.peers) > 1 or whole in peer.raw
        # each rig's upstream has a port of its own; a request without Host is given its name
        own = b"\r\nHost: 127.0.0.1:%d\r\n" % r.upstream.port
        return [s.raw.replace(own, b"\r\nHost: upstream\r\n") for s in r.upstream.seen], answer


async def still(r: Rig) -> None:
    await r.until(lambda: r.server.stats.connections == 0)


@given(mutated())
@example(b"GET /a HTTP/1.0\r\n\r\n")
@campaign
@pytest.mark.campaign
async def test_of_a_mutated_message_the_upstream_sees_whole_messages_or_none(raw: bytes) -> None:
    seen, answer = await judged(raw, True)
    general, same = await judged(raw, False)
    assert seen == general
    assert answer == same
    # a message nobody wrote must not appear
    for message in seen:
        assert message.split(b" ", 2)[1] in raw


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 206 Part\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
]


@st.composite
def broken_answers(draw: st.DrawFn) -> bytes:
    data = draw(st.sampled_from(ANSWERS))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.sampled_from([0, 0, 1, 2]))
        data = data[:at] + draw(st.sampled_from([b"", *HOSTILE])) + data[at + gone :]
    return data


def once(answer: bytes, cuts: list[int]) -> Behaviour:
    async def behave(peer: Peer) -> None:
        if await peer.request() is not None:
            for piece in pieces_of(answer, cuts):
                await peer.send(piece)
                await asyncio.sleep(0)
            peer.writer.close()

    return behave


async def told(hot: bool, answer: bytes, cuts: list[int]) -> tuple[object, ...]:
    async with rig(once(answer, cuts), hot=hot) as r:
        client = await r.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        got = await client.got(b"POST")
        await r.recorded(1)
        facts = [(e.status, e.outcome, e.error) for e in r.kept.exchanges]
        return (got.status, got.headers, got.body, got.complete, got.interim), facts


@given(broken_answers(), st.lists(st.integers(0, 200), max_size=2))
@campaign
@pytest.mark.campaign
async def test_a_broken_answer_is_told_the_same(answer: bytes, cuts: list[int]) -> None:
    assert await told(True, answer, cuts) == await told(False, answer, cuts)


async def test_plain_exchanges_stay_hot_and_odd_ones_come_back() -> None:
    async with rig(replying(OK, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", OK)) as r:
        client = await r.connect()
        for status in (200, 404, 200, 200):
            await client.send(GET)
            assert (await client.got()).status == status
        stats = r.server.stats
        assert (stats.hot_total, stats.general_total, stats.requests_total) == (4, 0, 4)
        assert len(r.upstream.peers) == 1


async def test_a_keep_alive_line_is_all_that_is_taken_out() -> None:
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nConnection: keep-alive\r\nY: 2\r\n\r\n"
    answer = (
        b"HTTP/1.1 200 OK\r\nX: 1\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
        b"Content-Length: 2\r\n\r\nok"
    )
    async with rig(replying(answer)) as r:
        got = await r.ask(raw)
        assert r.upstream.seen[0].raw == b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\n\r\n"
        assert got.raw == b"HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 2\r\n\r\nok"
        assert r.server.stats.hot_total == 1


@pytest.mark.parametrize("line", [b"a:", b"X-Long: " + b"v" * 90])
@pytest.mark.parametrize("hot", [True, False])
async def test_a_head_may_have_so_many_fields_and_no_more(hot: bool, line: bytes) -> None:
    most = 60

    def with_fields(start: bytes, count: int, end: bytes = b"") -> bytes:
        return b"\r\n".join([*start.split(b"\n"), *[line] * count, b"", end])

    few, many = (with_fields(b"GET / HTTP/1.1\nHost: a", most - 1 + n) for n in (0, 1))
    begin = b"HTTP/1.1 200 OK\nContent-Length: 2"
    good, bad = (with_fields(begin, most - 1 + n, b"ok") for n in (0, 1))
    limits = {"header_count": most}
    async with rig(replying(good, good, bad), hot=hot, downstream=limits) as r:
        client = await r.connect()
        for raw, status in ((few, 200), (many, 431)):
            await client.send(raw)
            assert (await client.got()).status == status
        client = await r.connect()
        for status in (200, 502):
            await client.send(few)
            assert (await client.got()).status == status
        assert [peer.raw for peer in r.upstream.seen] == [few] * 3
        assert r.server.stats.hot_total == (3 if hot else 0)
