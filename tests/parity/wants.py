"""What must come of a case, put together from small sentences. Each looks at all that was seen."""

from collections.abc import Iterable

from tests.parity.case import Reply, Saw, Want
from tests.parity.reading import content, flaws

NOTHING: tuple[bytes, ...] = ()


def every(*wants: Want) -> Want:
    """All of them; the first complaint is told."""

    def want(saw: Saw) -> str:
        return next((words for each in wants if (words := each(saw))), "")

    return want


def either(*wants: Want) -> Want:
    """One of them is enough."""

    def want(saw: Saw) -> str:
        words = [each(saw) for each in wants]
        return "" if "" in words else " / ".join(words)

    return want


def statuses(*wanted: int) -> Want:
    """Final answers, in order, all complete."""

    def want(saw: Saw) -> str:
        got = [reply.status for reply in saw.finals]
        if got != list(wanted):
            return f"answers {got}"
        return "" if all(reply.is_complete for reply in saw.replies) else "an answer is not whole"

    return want


def reached(count: int) -> Want:
    """So many whole requests came up."""

    def want(saw: Saw) -> str:
        return "" if len(saw.requests) == count else f"{len(saw.requests)} requests went up"

    return want


def passed(saw: Saw) -> str:
    """One request up, strictly formed; one answer down."""
    return statuses(200)(saw) or reached(1)(saw) or flaws(saw.requests[0])


def up(
    *,
    line: bytes = b"",
    has: Iterable[bytes] = NOTHING,
    lacks: Iterable[bytes] = NOTHING,
    order: Iterable[bytes] = NOTHING,
    body: bytes | None = None,
    exactly: tuple[bytes, ...] = NOTHING,
) -> Want:
    """What the request looked like at the upstream. ``has`` are whole field lines, ``lacks`` names
    in lower case, ``order`` texts one after another, ``body`` is out of its chunks, ``exactly`` the
    alternatives for all of it.
    """

    def want(saw: Saw) -> str:
        if words := passed(saw):
            return words
        request = saw.requests[0]
        if exactly and request not in exactly and not saw.by_meaning:
            return f"went up as {request[:300]!r}"
        head = request.partition(b"\r\n\r\n")[0]
        first, *lines = head.split(b"\r\n")
        if line and first != line:
            return f"the request line is {first[:80]!r}"
        return (
            _lines(saw, lines, has, lacks) or _order(saw, request, order) or _content(request, body)
        )

    return want


def _content(request: bytes, body: bytes | None) -> str:
    got = content(request)
    return "" if body in (None, got) else f"the body went up as {got[-60:]!r}"


def down(
    status: int = 200,
    *,
    line: bytes = b"",
    has: Iterable[bytes] = NOTHING,
    lacks: Iterable[bytes] = NOTHING,
    order: Iterable[bytes] = NOTHING,
    body: bytes | None = None,
    trailers: list[bytes] | None = None,
    interim: list[int] | None = None,
    end: str = "",
) -> Want:
    """What the last answer looked like at the client."""

    def want(saw: Saw) -> str:
        finals = saw.finals
        if not finals or finals[-1].status != status:
            return f"answers {[reply.status for reply in finals]}"
        reply = finals[-1]
        if not reply.is_complete:
            return "the answer is not whole"
        return (
            _lines(saw, reply.lines, has, lacks)
            or _order(saw, b"\r\n".join(reply.lines), order)
            or _compare(saw, reply, line, body, trailers)
            or _interim(saw, interim)
            or ("" if end in ("", saw.end) else f"the connection is {saw.end}")
        )

    return want


def _lines(saw: Saw, lines: list[bytes], has: Iterable[bytes], lacks: Iterable[bytes]) -> str:
    known = [_meaning(line) for line in lines] if saw.by_meaning else lines
    for wanted in has:
        if (_meaning(wanted) if saw.by_meaning else wanted) not in known:
            return f"missing {wanted[:60]!r}"
    names = [line.partition(b":")[0].lower() for line in lines]
    for name in lacks:
        if name in names:
            return f"{name!r} is there"
    return ""


def _meaning(line: bytes) -> bytes:
    name, _, value = line.partition(b":")
    return name.lower() + b": " + value.strip(b" \t")


def _order(saw: Saw, text: bytes, order: Iterable[bytes]) -> str:
    at = 0
    if saw.by_meaning:
        text, order = text.lower(), [wanted.lower() for wanted in order]
    for wanted in order:
        at = text.find(wanted, at)
        if at < 0:
            return f"{wanted[:40]!r} is missing or out of order"
        at += len(wanted)
    return ""


def _compare(
    saw: Saw, reply: Reply, line: bytes, body: bytes | None, trailers: list[bytes] | None
) -> str:
    if line and reply.line != line and not saw.by_meaning:
        return f"the status line is {reply.line[:80]!r}"
    if body is not None and reply.body != body:
        return f"the body is {reply.body[:60]!r}"
    if trailers is not None and _lines(saw, reply.trailers, trailers, ()):
        return f"the trailers are {reply.trailers!r}"
    return ""


def _interim(saw: Saw, interim: list[int] | None) -> str:
    got = [reply.status for reply in saw.replies if not reply.is_final]
    return "" if interim is None or got == interim else f"interim answers {got}"


def refused(*wanted: int, answered: int = 0) -> Want:
    """A 4xx, 501 or 505 and the end; nothing of it went up as a whole request. ``answered``
    requests before it were answered.
    """

    def want(saw: Saw) -> str:
        if len(saw.requests) > answered:
            return f"{len(saw.requests)} requests went up"
        if len(saw.finals) != answered + 1:
            return f"answers {[reply.status for reply in saw.finals]}"
        status = saw.finals[-1].status
        if status not in wanted if wanted else not (400 <= status < 500 or status in (501, 505)):
            return f"answer {status}"
        return "" if saw.end == "closed" else f"the connection is {saw.end}"

    return want


def shut_out(saw: Saw) -> str:
    """Refused or just closed; nothing whole went up."""
    if saw.requests:
        return f"{len(saw.requests)} requests went up"
    if any(not 400 <= reply.status < 600 for reply in saw.finals):
        return f"answers {[reply.status for reply in saw.finals]}"
    return "" if saw.end != "open" else "the connection is open"


def bad_gateway(saw: Saw) -> str:
    return statuses(502)(saw)


def cut(saw: Saw) -> str:
    """No clean end: a 502 or 504 while nothing is out, else an answer that is visibly not whole."""
    finals = saw.finals
    if len(finals) == 1 and finals[0].status in (502, 504) and finals[0].is_complete:
        return ""
    if saw.end == "open":
        return "the connection is open"
    if saw.end == "reset":
        return ""
    return "" if finals and not finals[-1].is_complete else "it looks complete"


def said(text: bytes) -> Want:
    """The client got these bytes somewhere."""
    return lambda saw: "" if text in saw.raw else f"{text[:40]!r} did not come"


def never(text: bytes) -> Want:
    """The client never got these bytes."""
    return lambda saw: f"{text!r} came" if text in saw.raw else ""


def ended(*ends: str) -> Want:
    """How the client's connection stands."""
    return lambda saw: "" if saw.end in ends else f"the connection is {saw.end}"


def let_go(saw: Saw) -> str:
    """The proxy has ended its last connection to the upstream."""
    return (
        "" if saw.links and saw.links[-1].end in ("closed", "reset") else "the upstream's is open"
    )


def nothing_went_up(saw: Saw) -> str:
    return f"{len(saw.requests)} requests went up" if saw.requests else ""


def within(seconds: float) -> Want:
    """The client's connection was answered or ended in that time."""
    return lambda saw: "" if saw.after_s <= seconds else f"only after {saw.after_s:.1f} s"


def tunnelled(data: bytes, *, end: str = "") -> Want:
    """A 101, and behind it exactly ``data``."""
    return down(101, body=data, end=end)
