"""Windows of five minutes, made of minutes that add and are packed when they have passed."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.observability.minutes import Minutes
from proxy.observability.rollup import WindowCounts, performance
from proxy.observability.sketch import bucket_of


def test_the_window_moves_on() -> None:
    minutes = Minutes()
    for minute in range(10):
        minutes.add(bucket_of(20.0), 200, False, minute * 60.0 + 5)
    assert minutes.window(9 * 60.0 + 30).requests == 5
    assert minutes.window(12 * 60.0).requests == 2
    assert minutes.window(60 * 60.0).requests == 0
    assert list(minutes.series(9 * 60.0 + 30)) == [5, 6, 7, 8, 9]


def test_a_minute_counts_as_many_as_there_are() -> None:
    minutes, bucket = Minutes(), bucket_of(3.0)
    for _ in range(70_000):
        minutes.add(bucket, 200, False, 100.0)
    minutes.add(bucket_of(9.0), 200, False, 100.0)
    assert minutes.window(100.0).durations == {bucket: 70_000, bucket_of(9.0): 1}


def test_a_minute_that_has_passed_holds_what_it_held() -> None:
    minutes = Minutes()
    for bucket, count in ((40, 300), (7, 70_000), (400, 2)):
        for n in range(count):
            minutes.add(bucket, 500 if n % 2 else 200, n % 2 > 0, 100.0)
    minutes.add(40, 404, False, 100.0)
    before = minutes.window(100.0)
    minutes.add(9, 200, False, 130.0)
    minutes.add(40, 500, True, 119.0)
    after = minutes.window(130.0)
    assert before.durations == {7: 35_000, 40: 151, 400: 1}
    assert after.durations == {**before.durations, 9: 1}
    assert before.failed_durations == {7: 35_000, 40: 150, 400: 1}
    assert after.failed_durations == {**before.failed_durations, 40: 151}
    assert (after.requests, after.client_errors, after.errors) == (70_305, 1, 35_152)


def test_errors_apart_from_client_errors_and_from_durations() -> None:
    minutes = Minutes()
    for status, failed, ms in (
        (200, False, 10.0),
        (404, False, 5.0),
        (500, True, 900.0),
        (200, True, 7.0),
    ):
        minutes.add(bucket_of(ms), status, failed, 100.0)
    window = minutes.window(100.0)
    assert (window.requests, window.client_errors, window.errors) == (4, 1, 2)
    assert sum(window.durations.values()) == 2
    row = performance("GET", "/x", window)
    assert (row.count, row.error_rate, row.client_error_rate) == (4, 0.5, 0.25)
    assert row.p99_ms is not None
    assert row.p99_ms > 7.0


def test_joined_series_count_as_one() -> None:
    one, other, both = Minutes(), Minutes(), Minutes()
    for n in range(400):
        at, failed = n * 1.7, n % 9 == 0
        status = 500 if failed else 404 if n % 7 == 0 else 200
        for minutes in (one if n % 3 and n > 90 else other, both):
            minutes.add(n % 50, status, failed, at)
    one.join(other)
    assert one.window(680.0) == both.window(680.0)
    for minutes in (one, both):
        minutes.add(3, 200, False, 681.0)
        minutes.add(3, 200, False, 701.0)
    assert one.window(701.0) == both.window(701.0)
    for _ in range(40_000):
        for minutes in (one, other):
            minutes.add(7, 200, False, 702.0)
    one.join(other)
    assert one.window(702.0).durations[7] >= 80_000


def test_a_place_in_the_ring_is_used_again() -> None:
    minutes = Minutes(2)
    minutes.add(3, 500, True, 0.0)
    minutes.add(4, 200, False, 120.0)
    window = minutes.window(120.0)
    assert (window.requests, window.errors, window.failed_durations) == (1, 0, {})


@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0, 900)), max_size=40))
def test_a_window_asked_again_and_again_misses_nothing(times: list[tuple[float, float]]) -> None:
    minutes = Minutes(3)
    for ended, asked in times:
        minutes.add(int(ended) % 7, 200, int(ended) % 5 == 0, ended)
        expected = WindowCounts()
        for counts in minutes.series(asked).values():
            expected.add(counts)
        assert minutes.window(asked) == expected
        minutes.window(asked).add(expected)


requests = st.lists(
    st.tuples(st.integers(0, 500), st.sampled_from([200, 404, 500]), st.floats(0, 600)), max_size=60
)


@given(requests, requests)
def test_windows_of_two_workers_add_up_to_one(
    one: list[tuple[int, int, float]], other: list[tuple[int, int, float]]
) -> None:
    a, b, both = Minutes(20), Minutes(20), Minutes(20)
    for mine, rows in ((a, one), (b, other)):
        for bucket, status, at in sorted(rows, key=lambda r: r[2]):
            mine.add(bucket, status, status >= 500, at)
    for bucket, status, at in sorted(one + other, key=lambda r: r[2]):
        both.add(bucket, status, status >= 500, at)
    total = a.window(600.0)
    total.add(b.window(600.0))
    assert total == both.window(600.0)
    assert WindowCounts.from_json(total.to_json()) == total
