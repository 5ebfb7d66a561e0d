"""Strict reading of a response head; what is broken raises ``BadAnswer`` (RFC 9112 sections 4
and 6.3).
"""

import re

from proxy.dataplane.faults import BadAnswer
from proxy.dataplane.fields import first_break, has_lone_break
from proxy.dataplane.framing import (
    CHUNKED,
    LENGTH,
    LONE_BREAK,
    NO_BODY,
    UNTIL_CLOSE,
    Head,
    for_the_judge,
    is_chunked,
    plain_length,
    read_block,
)
from proxy.dataplane.judge import Judge

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_STATUS_START = re.compile(
    rb"(?:H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.|HTTP/1\.[01]"
    rb"(?: (?:[0-9]{0,3}|[0-9]{3} [\t\x20-\x7e\x80-\xff]*)\r?)?)?\Z"
)
_START_MAX = 1024
"""Of a status line still unfinished, looked at again with every piece; whole it is read whole."""
_TOO_LARGE = "http_response_header_section_size"


class ResponseHead(Head):
    __slots__ = ("reason", "status")

    def merge_equal_lengths(self) -> bytes | None:
        """Keep the first of several Content-Length lines that say the same, and return the field
        lines that are left: one number is not ambiguous (RFC 9110 section 8.6). None when there
        is nothing to merge.
        """
        lengths = self.values(b"content-length")
        if len(lengths) < 2 or len(set(lengths)) > 1:
            return None
        del lengths[1:]
        first = self.names.index(b"content-length")
        kept = [
            number
            for number, name in enumerate(self.names)
            if number == first or name != b"content-length"
        ]
        self.lines = [self.lines[number] for number in kept]
        self.names = [self.names[number] for number in kept]
        return b"".join(line + b"\r\n" for line in self.lines)

    def __init__(self, status: int, reason: bytes, minor: int, block: bytes) -> None:
        super().__init__(minor, block)
        self.status = status
        self.reason = reason


def check_unfinished_response(data: bytes, bytes_max: int, checked: int = 0) -> None:
    """Fail at once what no further byte can make right; a slow head alone is no error.

    The first ``checked`` bytes passed before.
    """
    if has_lone_break(data, max(0, checked - 1)):
        raise BadAnswer(f"in the answer {LONE_BREAK}")
    end = first_break(data)
    expression, until = (_STATUS_LINE, end + 2) if end >= 0 else (_STATUS_START, _START_MAX)
    if checked < until and not expression.match(data):
        raise BadAnswer("the status line is malformed")
    if len(data) - max(0, end) > bytes_max + 4:
        raise BadAnswer("the header fields of the answer are too large", _TOO_LARGE)


def read_response(head: bytes, method: bytes, bytes_max: int, count_max: int) -> ResponseHead:
    """Read a whole response head, its empty line included. Raises ``BadAnswer``."""
    line = _STATUS_LINE.match(head)
    if line is None or line[2] < b"100":
        raise BadAnswer("the status line is malformed")
    if line.end() > bytes_max or len(head) - line.end() - 2 > bytes_max:
        raise BadAnswer("the header fields of the answer are too large", _TOO_LARGE)
    block = read_block(head, line.end(), BadAnswer)
    if block.count(b"\n") > count_max:
        raise BadAnswer("the answer has too many header fields", _TOO_LARGE)
    response = ResponseHead(int(line[2]), line[3] or b"", 1 if line[1] == b"1" else 0, block)
    if (merged := response.merge_equal_lengths()) is not None:
        head = head[: line.end()] + merged + b"\r\n"
    _decide_length(response, method)
    response.judge = Judge(response=True)
    judged = (
        for_the_judge(head, response.lines, response.names) if response.kind == CHUNKED else head
    )
    try:
        response.judge.feed(judged)
    except ValueError as error:
        raise BadAnswer(f"malformed answer: {error}") from None
    if response.kind in (NO_BODY, UNTIL_CLOSE):
        response.judge.retire()
    return response


def _decide_length(response: ResponseHead, method: bytes) -> None:
    """RFC 9112 section 6.3: what ends the body is decided here, once."""
    codings = response.values(b"transfer-encoding")
    lengths = response.values(b"content-length")
    length = plain_length(lengths) if lengths else 0
    if codings and (lengths or response.minor == 0):
        raise BadAnswer("the answer has two lengths, or a transfer coding in HTTP/1.0")
    if codings and not is_chunked(codings):
        words = "the transfer coding of the answer is not exactly one chunked"
        raise BadAnswer(words, "http_response_transfer_coding")
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
