"""Many clients at once over one pool, and an app that cuts, overfills, splits, closes and goes
away: whoever gets a whole answer gets his own, and no POST is sent twice.
"""

import asyncio
import random
from collections import Counter
from zlib import crc32

import pytest

from tests.support.campaign import TIMEOUT_S, amount
from tests.support.dataplane import Behaviour, Client, Got, Peer, Rig, rig

CLIENTS = 12
ROUNDS = amount(40, 1500)
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
WAYS = [b"whole"] * 12 + [b"cut", b"over", b"chunks", b"early", b"odd", b"until", b"ends", b"dies"]
PARTS = {b"GET": b"", b"PUT": b"Content-Length: 3\r\n", b"POST": b"Content-Length: 3\r\n"}
FIELDS = [b"", b"Accept: */*\r\n", b"Connection: keep-alive\r\n"]

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(TIMEOUT_S)]


def body_for(target: bytes) -> bytes:
    """Another length for every target, from a few bytes to more than one read takes; an overfull
    answer fits into one, so that what is too much comes with it.
    """
    return target * (1 if target.endswith(b"/over") else 1 + crc32(target) % 9973)


async def in_pieces(rng: random.Random, peer: Peer, data: bytes) -> None:
    at = rng.randrange(len(data))
    await peer.send(data[:at])
    await asyncio.sleep(0)
    await peer.answer(data[at:])


def moody(rng: random.Random) -> Behaviour:
    async def behave(peer: Peer) -> None:
        while (seen := await peer.request()) is not None:
            way, body = seen.target.rpartition(b"/")[2], body_for(seen.target)
            start = b"HTTP/1.1 200 OK\r\nX-For: " + seen.target + b"\r\n"
            whole = start + b"Content-Length: %d\r\n\r\n" % len(body) + body
            if way == b"cut":
                await peer.send(whole[: -rng.randrange(1, len(body))])
                return
            if way == b"until":
                await peer.send(start + b"Connection: close\r\n\r\n" + body)
                return
            if way == b"dies":
                return
            if way == b"over":
                # at once: what comes later, after the next request, nobody could tell apart
                await peer.send(whole + EVIL)
                await peer.more()
                return
            if way == b"chunks":
                whole = b"%bTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
                    start,
                    len(body),
                    body,
                )
            elif way == b"early":
                whole = b"HTTP/1.1 103 Hints\r\n\r\n" + whole
            elif way == b"odd":
                whole = whole.replace(b"X-For:", b"X For:")
            await in_pieces(rng, peer, whole)
            if way == b"ends":
                return

    return behave


def check(target: bytes, got: Got) -> None:
    way = target.rpartition(b"/")[2]
    if got.status != 200:
        assert got.status in (0, 502), (target, got)
        assert b"evil" not in got.body, (target, got)
    else:
        assert got.values(b"x-for") == [target], (target, got.headers)
        body = body_for(target)
        assert way not in (b"cut", b"odd", b"dies") or not got.complete, target
        assert got.body == body if got.complete else body.startswith(got.body), target


async def visit(rng: random.Random, r: Rig, name: int, answered: Counter[int]) -> None:
    client: Client | None = None
    for turn in range(ROUNDS):
        client = client or await r.connect()
        batch = []
        for part in range(rng.choice((1, 1, 1, 2, 3))):
            target = b"/%d/%d.%d/%b" % (name, turn, part, rng.choice(WAYS))
            batch.append((rng.choice(list(PARTS)), target))
        raw = b"".join(
            b"%b %b HTTP/1.1\r\nHost: a\r\n%b%b\r\n%b"
            % (method, target, PARTS[method], rng.choice(FIELDS), b"abc" * bool(PARTS[method]))
            for method, target in batch
        )
        if rng.random() < 0.05:
            await client.send(raw[: rng.randrange(len(raw))])
            client.reset()
            client = None
            continue
        await client.send(raw)
        for method, target in batch:
            got = await client.got(method)
            check(target, got)
            answered[got.status] += 1
            if not got.complete or b"close" in got.values(b"connection"):
                client.close()
                client = None
                break


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_whoever_gets_an_answer_gets_his_own(hot: bool) -> None:
    rng = random.Random(f"mixing {hot}")
    answered: Counter[int] = Counter()
    async with rig(moody(rng), hot=hot) as r:
        await asyncio.gather(*(visit(rng, r, name, answered) for name in range(CLIENTS)))
        posts = Counter(seen.target for seen in r.upstream.seen if seen.method == b"POST")
        assert max(posts.values()) == 1
    assert answered[200] > CLIENTS * ROUNDS // 2, answered
