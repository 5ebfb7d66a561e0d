"""One SDK event → one ``Failure``, or None where it tells of no failure.

Knows the fields of the Sentry event and nothing of transport. Text leaves here redacted: ``clean``
is given every text field, and what it cannot clean it drops.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from proxy.domain.failure import Failure
from proxy.ingest.fields import as_dict, as_number, as_text, header
from proxy.ingest.limits import EVENT_AGE_S_MAX, EVENT_AHEAD_S_MAX, WORD_CHARS_MAX
from proxy.ingest.stack import exceptions, headline, stack_text

_TRACE_ID = re.compile(r"^[0-9a-f]{32}$")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
_TRANSACTION = re.compile(r"^(?:([A-Z]{1,20}) )?(/\S*)$")
_QUIET_LEVELS = frozenset({"debug", "info", "log", "warning"})
"""A message at one of these levels is a note, not a failure; an exception always is one."""


@dataclass(frozen=True, slots=True)
class Context:
    """What an event cannot say itself. ``clean`` redacts; ``client`` is a keyed hash or None."""

    service: str
    environment: str
    now: datetime
    clean: Callable[[str], str]
    client: str | None = None

    def clean_or_none(self, text: str | None) -> str | None:
        return self.clean(text) if text else None


def event_failure(event: dict[str, Any], context: Context) -> Failure | None:
    """Never raises, whatever the fields hold."""
    chain = exceptions(event)
    if not chain and as_text(event.get("level")) in _QUIET_LEVELS:
        return None
    message = headline(chain[-1]) if chain else _message(event)
    if not message.strip():
        return None
    platform = as_text(event.get("platform"), WORD_CHARS_MAX)
    request = as_dict(event.get("request"))
    contexts = as_dict(event.get("contexts"))
    method, route = _place(event, request)
    stack = stack_text(chain, platform)
    user_agent = header(request.get("headers"), "user-agent")[:WORD_CHARS_MAX]
    return Failure(
        service=context.service,
        occurred_at=_when(event.get("timestamp"), context.now),
        message=context.clean(message),
        source_kind=_source(platform, contexts),
        environment=_environment(event, context.environment),
        method=method,
        route=context.clean_or_none(route),
        status=_status(contexts),
        stack=context.clean_or_none(stack),
        trace_id=_trace_id(contexts),
        client=context.client,
        release=_release(as_text(event.get("release"), 200), context),
        user_agent=context.clean_or_none(user_agent),
        origin="sdk",
    )


def _release(text: str, context: Context) -> str | None:
    """``shop@1.2`` is a build and no mail address: each side of the sign is redacted alone."""
    name, at, version = text.rpartition("@")
    if at and version[:1].isdigit():
        return f"{context.clean(name) if name else ''}@{context.clean(version)}"
    return context.clean_or_none(text)


def _message(event: dict[str, Any]) -> str:
    entry = as_dict(event.get("logentry"))
    for value in (entry.get("formatted"), entry.get("message"), event.get("message")):
        if text := as_text(as_dict(value).get("formatted") if isinstance(value, dict) else value):
            return text
    return ""


def _source(platform: str, contexts: dict[str, Any]) -> Literal["server", "browser"]:
    """``javascript`` is the browser's SDK; where it names a runtime, it runs on a server."""
    return "browser" if platform == "javascript" and not contexts.get("runtime") else "server"


def _place(event: dict[str, Any], request: dict[str, Any]) -> tuple[str | None, str | None]:
    """Method and path. The transaction names the template where it is a path, else the URL does."""
    method = as_text(request.get("method"), 20).upper() or None
    match = _TRANSACTION.match(as_text(event.get("transaction"), 2048))
    if match:
        return match[1] or method, match[2].partition("?")[0]
    return method, url_path(as_text(request.get("url"), 2048))


def url_path(url: str) -> str | None:
    """The path of an absolute URL or path, without its query; None where there is none."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return (path or "/") if url and (path.startswith("/") or "://" in url) else None


def _status(contexts: dict[str, Any]) -> int | None:
    status = as_number(as_dict(contexts.get("response")).get("status_code"))
    return status if 100 <= status <= 999 else None


def _trace_id(contexts: dict[str, Any]) -> str | None:
    trace_id = as_text(as_dict(contexts.get("trace")).get("trace_id"), 64).lower()
    return trace_id if _TRACE_ID.match(trace_id) else None


def _environment(event: dict[str, Any], default: str) -> str:
    name = as_text(event.get("environment"), 64)
    return name if _NAME.match(name) else default


def _when(value: Any, now: datetime) -> datetime:
    """Seconds since the epoch or RFC 3339. A sender's clock that is far off does not count."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            at = datetime.fromtimestamp(value, UTC)
        else:
            at = datetime.fromisoformat(as_text(value, 64))
            at = at.replace(tzinfo=at.tzinfo or UTC)
        age = (now - at).total_seconds()
    except (ValueError, OverflowError, OSError):
        return now
    return at if -EVENT_AHEAD_S_MAX <= age <= EVENT_AGE_S_MAX else now
