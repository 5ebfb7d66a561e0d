"""One pass that pulls typed facts out of a failure, before any rule looks at words.

Shapes, not meanings: views of the text, codes, exception classes, frames, the side it ran on, a
redirect cycle, the budget it broke. Which category follows is the rules' business.
"""

from dataclasses import dataclass

from proxy.domain.failure import Failure
from proxy.healing.facts.causes import with_causes
from proxy.healing.facts.codes import Code, find_codes
from proxy.healing.facts.frames import Frame, Side, split_frames
from proxy.healing.facts.html import html_text, looks_like_html
from proxy.healing.facts.names import Name, Names
from proxy.healing.facts.redirects import find_cycle
from proxy.healing.facts.text import FIELD_CHARS_MAX, View, view

__all__ = ["Code", "Facts", "Frame", "Name", "Side", "View", "gather"]

TOTAL_CHARS_MAX = 4608
"""All fields together: message first, then body, then stack; the later ones get what the earlier
ones left.
"""
MESSAGE_CHARS_MAX = 2304
"""A longer message is a page or a dump; what names the error stands at its beginning."""


@dataclass(frozen=True, slots=True)
class Facts:
    """``views`` in the order they are believed: the body and the causes speak before the
    headline.
    """

    views: tuple[View, ...]
    codes: tuple[Code, ...]
    names: Names
    frames: tuple[Frame, ...]
    side: Side
    source: str
    status: int | None
    route: str | None
    cycle: tuple[str, ...]
    over_budget: str
    """What it took and what it may take, in words; empty when it took no more, or nobody knows."""
    trace_text: str
    """Paths of the frames, lowered: only rules that ask for frames read it."""

    def view(self, field: str) -> View | None:
        return next((v for v in self.views if v.field == field), None)


def gather(failure: Failure) -> Facts:
    left = TOTAL_CHARS_MAX
    message, message_frames, message_side = split_frames(failure.message[:MESSAGE_CHARS_MAX])
    left -= len(message)
    body_raw = (failure.body or failure.response_excerpt or "")[: min(left, FIELD_CHARS_MAX)]
    body_frames: tuple[Frame, ...] = ()
    body_side: Side = ""
    if body_raw:
        if looks_like_html(body_raw):
            body_raw = html_text(body_raw)
        body_raw, body_frames, body_side = split_frames(body_raw)
        left -= len(body_raw)
    stack, stack_frames, stack_side = split_frames(
        with_causes((failure.stack or "")[:FIELD_CHARS_MAX], max(0, left))
    )
    views = [view("message", message)]
    if body_raw:
        views.insert(0, view("body", body_raw))
    if stack.strip():
        views.append(view("stack", stack))
    frames = stack_frames or message_frames or body_frames
    return Facts(
        views=tuple(views),
        codes=tuple(code for v in views for code in find_codes(v)),
        names=Names(views),
        frames=frames,
        side=_side(failure, stack_side or message_side or body_side, frames),
        source=failure.source_kind,
        status=failure.status if failure.status is not None else failure.response_status,
        route=failure.route,
        cycle=find_cycle(failure.redirect_chain),
        over_budget=_over_budget(failure),
        trace_text="\n".join(f"{f.file} {f.function}" for f in frames).lower(),
    )


def _over_budget(failure: Failure) -> str:
    took, may_take = failure.latency_ms, failure.latency_budget_ms
    if took is None or may_take is None or took <= may_take:
        return ""
    what = "usually" if failure.origin == "detector" else "above its budget of"
    return f"{took:,.0f} ms, {what} {may_take:,.0f} ms"


def _side(failure: Failure, by_frames: Side, frames: tuple[Frame, ...]) -> Side:
    """A browser event is browser code; elsewhere the frames decide, then the kind of source."""
    if failure.source_kind == "browser":
        return "browser"
    if by_frames:
        return by_frames
    if failure.source_kind == "server":
        return "server"
    if failure.status is None and failure.response_status is None:
        # no HTTP answer and no foreign frames: an event some page reported
        return "browser"
    return ""
