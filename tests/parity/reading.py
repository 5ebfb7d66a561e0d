"""Reading what went over the wires, leniently: a case must see what is wrong, not stumble over it.

``flaws`` is the opposite: the strict eye on what a proxy sent to the app.
"""

import re

from tests.parity.case import Reply

_CODED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r\n")
_METHOD = re.compile(rb"(?:^|\n)([!-~]+) [^\n]* HTTP/1")

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_HEAD = re.compile(
    _TOKEN + rb" [!-~\x80-\xff]+ HTTP/1\.[01]\r\n(?:" + _TOKEN + rb":[\t -~\x80-\xff]*\r\n)*\r\n\Z"
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~\x80-\xff]*)?\r\n")


def methods_of(sent: bytes) -> list[bytes]:
    return _METHOD.findall(sent)


def head_size(data: bytes) -> int:
    return data.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else 0


def whole_size(data: bytes) -> int:
    """The size of the first whole request in ``data``, or 0; -1 when its chunks cannot be read."""
    end = head_size(data)
    if not end:
        return 0
    if _CODED.search(data[:end]):
        return _chunked_end(data, end)
    match = _LENGTH.search(data[:end])
    size = end + (int(match[1]) if match else 0)
    return size if len(data) >= size else 0


def _chunked_end(data: bytes, at: int) -> int:
    while (end := data.find(b"\r\n", at)) >= 0:
        try:
            size = int(data[at:end].partition(b";")[0], 16)
        except ValueError:
            return -1
        if size == 0:
            return _trailer_end(data, end + 2)
        at = end + size + 4
        if at > len(data):
            return 0
    return 0


def _trailer_end(data: bytes, at: int) -> int:
    while (end := data.find(b"\r\n", at)) >= 0:
        if end == at:
            return end + 2
        at = end + 2
    return 0


def replies_of(raw: bytes, methods: list[bytes], *, ended: bool) -> list[Reply]:
    """The answers in ``raw``; ``ended`` when a clean end closed it."""
    replies: list[Reply] = []
    finals = 0
    while raw:
        method = methods[finals] if finals < len(methods) else b"GET"
        reply, raw = _one_reply(raw, method, ended=ended)
        finals += reply.is_final
        replies.append(reply)
        if not reply.is_complete:
            break
    return replies


def _one_reply(raw: bytes, method: bytes, *, ended: bool) -> tuple[Reply, bytes]:
    match, end = _STATUS.match(raw), head_size(raw)
    if match is None or not end:
        return Reply(body=raw), b""
    lines = raw[match.end() : end - 4].split(b"\r\n") if end - 2 > match.end() else []
    reply = Reply(int(match[1]), match[0][:-2], lines, is_complete=True)
    head, rest = raw[:end], raw[end:]
    if reply.status == 101:
        reply.body = rest
        return reply, b""
    if reply.status < 200 or method == b"HEAD" or reply.status in (204, 304):
        return reply, rest
    if _CODED.search(head):
        return reply, _read_chunks(reply, rest)
    length = _LENGTH.search(head)
    if length is None:
        reply.body, reply.is_complete = rest, ended
        return reply, b""
    size = int(length[1])
    reply.body, reply.is_complete = rest[:size], len(rest) >= size
    return reply, rest[size:]


def _read_chunks(reply: Reply, rest: bytes) -> bytes:
    """Take the body off ``rest``; what follows it is given back."""
    reply.is_complete = False
    at = 0
    while match := _CHUNK.match(rest, at):
        size, at = int(match[1], 16), match.end()
        if size == 0:
            end = _trailer_end(rest, at)
            if end:
                reply.trailers = rest[at : end - 2].split(b"\r\n")[:-1]
                reply.is_complete = True
            return rest[end:] if end else b""
        reply.body += rest[at : at + size]
        if rest[at + size : at + size + 2] != b"\r\n":
            return b""
        at += size + 2
    return b""


def content(request: bytes) -> bytes:
    """The body of a whole request, out of its chunks."""
    end = head_size(request)
    if not _CODED.search(request[:end]):
        return request[end:]
    reply = Reply()
    _read_chunks(reply, request[end:])
    return reply.body


def flaws(request: bytes) -> str:
    """What a strict parser of the app would stumble over in this whole request."""
    end = head_size(request)
    head = request[:end]
    if not _HEAD.match(head):
        return "the head that went up is malformed"
    lengths = len(re.findall(rb"\r\ncontent-length:", head, re.IGNORECASE))
    codings = len(re.findall(rb"\r\ntransfer-encoding:", head, re.IGNORECASE))
    if lengths + codings > 1:
        return "two lengths went up"
    at = end
    while codings and (match := _CHUNK.match(request, at)):
        size = int(match[1], 16)
        at = match.end() + size
        if size and request[at : at + 2] != b"\r\n":
            return "a malformed chunk went up"
        at += 2 if size else 0
        if not size:
            break
    return "chunks that cannot be read went up" if codings and at == end else ""
