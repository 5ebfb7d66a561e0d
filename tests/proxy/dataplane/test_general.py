"""What passes, and passes as it came."""

import asyncio

import pytest

from proxy.clock import ManualClock
from tests.support.dataplane import GET, OK, Peer, closing, replying, rig

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_target_and_header_lines_reach_the_upstream_as_they_came() -> None:
    lines = [
        b"Host: Example.com:80",
        b"X-Dup: 1",
        b"x-dup:2",
        b"X-Obs: caf\xe9 \xff",
        b"Cookie: a=b; c=d",
        b"X-Empty:",
        b"X-Spaces:   kept  ",
        b"accept-ENCODING: gzip",
    ]
    raw = b"GET /a%2Fb//c/../d;x=1?q=a+b&?& HTTP/1.1\r\n" + b"\r\n".join(lines) + b"\r\n\r\n"
    async with rig() as r:
        assert (await r.ask(raw)).status == 200
        assert r.upstream.seen[0].raw == raw


@pytest.mark.parametrize(
    "target",
    [
        b"/?",
        b"/a?b?c",
        b"//x",
        b"/%zz",
        b"/%00",
        b"/caf\xc3\xa9",
        b"/a'\"<>{}|\\^`",
        b"/*",
        b"/" + b"x" * 30000,
    ],
)
async def test_targets_are_never_normalised(target: bytes) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)

    async with rig(behave) as r:
        assert (await r.ask(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
        assert r.upstream.peers[0].raw.split(b" ")[1] == target


@pytest.mark.parametrize(
    "method", [b"FOO", b"get", b"PROPFIND", b"M-SEARCH", b"PURGE", b"DESCRIBE", b"QUERY"]
)
async def test_any_method_token_passes(method: bytes) -> None:
    async with rig() as r:
        assert (await r.ask(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
        assert r.upstream.seen[0].method == method


async def test_answer_lines_reach_the_client_as_they_came() -> None:
    answer = (
        b"HTTP/1.1 299 Odd \xe9 reason\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nX-Obs: \xff\r\n"
        b'Content-Encoding: gzip\r\nContent-length: 3\r\nETag: "x"\r\n\r\nabc'
    )
    async with rig(replying(answer)) as r:
        got = await r.ask(GET)
        assert got.raw == answer


async def test_hop_by_hop_lines_stay_here() -> None:
    raw = (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Drop, Host\r\nKeep-Alive: 5\r\n"
        b"X-Drop: 1\r\n"
        b"TE: trailers\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nX-Keep: 1\r\n\r\n"
    )
    answer = (
        b"HTTP/1.1 200 OK\r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    async with rig(replying(answer)) as r:
        got = await r.ask(raw)
        assert r.upstream.seen[0].raw == b"GET / HTTP/1.1\r\nHost: a\r\nX-Keep: 1\r\n\r\n"
        assert got.raw == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def test_chunks_and_trailers_pass_both_ways() -> None:
    raw = (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 6\r\nHost: evil\r\n\r\n"
    )
    answer = CHUNKED + b"3\r\nabc\r\n0\r\nX-End: yes\r\n\r\n"
    async with rig(replying(answer)) as r:
        got = await r.ask(raw)
        seen = r.upstream.seen[0]
        assert seen.body == b"hello!"
        assert seen.trailers == [(b"x-sum", b"6")]
        assert got.body == b"abc"
        assert got.trailers == [(b"x-end", b"yes")]


async def test_bodies_by_length_pass_whole() -> None:
    body = bytes(range(256)) * 4000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with rig(replying(answer)) as r:
        got = await r.ask(
            b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        assert got.body == body
        assert r.upstream.seen[0].body == body
        exchange = (await r.recorded())[0]
        assert (exchange.request_bytes, exchange.response_bytes) == (len(body), len(body))


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: x\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"),
    ],
)
async def test_answers_without_body_end_at_their_head(method: bytes, answer: bytes) -> None:
    async with rig(replying(answer, OK)) as r:
        client = await r.connect()
        await client.send(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
        got = await client.got(method)
        assert got.raw == answer
        await client.send(GET)
        assert (await client.got()).body == b"ok"
        assert len(r.upstream.peers) == 1


async def test_a_204_with_a_length_is_sent_without_one_and_its_stray_body_ends_the_link() -> None:
    async with rig(
        replying(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"), replying(OK)
    ) as r:
        client = await r.connect()
        await client.send(GET)
        got = await client.got()
        assert (got.status, got.body, got.values(b"content-length")) == (204, b"", [])
        await client.send(GET)
        assert (await client.got()).body == b"ok"


@pytest.mark.parametrize("status", [100, 102, 103])
async def test_interim_answers_pass(status: int) -> None:
    async with rig(replying(b"HTTP/1.1 %d Hint\r\nLink: </a.css>\r\n\r\n" % status + OK)) as r:
        got = await r.ask(GET)
        assert got.interim == [status]
        assert b"Link: </a.css>\r\n" in got.raw
        assert got.body == b"ok"


async def test_interim_answers_never_reach_http_1_0() -> None:
    async with rig(replying(b"HTTP/1.1 103 Hint\r\n\r\n" + OK)) as r:
        got = await r.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert got.interim == []
        assert got.body == b"ok"


async def test_expect_continue_is_forwarded_and_the_body_follows_the_100() -> None:
    async def behave(peer: Peer) -> None:
        head = await peer.head()
        assert b"Expect: 100-continue" in head
        assert peer.raw.endswith(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert (await peer.request()).body == b"hello"  # type: ignore[union-attr] # a request came
        await peer.answer()

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"hello")
        assert (await client.got(b"POST")).body == b"ok"


async def test_a_final_refusal_arrives_before_the_upload() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await peer.more()

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n"
        )
        got = await client.got(b"POST")
        assert (got.status, got.values(b"connection")) == (413, [b"close"])
        assert await client.ended() == b""


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def behave(peer: Peer) -> None:
        while (seen := await peer.request()) is not None:
            await peer.answer(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen.target) + seen.target
            )

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(20)))
        assert [(await client.got()).body for _ in range(20)] == [b"/%d" % n for n in range(20)]
        assert len(r.upstream.peers) == 1


async def test_a_pipelining_client_that_half_closes_gets_every_answer() -> None:
    async with rig() as r:
        client = await r.connect()
        await client.send(GET * 3)
        client.half_close()
        assert [(await client.got()).body for _ in range(3)] == [b"ok"] * 3
        assert await client.ended() == b""


@pytest.mark.parametrize(
    ("rest", "what"),
    [
        (b"GET /cut HTTP/1.1\r\nHo", b"head"),
        (b"POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", b"body"),
        (
            b"POST /cut HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"body",
        ),
    ],
)
@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_a_pipelined_request_that_is_cut_is_refused_at_once(
    rest: bytes, what: bytes, hot: bool
) -> None:
    """Its end came while the request before it was under way: nothing is waited for."""
    go = asyncio.Event()

    async def behave(peer: Peer) -> None:
        if await peer.request() is not None:
            await go.wait()
            await peer.answer()
            assert await peer.request() is None

    async with rig(behave, clock=ManualClock(), hot=hot) as r:
        client = await r.connect()
        await client.send(GET + rest)
        client.half_close()
        await r.until(lambda: r.upstream.seen)
        go.set()
        assert (await client.got()).body == b"ok"
        refusal = await client.got()
        assert refusal.status == 400
        assert b"in the middle of its " + what in refusal.body
        assert await client.ended() == b""
        assert len(r.upstream.seen) == 1


async def test_a_length_may_have_leading_zeros_and_goes_up_without() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"0" * 30 + b"5\r\n\r\nhello"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 30 + b"2\r\n\r\nok"
    async with rig(replying(answer)) as r:
        client = await r.connect()
        for _ in range(2):
            await client.send(raw)
            got = await client.got(b"POST")
            assert (got.body, got.values(b"content-length")) == (b"ok", [b"2"])
        assert [(s.body, s.values(b"content-length")) for s in r.upstream.seen] == [
            (b"hello", [b"5"])
        ] * 2


async def test_a_long_task_may_say_often_that_it_goes_on() -> None:
    async with rig(replying(b"HTTP/1.1 102 Processing\r\n\r\n" * 900 + OK)) as r:
        got = await r.ask(GET)
        assert (len(got.interim), got.body) == (900, b"ok")


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK, b"ok"),
        (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", b"to the end"),
    ],
)
async def test_http_1_0_clients_never_get_chunks(answer: bytes, body: bytes) -> None:
    async with rig(closing(answer)) as r:
        client = await r.connect()
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        raw = await client.ended()
        head, _, got = raw.partition(b"\r\n\r\n")
        assert got == body
        assert b"chunked" not in head
        assert r.upstream.seen[0].values(b"host")


async def test_http_1_0_keep_alive_is_kept() -> None:
    async with rig() as r:
        client = await r.connect()
        for _ in range(2):
            await client.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            assert (await client.got()).values(b"connection") == [b"keep-alive"]


async def test_an_answer_without_length_is_chunked_for_http_1_1() -> None:
    async with rig(closing(b"HTTP/1.1 200 OK\r\n\r\nto the end"), replying(OK)) as r:
        client = await r.connect()
        await client.send(GET)
        got = await client.got()
        assert (got.body, got.complete, got.values(b"transfer-encoding")) == (
            b"to the end",
            True,
            [b"chunked"],
        )
        await client.send(GET)
        assert (await client.got()).body == b"ok"


async def test_absolute_form_decides_the_host() -> None:
    async with rig() as r:
        await r.ask(b"GET http://real.example:81/p?q HTTP/1.1\r\nHost: other\r\n\r\n")
        seen = r.upstream.seen[0]
        assert seen.target == b"http://real.example:81/p?q"
        assert seen.values(b"host") == [b"real.example:81"]


async def test_options_star_passes() -> None:
    async with rig() as r:
        assert (await r.ask(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
        assert r.upstream.seen[0].target == b"*"


async def test_the_first_byte_goes_at_once_and_every_read_is_written() -> None:
    steps = [asyncio.Event() for _ in range(3)]

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for step in steps:
            await step.wait()
            await peer.send(b"7\r\ndata: x\r\n")
        await peer.answer(b"0\r\n\r\n")

    async with rig(behave) as r:
        client = await r.connect()
        await client.send(GET)
        assert b"text/event-stream" in await client.reader.readuntil(b"\r\n\r\n")
        for step in steps:
            step.set()
            assert await client.reader.readexactly(12) == b"7\r\ndata: x\r\n"
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"


async def test_a_trace_id_is_read_and_kept() -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with rig() as r:
        await r.ask(
            b"GET / HTTP/1.1\r\nHost: a\r\n"
            + f"traceparent: 00-{trace}-b7ad6b7169203331-01\r\n\r\n".encode()
        )
        await r.ask(
            b"GET / HTTP/1.1\r\nHost: a\r\n"
            + f"sentry-trace: {trace}-b7ad6b7169203331-1\r\n\r\n".encode()
        )
        await r.ask(GET)
        assert [e.trace_id for e in await r.recorded(3)] == [trace, trace, None]


async def test_a_trace_begins_where_none_came_only_when_asked() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok"
    async with rig(replying(page), trace={"mode": "start"}) as r:
        got = await r.ask(GET)
        trace = (await r.recorded())[0].trace_id
        assert trace is not None
        seen = r.upstream.seen[0]
        assert trace.encode() in seen.values(b"traceparent")[0]
        assert trace.encode() in seen.values(b"sentry-trace")[0]
        assert trace.encode() in got.values(b"server-timing")[0]


@pytest.mark.parametrize(
    ("mode", "expected"), [("append", b"6.6.6.6, 127.0.0.1"), ("replace", b"127.0.0.1")]
)
async def test_forwarding_words_are_added_by_the_switch(mode: str, expected: bytes) -> None:
    async with rig(downstream={"forwarded": mode}) as r:
        await r.ask(
            b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n"
            b"Connection: x-forwarded-for\r\n\r\n"
        )
        seen = r.upstream.seen[0]
        assert seen.values(b"x-forwarded-for") == [expected]
        assert seen.values(b"x-forwarded-proto") == [b"http"]
        assert seen.values(b"forwarded") == [b'for=127.0.0.1;proto=http;host="a"']


async def test_failing_exchanges_carry_a_bounded_copy() -> None:
    answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 3000\r\nX: y\r\n\r\n" + b"e" * 3000
    async with rig(replying(answer), capture={"body_bytes": 1000}) as r:
        await r.ask(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n" + b"b" * 2000)
        exchange = (await r.recorded())[0]
        copy = exchange.capture
        assert copy is not None
        assert copy.request_headers[0] == (b"Host", b"a")
        assert (copy.request_body, copy.request_truncated) == (b"b" * 1000, True)
        assert (copy.response_body, copy.response_truncated) == (b"e" * 1000, True)
        assert exchange.is_app_failure


async def test_good_exchanges_carry_no_copy_and_redirects_only_heads() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 4\r\n\r\nbody"
    async with rig(replying(OK, moved)) as r:
        client = await r.connect()
        await client.send(GET)
        await client.got()
        await client.send(GET)
        await client.got()
        good, redirect = await r.recorded(2)
        assert good.capture is None
        assert redirect.capture is not None
        assert (b"Location", b"/b") in redirect.capture.response_headers
        assert redirect.capture.response_body == b""
