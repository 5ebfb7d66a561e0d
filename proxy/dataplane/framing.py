"""Strict reading of heads: one message, one length, or a refusal (RFC 9112 sections 2 to 6).

llhttp sees every byte (``Judge``) and the checks here see what it lets through; both must agree.
The lines themselves are kept as they came. Knows nothing of connections, of pooling or of what is
forwarded.
"""

import re
from typing import Any

import httptools

from proxy.dataplane.chunks import BadChunk, ChunkReader
from proxy.dataplane.faults import BadAnswer, Refused
from proxy.dataplane.fields import TOKEN, has_lone_break, valid_block

NO_BODY, LENGTH, CHUNKED, UNTIL_CLOSE = range(4)
"""How a body ends."""

HEAD_END = b"\r\n\r\n"
METHOD_MAX = 64
_EMPTY_LINES_MAX = 4

_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])\r\n")
_REQUEST_START = re.compile(
    rb"(?:" + TOKEN + rb"(?: (?:[\x21-\x7e\x80-\xff]+(?: [HTP]{0,4}(?:/[0-9.]{0,3})?\r?)?)?)?)?\Z"
)
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_STATUS_START = re.compile(
    rb"(?:H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.|HTTP/1\.[01]"
    rb"(?: (?:[0-9]{0,3}|[0-9]{3} [\t\x20-\x7e\x80-\xff]*)\r?)?)?\Z"
)
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::([0-9]{0,5}))?\Z")
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)([/?#].*)?\Z", re.IGNORECASE | re.DOTALL)

# llhttp knows a fixed list of methods and only ASCII targets; any token and obs-text target is
# legal enough to
# pass, so such a request line is read by our expression alone and llhttp judges the rest behind a
# plain one.
_KNOWN_METHODS = frozenset(
    {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE"}
)
_PLAIN_LINE = b"POST / HTTP/1.%c\r\n"


class Judge:
    """llhttp over one message: every byte goes through ``feed``; ``complete`` says that it saw the
    end."""

    __slots__ = ("_parser", "complete")

    def __init__(self, *, response: bool = False) -> None:
        self.complete = False
        self._parser: Any = (
            httptools.HttpResponseParser if response else httptools.HttpRequestParser
        )(self)

    def on_message_complete(self) -> None:
        self.complete = True

    def feed(self, data: bytes) -> None:
        """Raise ``ValueError`` with llhttp's reason when it refuses ``data``."""
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # llhttp leaves at an upgrade; our own reader is alone with what follows.
            self.retire()
        except httptools.HttpParserError as error:
            self.retire()
            raise ValueError(str(error) or "malformed") from None

    def retire(self) -> None:
        """Let go of the parser (it refers back to us), and believe our own reader about the
        rest."""
        self._parser = None
        self.complete = True

    @property
    def retired(self) -> bool:
        return self._parser is None


class RequestHead:
    """A request head that passed every check. ``lines`` are the raw field lines, ``names`` their
    lower-cased names."""

    __slots__ = (
        "authority",
        "close",
        "connection",
        "expects_continue",
        "is_websocket",
        "judge",
        "keep_alive_asked",
        "kind",
        "length",
        "lines",
        "method",
        "minor",
        "names",
        "target",
    )

    def __init__(
        self, method: bytes, target: bytes, minor: int, names: list[bytes], lines: list[bytes]
    ) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.names = names
        self.lines = lines
        self.kind = NO_BODY
        self.length = 0
        self.connection: frozenset[bytes] = frozenset()
        self.close = False
        self.keep_alive_asked = False
        self.expects_continue = False
        self.is_websocket = False
        self.authority: bytes | None = None
        self.judge: Judge

    def values(self, name: bytes) -> list[bytes]:
        return values_of(self.names, self.lines, name)

    @property
    def path(self) -> bytes:
        """Path and query of the target; of an absolute-form target what follows its authority."""
        match = _ABSOLUTE.match(self.target)
        return self.target if match is None else (match[2] or b"/")


class ResponseHead:
    __slots__ = (
        "close",
        "connection",
        "judge",
        "kind",
        "length",
        "lines",
        "minor",
        "names",
        "reason",
        "status",
    )

    def __init__(
        self, status: int, reason: bytes, minor: int, names: list[bytes], lines: list[bytes]
    ) -> None:
        self.status = status
        self.reason = reason
        self.minor = minor
        self.names = names
        self.lines = lines
        self.kind = NO_BODY
        self.length = 0
        self.connection: frozenset[bytes] = frozenset()
        self.close = False
        self.judge: Judge

    def values(self, name: bytes) -> list[bytes]:
        return values_of(self.names, self.lines, name)


def values_of(names: list[bytes], lines: list[bytes], name: bytes) -> list[bytes]:
    """The values of every field called ``name`` (lower case), without surrounding blanks."""
    if name not in names:
        return []
    return [value_of(line) for known, line in zip(names, lines, strict=True) if known == name]


def value_of(line: bytes) -> bytes:
    return line.partition(b":")[2].strip(b" \t")


def skip_empty_lines(data: bytes) -> bytes:
    """Empty lines before a request line are ignored (RFC 9112 section 2.2), a few of them."""
    for _ in range(_EMPTY_LINES_MAX):
        if not data.startswith(b"\r\n"):
            break
        data = data[2:]
    return data


def check_unfinished_request(data: bytes, bytes_max: int) -> None:
    """Refuse at once what no further byte can make right; a slow head alone is no error."""
    if has_lone_break(data):
        raise Refused("a line break is not CRLF, or there is a NUL")
    end = data.find(b"\r\n")
    if end < 0:
        if len(data) > bytes_max:
            raise Refused("the request line is too long", 414)
        if data != b"\r" and not _REQUEST_START.match(data):
            raise Refused("the request line is malformed")
    elif data[:2] != b"\r\n":
        _request_line(data)
    if len(data) > bytes_max:
        raise Refused("the header fields are too large", 431)


def check_unfinished_response(data: bytes, bytes_max: int) -> None:
    if has_lone_break(data):
        raise BadAnswer("a line break of the answer is not CRLF, or there is a NUL")
    if not (_STATUS_LINE.match(data) if b"\r\n" in data else _STATUS_START.match(data)):
        raise BadAnswer("the status line is malformed")
    if len(data) > bytes_max:
        raise BadAnswer(
            "the header fields of the answer are too large", "http_response_header_section_size"
        )


def _request_line(data: bytes) -> "re.Match[bytes]":
    match = _REQUEST_LINE.match(data)
    if match is None:
        raise Refused("the request line is malformed")
    if match[3] != b"1" or match[4] not in b"01":
        raise Refused("this version of HTTP is not spoken here", 505)
    return match


def read_request(head: bytes, bytes_max: int, count_max: int) -> RequestHead:
    """Read a whole head, its empty line included. Raises ``Refused``."""
    if len(head) > bytes_max:
        raise Refused(
            "the header fields are too large", 431 if head.find(b"\r\n") <= bytes_max else 414
        )
    line = _request_line(head)
    method, target = line[1], line[2]
    if len(method) > METHOD_MAX:
        raise Refused("the method is too long", 501)
    names, lines = _fields(head, line.end(), count_max, Refused)
    request = RequestHead(method, target, 1 if line[4] == b"1" else 0, names, lines)
    judged = head
    if method not in _KNOWN_METHODS or not target.isascii():
        judged = _PLAIN_LINE % line[4] + head[line.end() :]
    _check_target(request)
    _check_host(request)
    _connection(request)
    _request_body(request)
    _expectations(request)
    request.judge = Judge()
    try:
        request.judge.feed(judged)
    except ValueError as error:
        raise Refused(f"malformed request: {error}") from None
    if request.kind == NO_BODY and not request.judge.complete:
        raise Refused("the request has no clear end")
    return request


def _fields(head: bytes, start: int, count_max: int, fault: Any) -> tuple[list[bytes], list[bytes]]:
    block = head[start:-2]
    if not valid_block(block):
        raise fault(_what_is_wrong(block))
    lines = block.split(b"\r\n")
    lines.pop()
    if len(lines) > count_max:
        raise (
            Refused("there are too many header fields", 431)
            if fault is Refused
            else fault("too many header fields")
        )
    return [line[: line.index(b":")].lower() for line in lines], lines


def _what_is_wrong(block: bytes) -> str:
    if has_lone_break(block):
        return "a line break is not CRLF, or there is a NUL"
    for line in block.split(b"\r\n"):
        if line[:1] in (b" ", b"\t"):
            return "a header line is folded"
        if re.match(TOKEN + rb"[ \t]+:", line):
            return "a blank stands before the colon of a header"
    return "a header line is malformed"


def _check_target(request: RequestHead) -> None:
    target = request.target
    if request.method == b"CONNECT":
        raise Refused("CONNECT is not offered here", 405)
    if target[:1] == b"/" or (target == b"*" and request.method == b"OPTIONS"):
        return
    match = _ABSOLUTE.match(target)
    if match is None:
        raise Refused("the request target has no known form")
    if not _valid_host(match[1]):
        raise Refused("the authority of the request target is malformed")
    request.authority = match[1]


def _valid_host(value: bytes) -> bool:
    match = _HOST.match(value)
    return match is not None and (not match[1] or int(match[1]) <= 65535)


def _check_host(request: RequestHead) -> None:
    hosts = request.values(b"host")
    if len(hosts) > 1 or (not hosts and request.minor):
        raise Refused("exactly one Host is required")
    if hosts and not _valid_host(hosts[0]):
        raise Refused("the Host is malformed")


def _connection(head: RequestHead | ResponseHead) -> None:
    values = head.values(b"connection")
    options = frozenset(
        part.strip(b" \t").lower() for value in values for part in value.split(b",")
    )
    head.connection = options
    head.close = b"close" in options or (head.minor == 0 and b"keep-alive" not in options)
    if isinstance(head, RequestHead):
        head.keep_alive_asked = head.minor == 0 and b"keep-alive" in options


def _length(values: list[bytes]) -> int | None:
    """The one Content-Length, or None when it is no plain number of at most 63 bits or there are
    several."""
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > 19:
        return None
    length = int(values[0])
    return length if length < 1 << 63 else None


def _request_body(request: RequestHead) -> None:
    codings = request.values(b"transfer-encoding")
    lengths = request.values(b"content-length")
    if codings:
        if lengths:
            raise Refused("Content-Length and Transfer-Encoding together")
        if request.minor == 0:
            raise Refused("Transfer-Encoding in HTTP/1.0")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise Refused(
                "the transfer coding is not exactly one final chunked", _coding_status(codings)
            )
        request.kind = CHUNKED
    elif lengths:
        length = _length(lengths)
        if length is None:
            raise Refused("the Content-Length is not one plain number")
        request.kind, request.length = (LENGTH, length) if length else (NO_BODY, 0)


def _coding_status(codings: list[bytes]) -> int:
    """501 for a coding we do not know, 400 for chunked in the wrong place or no coding at all."""
    parts = [part.strip(b" \t").lower() for part in b",".join(codings).split(b",")]
    known = parts.count(b"chunked")
    malformed = not all(re.match(TOKEN + rb"(?:[ \t]*;[\t\x20-\x7e]*)?\Z", part) for part in parts)
    return 400 if malformed or known > 1 or (known and parts[-1] != b"chunked") else 501


def _expectations(request: RequestHead) -> None:
    if request.minor == 0:
        return
    expect = request.values(b"expect")
    request.expects_continue = request.kind != NO_BODY and any(
        v.lower() == b"100-continue" for v in expect
    )
    upgrades = request.values(b"upgrade")
    request.is_websocket = (
        request.method == b"GET"
        and request.kind == NO_BODY
        and b"upgrade" in request.connection
        and len(upgrades) == 1
        and upgrades[0].lower() == b"websocket"
        and len(request.values(b"sec-websocket-key")) == 1
        and len(request.values(b"sec-websocket-version")) == 1
    )


def read_response(head: bytes, method: bytes, bytes_max: int, count_max: int) -> ResponseHead:
    """Read a whole response head, its empty line included. Raises ``BadAnswer``."""
    if len(head) > bytes_max:
        raise BadAnswer(
            "the header fields of the answer are too large", "http_response_header_section_size"
        )
    line = _STATUS_LINE.match(head)
    if line is None or line[2] < b"100":
        raise BadAnswer("the status line is malformed")
    names, lines = _fields(head, line.end(), count_max, BadAnswer)
    response = ResponseHead(int(line[2]), line[3] or b"", 1 if line[1] == b"1" else 0, names, lines)
    _connection(response)
    _response_body(response, method)
    response.judge = Judge(response=True)
    try:
        response.judge.feed(head)
    except ValueError as error:
        raise BadAnswer(f"malformed answer: {error}") from None
    if response.kind in (NO_BODY, UNTIL_CLOSE):
        response.judge.retire()
    return response


def _response_body(response: ResponseHead, method: bytes) -> None:
    codings = response.values(b"transfer-encoding")
    lengths = response.values(b"content-length")
    length = _length(lengths) if lengths else 0
    if codings and (lengths or response.minor == 0):
        raise BadAnswer("the answer has two lengths, or a transfer coding in HTTP/1.0")
    if codings and (len(codings) != 1 or codings[0].lower() != b"chunked"):
        raise BadAnswer(
            "the transfer coding of the answer is not exactly one chunked",
            "http_response_transfer_coding",
        )
    if length is None:
        raise BadAnswer("the Content-Length of the answer is not one plain number")
    if response.status == 204 and (codings or length):
        # it says it has none and then how long: what follows must not meet the next request
        response.close = True
    if method == b"HEAD" or response.status < 200 or response.status in (204, 304):
        return
    if codings:
        response.kind = CHUNKED
    elif not lengths:
        response.kind = UNTIL_CLOSE
    elif length:
        response.kind, response.length = LENGTH, length


class BodyReader:
    """One body, read to its exact end by our own count and by llhttp. Used for both directions."""

    __slots__ = ("_chunks", "_judge", "_left", "done", "kind", "size")

    def __init__(self, kind: int, length: int, judge: Judge, trailer_bytes_max: int) -> None:
        self.kind = kind
        self._left = length
        self._chunks = ChunkReader(trailer_bytes_max) if kind == CHUNKED else None
        self._judge = judge
        self.size = 0
        """Body bytes read so far."""
        self.done = kind == NO_BODY

    @property
    def trailers(self) -> list[bytes]:
        return self._chunks.trailers if self._chunks is not None else []

    def skip(self, size: int) -> None:
        """Count ``size`` bytes as read: the hot plane and its llhttp saw them."""
        self._judge.retire()
        self._left -= size
        self.size += size
        self.done = self._left == 0

    def feed(self, data: bytes) -> tuple[list[bytes], int]:
        """Return the pieces of content and the number of bytes used. Raises ``ValueError`` on
        broken framing."""
        if self._chunks is None:
            used = len(data)
            if self.kind == LENGTH:
                used = min(used, self._left)
                self._left -= used
                self.done = self._left == 0
            pieces = [data if used == len(data) else data[:used]]
        else:
            try:
                pieces, used = self._chunks.feed(data)
            except BadChunk as error:
                raise ValueError(str(error)) from None
            self.done = self._chunks.done
        self._judge.feed(data if used == len(data) else data[:used])
        if self.done:
            if not self._judge.complete:
                raise ValueError("the two readers disagree about the end of the message")
            self._judge.retire()
        elif self._judge.complete and self.kind != UNTIL_CLOSE:
            # retired at an upgrade, or llhttp saw an end that we do not see
            self._check_early_end()
        for piece in pieces:
            self.size += len(piece)
        return pieces, used

    def _check_early_end(self) -> None:
        if not self._judge.retired:
            raise ValueError("the two readers disagree about the end of the message")
