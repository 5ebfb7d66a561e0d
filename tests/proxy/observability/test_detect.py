"""``selfheal detect``: recorded traffic in, the contract's alerts out."""

import io
import json
import random
from typing import Any

import pytest

from proxy.config import Detector as Settings
from proxy.observability.detect import DetectReport, Format, run_detect

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
    assert (report.alerts, report.bad, err) == (1, 0, "")
    assert report.requests == report.lines == len(day())


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
