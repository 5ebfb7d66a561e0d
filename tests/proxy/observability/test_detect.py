"""``selfheal detect``: recorded traffic in, the contract's alerts out."""

import io
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from proxy.config import Detector as Settings
from proxy.observability.detect import DetectReport, run_detect
from proxy.observability.recorded import Format

FIELDS = {
    "ts", "route", "method", "kind", "onset", "baseline", "observed", "ratio", "sigma", "samples",
    "explanation",
}  # fmt: skip


def detect(
    lines: list[str] | list[bytes], settings: Settings | None = None, format: Format = "jsonl"
) -> tuple[list[dict[str, Any]], DetectReport, str]:
    out, err = io.StringIO(), io.StringIO()
    report = run_detect(lines, settings or Settings(), out, format=format, err=err)
    return [json.loads(line) for line in out.getvalue().splitlines()], report, err.getvalue()


def day(outage_at: float = 3000.0) -> list[str]:
    rng, lines, t = random.Random(4), [], 0.0
    while t < 3600.0:
        t += rng.expovariate(1.5)
        row = {
            "ts": round(t, 3),
            "route": "/api/cart",
            "method": "GET",
            "status": 503 if outage_at <= t < outage_at + 240 else 200,
            "duration_ms": round(rng.lognormvariate(3.5, 0.4), 1),
        }
        lines.append(json.dumps(row) + "\n")
    return lines


def test_alerts_have_the_contracts_fields() -> None:
    alerts, report, err = detect(day())
    (alert,) = alerts
    assert set(alert) >= FIELDS
    assert (alert["kind"], alert["route"], alert["method"]) == ("error_rate", "/api/cart", "GET")
    assert 3000.0 <= alert["onset"] <= alert["ts"] <= 3040.0
    assert (report.alerts, report.bad) == (1, 0)
    assert report.requests == report.lines == len(day())
    assert err == f"{len(day())} requests of 60 min read: 1 alert\n"


def test_what_an_alert_speaks_for_is_words_beside_it() -> None:
    rng, lines, t = random.Random(6), [], 0.0
    while t < 2600.0:
        t += rng.expovariate(4.0)
        row = {"ts": t, "route": rng.choice(("/a", "/b", "/c", "/d")), "method": "GET"}
        row |= {"status": 503 if t >= 2400.0 else 200, "duration_ms": 20.0}
        lines.append(json.dumps(row) + "\n")
    alerts, report, err = detect(lines)
    (alert,) = alerts
    *words, last = err.splitlines()
    assert last.endswith(": 1 alert, which speaks for 3 more incidents")
    assert (report.alerts, report.parts, len(words)) == (1, 3, 3)
    assert all(
        w.startswith("no alert of its own: Since 00:")
        and w.endswith(f"part of what began on GET {alert['route']}, with 4 routes.")
        for w in words
    )


def test_bytes_are_as_good_as_text() -> None:
    assert detect([line.encode() for line in day()])[0] == detect(day())[0]


def test_bad_lines_are_counted_named_and_not_fatal() -> None:
    good = day()
    bad = [
        "not json\n",
        "[]\n",
        "{}\n",
        '{"ts": NaN, "route": "/", "method": "GET", "status": 200, "duration_ms": 1}\n',
        '{"ts": 1, "route": "/", "method": "GET", "status": 200, "duration_ms": -1}\n',
        '{"ts": 1, "route": 5, "method": "GET", "status": 200, "duration_ms": 1}\n',
        '{"ts": 1, "route": "/", "method": "GET", "status": "200", "duration_ms": 1}\n',
        '{"ts": "x\\u001b[31m", "route": "/", "method": "GET", "status": 200, "duration_ms": 1}\n',
        "[" * 60_000 + "\n",
        "x" * 100_000 + "\n",
        "\n",
    ]
    mixed = good[:100] + bad + good[100:]
    alerts, report, err = detect(mixed)
    assert alerts == detect(good)[0]
    assert report.bad == len(bad) - 1
    assert err.splitlines()[0].startswith("line 101: ")
    assert f"{report.bad} of {report.lines} lines" in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "no request read, so nothing to judge\n"),
        (day()[:2], "2 requests of 0 s read: 0 alerts; how slow a route is gets judged after"),
    ],
)
def test_the_end_says_what_was_read(lines: list[str], words: str) -> None:
    assert detect(lines)[2].startswith(words)


def retold(**changes: Callable[[Any], Any]) -> list[str]:
    """The same day, written another way."""
    rows = [json.loads(line) for line in day()]
    return [
        json.dumps({name: changes.get(name, lambda v: v)(value) for name, value in row.items()})
        for row in rows
    ]


def test_one_reason_is_named_once() -> None:
    _, report, err = detect(retold(status=str))
    assert err.splitlines() == [
        "line 1: status is a whole number, without quotes",
        f"{report.lines} of {report.lines} lines could not be read",
        "no request read, so nothing to judge",
    ]


def test_what_was_read_has_dates_where_it_has_any() -> None:
    lines = retold(ts=lambda t: 1_760_000_000.0 + 86_400.0 * (t > 2000.0) + t)
    alerts, _, err = detect(lines)
    assert "from 2025-10-09 08:53 UTC to 2025-10-10 09:53 UTC read" in err
    assert alerts[0]["explanation"].startswith("Since 2025-10-10 09:43 UTC GET /api/cart fails")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (retold(ts=lambda t: 1000.0 * (1_760_000_000.0 + t)), "ts is in seconds; this looks like"),
        (retold(ts=lambda t: "2025-10-09T08:53:20Z"), "seconds since the epoch"),
        (retold(duration_ms=lambda ms: ms / 1000.0), "hardly any request"),
        (retold(duration_ms=lambda ms: ms * 1000.0), "took more than 20 s"),
        (
            [line.replace("cart", f"cart/{n}") for n, line in enumerate(day())],
            "beyond 500 routes",
        ),
        (day()[::-1], "sort the lines, the oldest first"),
        ([json.dumps([json.loads(line) for line in day()[:50]])], "jq -c"),
        ([json.dumps([json.loads(line) for line in day()])], "there is one a line"),
        ([line.replace("route", "path") for line in day()], "here are ts, path, method"),
    ],
)
def test_lines_written_otherwise_are_told_with_the_fix(lines: list[str], said: str) -> None:
    assert said in detect(lines)[2]


def test_a_json_line_is_no_log_of_nginx() -> None:
    assert "leave out --format" in detect(day(), format="nginx")[2]


def test_files_in_the_wrong_order_are_one_step_back_and_lines_a_moment_late_are_none() -> None:
    lines = day()
    _, report, err = detect(lines[2000:] + lines[:2000])
    assert report.back == 1
    assert "line " in err
    assert "; 1 time back by more than a minute, so sort the lines" in err
    late = [line for n in range(0, len(lines), 9) for line in lines[n : n + 9][::-1]]
    _, report, err = detect(late)
    assert (report.back, "sort" in err) == (0, False)
    assert report.last - report.first == pytest.approx(3600.0, abs=20.0)


def test_usual_units_and_routes_bring_no_hint() -> None:
    assert "?" not in detect(day())[2]


def test_settings_change_what_is_said() -> None:
    assert detect(day(), Settings(enabled=False))[0] == []
    assert detect(day(), Settings(error_ratio_floor=1e6))[0] == []


def combined(seconds: str) -> list[str]:
    rng, lines = random.Random(2), []
    for n in range(5000):
        status = 500 if n >= 4700 else 200
        clock = f"{(n // 3600) + 10:02d}:{n // 60 % 60:02d}:{n % 60:02d}"
        if seconds == "s":
            duration = f"{rng.lognormvariate(-3, 0.3):.3f}"
        else:
            duration = str(int(rng.lognormvariate(11, 0.3)))
        lines.append(
            f"10.0.0.{n % 9} - bob [23/Nov/2025:{clock} +0100] "
            f'"GET /orders/{n}?q=1 HTTP/1.1" {status} 512 "-" "Mozilla/5.0 (X11)" {duration}\n'
        )
    return lines


@pytest.mark.parametrize(("format", "unit"), [("nginx", "s"), ("apache", "us")])
def test_combined_logs_with_a_duration(format: Format, unit: str) -> None:
    alerts, report, _ = detect([*combined(unit), "rubbish\n"], format=format)
    (alert,) = alerts
    assert (alert["route"], alert["kind"]) == ("/orders/{id}", "error_rate")
    assert report.bad == 1
    assert abs(alert["onset"] - 1763888400.0 - 4700) < 15.0


Shape = Callable[[float], tuple[float, float]]
"""time → factor on the duration, share that fails"""


def recorded(shape: Shape, until: float) -> list[str]:
    rng, lines, t = random.Random(4), [], 0.0
    while t < until:
        t += rng.expovariate(4.0)
        factor, fails = shape(t)
        row = {
            "ts": round(t, 3),
            "route": "/api/cart",
            "method": "GET",
            "status": 503 if rng.random() < fails else 200,
            "duration_ms": round(rng.lognormvariate(3.5, 0.4) * factor, 1),
        }
        lines.append(json.dumps(row) + "\n")
    return lines


def told(lines: list[str], name: str, value: float, since: float) -> list[dict[str, Any]]:
    alerts, _, _ = detect(lines, Settings.of({name: value}))
    return [alert for alert in alerts if alert["ts"] >= since]


def test_a_higher_latency_sigma_wants_more_and_is_told_later() -> None:
    lines = recorded(lambda t: (2.0 if t >= 1800.0 else 1.0, 0.0), 2700.0)
    found = {value: told(lines, "latency_sigma", value, 1800.0) for value in (1.0, 3.0, 8.0, 20.0)}
    for value, (alert,) in found.items():
        assert alert["sigma"] >= value
    times = [alert["ts"] for (alert,) in found.values()]
    assert times == sorted(times)
    assert times[1] < times[2] < times[3]
    assert told(lines, "latency_sigma", 150.0, 0.0) == []


def test_a_higher_error_ratio_weighs_against_more_and_tells_mild_ones_later() -> None:
    """From 1 to 6 %; outages are told as soon as ever."""
    mild = recorded(lambda t: (1.0, 0.06 if t >= 7200.0 else 0.01), 9000.0)
    times = [told(mild, "error_ratio", value, 7200.0)[0]["ts"] for value in (5.0, 9.0, 15.0)]
    assert times[0] < times[2]
    assert times == sorted(times)
    for value in (5.0, 15.0):
        (outage,) = told(day(), "error_ratio", value, 0.0)
        assert outage["ts"] < 3040.0


def test_below_the_error_ratio_floor_nothing_is_told() -> None:
    mild = recorded(lambda t: (1.0, 0.06 if t >= 7200.0 else 0.01), 9000.0)
    for floor in (3.0, 5.0):
        (alert,) = told(mild, "error_ratio_floor", floor, 7200.0)
        assert alert["ratio"] >= floor
    assert told(mild, "error_ratio_floor", 12.0, 7200.0) == []


def test_what_comes_back_within_dedup_s_is_not_told_again() -> None:
    twice = recorded(
        lambda t: (1.0, 1.0 if 3000 <= t < 3120 or 3360 <= t < 3480 else 0.002), 3600.0
    )
    assert [len(told(twice, "dedup_s", value, 0.0)) for value in (60.0, 300.0)] == [2, 1]
    first = [told(twice, "dedup_s", value, 0.0)[0]["ts"] for value in (0.0, 300.0, 3600.0)]
    assert len(set(first)) == 1, "the first report is never delayed"
