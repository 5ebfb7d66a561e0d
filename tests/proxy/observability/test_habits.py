"""What every night brings is no news; an outage always is."""

from dataclasses import replace

from proxy.domain.anomaly import Anomaly
from proxy.domain.failure import Severity
from proxy.observability.habits import DAY_S, HOUR_S, Habits

SLOW = Anomaly(
    "latency", "GET", "/", 7200.0, 7260.0, 50.0, 150.0, 3.0, 9.0, 40, Severity.MEDIUM, ""
)
FAILS = replace(SLOW, kind="error_rate", baseline=0.01, observed=0.2, ratio=20.0)


def at(anomaly: Anomaly, onset: float) -> Anomaly:
    return replace(anomaly, onset=onset)


def test_the_second_night_is_quiet_for_as_long_as_the_first_lasted() -> None:
    habits = Habits()
    habits.remember(SLOW, 7200.0 + 1800.0)
    until = habits.expected_until(at(SLOW, DAY_S + 7500.0))
    assert until is not None
    assert DAY_S + 7500.0 + 1800.0 < until < DAY_S + 7500.0 + 3600.0


def test_other_hours_other_kinds_worse_ones_and_old_ones_are_news() -> None:
    habits = Habits()
    habits.remember(SLOW, 9000.0)
    assert habits.expected_until(at(SLOW, DAY_S + 12000.0)) is None
    assert habits.expected_until(at(SLOW, 7200.0 + 600.0)) is None
    assert habits.expected_until(at(FAILS, DAY_S + 7200.0)) is None
    assert habits.expected_until(replace(SLOW, onset=DAY_S + 7200.0, ratio=9.0)) is None
    assert habits.expected_until(at(SLOW, 9 * DAY_S + 7200.0)) is None
    assert habits.expected_until(at(SLOW, 7 * DAY_S + 7200.0)) is not None


def test_an_outage_is_never_a_habit() -> None:
    habits = Habits()
    outage = replace(FAILS, observed=0.9)
    habits.remember(outage, 9000.0)
    assert habits.expected_until(at(outage, DAY_S + 7200.0)) is None
    assert habits.hourly_until(at(outage, DAY_S + 7200.0)) is None


def test_a_job_at_every_full_hour_is_known_after_the_third() -> None:
    habits = Habits()
    news = []
    for hour in range(1, 8):
        slow = at(SLOW, hour * HOUR_S + 20.0 * (hour % 3))
        news.append(habits.hourly_until(slow) is None)
        habits.remember(slow, slow.onset + 180.0)
    assert news == [True, True, True, False, False, False, False]


def test_long_incidents_at_the_same_minute_by_chance_are_no_hourly_job() -> None:
    habits = Habits()
    for hour in range(1, 5):
        slow = at(SLOW, hour * HOUR_S)
        habits.remember(slow, slow.onset + 1500.0)
    assert habits.hourly_until(at(SLOW, 5 * HOUR_S)) is None


def test_bad_minutes_that_come_again_and_again_are_known_after_the_third() -> None:
    habits = Habits()
    news = []
    for n in range(6):
        fails = at(FAILS, 2700.0 * n)
        news.append(habits.frequent_until(fails) is None)
        habits.remember(fails, fails.onset + 200.0)
    assert news == [True, True, True, False, False, False]
    assert habits.frequent_until(replace(FAILS, onset=17000.0, ratio=90.0)) is None
    assert habits.frequent_until(replace(FAILS, onset=17000.0, observed=0.9)) is None
    assert habits.frequent_until(at(FAILS, 20 * HOUR_S)) is None


def test_one_that_is_back_within_half_an_hour_had_not_ended() -> None:
    habits = Habits()
    for onset in (0.0, 1100.0, 1700.0):
        habits.remember(at(FAILS, onset), onset + 200.0)
    assert habits.frequent_until(at(FAILS, 18000.0)) is None
    for onset in (6000.0, 11000.0):
        habits.remember(at(FAILS, onset), onset + 200.0)
    assert habits.frequent_until(at(FAILS, 18000.0)) is not None


def test_one_that_opened_again_and_again_is_one() -> None:
    habits = Habits()
    for ended in (60.0, 300.0, 500.0, 800.0):
        habits.remember(at(FAILS, 0.0), ended)
    again = Habits.from_json(habits.to_json())
    assert again.frequent_until(at(FAILS, 7200.0)) is None
    for onset in (9000.0, 14000.0):
        again.remember(at(FAILS, onset), onset + 60.0)
    quiet_until = again.frequent_until(at(FAILS, 18000.0))
    assert quiet_until is not None
    assert quiet_until >= 18000.0 + 800.0, "as long as all of it lasted"


def test_what_all_routes_remember_is_joined() -> None:
    one, two, both = Habits(), Habits(), Habits()
    for hour in range(1, 4):
        slow = at(SLOW, hour * HOUR_S)
        (one, two)[hour % 2].remember(slow, slow.onset + 180.0)
    both.join([one, two])
    assert one.hourly_until(at(SLOW, 4 * HOUR_S)) is None
    assert both.hourly_until(at(SLOW, 4 * HOUR_S)) is not None


def test_habits_go_through_json() -> None:
    habits = Habits()
    habits.remember(SLOW, 9000.0)
    again = Habits.from_json(habits.to_json())
    assert again.expected_until(at(SLOW, DAY_S + 7200.0)) is not None
