"""Failures: rare ones are weighed against what is rare here, company and stumbles prove little."""

import json
from array import array
from collections.abc import Sequence

import pytest

from proxy.observability.baseline import Baseline
from proxy.observability.evidence import ERRORS_NEEDED, ShareSum, failing_gain
from proxy.observability.failures import CHANCES_MOST, Failing, FailureWatch, Slice
from proxy.observability.jolt import Jolts
from proxy.observability.kinds import NO_KIND, NOTHING_KNOWN, by_kind, kind_of


def known(requests: int = 20_000, errors: int = 20, runs: int | None = None) -> Baseline:
    base = Baseline()
    base.learn({}, requests, errors, errors if runs is None else runs)
    return base


def watch(
    slices: list[tuple[int, int, int]],
    base: Baseline | None = None,
    *,
    ratio: float = 5.0,
    floor: float = 3.0,
    kinds: str = "",
    app: Sequence[float] = NOTHING_KNOWN,
) -> Failing | None:
    """Slices of (requests, errors, runs), ten seconds each; what is found first. ``kinds`` has one
    digit for each run.
    """
    base = base or known()
    failures = FailureWatch(ratio, floor)
    for n, (requests, errors, runs) in enumerate(slices):
        at = 10.0 * n
        these, kinds = bytes(map(int, kinds[:runs])), kinds[runs:]
        last = these[-1] if these else NO_KIND
        seen = Slice(requests, errors, runs, 0, at, at + 1.0, at + 9.0, these, last)
        proved = failures.add(base, seen, 1.0, app)
        found = failures.verdict(base, proved, at + 9.0, app)
        if found is not None:
            return found
    return None


def test_an_outage_is_found_in_its_third_slice() -> None:
    found = watch([(10, 10, 1)] * 4)
    assert found is not None
    assert found.observed == 1.0
    assert found.since == 1.0
    assert found.requests <= 30


def test_a_stumble_is_none() -> None:
    assert watch([(20, 6, 2)] + [(20, 0, 0)] * 30) is None


def test_a_tenth_failing_is_found() -> None:
    found = watch([(20, 2, 2)] * 12)
    assert found is not None
    assert found.observed == pytest.approx(0.1, rel=0.3)
    assert found.sigma > 3.0


def test_a_blip_within_an_incident_does_not_hide_it() -> None:
    quiet, base = [(2, 0, 0)] * 6, known(9_000, 1)
    mild = [(3, 1, 1), *quiet, (1, 1, 1), *quiet, *quiet]
    blip = [(1, 1, 1), (2, 1, 1)]
    assert watch(mild, base) is None
    assert watch([(2, 0, 0), *blip, *quiet], base) is None
    found = watch([*mild, *blip], base)
    assert found is not None
    assert (found.errors, found.since) == (4, 1.0), "and not the two of the blip"


def test_three_in_a_row_and_one_more_are_chance_while_much_still_works() -> None:
    assert watch([(3, 3, 1), (4, 0, 0), (3, 1, 1)], known(1000, 15)) is None


def test_a_burst_and_one_more_are_no_outage() -> None:
    burst = [(3, 3, 1), (1, 0, 0), (1, 1, 1)]
    assert watch(burst) is None
    assert watch([*burst, (1, 1, 1), (1, 1, 1)]) is not None


def test_a_route_whose_errors_scatter_must_show_more() -> None:
    slices = [(20, 1, 1), (20, 0, 0)] * 12
    calm, restless = known(20_000, 80), known(20_000, 80)
    restless.scatter = 6.0 * restless.runs
    found = watch(slices, calm)
    assert found is not None
    assert watch(slices, restless) is None


def bad_minute(failures: FailureWatch, base: Baseline, at: float, errors: int) -> bool:
    """One error in each of so many slices, then ten good minutes: was it told?"""
    is_told = False
    for n in range(60):
        now, hit = at + 10.0 * n, int(n < errors)
        seen = Slice(10, hit, hit, 5 * hit, now, now + 5.0, now + 5.0)
        if failures.verdict(base, failures.add(base, seen, credit=1.0), now + 9.0) is not None:
            is_told = True
            failures.pass_by()
            failures.forget()
            break
    return is_told


def test_what_went_by_itself_must_be_outdone() -> None:
    base, failures = known(20_000, 80), FailureWatch(5.0, 3.0)
    needed = next(n for n in range(4, 9) if bad_minute(FailureWatch(5.0, 3.0), base, 0.0, n))
    assert bad_minute(failures, base, 0.0, needed)
    assert not bad_minute(failures, base, 1000.0, needed)
    assert bad_minute(failures, base, 2000.0, needed + 6)
    # and is forgotten after days
    assert bad_minute(failures, base, 5 * 86_400.0, needed)


def test_a_blip_is_no_measure() -> None:
    base, failures = known(20_000, 80), FailureWatch(5.0, 3.0)
    failures.add(base, Slice(15, 12, 4, 0, 0.0, 1.0, 9.0), credit=1.0)
    failures.add(base, Slice(15, 12, 4, 0, 10.0, 10.0, 14.0), credit=1.0)
    usual = FailureWatch(5.0, 3.0).needed
    for n in range(60):
        failures.add(base, Slice(30, 0, 0, 0, 20.0 + 10 * n, 0.0, 0.0), credit=1.0)
    assert failures.strongest == 0.0
    assert failures.needed == usual


def test_one_more_after_a_restart_is_chance() -> None:
    base = known(20_000, 10)
    restart = [(5, 3, 2), (4, 3, 2), (10, 0, 0)]
    assert watch([*restart, (20, 1, 1), (20, 0, 0)], base) is None
    assert watch([*restart, (10, 1, 1), (10, 1, 1)], base) is not None


def test_one_more_before_a_blip_and_one_after_are_chance() -> None:
    base, calm = known(70_000, 50), [(10, 0, 0)] * 5
    blip = [(10, 6, 3), (10, 6, 3)]
    assert watch([(5, 1, 1), *calm, *blip, *calm, (10, 1, 1), *calm], base) is None
    assert watch([(5, 1, 1), *calm, *blip, *calm, (10, 2, 2), (10, 1, 1)], base) is not None


def strays(count: int) -> list[float]:
    """So many runs of errors, all with 500."""
    return by_kind(bytes([kind_of(500)] * count))


def test_of_a_seldom_kind_two_further_apart_than_a_blip_are_told() -> None:
    base, app, calm = known(20_000, 20), strays(300), [(6, 0, 0)] * 3
    base.kinds = array("f", strays(20))
    apart = [(6, 1, 1), *calm, (6, 1, 1)]
    stray, seldom, other = str(kind_of(500)), str(kind_of(503)), str(kind_of(502))
    assert watch(apart, base, kinds=2 * seldom, app=app) is not None
    assert watch(apart, base, kinds=2 * stray, app=app) is None
    # one by chance and a restart, or two things that have nothing to do with each other
    assert watch(apart, base, kinds=stray + seldom, app=app) is None
    assert watch(apart, base, kinds=other + seldom, app=app) is None
    # a blip
    assert watch([(6, 3, 3), (6, 3, 3), *calm], base, kinds=6 * seldom, app=app) is None
    # where nothing is known every kind is as likely
    assert watch(apart, known(), kinds=2 * seldom) is None


def told_with_a_restart(*, is_left_out: bool) -> bool:
    """The route that fails first in a restart, and has three more by chance in the next minutes."""
    base, failures, jolts = known(20_000, 20), FailureWatch(5.0, 3.0), Jolts()
    for n in range(30):
        at = 10.0 * n
        hit = int(n in (0, 3, 5, 7))
        if hit and is_left_out:
            failures.leave_out(jolts)
        seen = Slice(12, hit, hit, 5 * hit, at, at + 5.0, at + 5.0)
        if failures.verdict(base, failures.add(base, seen, 1.0), at + 9.0) is not None:
            return True
        if not n:
            # after its slice the others fail, too
            for route in ("a", "b", "c"):
                jolts.failed(route, at + 6.0)
    return False


def test_the_first_error_of_a_restart_begins_no_incident() -> None:
    assert told_with_a_restart(is_left_out=False)
    assert not told_with_a_restart(is_left_out=True)


def test_a_blips_kind_says_nothing_of_errors_outside_it() -> None:
    base, app, calm = known(70_000, 50), strays(300), [(10, 0, 0)] * 4
    base.kinds = array("f", strays(50))
    day = [(10, 1, 1), *calm, (10, 6, 3), (10, 6, 3), *calm, (10, 1, 1), *calm]
    stray, seldom = str(kind_of(500)), str(kind_of(502))
    assert watch(day, base, kinds=stray + 6 * seldom + stray, app=app) is None
    assert watch(day, base, kinds=8 * seldom, app=app) is not None


def proved_when_told(requests: int) -> float:
    """The evidence of one error in 200 requests, where one in a thousand is usual."""
    base = known(requests, requests // 1000)
    found = watch([(200, 1, 1)] * 60, base)
    assert found is not None
    known_runs = (base.believed_runs, base.believed_requests, 0)
    errors = found.errors
    return failing_gain(found.requests, errors, errors, found.observed, base.company, known_runs)


def test_more_requests_have_more_chances_to_fail_by_chance() -> None:
    few, many, most = (proved_when_told(n) for n in (10_000, 1_000_000, 100_000_000))
    assert few < ERRORS_NEEDED + 1.0
    assert many > ERRORS_NEEDED + CHANCES_MOST
    # but no route is so busy that it need not be told
    assert most < ERRORS_NEEDED + CHANCES_MOST + 1.0


def test_worse_is_what_chance_does_not_explain() -> None:
    run = ShareSum()
    run.hits, run.requests = 6, 57
    assert not FailureWatch(5.0, 3.0).is_worse(run, 0.034)
    run.hits = 12
    assert FailureWatch(5.0, 3.0).is_worse(run, 0.034)
    assert not FailureWatch(5.0, 3.0).is_worse(run, 0.1)


def test_more_errors_never_prove_less() -> None:
    base = known()
    for errors in range(1, 20):
        sums = []
        for hits in (errors, errors + 1):
            failures = FailureWatch(5.0, 3.0)
            failures.add(base, Slice(40, hits, hits, 0, 0.0, 1.0, 9.0), credit=4.5)
            sums.append(failures.strongest)
        assert sums[0] <= sums[1]


def test_the_thresholds_do_what_they_say() -> None:
    slices = [(100, 1, 1)] * 40
    base = known(20_000, 40)
    assert watch(slices, base, floor=2.0) is not None
    assert watch(slices, base, floor=20.0) is None
    assert watch(slices, base, ratio=100.0) is None


def test_a_watch_goes_through_json() -> None:
    failures = FailureWatch(5.0, 3.0)
    failures.add(known(), Slice(20, 2, 2, 0, 0.0, 1.0, 9.0), credit=1.0)
    again = FailureWatch(5.0, 3.0)
    again.restore(json.loads(json.dumps(failures.to_json())))
    assert again.to_json() == failures.to_json()
    # what an earlier version wrote knows of nothing that passed
    again.restore(failures.to_json()[:4])
    assert again.needed == failures.needed
    with pytest.raises(ValueError, match="level"):
        again.restore([[], 0.0, 0.0, 0.0])


def two_are_told(kinds: bytes, known_errors: int, app: Sequence[float]) -> bool:
    """Two failures of a quiet route, 40 s apart, with a good answer between them."""
    base, failures = known(100_000, known_errors), FailureWatch(5.0, 3.0)
    base.kinds = array("f", strays(known_errors))
    found = None
    for n, hit in enumerate((1, 0, 1)):
        at, kind = 20.0 * n, kinds[n // 2]
        seen = Slice(1, hit, hit, 0, at, at, at, bytes((kind,)) * hit, kind)
        proved = failures.add(base, seen, 2.0, app)
        found = found or failures.verdict(base, proved, at, app)
    return found is not None


def test_two_of_one_kind_are_enough_where_it_hardly_ever_fails() -> None:
    stray, seldom, app = kind_of(500), kind_of(503), strays(300)
    assert two_are_told(bytes((stray, stray)), 2, app)
    # where more failed two are chance, and so are two of different kinds
    assert not two_are_told(bytes((stray, stray)), 50, app)
    assert not two_are_told(bytes((seldom, stray)), 2, app)
