"""Strict reading of a request head: one message, one length, or a refusal (RFC 9112 sections 2, 3
and 6).

llhttp sees every byte and the checks here see what it lets through; both must agree.
"""

import re

from proxy.dataplane.authority import is_authority
from proxy.dataplane.faults import Refused
from proxy.dataplane.fields import TOKEN, first_break, has_lone_break
from proxy.dataplane.framing import (
    CHUNKED,
    LENGTH,
    LONE_BREAK,
    NO_BODY,
    Head,
    for_the_judge,
    is_chunked,
    options,
    plain_length,
    read_block,
)
from proxy.dataplane.judge import Judge

METHOD_MAX = 64
_START_MAX = 1024
"""Of a request line still unfinished, looked at again with every piece; whole it is read whole."""
EMPTY_LINES_MAX = 4

_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])\r\n")
_REQUEST_START = re.compile(
    rb"(?:" + TOKEN + rb"(?: (?:[\x21-\x7e\x80-\xff]+(?: [HTP]{0,4}(?:/[0-9.]{0,3})?\r?)?)?)?)?\Z"
)
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)([/?#].*)?\Z", re.IGNORECASE | re.DOTALL)
_CODING = re.compile(TOKEN + rb"(?:[ \t]*;[\t\x20-\x7e]*)?\Z")

# llhttp knows a fixed list of methods and only ASCII targets; any token and obs-text target is
# legal enough to pass, so such a request line is read by our expression alone and llhttp judges the
# rest behind a plain one.
_KNOWN_METHODS = frozenset(
    {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE"}
)
_PLAIN_LINE = b"POST / HTTP/1.%c\r\n"


class RequestHead(Head):
    """A request head that passed every check."""

    __slots__ = (
        "authority",
        "expects_continue",
        "is_websocket",
        "keep_alive_asked",
        "method",
        "target",
    )

    def __init__(self, method: bytes, target: bytes, minor: int, block: bytes) -> None:
        super().__init__(minor, block)
        self.method = method
        self.target = target
        self.keep_alive_asked = minor == 0 and b"keep-alive" in self.connection
        self.expects_continue = False
        self.is_websocket = False
        self.authority: bytes | None = None
        """Of an absolute-form target; it wins over Host (RFC 9112 section 3.2.2)."""

    @property
    def path(self) -> bytes:
        """Path and query of the target; of an absolute-form target what follows its authority."""
        match = _ABSOLUTE.match(self.target)
        return self.target if match is None else (match[2] or b"/")


def skip_empty_lines(data: bytes, most: int = EMPTY_LINES_MAX) -> bytes:
    """Empty lines before a request line are ignored (RFC 9112 section 2.2), a few of them."""
    for _ in range(most):
        if not data.startswith(b"\r\n"):
            break
        data = data[2:]
    return data


def check_unfinished_request(data: bytes, bytes_max: int, checked: int = 0) -> None:
    """Refuse at once what no further byte can make right; a slow head alone is no error.

    The first ``checked`` bytes passed before: a head that comes byte by byte is not read anew with
    each.
    """
    if has_lone_break(data, max(0, checked - 1)):
        raise Refused(LONE_BREAK)
    end = first_break(data)
    if end < 0 or end > bytes_max:
        if len(data) > bytes_max:
            raise Refused("the request line is too long", 414)
        if checked < _START_MAX and data != b"\r" and not _REQUEST_START.match(data):
            raise Refused("the request line is malformed")
    elif data[:2] != b"\r\n" and checked < end + 2:
        _request_line(data)
    if len(data) - end - 2 > bytes_max + 2:
        raise Refused("the header fields are too large", 431)


def _request_line(data: bytes) -> "re.Match[bytes]":
    match = _REQUEST_LINE.match(data)
    if match is None:
        raise Refused("the request line is malformed")
    if match[3] != b"1" or match[4] not in b"01":
        raise Refused("this version of HTTP is not spoken here", 505)
    return match


def read_request(head: bytes, bytes_max: int, count_max: int) -> RequestHead:
    """Read a whole head, its empty line included. Raises ``Refused``."""
    if head.find(b"\r\n") > bytes_max:
        raise Refused("the request line is too long", 414)
    line = _request_line(head)
    method, target = line[1], line[2]
    if len(head) - line.end() - 2 > bytes_max:
        raise Refused("the header fields are too large", 431)
    if len(method) > METHOD_MAX:
        raise Refused("the method is too long", 501)
    block = read_block(head, line.end(), Refused)
    if block.count(b"\n") > count_max:
        raise Refused("there are too many header fields", 431)
    request = RequestHead(method, target, 1 if line[4] == b"1" else 0, block)
    _check_target(request)
    _check_host(request)
    _decide_length(request)
    _read_wishes(request)
    _let_judge(request, head, line)
    return request


def _let_judge(request: RequestHead, head: bytes, line: "re.Match[bytes]") -> None:
    if request.method not in _KNOWN_METHODS or not request.target.isascii():
        head = _PLAIN_LINE % line[4] + head[line.end() :]
    if request.kind == CHUNKED:
        head = for_the_judge(head, request.lines, request.names)
    request.judge = Judge()
    try:
        request.judge.feed(head)
    except ValueError as error:
        raise Refused(f"malformed request: {error}") from None
    if request.kind == NO_BODY:
        if not request.judge.complete:
            raise Refused("the request has no clear end")
        request.judge.retire()


def _check_target(request: RequestHead) -> None:
    target = request.target
    if request.method == b"CONNECT":
        raise Refused("CONNECT is not offered here", 405)
    if target[:1] == b"/" or (target == b"*" and request.method == b"OPTIONS"):
        return
    match = _ABSOLUTE.match(target)
    if match is None:
        raise Refused("the request target has no known form")
    if not is_authority(match[1]):
        raise Refused("the authority of the request target is malformed")
    request.authority = match[1]


def _check_host(request: RequestHead) -> None:
    hosts = request.values(b"host")
    if len(hosts) > 1 or (not hosts and request.minor):
        raise Refused("exactly one Host is required")
    if hosts and not is_authority(hosts[0]):
        raise Refused("the Host is malformed")


def _decide_length(request: RequestHead) -> None:
    """RFC 9112 section 6.3: what ends the body is decided here, once."""
    codings = request.values(b"transfer-encoding")
    lengths = request.values(b"content-length")
    if codings:
        if lengths:
            raise Refused("Content-Length and Transfer-Encoding together")
        if request.minor == 0:
            raise Refused("Transfer-Encoding in HTTP/1.0")
        if not is_chunked(codings):
            words = "the transfer coding is not exactly one final chunked"
            raise Refused(words, _coding_status(codings))
        request.kind = CHUNKED
    elif lengths:
        length = plain_length(lengths)
        if length is None:
            raise Refused("the Content-Length is not one plain number")
        request.kind, request.length = (LENGTH, length) if length else (NO_BODY, 0)


def _coding_status(codings: list[bytes]) -> int:
    """501 for a coding we do not know, 400 for chunked in the wrong place or no coding at all."""
    parts = [part.strip(b" \t").lower() for part in b",".join(codings).split(b",")]
    known = parts.count(b"chunked")
    malformed = not all(_CODING.match(part) for part in parts)
    return 400 if malformed or known > 1 or (known and parts[-1] != b"chunked") else 501


def _read_wishes(request: RequestHead) -> None:
    """Expect and Upgrade; an HTTP/1.0 client can have neither (RFC 9110 sections 7.8 and
    10.1.1). WebSocket may be one of several protocols offered (RFC 6455 section 4.2.1); no other
    goes on.
    """
    if request.minor == 0:
        return
    if request.kind != NO_BODY:
        expect = request.values(b"expect")
        request.expects_continue = any(v.lower() == b"100-continue" for v in expect)
    elif upgrades := request.values(b"upgrade"):
        request.is_websocket = (
            request.method == b"GET"
            and b"upgrade" in request.connection
            and b"websocket" in options(upgrades)
            and len(request.values(b"sec-websocket-key")) == 1
            and len(request.values(b"sec-websocket-version")) == 1
        )
