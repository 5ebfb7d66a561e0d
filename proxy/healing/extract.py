"""From a failing exchange to a ``Failure``: the error text of JSON, problem+json, HTML pages and
plain text.

Knows how the usual frameworks print an error (Django, Werkzeug, Rails, Express, Next, Laravel,
Symfony, Spring, ASP.NET, FastAPI and what resembles them) and nothing of categories. Everything is
redacted before it leaves.
"""

import gzip
import json
import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from proxy.domain.exchange import Exchange, Headers, Outcome
from proxy.domain.failure import Failure, ReplayRequest
from proxy.healing.facts.html import html_text, looks_like_html
from proxy.healing.facts.text import FIELD_CHARS_MAX, fold


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EXCERPT_CHARS_MAX = 4096
MESSAGE_CHARS_MAX = 1000
INFLATED_BYTES_MAX = 65536
"""A compressed excerpt is opened this far and no further, whatever it claims to hold."""
REPLAY_HEADERS = _words(
    """content-type accept accept-language accept-charset content-language content-encoding
    x-requested-with     prefer range if-match if-none-match if-modified-since
    if-unmodified-since apollo-require-preflight     accept-profile content-profile hx-request
    x-inertia x-inertia-version next-action rsc idempotency-key     x-http-method-override
    origin referer authorization cookie x-api-key apikey"""
)
"""What may change how the app answers. Host, lengths and hop-by-hop fields are the replayer's own
business.
"""


class Redacting(Protocol):
    """The part of ``Redactor`` this module needs."""

    def text(self, text: str) -> str: ...
    def headers(self, headers: Headers) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]: ...
    def target(self, target: str) -> tuple[str, tuple[str, ...]]: ...
    def body(self, data: bytes, content_type: str = "") -> tuple[bytes, tuple[str, ...]]: ...


@dataclass(frozen=True, slots=True)
class ErrorText:
    """What an answer says about its error. ``stack`` keeps frames; ``body`` is all its text."""

    message: str
    stack: str | None = None
    body: str | None = None


def failure_from_exchange(
    exchange: Exchange,
    *,
    service: str,
    environment: str,
    log_id: UUID | None,
    occurred_at: datetime,
    redactor: Redacting,
) -> Failure:
    """The failing exchange as a ``Failure``, every text redacted; never raises for what traffic
    carries.
    """
    capture = exchange.capture
    content_type = encoding = ""
    raw = b""
    if capture is not None:
        content_type = _header(capture.response_headers, b"content-type")
        encoding = _header(capture.response_headers, b"content-encoding")
        raw = capture.response_body
    found = error_text(exchange.status, content_type, _inflate(raw, encoding))
    message = _headline(exchange, found)
    return Failure(
        service=service,
        environment=environment,
        occurred_at=occurred_at,
        message=redactor.text(message)[:MESSAGE_CHARS_MAX],
        source_kind="http",
        method=exchange.method,
        route=exchange.route or None,
        status=exchange.status,
        stack=redactor.text(found.stack) if found.stack else None,
        body=redactor.text(found.body) if found.body else None,
        latency_ms=exchange.duration_ms,
        trace_id=exchange.trace_id,
        log_id=log_id,
        client=exchange.client or None,
        user_agent=_user_agent(capture.request_headers, redactor) if capture else None,
        request=replay_request(exchange, redactor),
        response_status=exchange.status,
        response_excerpt=redactor.text(found.body or message)[:EXCERPT_CHARS_MAX],
        origin="proxy",
    )


def replay_request(exchange: Exchange, redactor: Redacting) -> ReplayRequest | None:
    """The request to send again: method, target, content type and fields stay, secret values
    become stand-ins.
    """
    capture = exchange.capture
    if capture is None:
        return None
    target, removed_target = redactor.target(exchange.target.decode("latin-1"))
    wanted = [
        (name, value)
        for name, value in capture.request_headers
        if name.decode("latin-1").lower() in REPLAY_HEADERS
    ]
    headers, removed_headers = redactor.headers(wanted)
    content_type = _header(capture.request_headers, b"content-type")
    body, removed_body = redactor.body(capture.request_body, content_type)
    return ReplayRequest(
        method=exchange.method,
        target=target,
        headers=headers,
        body=body,
        truncated=capture.request_truncated,
        redacted=tuple(dict.fromkeys((*removed_target, *removed_headers, *removed_body))),
    )


def error_text(status: int, content_type: str, body: bytes) -> ErrorText:
    """The error an answer carries; ``body`` is at most 16 KiB of readable text."""
    text = body[: FIELD_CHARS_MAX * 4].decode("utf-8", "replace")[:FIELD_CHARS_MAX]
    kind = content_type.partition(";")[0].strip().lower()
    if not text.strip():
        return ErrorText("")
    if kind.endswith(("/json", "+json")) or (text.lstrip()[:1] in "{[" and "html" not in kind):
        found = _from_json(text)
        if found is not None:
            return found
    if "html" in kind or looks_like_html(text):
        return _from_html(text)
    if _is_binary(text):
        return ErrorText("")
    return _from_plain(text)


def _header(headers: Headers, name: bytes) -> str:
    return next((v.decode("latin-1") for n, v in headers if n.lower() == name), "")


def _user_agent(headers: Headers, redactor: Redacting) -> str | None:
    value = _header(headers, b"user-agent")
    return redactor.text(value[:300]) if value else None


def _inflate(data: bytes, encoding: str) -> bytes:
    """The beginning of a compressed excerpt; what cannot be read is nothing, never an error."""
    coding = encoding.strip().lower()
    if not data or coding in ("", "identity"):
        return data
    try:
        if coding in ("gzip", "x-gzip", "deflate"):
            wbits = 47 if coding != "deflate" or data[:1] == b"\x78" else -15
            return zlib.decompressobj(wbits).decompress(data, INFLATED_BYTES_MAX)
        if coding == "br":
            import brotli

            return _brotli(brotli.Decompressor(), data)
    except (zlib.error, gzip.BadGzipFile, ImportError, ValueError):
        return b""
    return b""


def _brotli(decompressor: Any, data: bytes) -> bytes:
    try:
        out: bytes = decompressor.process(data, output_buffer_limit=INFLATED_BYTES_MAX)
    except Exception:  # brotli.error is not typed, and a cut stream is normal here
        return b""
    return out


def _headline(exchange: Exchange, found: ErrorText) -> str:
    """The error's own words; else what the proxy saw; else the status."""
    if found.message:
        return found.message
    if exchange.error:
        return exchange.error
    words = {
        Outcome.UPSTREAM_REFUSED: "502 Bad Gateway: the upstream refused the connection",
        Outcome.UPSTREAM_TIMEOUT: "504 Gateway Timeout: the upstream did not answer in time",
        Outcome.UPSTREAM_BROKEN: "502 Bad Gateway: the upstream's answer was broken",
    }
    return (
        words.get(exchange.outcome)
        or f"{exchange.status} {_REASONS.get(exchange.status, '')}".strip()
    )


_REASONS = {
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout",
    409: "Conflict", 410: "Gone", 413: "Payload Too Large", 415: "Unsupported Media Type",
    422: "Unprocessable Entity",
    429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip

_MESSAGE_KEYS = (
    "message", "error_description", "error_message", "errormessage", "detail", "msg",
    "exceptionmessage",
    "description", "title", "error", "errors", "reason", "exception", "err", "cause", "data",
)  # fmt: skip
_STACK_KEYS = (
    "stack",
    "stacktrace",
    "stack_trace",
    "trace",
    "traceback",
    "backtrace",
    "exceptionstacktrace",
)
_CLASS_KEYS = ("exception", "exceptiontype", "exceptionclass", "name", "type", "class", "errortype")
DEPTH_MAX = 5


def _from_json(text: str) -> ErrorText | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    message, stack = _json_message(value, 0), _json_stack(value, 0)
    return ErrorText(message[:MESSAGE_CHARS_MAX], stack, text)


def _json_message(value: Any, depth: int) -> str:
    """The first text under a known name; an error class beside it goes in front, as in a log."""
    if isinstance(value, str):
        return value.strip()
    if depth >= DEPTH_MAX:
        return ""
    if isinstance(value, list):
        parts = [text for item in value[:3] if (text := _json_message(item, depth + 1))]
        return "; ".join(parts)
    if not isinstance(value, dict):
        return ""
    low = {str(key).lower(): inner for key, inner in value.items()}
    for key in _MESSAGE_KEYS:
        if key in low and (text := _json_message(low[key], depth + 1)):
            name = next((low[k] for k in _CLASS_KEYS if isinstance(low.get(k), str)), "")
            return f"{name}: {text}" if _is_class(name) and name not in text else text
    if depth and low:
        # field → messages, as form validators answer
        parts = [
            f"{key}: {text}"
            for key, inner in list(value.items())[:4]
            if (text := _json_message(inner, depth + 1))
        ]
        return "; ".join(parts)
    return ""


def _json_stack(value: Any, depth: int) -> str | None:
    if isinstance(value, list):
        return (
            next((s for item in value[:3] if (s := _json_stack(item, depth + 1))), None)
            if depth < 3
            else None
        )
    if not isinstance(value, dict) or depth >= 3:
        return None
    for key, inner in value.items():
        if str(key).lower() in _STACK_KEYS:
            if isinstance(inner, str) and "\n" in inner:
                return inner
            if isinstance(inner, list) and inner:
                return "\n".join(_json_frame(item) for item in inner[:40])
    return next((s for inner in value.values() if (s := _json_stack(inner, depth + 1))), None)


def _json_frame(item: Any) -> str:
    """Laravel and Symfony answer frames as objects; written back as PHP prints them."""
    if isinstance(item, dict) and isinstance(item.get("file"), str):
        name = f"{item.get('class') or ''}{item.get('type') or ''}{item.get('function') or ''}"
        return f"#0 {item['file']}({item.get('line', 0)}): {name or '{main}'}"
    return str(item)


_CLASS = re.compile(r"[A-Za-z_][\w$]*(?:[.:\\]{1,2}[A-Za-z_][\w$]*){0,10}")


def _is_class(name: str) -> bool:
    """``TypeError`` or ``App\\Exceptions\\Broken``; a ``type`` that is a URL or a word is no
    class.
    """
    return (
        len(name) < 160
        and _CLASS.fullmatch(name) is not None
        and name[-9:].endswith(("Error", "Exception", "Fault"))
    )


_TITLE = re.compile(r"(?is)<title[^>]{0,100}>(.{1,400}?)</title")
_HEADINGS = re.compile(r"(?is)<h[1-3][^>]{0,200}>(.{1,600}?)</h[1-3]>")
_PRE = re.compile(r"(?is)<(?:pre|textarea|code)[^>]{0,200}>(.{1,8000}?)</(?:pre|textarea|code)>")
_EXCEPTION_VALUE = re.compile(r'(?is)<pre class="exception_value">(.{1,800}?)</pre>')
_NEXT_DATA = re.compile(r'(?s)<script id="__NEXT_DATA__"[^>]{0,100}>(.{1,12000}?)</script>')
_NEXT_ERROR = re.compile(r'"err":\{.{0,200}?"message":"((?:[^"\\]|\\.){1,600})"')
_EMPTY = re.compile(
    r"(?i)^(?:error|errors?|\d{3}|\d{3} .{0,40}|internal server error|whoops.{0,40}|bad request|"
    r"server error.{0,20}|application error.{0,60}|exception caught|"
    r"something went wrong.{0,60}|an error occurred.{0,60}|"
    r"error response|oops.{0,60}|traceback.{0,40}|stack trace|full trace|"
    r"whitelabel error page)[.!]?$"
)


# Debug pages show the lines around the failing one: code that did not run says nothing about it.
_AROUND = re.compile(
    r'(?is)<pre class="line (?:before|after)">.{0,400}?</pre>|'
    r'<ol[^>]{0,80}class="(?:pre|post)-context"[^>]{0,80}>.{0,4000}?</ol>'
)
_WERKZEUG = re.compile(r"\s{0,20}//\s{0,5}Werkzeug Debugger$")


def _from_html(text: str) -> ErrorText:
    """Heading, exception value and pre-formatted trace; frameworks differ only in where they put
    them.
    """
    candidates: list[str] = []
    text = _AROUND.sub("", text)
    if match := _EXCEPTION_VALUE.search(
        text
    ):  # Django: <h1>ValueError at /x</h1><pre class="exception_value">
        candidates.append(_plain(match[1]))
    if (match := _NEXT_DATA.search(text)) and (inner := _NEXT_ERROR.search(match[1])):
        candidates.append(inner[1].replace('\\"', '"').replace("\\n", "\n"))
    headings = [_plain(m[1]) for m in list(_HEADINGS.finditer(text))[:4]]
    pre = [_plain(m[1], keep_lines=True) for m in list(_PRE.finditer(text))[:4]]
    title = _plain(match[1]) if (match := _TITLE.search(text)) else ""
    if _WERKZEUG.search(title):
        # its title is the exception itself, its headings only the class
        candidates.insert(0, title := _WERKZEUG.sub("", title))
    readable = fold(html_text(text))
    stack = next((block for block in pre if _looks_like_stack(block)), None)
    if stack is None and _looks_like_stack(readable):
        stack = readable
    firsts = [block.strip().partition("\n")[0] for block in pre[:2]]
    candidates += [first for first in firsts if first and not _STACK_LINE.match(first)]
    candidates += [heading for heading in headings if not _names_exception(heading)]
    candidates += headings
    candidates.append(title)
    told = [c.strip() for c in candidates if c.strip() and not _EMPTY.match(c.strip())]
    name = next((h for h in (*headings, title) if _names_exception(h)), "")
    unexpected = _UNEXPECTED.search(readable)
    if unexpected and not told:
        told = [unexpected[1].strip() or unexpected[0]]
    message = (
        told[0] if told else title or (headings[0] if headings else readable.partition("\n")[0])
    )
    if name and name not in message:
        message = f"{_exception_name(name)}: {message}"
    if (tail := _last_exception(stack)) and _EMPTY.match(message):
        message = tail
    return ErrorText(message[:MESSAGE_CHARS_MAX], stack, readable or None)


# Spring's Whitelabel page: the sentence with the status, then the message when the app shows it
_UNEXPECTED = re.compile(
    r"There was an unexpected error \([^)\n]{1,100}\)\.?\s{0,20}([^\n]{0,600})"
)


def _plain(html: str, keep_lines: bool = False) -> str:
    text = fold(html_text(html.replace("<br", "\n<br")))
    return text if keep_lines else " ".join(text.split())


_EXCEPTION = re.compile(
    r"\b((?:[A-Za-z_][\w$]*[.:\\]{1,2}){0,8}[A-Z]\w{2,80}(?:Error|Exception|Invalid|NotFound|Missing|Violation|Timeout))\b"
)


def _names_exception(text: str) -> bool:
    return _EXCEPTION.search(text[:300]) is not None


def _exception_name(text: str) -> str:
    match = _EXCEPTION.search(text[:300])
    return match[1] if match else text[:100]


_STACK_LINE = re.compile(
    r'(?m)^\s{0,12}(?:at [\w$.<(/]|File "[^"]{1,300}", line \d|'
    r"#\d{1,3} [/\w]|from [^\s:]{1,200}:\d|[\w/.-]{1,200}\.(?:rb|ex|exs|go|rs|php):\d)"
)


def _looks_like_stack(text: str) -> bool:
    return _STACK_LINE.search(text[:FIELD_CHARS_MAX]) is not None


_LAST = re.compile(
    r"(?m)^((?:[\w.]{1,120}(?:Error|Exception|Warning|Exit|Interrupt|DoesNotExist|Timeout)): "
    r"[^\n]{1,600})$"
)


def _last_exception(stack: str | None) -> str:
    """Python prints the error after its frames; the last such line is the one that came out."""
    found = _LAST.findall(stack[-4000:]) if stack else []
    return found[-1] if found else ""


def _from_plain(text: str) -> ErrorText:
    stack = text if _looks_like_stack(text) else None
    first = next((line.strip() for line in text.split("\n", 50) if line.strip()), "")
    tail = _last_exception(stack)
    return ErrorText((tail or first)[:MESSAGE_CHARS_MAX], stack, text)


def _is_binary(text: str) -> bool:
    head = text[:512]
    return "\x00" in head or head.count("\ufffd") > len(head) // 8
