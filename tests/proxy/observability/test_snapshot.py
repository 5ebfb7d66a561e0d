"""Snapshots of several workers are one picture."""

import json

from proxy.domain.exchange import Exchange, Outcome
from proxy.observability.recorder import Recorder
from proxy.observability.snapshot import merge_snapshots


def worker(rows: list[tuple[float, int]], ms: float = 20.0) -> Recorder:
    recorder = Recorder()
    for at, status in rows:
        recorder.record(Exchange(at, ms, "GET", b"/a", status, Outcome.ANSWERED))
    return recorder


def test_two_workers_add_up_to_one_that_saw_everything() -> None:
    one = [(600.0 + n, 200) for n in range(100)]
    other = [(600.0 + n, 500 if n % 5 == 0 else 404) for n in range(100)]
    parts = [json.loads(json.dumps(worker(rows).snapshot(700.0))) for rows in (one, other)]
    merged = merge_snapshots(parts)
    whole = merge_snapshots([worker(sorted(one + other)).snapshot(700.0)])
    assert merged.workers == 2
    assert merged.requests_total == whole.requests_total == 200
    assert merged.statuses == whole.statuses
    assert merged.window == whole.window
    assert merged.health() == whole.health()
    assert merged.routes() == whole.routes()
    assert merged.series() == whole.series()


def test_the_series_has_thirty_minutes_and_silence_is_zero() -> None:
    merged = merge_snapshots([worker([(6000.0, 200), (6060.0, 500)]).snapshot(6100.0)])
    series = merged.series()
    assert len(series) == 30
    assert [p.requests for p in series[-3:]] == [0, 1, 1]
    assert series[-1].errors == 1
    assert series[-3].p50_ms is None
    assert series[-2].p50_ms is not None
    assert merge_snapshots([]).series() == []


def test_a_worker_that_sends_rubbish_is_left_out_whole() -> None:
    good = worker([(10.0, 200)]).snapshot()
    broken = {**worker([(10.0, 200)]).snapshot(), "minutes": {"x": 1}}
    merged = merge_snapshots([good, broken, {}, {"v": 2}])
    assert (merged.workers, merged.refused, merged.requests_total) == (1, 3, 1)


def test_an_incident_seen_by_two_workers_is_one() -> None:
    snapshots = []
    for onset, hurt in ((120.0, 7), (100.0, 5)):
        snapshot = worker([(130.0, 200)]).snapshot()
        row = {"kind": "latency", "method": "GET", "route": "/a", "onset": onset, "ratio": 2.0}
        snapshot["open"] = [{**row, "hurt": hurt, "occurrences": 1, "explanation": str(onset)}]
        snapshots.append(snapshot)
    (incident,) = merge_snapshots(snapshots).open
    assert (incident["onset"], incident["hurt"], incident["explanation"]) == (100.0, 12, "100.0")


def test_nothing_is_no_score() -> None:
    assert merge_snapshots([]).health().score is None
