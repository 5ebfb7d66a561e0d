"""Lines of recorded traffic: what they say, and what is told of one that cannot be read."""

import gzip
import io
import random
from typing import Any

import pytest

from proxy.errors import UsageError
from proxy.observability.recorded import (
    KNOWN_MAX,
    PARSERS,
    Format,
    Parse,
    lines_of,
)

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


def test_what_has_come_before_is_read_like_the_first_time() -> None:
    rng = random.Random(3)
    numbers = ["0", "7", "0.5", "12.125", "01", "1.", ".5", "-1", "1e3", "nan", "1_0", "NaN", '"1"']
    numbers += [
        "999999999999.999999999",
        "99999999999.999999999",
        "1234567890123",
        "null",
        "+1",
        "  3",
        "\u0663",
    ]
    middles = [
        ' "route": "/a", "method": "GET", "status": 200, "duration_ms"',
        '"route":"/\u00e9","method":"GET","status":500,"duration_ms"',
        ' "route": "/\\u00e9", "method": "GET", "status": 200, "duration_ms"',
        ' "route": "/a", "ts": 5, "method": "GET", "status": 200, "duration_ms"',
        ' "route": "/a", "duration_ms": 5, "method": "GET", "status": 200, "bytes"',
        ' "route": "/a", "method": "GET", "status": 200.0, "duration_ms"',
        ' "route": ", \\"x\\": ", "method": "GET", "status": 200, "duration_ms"',
        ' "route": "/a\n", "method": "GET", "status": 200, "duration_ms"',
        ' "method": "GET", "status": 200, "duration_ms"',
        ' "route": "/{id}", "method": "GET", "status": 200, "x": {"y": 2}, "duration_ms"',
    ]
    warm = PARSERS["jsonl"](lambda *_: None)
    for _ in range(3000):
        start, middle, end = rng.choice(numbers), rng.choice(middles), rng.choice(numbers)
        line = f'{{"ts": {start},{middle}: {end}}}\n'.encode()
        assert outcome(warm, line) == outcome(PARSERS["jsonl"](lambda *_: None), line)
        assert outcome(warm, line) == outcome(warm, line.decode())


def outcome(parse: Parse, line: str | bytes) -> Any:
    try:
        return parse(line)
    except (ValueError, KeyError) as error:
        return str(error)


def test_texts_are_remembered_up_to_a_bound() -> None:
    read = PARSERS["jsonl"](lambda *_: None)
    for turn in range(2):
        for route in range(KNOWN_MAX + 50):
            line = (OBJECT % (turn, f'"/{route}"', 200, 3) + "\n").encode()
            assert read(line) == (turn, f"/{route}", "GET", 200, 3.0)
