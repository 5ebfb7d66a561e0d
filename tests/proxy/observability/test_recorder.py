"""Recorder: names, numbers, stores and tells; never raises."""

import json
from collections.abc import Iterator
from dataclasses import replace
from operator import attrgetter
from random import Random
from uuid import UUID

import pytest

from proxy.domain.anomaly import Anomaly
from proxy.domain.exchange import Capture, Exchange, Outcome
from proxy.domain.waiting import exchanges_of
from proxy.observability.buffer import MetricsBuffer
from proxy.observability.incident import IncidentEnd
from proxy.observability.recorder import HANDFUL, OPEN_MAX, WAITING_MAX, Recorder
from proxy.observability.snapshot import merge_snapshots


def exchange(
    at: float = 1000.0,
    target: bytes = b"/orders/7",
    status: int = 200,
    outcome: Outcome = Outcome.ANSWERED,
    ms: float = 20.0,
    location: bytes | None = None,
) -> Exchange:
    made = Exchange(at, ms, "GET", target, status, outcome, client="10.0.0.9")
    if location is not None:
        made.capture = Capture([], response_headers=[(b"Location", location)])
    return made


class Ears:
    def __init__(self) -> None:
        self.failures: list[tuple[Exchange, UUID]] = []
        self.client_errors: list[int] = []
        self.redirects: list[int] = []
        self.loops: list[tuple[str, ...]] = []
        self.anomalies: list[Anomaly] = []
        self.ends: list[IncidentEnd] = []
        self.recorder = Recorder(
            buffer=MetricsBuffer(50_000),
            on_failure=lambda e, i: self.failures.append((e, i)),
            on_client_error=lambda e, i: self.client_errors.append(e.status),
            on_redirect=lambda e, i: self.redirects.append(e.status),
            on_redirect_loop=lambda e, i, circle: self.loops.append(circle),
            on_anomaly=self.anomalies.append,
            on_anomaly_end=self.ends.append,
            id_base=0xABCD,
        )


def test_route_number_and_id_are_given() -> None:
    recorder = Recorder(id_base=0xABCD)
    one, two = exchange(), exchange()
    recorder.record(one)
    recorder.record(two)
    assert (one.route, one.sequence, two.sequence) == ("/orders/{id}", 1, 2)
    assert recorder.log_id(2) == UUID(int=0xABCD << 64 | 2)
    assert recorder.trace_id(one) == recorder.log_id(1).hex
    two.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert recorder.trace_id(two) == two.trace_id
    assert [e.sequence for e in recorder.buffer.drain(9)] == [1, 2]
    assert Recorder().log_id(1) != Recorder().log_id(1)


@pytest.mark.parametrize(
    ("status", "outcome", "heard"),
    [
        (200, Outcome.ANSWERED, ""),
        (500, Outcome.ANSWERED, "failure"),
        (502, Outcome.UPSTREAM_REFUSED, "failure"),
        (504, Outcome.UPSTREAM_TIMEOUT, "failure"),
        (200, Outcome.UPSTREAM_BROKEN, "failure"),
        (404, Outcome.ANSWERED, "client"),
        (302, Outcome.ANSWERED, "redirect"),
        (304, Outcome.ANSWERED, ""),
        (499, Outcome.CLIENT_GONE, ""),
        (400, Outcome.REJECTED, ""),
        (500, Outcome.PROXY_FAULT, ""),
        (503, Outcome.LOCAL, ""),
        (101, Outcome.UPGRADED, ""),
    ],
)
def test_who_hears_of_what(status: int, outcome: Outcome, heard: str) -> None:
    ears = Ears()
    ears.recorder.record(exchange(status=status, outcome=outcome))
    assert (len(ears.failures), ears.client_errors, ears.redirects) == (
        int(heard == "failure"),
        [status] if heard == "client" else [],
        [status] if heard == "redirect" else [],
    )
    if heard == "failure":
        assert ears.failures[0][1] == ears.recorder.log_id(1)
    assert len(ears.recorder.buffer) == 1
    assert ears.recorder.faults == 0


def test_an_empty_buffer_that_was_given_is_the_one_that_fills() -> None:
    asked: list[int] = []
    buffer = MetricsBuffer(4, on_fill=lambda: asked.append(len(buffer)))
    recorder = Recorder(buffer=buffer)
    for _ in range(2):
        recorder.record(exchange())
    assert recorder.buffer is buffer
    assert asked == [2], "a flush is asked for at half"


def test_a_redirect_circle_is_told_with_its_chain() -> None:
    ears = Ears()
    for n in range(4):
        ears.recorder.record(exchange(n * 0.2, b"/login", 302, location=b"/home"))
        ears.recorder.record(exchange(n * 0.2 + 0.1, b"/home", 302, location=b"/login"))
    assert ears.loops == [("/login", "/home", "/login")]


def test_a_fault_of_our_own_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    def broken(found: Exchange, log_id: UUID) -> None:
        raise RuntimeError("listener")

    recorder = Recorder(on_failure=broken)
    for _ in range(30):
        recorder.record(exchange(status=500))
    assert recorder.faults == 30
    assert len(recorder.buffer) == 30
    assert len(caplog.records) == 20
    recorder.record(None)  # type: ignore[arg-type]  # whatever comes, nothing is thrown
    assert recorder.faults == 31


def live(ears: Ears, start: float, seconds: int, ms: float, status: int = 200) -> None:
    for n in range(seconds * 2):
        at = start + n * 0.5
        ears.recorder.record(exchange(at, b"/orders/%d" % n, status, ms=ms + n % 9))
        ears.recorder.tick(at)


def test_a_slow_route_is_told_scored_and_forgiven() -> None:
    ears = Ears()
    epoch = 1_760_000_000.0
    live(ears, epoch, 1200, 100.0)
    healthy = merge_snapshots([ears.recorder.snapshot()]).health()
    assert healthy.score == 100
    live(ears, epoch + 1200, 600, 800.0)
    (anomaly,) = ears.anomalies
    assert anomaly.detected_at - (epoch + 1200) <= 60.0
    snapshot = ears.recorder.snapshot()
    (shown,) = snapshot["open"]
    assert (shown["route"], shown["explanation"]) == ("/orders/{id}", anomaly.explanation)
    hurt = merge_snapshots([snapshot]).health()
    assert hurt.score is not None
    assert hurt.score < 95
    assert "GET /orders/{id}" in hurt.why[0].text
    live(ears, epoch + 1800, 600, 100.0)
    assert [e.reason for e in ears.ends] == ["recovered"]
    assert ears.recorder.snapshot()["open"] == []
    assert merge_snapshots([ears.recorder.snapshot()]).health().score == 100
    assert ears.recorder.faults == 0


def test_the_snapshot_is_json_and_counts_everything() -> None:
    ears = Ears()
    for n in range(100):
        ears.recorder.record(exchange(n * 1.0, b"/a", 500 if n % 10 == 0 else 200))
    ears.recorder.record(exchange(99.0, b"/a", 499, Outcome.CLIENT_GONE))
    snapshot = json.loads(json.dumps(ears.recorder.snapshot(99.0)))
    assert snapshot["statuses"] == {"2xx": 90, "4xx": 1, "5xx": 10}
    assert snapshot["outcomes"] == {"answered": 100, "client_gone": 1}
    assert snapshot["sequence"] == 101
    (route,) = snapshot["routes"]
    assert (route["method"], route["route"], route["requests"], route["errors"]) == (
        "GET",
        "/a",
        100,
        10,
    )
    assert sum(m["requests"] for m in snapshot["minutes"].values()) == 100
    assert snapshot["buffer"]["size"] == 101


def answered(
    recorder: Recorder,
    at: float,
    target: bytes = b"/orders/7?x=1",
    ms: float = 20.0,
    status: int = 200,
) -> None:
    """As the hot plane lays it down."""
    recorder.fresh.append((at, ms, "GET", target, status, 3, 5, None, "10.0.0.9"))
    if len(recorder.fresh) >= recorder.handful:
        recorder.settle()


def test_bare_values_are_the_same_as_an_exchange() -> None:
    """However an answered exchange comes: every count, verdict and row is the same."""
    bare, whole = Recorder(id_base=1), Recorder(id_base=1)
    epoch = 1_760_000_000.0
    for n in range(2400):
        at, ms = epoch + n / 2, (100.0 if n < 1800 else 900.0) + n % 9
        target = b"/orders/%d?page=%d" % (n % 40, n)
        answered(bare, at, target, ms)
        whole.record(Exchange(at, ms, "GET", target, 200, Outcome.ANSWERED, 3, 5, None, "10.0.0.9"))
        if n % 100 == 0:
            bare.record(exchange(at, b"/orders/1", 503))
            whole.record(exchange(at, b"/orders/1", 503))
    assert bare.snapshot() == whole.snapshot()
    assert bare.detector.get_recent_anomalies() == whole.detector.get_recent_anomalies()
    assert bare.detector.export_baselines() == whole.detector.export_baselines()
    assert bare.snapshot()["open"], "the slow half hour was told"
    assert list(exchanges_of(bare.buffer.peek(9))) == whole.buffer.peek(9)
    assert list(exchanges_of(bare.buffer.drain(9999))) == whole.buffer.drain(9999)
    assert (bare.faults, whole.faults) == (0, 0)


def many_routes(seed: int) -> Iterator[Exchange | None]:
    """A service's traffic: plain answers and others of some routes, None once a second."""
    random = Random(seed)
    at = 1_760_000_000.0
    for second in range(900):
        for _ in range(random.randrange(12)):
            at += 0.05
            ms = (900.0 if second > 660 else 100.0) + random.randrange(9)
            path = random.choice((b"/orders/%d?page=2", b"/users/%d/cart", b"/wiki/a-word-%d"))
            target = path % random.randrange(60) if random.random() < 0.9 else b"/health?q=1"
            status = random.choice((200,) * 40 + (201, 204, 404, 500))
            yield Exchange(at, ms, "GET", target, status, Outcome.ANSWERED, 3, 5)
        at = 1_760_000_000.0 + second + 1
        yield None


@pytest.mark.parametrize("seed", range(3))
def test_bare_values_of_many_routes_are_counted_as_exchanges_are(seed: int) -> None:
    """They wait with their route, so routes come in another order, but nothing else differs."""
    bare, whole = Recorder(id_base=1), Recorder(id_base=1)
    now = 0.0
    for one in many_routes(seed):
        if one is None:
            bare.tick(now)
            whole.tick(now)
            continue
        now = one.started_at + one.duration_ms / 1000.0
        whole.record(replace(one))
        if 200 <= one.status < 300:
            answered(bare, one.started_at, one.target, one.duration_ms, one.status)
        else:
            bare.record(one)
    assert bare.detector.get_recent_anomalies()
    key = attrgetter("detected_at", "route")
    assert sorted(bare.detector.get_recent_anomalies(), key=key) == sorted(
        whole.detector.get_recent_anomalies(), key=key
    )
    assert by_route(bare) == by_route(whole)
    assert bare.summary() == whole.summary()
    learned, same = (one.detector.export_baselines()["routes"] for one in (bare, whole))
    for route in learned.keys() - {"GET /wiki/{slug}"}:
        assert learned[route] == same[route]
    # others ended a moment before or after its words became a slug
    assert learned["GET /wiki/{slug}"]["baseline"] == same["GET /wiki/{slug}"]["baseline"]
    assert learned.keys() == same.keys()
    assert rows_of(bare) == rows_of(whole)
    assert (bare.faults, whole.faults) == (0, 0)


def by_route(recorder: Recorder) -> dict[tuple[str, str], dict[str, object]]:
    return {(row["method"], row["route"]): row for row in recorder.route_counts()}


def rows_of(recorder: Recorder) -> list[tuple[object, ...]]:
    drained = list(exchanges_of(recorder.buffer.drain(10**9)))
    assert len({one.sequence for one in drained}) == len(drained) == recorder.sequence
    return sorted((one.started_at, one.route, one.target, one.status) for one in drained)


def test_answers_of_many_routes_wait_for_a_handful_each_and_not_without_bound() -> None:
    buffer = MetricsBuffer()
    recorder = Recorder(buffer=buffer)
    few = [b"/orders/%d" % n for n in range(HANDFUL // 2)]
    for n in range(HANDFUL):
        answered(recorder, 1000.0 + n, few[n % len(few)] if n % 2 else b"/cart")
    assert buffer.recorded == 0
    for n in range(HANDFUL):
        answered(recorder, 1200.0 + n, few[n % len(few)] if n % 4 else b"/cart")
    assert buffer.recorded == HANDFUL + HANDFUL // 4, "who has a handful is counted"
    for n in range(WAITING_MAX):
        answered(recorder, 1400.0 + n, b"/shop/%s" % (b"abcdefghijklmnopq"[n % 17 : n % 17 + 1]))
    assert buffer.recorded >= WAITING_MAX
    assert recorder.snapshot()["sequence"] == 2 * HANDFUL + WAITING_MAX == buffer.recorded


def test_of_many_more_routes_than_may_wait_the_first_are_counted() -> None:
    recorder = Recorder(id_base=1)
    for n in range(2 * OPEN_MAX):
        for at in range(1 + n % 9):
            recorder.fresh.append(
                (1000.0 + at, 5.0, "GET", b"/a/%s" % _word(n), 200, 0, 5, None, "")
            )
    total = len(recorder.fresh)
    recorder.settle()
    waiting = sum(1 + n % 9 for n in range(OPEN_MAX, 2 * OPEN_MAX))
    assert recorder.buffer.recorded == total - waiting
    counted = {route: row["requests"] for (_, route), row in by_route(recorder).items()}
    assert sum(counted.values()) == total
    assert len(rows_of(recorder)) == total
    assert recorder.faults == 0


def _word(n: int) -> bytes:
    return bytes([97 + n % 20]) + b"/" + bytes([97 + n // 20])


def test_what_waits_under_a_name_that_ends_is_counted_under_it() -> None:
    recorder = Recorder()
    for n in range(60):
        recorder.fresh.append(
            (1000.0 + n, 5.0, "GET", b"/wiki/page-of-%s" % (b"x" * (n + 1)), 200, 0, 5, None, "")
        )
    recorder.settle()
    assert recorder.buffer.recorded > 0, "the names that ended"
    (row,) = recorder.route_counts(1060.0)
    assert (row["route"], row["requests"]) == ("/wiki/{slug}", 60)


def test_one_that_cannot_be_named_costs_no_other() -> None:
    recorder = Recorder()
    recorder.fresh.append((1.0, 2.0, "GET", b"/a", 200, 0, 5, None, ""))
    recorder.fresh.append((1.0, 2.0, "GET", b"/b", "200", 0, 5, None, ""))  # type: ignore[arg-type]
    recorder.fresh.append((1.0, None, "GET", b"/c", 200, 0, 5, None, ""))  # type: ignore[arg-type]
    recorder.fresh.append((1.0, 2.0, "GET", b"/a", 200, 0, 5, None, ""))
    recorder.settle()
    assert len(recorder.buffer) >= 2
    assert recorder.faults >= 1
    assert [row["requests"] for row in recorder.route_counts(60.0) if row["route"] == "/a"] == [2]


def test_bare_values_wait_their_turn_in_the_buffer() -> None:
    recorder = Recorder(buffer=MetricsBuffer(3))
    for at in range(5):
        answered(recorder, at)
    rows = recorder.buffer.drain(2)
    assert [(e.sequence, e.route, e.target) for e in exchanges_of(rows)] == [
        (1, "/orders/{id}", b"/orders/7?x=1"),
        (2, "/orders/{id}", b"/orders/7?x=1"),
    ]
    assert recorder.buffer.restore(rows) == 0
    assert [one.sequence for one in exchanges_of(recorder.buffer.drain(9))] == [1, 2, 3]
    assert recorder.buffer.dropped == 2


def test_a_path_named_anew_is_counted_under_its_new_name() -> None:
    recorder = Recorder()
    for n in range(60):
        answered(recorder, 1000.0 + n, b"/wiki/page-of-%s" % (b"x" * (n + 1)))
    again = [f"/wiki/page-of-{'x' * (n + 1)}".encode() for n in range(60)]
    for target in again:
        answered(recorder, 1100.0, target)
    counts = {row["route"]: row["requests"] for row in recorder.snapshot(1100.0)["routes"]}
    rows = [one.route for one in exchanges_of(recorder.buffer.drain(999))]
    # rows keep the name they were recorded under; what is counted moves with its route
    assert counts == {"/wiki/{slug}": len(rows)}
    assert rows.count("/wiki/{slug}") >= 60 + 60 - 13


def test_a_fault_over_bare_values_goes_no_further() -> None:
    def broken() -> None:
        raise RuntimeError("no disk")

    recorder = Recorder(buffer=MetricsBuffer(4, on_fill=broken))
    for at in range(3):
        answered(recorder, at)
    assert len(recorder.buffer) == 3
    assert recorder.faults == 1


def test_plain_answers_are_counted_by_the_handful_and_in_their_turn() -> None:
    buffer = MetricsBuffer()
    recorder = Recorder(buffer=buffer)
    for n in range(HANDFUL - 1):
        answered(recorder, 1000.0 + n)
    assert buffer.recorded == 0
    answered(recorder, 2000.0)
    assert buffer.recorded == HANDFUL
    answered(recorder, 2001.0)
    recorder.record(exchange(2002.0, b"/orders/1", 503))
    assert buffer.recorded == HANDFUL + 2
    assert [one.status for one in exchanges_of(buffer.drain(999))][-2:] == [200, 503]


def test_whoever_asks_sees_the_last_of_them() -> None:
    for ask in (
        lambda recorder: recorder.tick(1000.0),
        lambda recorder: recorder.summary(),
        lambda recorder: list(recorder.route_counts()),
        lambda recorder: len(recorder.buffer),
        lambda recorder: recorder.buffer.peek(9),
    ):
        recorder = Recorder()
        answered(recorder, 1000.0)
        assert recorder.buffer.recorded == 0
        ask(recorder)
        assert recorder.buffer.recorded == 1


def test_a_release_is_told_at_once_and_a_fault_in_telling_it_is_ours() -> None:
    told: list[str] = []
    recorder = Recorder(on_release=told.append)
    recorder.record(exchange())
    recorder.released("v2")
    assert told == ["v2"]
    assert recorder.detector.situation.version == "v2"
    recorder.on_release = lambda version: told.remove("not there")
    recorder.released("v3")
    assert recorder.faults == 1
