"""The score: None without data, 100 without harm, never raised by more harm, and always with its
why.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.observability.health import HealthInput, HealthScore, health_score, merged
from proxy.observability.rollup import WindowCounts
from proxy.observability.sketch import bucket_of

Row = tuple[str, float, str]
"""route, duration in ms, "ok" | "client" | "failed"."""


def window(rows: list[Row]) -> HealthInput:
    routes: dict[tuple[str, str], WindowCounts] = {}
    for route, ms, outcome in rows:
        counts = routes.setdefault(("GET", route), WindowCounts())
        counts.requests += 1
        counts.errors += outcome == "failed"
        counts.client_errors += outcome == "client"
        into = counts.failed_durations if outcome == "failed" else counts.durations
        into[bucket_of(ms)] = into.get(bucket_of(ms), 0) + 1
    return HealthInput(routes)


def score(rows: list[Row]) -> HealthScore:
    return health_score(window(rows))


def exact(result: HealthScore) -> tuple[float, float, float]:
    assert result.latency is not None
    assert result.error_rate is not None
    assert result.availability is not None
    return result.latency, result.error_rate, result.availability


def test_no_data_no_score() -> None:
    result = score([])
    assert (result.score, result.latency, result.error_rate, result.availability) == (None,) * 4
    assert result.why[0].term == "no_data"


def test_all_well_is_a_hundred_without_complaints() -> None:
    result = score([("/", 50.0, "ok")] * 100)
    assert (result.score, result.why) == (100, ())


def test_a_visitors_404_costs_nothing() -> None:
    assert score([("/", 50.0, "ok")] * 50 + [("/x", 2.0, "client")] * 50).score == 100


def test_everything_failing_is_near_nothing() -> None:
    result = score([("/", 1.0, "failed")] * 30)
    assert result.score == 0
    assert {t.term for t in result.why} == {"latency", "error_rate", "availability"}


def test_slow_answers_cost_latency_and_say_where() -> None:
    result = score([("/", 20.0, "ok")] * 50 + [("/report", 1100.0, "ok")] * 50)
    assert result.latency is not None
    assert 48 <= result.latency <= 52
    (term,) = result.why
    assert term.term == "latency"
    assert "GET /report" in term.text
    assert abs(term.points - 15.0) < 0.6


def test_a_dead_quiet_route_is_seen() -> None:
    result = score([("/", 20.0, "ok")] * 500 + [("/pay", 20.0, "failed")] * 5)
    assert result.availability is not None
    assert result.availability < 80
    assert any("GET /pay" in term.text for term in result.why)


rows = st.lists(
    st.tuples(
        st.sampled_from(["/", "/a", "/b"]),
        st.sampled_from([1.0, 90.0, 210.0, 700.0, 1500.0, 5000.0]),
        st.sampled_from(["ok", "client", "failed"]),
    ),
    min_size=1,
    max_size=50,
)


def never_better(before: HealthScore, after: HealthScore) -> None:
    assert before.score is not None
    assert after.score is not None
    assert after.score <= before.score
    assert all(b <= a + 1e-9 for a, b in zip(exact(before), exact(after), strict=True))


@given(rows, st.data())
@settings(deadline=None)
def test_a_good_answer_turned_bad_never_raises_it(
    given_rows: list[Row], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(given_rows) - 1))
    route, ms, _ = given_rows[at]
    harmed = [*given_rows[:at], (route, ms, "failed"), *given_rows[at + 1 :]]
    never_better(score(given_rows), score(harmed))


@given(rows, st.data())
@settings(deadline=None)
def test_a_slower_answer_never_raises_it(given_rows: list[Row], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(given_rows) - 1))
    route, ms, outcome = given_rows[at]
    harmed = [*given_rows[:at], (route, ms * 4, outcome), *given_rows[at + 1 :]]
    never_better(score(given_rows), score(harmed))


@given(rows, st.sampled_from(["/", "/a", "/b", "/new"]), st.floats(1, 9000))
@settings(deadline=None)
def test_one_more_failure_never_raises_it(given_rows: list[Row], route: str, ms: float) -> None:
    never_better(score(given_rows), score([*given_rows, (route, ms, "failed")]))


def test_an_open_latency_incident_costs_points_however_fast_the_route_still_is() -> None:
    calm = window([("/", 20.0, "ok")] * 50)
    slow = HealthInput(calm.routes, {("GET", "/"): 3.0})
    result = health_score(slow)
    assert (result.score, result.latency) == (90, 66.7)
    (term,) = result.why
    assert (term.points, term.text) == (
        10.0,
        "GET / takes longer than usual, 3.0 times when it was told.",
    )


incidents = st.dictionaries(
    st.tuples(st.just("GET"), st.sampled_from(["/", "/a", "/b"])), st.floats(1, 100), max_size=3
)


@given(rows, incidents, st.sampled_from(["/", "/a", "/b"]), st.floats(1, 100))
@settings(deadline=None)
def test_one_more_or_a_worse_incident_never_raises_it(
    given_rows: list[Row],
    open_now: dict[tuple[str, str], float],
    route: str,
    ratio: float,
) -> None:
    counts = window(given_rows).routes
    more = open_now | {("GET", route): max(ratio, open_now.get(("GET", route), 1.0))}
    before, after = HealthInput(counts, open_now), HealthInput(counts, more)
    never_better(health_score(before), health_score(after))
    assert merged([before, after]).slower == more


@given(rows, incidents, st.sampled_from(["/", "/new"]))
@settings(deadline=None)
def test_a_failure_beside_an_incident_never_raises_it(
    given_rows: list[Row], open_now: dict[tuple[str, str], float], route: str
) -> None:
    worse = [*given_rows, (route, 5.0, "failed")]
    never_better(
        health_score(HealthInput(window(given_rows).routes, open_now)),
        health_score(HealthInput(window(worse).routes, open_now)),
    )


@given(rows, rows)
@settings(deadline=None)
def test_workers_windows_add(one: list[Row], other: list[Row]) -> None:
    assert health_score(merged([window(one), window(other)])) == score(one + other)


@given(rows)
@settings(deadline=None)
def test_the_why_adds_up_to_what_is_missing(given_rows: list[Row]) -> None:
    result = score(given_rows)
    assert result.score is not None
    missing = 100 - result.score
    assert missing - 1.3 <= sum(term.points for term in result.why) <= missing + 0.3
