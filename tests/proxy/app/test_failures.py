import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from proxy.app.failures import READS_PER_S, REMEMBERED_MAX, WAITING_MAX, FailureDesk, Reader
from proxy.clock import ManualClock
from proxy.domain.anomaly import Anomaly
from proxy.domain.exchange import Capture, Exchange, Outcome
from proxy.domain.failure import Category, Classification, Failure, Severity, Signature
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.rules import RuleSet


class Room:
    """Classifier and intake in one: counts what it is asked and keeps what it is offered."""

    def __init__(self) -> None:
        self.classified = 0
        self.unread: list[Failure] = []
        self.offered: list[tuple[Failure, Classification]] = []

    def classify(self, failure: Failure) -> Classification:
        self.classified += 1
        return Classification(
            Category.UNKNOWN,
            Severity.HIGH,
            "r",
            Signature(f"v1:{failure.message}"),
            failure.message,
        )

    def offer(self, failure: Failure, classification: Classification) -> None:
        self.offered.append((failure, classification))

    def overflow(self, failure: Failure) -> None:
        self.unread.append(failure)

    def read(self, exchange: Exchange, log_id: UUID) -> Failure:
        body = exchange.capture.response_body.decode() if exchange.capture else ""
        at = datetime.fromtimestamp(exchange.started_at, UTC)
        return Failure("app", at, body, log_id=log_id)

    def reader(self) -> Reader:
        return Reader(self.read, self, self, lambda address: f"#{address}" if address else None)


def failing(n: int, body: bytes = b"boom", client: str = "") -> Exchange:
    capture = Capture([], response_body=body)
    return Exchange(
        float(n), 5.0, "GET", b"/x", 500, Outcome.ANSWERED, capture=capture, client=client
    )


def test_what_fails_before_the_rules_are_read_is_kept_in_order() -> None:
    desk, room = FailureDesk("app", "production"), Room()
    for n in range(WAITING_MAX + 3):
        desk.exchange(failing(n), UUID(int=n))
    desk.open(room.reader())
    assert [f.log_id for f, _ in room.offered] == [UUID(int=n) for n in range(WAITING_MAX)]
    assert desk.dropped == 3


def test_the_same_failure_is_classified_once_and_offered_every_time() -> None:
    desk, room = FailureDesk("app", "production"), Room()
    desk.open(room.reader())
    for n in range(1000):
        desk.exchange(failing(n), UUID(int=n))
    assert room.classified == 1
    assert len(room.offered) == 1000
    assert room.offered[-1][0].log_id == UUID(int=999)
    assert room.offered[-1][0].occurred_at == datetime.fromtimestamp(999, UTC)
    desk.exchange(failing(1, b"other"), UUID(int=1))
    assert room.classified == 2
    desk.forget()
    desk.exchange(failing(1), UUID(int=1))
    assert room.classified == 3


def test_what_is_remembered_is_bounded() -> None:
    clock = ManualClock()
    desk, room = FailureDesk("app", "production", clock=clock), Room()
    desk.open(room.reader())
    for n in range(REMEMBERED_MAX + 1):
        clock.advance(1)
        desk.exchange(failing(n, str(n).encode()), UUID(int=n))
    desk.exchange(failing(0, b"0"), UUID(int=0))
    assert room.classified == REMEMBERED_MAX + 2


async def test_a_storm_of_different_failures_is_read_within_its_budget_and_counted_whole() -> None:
    clock = ManualClock()
    desk, room = FailureDesk("app", "production", clock=clock), Room()
    desk.open(room.reader())
    total = READS_PER_S + WAITING_MAX + 50
    for n in range(total):
        desk.exchange(failing(n, str(n).encode()), UUID(int=n))
    assert (room.classified, len(room.unread), desk.dropped) == (READS_PER_S, 50, 0)
    assert room.unread[0].message == "status 500, one of too many to be read"
    clock.advance(1)
    desk.exchange(failing(0, b"0"), UUID(int=0))
    assert room.classified == READS_PER_S, "the order of those that wait stays"
    desk.finish()
    assert len(room.offered) + len(room.unread) == total + 1


async def test_those_that_wait_are_read_when_the_budget_allows() -> None:
    desk, room = FailureDesk("app", "production"), Room()
    desk.open(room.reader())
    for n in range(READS_PER_S + 3):
        desk.failure(Failure("app", datetime.fromtimestamp(n, UTC), f"failure {n}"))
    async with asyncio.timeout(20):
        while len(room.offered) < READS_PER_S + 3:
            await asyncio.sleep(0.01)
    said = [failure.message for failure, _ in room.offered]
    assert said == [f"failure {n}" for n in range(READS_PER_S + 3)]


def test_equal_events_of_an_sdk_are_classified_once() -> None:
    desk, room = FailureDesk("app", "production"), Room()
    desk.open(room.reader())
    for n in range(1000):
        at = datetime.fromtimestamp(n, UTC)
        desk.failure(Failure("app", at, "boom", origin="sdk", trace_id=f"{n:032x}"))
    assert (room.classified, len(room.offered)) == (1, 1000)
    assert room.offered[-1][0].trace_id == f"{999:032x}"


def test_an_anomaly_is_a_failure_with_its_budget() -> None:
    desk, room = FailureDesk("app", "staging"), Room()
    desk.open(room.reader())
    anomaly = Anomaly(
        "latency", "GET", "/x", 1.0, 2.0, 100.0, 412.0, 4.1, 6.0, 57, Severity.HIGH, "Since 14:03 …"
    )
    desk.anomaly(anomaly, UUID(int=9))
    failure = room.offered[0][0]
    assert (failure.latency_ms, failure.latency_budget_ms) == (412.0, 100.0)
    assert (failure.anomaly_id, failure.environment) == (UUID(int=9), "staging")


OWN = (
    "Since 14:03 GET /x takes 412 ms instead of 100 ms "
    "(4.1x, 6.0 sigma over 57 requests, about 1,204 before)."
)
CROWD = (
    "Since 14:03 everything takes 3.0 times as long: 4 of 4 routes, also GET /db/timeout, GET /y."
)


def test_a_route_that_is_slow_is_one_job_however_it_is_told() -> None:
    desk, room = FailureDesk("app", "production"), Room()
    desk.open(room.reader())
    first = Anomaly(
        "latency", "GET", "/x", 1.0, 2.0, 100.0, 412.0, 4.1, 6.0, 57, Severity.HIGH, OWN
    )
    told = [
        first,
        replace(first, explanation=OWN.replace("4.1x", "2.2x").replace("412", "220")),
        replace(first, explanation=OWN.replace("takes", "takes (p95)")),
        replace(first, explanation=f"{OWN} It began 3 min after release v42."),
        replace(first, explanation=f"{CROWD} First {OWN.removeprefix('Since 14:03 ')}"),
    ]
    for anomaly in told:
        desk.anomaly(anomaly, None)
    failures = [failure for failure, _ in room.offered]
    classifier = ErrorClassifier(RuleSet.load())
    assert len({classifier.classify(failure).signature for failure in failures}) == 1
    assert {classifier.classify(failure).severity for failure in failures} == {Severity.HIGH}
    (evidence,) = classifier.classify(failures[0]).evidence
    assert evidence.excerpt == "412 ms, usually 100 ms"
    assert failures[0].response_excerpt == OWN
    assert failures[4].response_excerpt == (
        "Since 14:03 everything takes 3.0 times as long: 4 of 4 routes. "
        "First GET /x takes 412 ms instead of 100 ms "
        "(4.1x, 6.0 sigma over 57 requests, about 1,204 before)."
    )


def test_a_redirect_loop_is_one_wherever_it_was_entered() -> None:
    desk, room = FailureDesk("app", "production"), Room()
    desk.open(room.reader())
    redirect = Exchange(1.0, 5.0, "GET", b"/b?x=1", 302, Outcome.ANSWERED, route="/b")
    desk.redirect_loop(redirect, UUID(int=1), ("/b?x=1", "/c", "/a?t=secret", "/b?x=1"))
    desk.redirect_loop(redirect, UUID(int=2), ("/c", "/a", "/b", "/c"))
    chains = [failure.redirect_chain for failure, _ in room.offered]
    assert chains == [("/a", "/b", "/c", "/a")] * 2
    assert "secret" not in room.offered[0][0].message


def test_each_occurrence_names_its_own_client() -> None:
    desk, room = FailureDesk("app", "production"), Room()
    desk.open(room.reader())
    for n, client in enumerate(["10.0.0.1", "10.0.0.2", ""]):
        desk.exchange(failing(n, client=client), UUID(int=n))
    assert [f.client for f, _ in room.offered][1:] == ["#10.0.0.2", None]
    assert room.classified == 1


def test_one_that_cannot_be_read_does_not_lose_those_that_waited_behind_it() -> None:
    desk, room = FailureDesk("app", "production"), Room()
    desk.exchange(failing(1, b"\xff"), UUID(int=1))
    desk.exchange(failing(2), UUID(int=2))
    desk.open(room.reader())
    assert [f.log_id for f, _ in room.offered] == [UUID(int=2)]
    assert desk.dropped == 1
