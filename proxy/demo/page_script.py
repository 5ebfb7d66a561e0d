"""What the shop's own page script does in a browser, done by a visitor that has none.

The twin of ``template/shop/static/shop.js``: it reads the served page, renders its own idea of it,
and reports what breaks as an event of the Sentry protocol, as the page would.
"""

import html
import json
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_DISPATCH = re.compile(r'<p id="dispatch"[^>]*>([^<]*)</p>')
_DISPATCH_UNTIL_HOUR = 15


@dataclass(frozen=True, slots=True)
class PageError:
    """An error as the page's script threw it:

    ``frames`` are (function, text of the line), innermost last.
    """

    type: str
    message: str
    frames: tuple[tuple[str, str], ...]
    extra: tuple[tuple[str, str], ...] = ()


def hydrate(page: str, local_now: datetime) -> PageError | None:
    """Compare the served dispatch line with the visitor's own;

    None where both agree or there is none.
    """
    match = _DISPATCH.search(page)
    day = "today" if local_now.hour < _DISPATCH_UNTIL_HOUR else "tomorrow"
    own = f"It is past {local_now.hour} o'clock: order now and we dispatch {day}."
    if match is None or html.unescape(match[1]) == own:
        return None
    return PageError(
        "Error",
        "Hydration failed because the server rendered text didn't match the client.",
        (("start", 'hydrate("dispatch"'), ("hydrate", "new Error(")),
        (("server", html.unescape(match[1])), ("client", own)),
    )


def render_basket(basket: dict[str, Any]) -> PageError | None:
    """``basket.lines.length`` of an object that may have no lines."""
    if "lines" in basket:
        return None
    return PageError(
        "TypeError",
        "Cannot read properties of undefined (reading 'length')",
        (("start", "renderBasket(await"), ("renderBasket", "basket.lines.length")),
    )


def envelope(
    error: PageError, script: str, *, page_url: str, user_agent: str, now: datetime
) -> bytes:
    """The report, on the wire as the page sends it. ``script`` is shop.js as it was served."""
    event_id = uuid.uuid4().hex
    origin = "/".join(page_url.split("/")[:3])
    frames = [
        {
            "function": function,
            "filename": f"{origin}/static/shop.js",
            "lineno": _line(script, text),
            "colno": 5,
            "in_app": True,
        }
        for function, text in error.frames
    ]
    values = [{"type": error.type, "value": error.message, "stacktrace": {"frames": frames}}]
    event = {
        "event_id": event_id,
        "timestamp": now.timestamp(),
        "platform": "javascript",
        "level": "error",
        "request": {"url": page_url, "headers": {"User-Agent": user_agent}},
        "extra": dict(error.extra),
        "exception": {"values": values},
    }
    lines = (json.dumps({"event_id": event_id}), '{"type":"event"}', json.dumps(event), "")
    return "\n".join(lines).encode()


def _line(script: str, text: str) -> int:
    position = script.find(text)
    return script.count("\n", 0, position) + 1 if position >= 0 else 0
