"""Sentences: what they say was measured was measured; a belief is never told as a measurement."""

import random
import re
from collections.abc import Callable

import pytest

from proxy.domain.anomaly import Anomaly
from proxy.domain.failure import Severity
from proxy.observability.detector import MLDetector
from proxy.observability.kinds import QUICK, SLOW, USUAL, Alike
from proxy.observability.sentences import Known, error_sentence

HOUR = 3600.0


class Counted:
    """One route at a steady pace through a detector; what came is counted beside it."""

    def __init__(self) -> None:
        self.detector = MLDetector()
        self.rng = random.Random(11)
        self.seen: list[tuple[float, bool]] = []
        self.told: list[Anomaly] = []

    def run(
        self, until: float, fails: Callable[[float], float], slower: float = 1.0, rate: float = 1.0
    ) -> "Counted":
        now = self.seen[-1][0] if self.seen else 0.0
        while now < until:
            now += self.rng.expovariate(rate)
            failed = self.rng.random() < fails(now)
            self.seen.append((now, failed))
            ms = slower * self.rng.lognormvariate(4.0, 0.3)
            found = [
                *self.detector.tick(now),
                self.detector.observe("GET", "/x", 500 if failed else 200, ms, now, failed),
            ]
            self.told += [a for a in found if isinstance(a, Anomaly)]
        return self

    def before(self, onset: float) -> tuple[int, int]:
        came = [failed for at, failed in self.seen if at < onset]
        return len(came), sum(came)


def numbers(sentence: str) -> list[float]:
    """Behind the semicolon."""
    usual = sentence.partition(";")[2].replace(",", "")
    return [float(n) for n in re.findall(r"[0-9.]*[0-9]", usual)]


@pytest.mark.parametrize("quiet_s", [400.0, 5 * HOUR])
def test_a_route_that_never_failed_says_so_of_so_many_requests(quiet_s: float) -> None:
    play = Counted().run(quiet_s + 300.0, lambda t: 0.6 if t >= quiet_s else 0.0)
    (told,) = play.told
    assert "; usually never (0 of " in told.explanation
    none, requests = numbers(told.explanation)
    assert none == 0.0
    assert requests == pytest.approx(play.before(told.onset)[0], rel=0.1)
    assert play.before(told.onset)[1] == 0
    # what it was weighed against is a belief, and a field of its own
    assert told.baseline > 0.0


def test_a_share_that_was_measured_stands_with_what_it_was_measured_over() -> None:
    play = Counted().run(6 * HOUR, lambda t: 0.01)
    play.run(6 * HOUR + 400.0, lambda t: 0.3)
    told = play.told[-1]
    share, errors, requests = numbers(told.explanation)
    known = play.before(told.onset)
    assert (requests, errors) == pytest.approx(known, rel=0.2)
    assert share == pytest.approx(100.0 * known[1] / known[0], rel=0.1)
    assert f"{told.sigma:.1f} sigma" in told.explanation


def test_a_failure_that_waits_to_be_learned_is_no_never() -> None:
    play = Counted().run(3 * HOUR, lambda t: 0.0)
    at = 3 * HOUR - 600.0
    play = Counted().run(3 * HOUR + 400.0, lambda t: (at <= t < at + 9.0) + 0.5 * (t >= 3 * HOUR))
    told = play.told[-1]
    known = play.before(told.onset)
    assert known[1] > 0
    _, errors, requests = numbers(told.explanation)
    assert (requests, errors) == pytest.approx(known, rel=0.15)


def test_of_a_route_that_fails_from_its_first_request_nothing_is_known() -> None:
    told = Counted().run(200.0, lambda t: 1.0).told[0]
    assert told.explanation.endswith("; nothing is known of it before.")
    assert "sigma" not in told.explanation


def test_a_slowdown_says_of_how_many_requests_the_usual_is() -> None:
    play = Counted().run(HOUR, lambda t: 0.0)
    told = play.run(HOUR + 300.0, lambda t: 0.0, slower=4.0).told[0]
    before = re.search(r"requests, (?:about )?([0-9,]+) before\)", told.explanation)
    assert before is not None
    # durations weigh half after two and a half hours, and are learned minutes later
    known = play.before(told.onset)[0]
    assert 0.7 * known <= float(before[1].replace(",", "")) <= known


def test_one_that_gets_three_times_worse_is_told_again_as_severe_as_it_is_now() -> None:
    play = Counted().run(HOUR, lambda t: 0.0)
    play.run(HOUR + 400.0, lambda t: 0.0, slower=2.2)
    play.run(HOUR + 800.0, lambda t: 0.0, slower=14.0)
    first, again = play.told
    assert (first.severity, again.severity) == (Severity.MEDIUM, Severity.HIGH)
    assert again.onset == first.onset
    assert again.explanation.endswith("requests), far more than was told.")
    assert f"takes {again.ratio:.1f} times as long as usual" in again.explanation
    assert again.ratio > 3.0 * first.ratio


def test_one_that_gets_a_little_worse_is_not_told_again() -> None:
    play = Counted().run(HOUR, lambda t: 0.0)
    play.run(HOUR + 400.0, lambda t: 0.0, slower=2.2)
    assert len(play.run(HOUR + 1500.0, lambda t: 0.0, slower=4.0).told) == 1


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (Known(0.0), "nothing is known of it before"),
        (Known(1.0), "0 of 1 before"),
        (Known(9.4), "0 of about 9 before"),
        (Known(4.0, 1.0), "1 of 4 before"),
        (Known(10.0), "usually never (0 of 10)"),
        (Known(1530.0, 3.0), "usually 0.20% (3 of 1,530)"),
        (Known(1529.7, 2.6), "usually 0.17% (about 3 of about 1,530)"),
        (Known(1530.0, 0.2), "usually 0.01% (less than 1 of 1,530)"),
        (Known(1530.0, 0.01), "usually never (0 of 1,530)"),
        (Known(100.0, 40.0), "usually 40% (40 of 100)"),
    ],
)
def test_words_for_what_is_known(known: Known, words: str) -> None:
    said = error_sentence("GET", "/x", 0.0, 0.5, 7.0, 12, 6, known)
    assert said.partition("; ")[2] == words + "."


@pytest.mark.parametrize(
    ("alike", "now", "before"),
    [
        (Alike(503, USUAL, 0.01, 60.4, False), "a 503", "with a 503 in 0 of about 60 cases"),
        (
            Alike(503, USUAL, 0.3, 9.0, True),
            "a 503",
            "in the whole app with a 503 in less than 1 of 9 cases",
        ),
        (
            Alike(500, QUICK, 1.0, 9.0, False),
            "a 500 far sooner than usual",
            "with a 500 far sooner than usual in 1 of 9 cases",
        ),
        (
            Alike(504, SLOW, 0.0, 9.0, False),
            "a 504 far later than usual",
            "with a 504 far later than usual in 0 of 9 cases",
        ),
    ],
)
def test_words_for_what_failures_have_in_common(alike: Alike, now: str, before: str) -> None:
    said = error_sentence("GET", "/x", 0.0, 0.5, 7.0, 4, 2, Known(1530.0, 3.0), alike)
    assert (
        f"(2 of 4 requests, each {now}, 7.0 sigma); usually 0.20% (3 of 1,530), and {before}."
        in said
    )
