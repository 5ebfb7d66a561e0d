"""The live events: ids sent again, silence noticed, back-off, refusal."""

import asyncio
from collections.abc import Callable

import pytest

from console.news import Alive, Lost, News, Opened, Received, Refused
from console.pooled import PooledClient
from console.stream import BACKOFF_MAX_S, EventStream, backoff_s
from tests.support.console_server import TOKEN, ConsoleServer


class Ear:
    """Collects the news and waits for the one a test is after."""

    def __init__(self) -> None:
        self.heard: list[News] = []
        self._change = asyncio.Event()

    def __call__(self, news: News) -> None:
        self.heard.append(news)
        self._change.set()

    def count(self, kind: type) -> int:
        return sum(isinstance(news, kind) for news in self.heard)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not done():
                self._change.clear()
                await self._change.wait()


async def no_pause(_: float) -> None:
    await asyncio.sleep(0)


def test_backoff_doubles_to_its_bound_and_keeps_half() -> None:
    assert [backoff_s(n, 1.0) for n in (0, 1, 2, 3)] == [0.5, 1, 2, 4]
    assert backoff_s(99, 1.0) == BACKOFF_MAX_S
    assert backoff_s(0, 0.0) == 0.25


async def test_events_arrive_and_ids_are_sent_again(
    client: PooledClient, server: ConsoleServer
) -> None:
    ear = Ear()
    stream = EventStream(client, ear, sleep=no_pause)
    task = asyncio.create_task(stream.run())
    await ear.until(lambda: ear.count(Opened) == 1)
    server.publish("job", "J-1", "open")
    await ear.until(lambda: ear.count(Received) == 1)
    server.drop_streams()
    await ear.until(lambda: ear.count(Opened) == 2)
    # Broken again before any event came: the id must still be sent.
    server.drop_streams()
    await ear.until(lambda: ear.count(Opened) == 3)
    task.cancel()
    assert server.stream_ids[:3] == [None, "1", "1"]
    assert [n for n in ear.heard if isinstance(n, Opened)] == [Opened(False)] * 3
    received = next(n for n in ear.heard if isinstance(n, Received))
    assert (received.event.kind, received.event.subject) == ("job", "J-1")


async def test_a_reconnect_without_an_id_is_a_gap(
    client: PooledClient, server: ConsoleServer
) -> None:
    ear = Ear()
    task = asyncio.create_task(EventStream(client, ear, sleep=no_pause).run())
    await ear.until(lambda: ear.count(Opened) == 1)
    server.drop_streams()
    await ear.until(lambda: ear.count(Opened) == 2)
    task.cancel()
    assert [n for n in ear.heard if isinstance(n, Opened)] == [Opened(False), Opened(True)]


async def test_silence_is_death(client: PooledClient, server: ConsoleServer) -> None:
    server.silent = True
    ear = Ear()
    stream = EventStream(client, ear, sleep=no_pause, silence_s=0.1)
    task = asyncio.create_task(stream.run())
    await ear.until(lambda: ear.count(Lost) >= 1)
    task.cancel()


async def test_heartbeats_keep_it_alive(server: ConsoleServer) -> None:
    server.heartbeat_s = 0.03
    ear = Ear()
    async with PooledClient(server.url, TOKEN) as other:
        task = asyncio.create_task(EventStream(other, ear, silence_s=0.5).run())
        await ear.until(lambda: ear.count(Alive) >= 4)
        task.cancel()
    assert ear.count(Lost) == 0


async def test_a_refused_token_ends_it(server: ConsoleServer) -> None:
    ear = Ear()
    async with PooledClient(server.url, "founder:no") as other:
        await asyncio.wait_for(EventStream(other, ear).run(), 5)
    assert [type(news) for news in ear.heard] == [Refused]


async def test_retry_now_ends_the_wait() -> None:
    ear = Ear()
    async with PooledClient("http://127.0.0.1:1", TOKEN) as nobody:
        stream = EventStream(nobody, ear, chance=lambda: 1.0)
        stream._attempt = 9
        task = asyncio.create_task(stream.run())
        await ear.until(lambda: ear.count(Lost) == 1)
        await asyncio.sleep(0)
        stream.retry_now()
        await ear.until(lambda: ear.count(Lost) == 2)
        task.cancel()
    assert [n.retry_in_s for n in ear.heard if isinstance(n, Lost)] == [15.0, 15.0]


@pytest.mark.parametrize("data", ["{", "[]", '{"kind":"new","subject":"x"}', "[" * 9000])
async def test_an_unknown_event_is_a_sign_of_life(
    client: PooledClient, server: ConsoleServer, data: str
) -> None:
    ear = Ear()
    task = asyncio.create_task(EventStream(client, ear, sleep=no_pause).run())
    await ear.until(lambda: ear.count(Opened) == 1)
    for queue in server._streams:
        queue.put_nowait(f"data: {data}\n\n".encode())
    await ear.until(lambda: ear.count(Alive) == 1)
    task.cancel()
