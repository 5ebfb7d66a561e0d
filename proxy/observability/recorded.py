"""Recorded traffic, line by line: JSON lines, and nginx or Apache combined logs with a duration as
the last field, packed by gzip or not. What is wrong with a line is a ``ValueError`` that names the
fix.
"""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from io import BufferedReader
from typing import Any, Literal

from proxy.errors import UsageError
from proxy.observability.routes import RouteTable

Format = Literal["jsonl", "nginx", "apache"]
GZIP_MAGIC = b"\x1f\x8b"
JSON_BLANKS = " \t\r\n"
TS_MAX = 1e11
"""Seconds of the year 5138; in milliseconds that was 1973."""
FIELDS = "ts, route, method, status and duration_ms"

Request = tuple[float, str, str, int, float]
"""ts in seconds, route, method, status, duration in ms."""
Parse = Callable[[str | bytes], Request]
OnFold = Callable[[str, str, str], None]


def lines_of(file: BufferedReader) -> Iterable[bytes]:
    """As they lie there; of a rotated log, unpacked. ``UsageError`` where it is damaged."""
    return _unpacked(file) if file.peek(2)[:2] == GZIP_MAGIC else file


def _unpacked(file: BufferedReader) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=file) as plain:
            yield from plain
    except (EOFError, OSError, zlib.error) as error:
        raise UsageError(f"the gzip file is damaged or cut off: {error}") from None


_NUMBER = rb" ?(?:0|[1-9][0-9]{0,10})(?:\.[0-9]{1,9})?"
_BETWEEN_TWO = re.compile(rb'\{"ts":(' + _NUMBER + rb"),(.*):(" + _NUMBER + rb")\}\n")
KNOWN_MAX = 4096
"""Different texts between the two numbers of a line that are remembered: one for each route, method
and status.
"""


def _jsonl(_: OnFold) -> Parse:
    parse_any = _any_jsonl()
    known: dict[bytes, tuple[str, str, int]] = {}

    def parse(line: str | bytes) -> Request:
        # what stands between time and duration has come before, as a rule, and says the same again
        found = _BETWEEN_TWO.fullmatch(line) if isinstance(line, bytes) else None
        if found is None:
            return parse_any(line)
        ts, between, duration_ms = found.groups()
        told = known.get(between)
        if told is not None:
            route, method, status = told
            return float(ts), route, method, status, float(duration_ms)
        request = parse_any(line)
        if len(known) < KNOWN_MAX:
            # is it these two numbers that count? a key may come twice, or another be the last
            probe = parse_any(b'{"ts":1,%b:2}' % between)
            if (probe[0], probe[4]) == (1.0, 2.0):
                known[between] = probe[1:4]
        return request

    return parse


def _any_jsonl() -> Parse:
    decoder: Any = json.JSONDecoder()
    scan = decoder.scan_once

    def parse(line: str | bytes) -> Request:
        # half the cost of json.loads, which first guesses the encoding and then looks for blanks
        # twice; what is not plain UTF-8 text on one line goes its way, and so does what is wrong
        try:
            text = line if isinstance(line, str) else line.decode()
            row, end = scan(text, 0)
        except (ValueError, StopIteration):
            row = _any_json(line)
        else:
            rest = text[end:]
            if rest != "\n" and rest.strip(JSON_BLANKS):
                row = _any_json(line)
        try:
            ts, route, method, status, duration_ms = (
                row["ts"],
                row["route"],
                row["method"],
                row["status"],
                row["duration_ms"],
            )
            ts, duration_ms = float(ts), float(duration_ms)
        except KeyError as error:
            had = ", ".join(map(str, row)) or "none"
            why = f"the field {error} is missing; {FIELDS} are read, here are {had}"
            raise ValueError(why) from None
        except TypeError:
            hint = "; a list goes one object a line: jq -c '.[]'" if isinstance(row, list) else ""
            raise ValueError(f"not an object with {FIELDS}{hint}") from None
        except ValueError:
            raise ValueError(
                "ts and duration_ms are numbers: seconds since the epoch, and milliseconds"
            ) from None
        if type(route) is not str or type(method) is not str:
            raise ValueError("route and method are text")
        if type(status) is not int:
            raise ValueError("status is a whole number, without quotes")
        # NaN fails both comparisons, too
        if abs(ts) > TS_MAX:
            raise ValueError("ts is in seconds; this looks like milliseconds, so divide it")
        if not (0.0 <= duration_ms < 1e12 and abs(ts) <= TS_MAX):
            raise ValueError("ts is seconds, duration_ms milliseconds from 0")
        return ts, route, method, status, duration_ms

    return parse


def _any_json(line: str | bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        if _ACCESS.fullmatch(text.rstrip()):
            raise ValueError("a line of an access log: say --format nginx or apache") from None
        what = error.msg if isinstance(error, json.JSONDecodeError) else "not UTF-8"
        raise ValueError(f"not JSON ({what}); one object a line, with {FIELDS}") from None


_ACCESS = re.compile(r'\S+ \S+ .*?\[[^\]]+\] "[A-Z]+ \S+[^"]*" [0-9]{3} .*')
_COMBINED = re.compile(
    r'\S+ \S+ .*?\[([^\]]+)\] "([A-Z]+) (\S+)[^"]*" ([0-9]{3}) \S+'
    r'.*?[\s=]"?([0-9]+(?:\.[0-9]+)?)"?\s*'
)


def _combined(unit_ms: Callable[[str], float], field: str) -> Callable[[OnFold], Parse]:
    def build(on_fold: OnFold) -> Parse:
        routes = RouteTable(on_fold=on_fold)
        last: tuple[str, float] = ("", 0.0)

        def parse(line: str | bytes) -> Request:
            nonlocal last
            text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
            match = _COMBINED.fullmatch(text.rstrip())
            if match is None:
                if _ACCESS.fullmatch(text.rstrip()):
                    raise ValueError(f"no duration as the last field: {field}")
                raise ValueError(
                    "a JSON line: leave out --format"
                    if text.startswith("{")
                    else "not a line of a combined log with a duration as its last field"
                )
            stamp, method, target, code, duration = match.groups()
            if stamp != last[0]:
                last = (stamp, _log_time(stamp))
            status = int(code)
            route = routes.template(method, target.encode("utf-8", "replace"), status)
            return last[1], route, method, status, unit_ms(duration)

        return parse

    return build


_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}


def _log_time(stamp: str) -> float:
    """``10/Oct/2025:13:55:36 +0200`` → seconds since the epoch; not strptime, which follows the
    locale.
    """
    try:
        date, _, rest = stamp.partition(":")
        day, month, year = date.split("/")
        clock, _, offset = rest.partition(" ")
        hour, minute, second = clock.split(":")
        zone = UTC
        if offset:
            east = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
            zone = timezone(-east if offset.startswith("-") else east)
        return datetime(
            int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=zone
        ).timestamp()
    except (ValueError, KeyError):
        raise ValueError("the time reads like [10/Oct/2025:13:55:36 +0200]") from None


def _nginx_ms(text: str) -> float:
    """``$request_time``: seconds with a point, always."""
    if "." not in text:
        raise ValueError("$request_time has a point; Apache's %D is read by --format apache")
    return float(text) * 1000.0


def _apache_ms(text: str) -> float:
    """``%D`` is whole microseconds; ``%{ms}T`` cannot be told apart from it, a point means
    seconds.
    """
    return float(text) * 1000.0 if "." in text else float(text) / 1000.0


PARSERS: dict[Format, Callable[[OnFold], Parse]] = {
    "jsonl": _jsonl,
    "nginx": _combined(_nginx_ms, "end nginx's log_format with $request_time"),
    "apache": _combined(_apache_ms, "end Apache's LogFormat with %D"),
}
