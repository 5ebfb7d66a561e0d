"""Hostile bytes from both ends, judged by h11: what goes up is one well-formed message after
another, what comes down is one answer each, and both planes agree.
"""

import os
import random
import time

import h11
import pytest

from tests.support.memory import World, in_loop

SEEDS = 4000 if os.environ.get("SELFHEAL_CAMPAIGN") == "full" else 200
BATCH = SEEDS // 4

CHUNKS = b"5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n"
REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
    b"GET /k HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    b"HEAD /d HTTP/1.1\r\nHost: a\r\n\r\n",
    b"FOO /e HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"GET http://b/f HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /g HTTP/1.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
    b"GET /h HTTP/1.1\r\nHost: a\r\nConnection: X, Host\r\nX: 1\r\nTE: trailers\r\n\r\n",
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
    b"HTTP/1.1 404 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 204 No\r\n\r\n",
    b"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nto the end",
]
NOISE = [
    *(bytes([b]) for b in b'\r\n\t \x00:;,0_+-x\x0b\x7f"5aA'),
    b"X: \x80\xff\r\n",
    b"\r\n", b"\n\n", b"\r\n ", b"\r\r\n", b"0\r\n\r\n", b"0x", b"HTTP/1.0", b"HTTP/1.1",
    b"Content-Length: 3\r\n", b"content-length:5\r\n", b"Content-Length: +5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"transfer-encoding : chunked\r\n",
    b"Transfer-Encoding: gzip\r\n", b"Transfer-Encoding:\tchunked \r\n", b"Host: b\r\n",
    b"Connection: close\r\n", b"Connection: Content-Length\r\n", b"Upgrade: websocket\r\n",
    b"Expect: 100-continue\r\n", b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"HTTP/1.1 100 C\r\n\r\n", b"ffffffff",
]  # fmt: skip


def spoilt(rng: random.Random, data: bytes, times: int) -> bytes:
    for _ in range(times):
        at = rng.randrange(len(data) + 1)
        gone = rng.choice((0, 0, 0, 1, 2, 5))
        data = data[:at] + rng.choice(NOISE) + data[at + gone :]
    return data


def requests_in(raw: bytes) -> tuple[list[tuple[bytes, bytes, bytes]], bool]:
    """What h11 takes from ``raw``: whole requests, and whether it took it all without a fault."""
    told: list[tuple[bytes, bytes, bytes]] = []
    while raw:
        server = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        server.receive_data(raw)
        method = target = body = b""
        while True:
            try:
                event = server.next_event()
            except h11.RemoteProtocolError:
                return told, False
            if isinstance(event, h11.Request):
                method, target = event.method, event.target
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                told.append((method, target, body))
                break
            else:
                return told, True
        raw = server.trailing_data[0]
    return told, True


def answers_in(world: World, methods: list[bytes]) -> int:
    """How many whole answers there are; fails when one is malformed or nobody asked for it."""
    count, raw = 0, world.client.out
    may_be_unfinished = (
        world.client.is_closed
        or world.client.has_written_eof
        or any(connection.is_busy for connection in world.plane.connections)
    )
    while raw:
        method = methods[count] if count < len(methods) else b"GET"
        client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        client.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(raw)
        while True:
            event = client.next_event()
            if isinstance(event, h11.EndOfMessage):
                break
            if event is h11.NEED_DATA or event is h11.PAUSED:
                # cut, or still under way: nothing follows on this connection
                assert may_be_unfinished, raw
                return count
            assert not isinstance(event, h11.ConnectionClosed)
        count += 1
        raw = client.trailing_data[0]
    return count


def converse(
    seed: int, raw: bytes, answers: list[tuple[bytes, bool]], *, hot: bool, cuts: int
) -> World:
    left = iter(answers)
    world = World(random.Random(seed), lambda _: next(left), hot=hot, cuts=cuts)
    try:
        world.say(raw, then_end=bool(seed & 1))
        world.run()
    finally:
        world.close()
    return world


def check_world(world: World, raw: bytes) -> None:
    oracle, _ = requests_in(raw)
    # h11 forgives more than we do, never less about where a message ends: what went up is what it
    # read, in order
    assert world.seen[: len(oracle)] == oracle[: len(world.seen)], raw
    for method, target, _ in world.seen:
        assert method in raw
        assert target in raw
    methods = [method for method, _, _ in world.seen]
    count = answers_in(world, methods)
    # an answer each, and at most one refusal or cut besides
    assert count <= len(world.seen) + 1, (raw, world.client.out)
    assert sum(link.is_closed for link in world.links) >= len(world.links) - 1
    assert world.plane.upstream.idle <= 1
    in_flight = sum(connection.is_busy for connection in world.plane.connections)
    assert len(world.kept.exchanges) == world.plane.stats().requests_total - in_flight


@pytest.mark.campaign
@pytest.mark.parametrize("batch", range(4))
def test_of_hostile_requests_whole_ones_go_up_and_each_gets_its_answer(batch: int) -> None:
    def check() -> None:
        for seed in range(batch * BATCH, (batch + 1) * BATCH):
            rng = random.Random(seed)
            raw = b"".join(rng.choices(REQUESTS, k=rng.randrange(1, 5)))
            raw = spoilt(rng, raw, rng.randrange(4))
            answers = [(a, b"1.0" in a) for a in rng.choices(ANSWERS, k=60)]
            worlds = [
                converse(seed, raw, answers, hot=hot, cuts=cuts)
                for hot, cuts in ((True, 0), (False, 0), (True, 3), (False, 3))
            ]
            for world in worlds:
                check_world(world, raw)
            hot, general, *_ = worlds
            assert hot.seen == general.seen, raw
            assert hot.client.out == general.client.out, raw
            facts = [
                [(e.method, e.target, e.status, e.outcome) for e in w.kept.exchanges]
                for w in (hot, general)
            ]
            assert facts[0] == facts[1], raw

    in_loop(check)


@pytest.mark.campaign
@pytest.mark.parametrize("batch", range(4))
def test_of_hostile_answers_none_reaches_another_request_or_looks_whole(batch: int) -> None:
    def check() -> None:
        for seed in range(batch * BATCH, (batch + 1) * BATCH):
            rng = random.Random(seed)
            asked = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(4)]
            answers = []
            for _ in range(10):
                answer = rng.choice(ANSWERS)
                if rng.random() < 0.6:
                    answer = spoilt(rng, answer, rng.randrange(1, 3))
                answers.append((answer, rng.random() < 0.5))
            for hot in (True, False):
                for cuts in (0, 3):
                    world = converse(seed, b"".join(asked), answers, hot=hot, cuts=cuts)
                    targets = [target for _, target, _ in world.seen]
                    assert targets == sorted(set(targets)), "asked twice, or out of order"
                    answers_in(world, [b"GET"] * 4)

    in_loop(check)


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"y"),
        (b"GET /", b"y"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    ],
    ids=["a value", "a target", "many fields", "trailers"],
)
def test_bytes_that_drip_cost_no_more_than_their_number(begun: bytes, rest: bytes) -> None:
    """A head read anew with every byte of it costs the square; one client could hold a worker."""

    def check() -> None:
        world = World(random.Random(1), lambda _: (b"", True), hot=False, cuts=0)
        world.client.inbox.append(begun)
        world.client.inbox.extend(bytes([b]) for b in (rest * 60000)[:60000])
        started = time.process_time()
        world.run()
        assert not world.client.is_closed
        assert time.process_time() - started < 15
        world.close()

    in_loop(check)
