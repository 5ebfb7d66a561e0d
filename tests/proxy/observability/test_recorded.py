"""Lines of recorded traffic: what they say, and what is told of one that cannot be read."""

import gzip
import io
from typing import Any

import pytest

from proxy.errors import UsageError
from proxy.observability.recorded import FORMATS, PARSERS, Format, lines_of

ACCESS = '10.0.0.1 - - [23/Nov/2025:10:00:00 +0100] "GET /orders/7 HTTP/1.1" 200 512 "-" "curl"'
OBJECT = '{"ts": %s, "route": %s, "method": "GET", "status": %s, "duration_ms": %s}'


def parse(format: Format, line: str | bytes) -> Any:
    return PARSERS[format](lambda *_: None)(line)


@pytest.mark.parametrize(
    ("format", "end", "ms"), [("nginx", "0.016", 16.0), ("apache", "16000", 16.0)]
)
def test_an_access_log_with_a_duration(format: Format, end: str, ms: float) -> None:
    read = parse(format, f"{ACCESS} {end}\n")
    assert read == (1763888400.0, "/orders/{id}", "GET", 200, ms)


@pytest.mark.parametrize(
    ("format", "line", "fix"),
    [
        ("jsonl", f"{ACCESS} 0.016", "--format nginx or apache"),
        ("jsonl", ACCESS, "--format nginx or apache"),
        ("jsonl", "not json", "one object a line, with ts, route"),
        ("jsonl", b"\xa9\xff", "not UTF-8"),
        ("jsonl", "[1, 2]", "not an object with ts, route"),
        ("jsonl", OBJECT % ("null", '"/"', 200, 1), "not an object with ts, route"),
        ("jsonl", OBJECT % ('"x"', '"/"', 200, 1), "ts and duration_ms are numbers"),
        ("jsonl", OBJECT % (1, '"/"', 200, -1), "milliseconds from 0"),
        ("jsonl", OBJECT % (1, 5, 200, 1), "route and method are text"),
        ("jsonl", OBJECT % (1, '"/"', '"200"', 1), "status is a whole number"),
        ("nginx", ACCESS, r"log_format with \$request_time"),
        ("apache", ACCESS, "LogFormat with %D"),
        ("nginx", f"{ACCESS} 16000", "--format apache"),
        ("nginx", "rubbish", "not a line of a combined log"),
        ("apache", ACCESS.replace("Nov", "Okt") + " 1", r"the time reads like \[10/Oct/2025"),
    ],
)
def test_what_is_wrong_with_a_line_names_the_fix(
    format: Format, line: str | bytes, fix: str
) -> None:
    with pytest.raises(ValueError, match=fix):
        parse(format, line)


def file(content: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(content))


def test_a_rotated_log_is_unpacked() -> None:
    plain = f"{ACCESS} 0.016\n".encode() * 3
    assert list(lines_of(file(gzip.compress(plain)))) == list(lines_of(file(plain)))
    assert list(lines_of(file(b""))) == []


@pytest.mark.parametrize("damage", [lambda b: b[:-12], lambda b: b[:20] + b"\0" + b[21:]])
def test_a_damaged_one_is_said_to_be(damage: Any) -> None:
    packed = gzip.compress("".join(f"{n} {ACCESS}" for n in range(100)).encode())
    with pytest.raises(UsageError, match="damaged or cut off"):
        list(lines_of(file(damage(packed))))


def test_each_format_has_its_parser() -> None:
    assert set(PARSERS) == set(FORMATS)
