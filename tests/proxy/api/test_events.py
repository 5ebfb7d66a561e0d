"""The hub: nobody waits for a slow reader, nobody misses a gap without being told."""

import asyncio
from datetime import UTC, datetime

import pytest

from proxy.api import events
from proxy.api.events import EventHub, TooManyReaders
from proxy.clock import ManualClock
from proxy.contract.events import Event
from tests.support.api import ApiUnderTest


def job(number: int) -> Event:
    return Event(kind="job", subject=f"J-{number}", at=datetime(2026, 1, 1, tzinfo=UTC))


async def take(reader: events.Reader) -> tuple[str, Event] | None:
    return await reader.next(1)


async def test_events_arrive_in_order_with_ids_to_resume_from() -> None:
    hub = EventHub(ManualClock())
    with hub.reader() as reader:
        hub.publish(job(1))
        hub.publish(job(2))
        first, second = await take(reader), await take(reader)
    assert first is not None
    assert second is not None
    assert (first[1].subject, second[1].subject) == ("J-1", "J-2")
    hub.publish(job(3))
    with hub.reader(first[0]) as again:
        missed = [await take(again), await take(again)]
    assert [m[1].subject for m in missed if m] == ["J-2", "J-3"]


@pytest.mark.parametrize(
    "last", ["other-1", "nonsense", "-", "1", "\x00", "x-99999999999999999999"]
)
async def test_an_id_of_another_run_is_a_gap(last: str) -> None:
    hub = EventHub(ManualClock())
    hub.publish(job(1))
    with hub.reader(last) as reader:
        told = await take(reader)
    assert told is not None
    assert (told[1].kind, told[1].change) == ("resync", "gap")


async def test_an_id_the_ring_forgot_is_a_gap() -> None:
    hub = EventHub(ManualClock())
    hub.publish(job(0))
    old = hub.last_id
    for number in range(events.RING_EVENTS_MAX + 1):
        hub.publish(job(number))
    with hub.reader(old) as reader:
        told = await take(reader)
    assert told is not None
    assert told[1].kind == "resync"


async def test_a_slow_reader_is_dropped_with_one_resync() -> None:
    hub = EventHub(ManualClock())
    with hub.reader() as slow, hub.reader() as quick:
        for number in range(events.READER_EVENTS_MAX + 1):
            hub.publish(job(number))
            assert await take(quick) is not None
        told = await take(slow)
        assert told is not None
        assert (told[1].kind, told[1].change) == ("resync", "slow")
        assert await take(slow) is None
        assert hub.readers == 1


async def test_the_number_of_readers_is_bounded() -> None:
    hub = EventHub(ManualClock())
    opened = [hub.reader() for _ in range(events.READERS_MAX)]
    for one in opened:
        one.__enter__()
    with pytest.raises(TooManyReaders), hub.reader():
        pass
    opened[0].__exit__(None, None, None)
    with hub.reader():
        pass


async def test_close_ends_every_stream_and_those_to_come() -> None:
    hub = EventHub(ManualClock())
    with hub.reader() as reader:
        hub.close()
        assert await take(reader) is None
    with hub.reader() as late:
        assert await take(late) is None


async def test_wait_returns_at_the_next_event() -> None:
    hub = EventHub(ManualClock())
    waiting = asyncio.ensure_future(hub.wait(30))
    await asyncio.sleep(0)
    hub.publish(job(1))
    await asyncio.wait_for(waiting, 1)
    await hub.wait(0.001)


async def test_a_new_job_reaches_a_stream_from_the_database(api: ApiUnderTest) -> None:
    headers = api.headers("viewer", change=False)
    async with api.client.get("/api/v1/events", headers=headers) as stream:
        assert stream.content_type == "text/event-stream"
        assert await stream.content.readline() == b": heartbeat\n"
        # the listener may still be connecting; what it missed it tells as a resync
        await api.ok("agent", "POST", "/jobs", {"message": "boom: no such table", "status": 500})
        async with asyncio.timeout(15):
            while not (line := await stream.content.readline()).startswith(b"data:"):
                assert line
    event = Event.model_validate_json(line[5:])
    assert event.kind in ("job", "resync")
