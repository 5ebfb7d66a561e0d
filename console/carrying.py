"""One call of the control API, carried on a connection of its own: what a short command needs. The
console keeps a pool instead (``pooled.py``), whose library takes longer to load than a call takes.

Knows no routes and no JSON: a request in, status and bytes out, bounded in size and time.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import httptools

ANSWER_BYTES_MAX = 32 * 1024 * 1024
CONNECT_TIMEOUT_S = 5.0
CHUNK_BYTES = 65536
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Call:
    """``url`` is absolute, with its query; header values hold no line ends."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    timeout_s: float


class Unreached(Exception):
    """No connection, so nothing was sent."""


class Unanswered(Exception):
    """Something may have been sent, and no whole answer came."""


class TooLong(Exception):
    """An answer beyond ``ANSWER_BYTES_MAX``."""


class Carrier(Protocol):
    async def carry(self, call: Call) -> tuple[int, bytes]:
        """Status and body. Raises ``Unreached``, ``Unanswered``, ``TooLong``; follows nothing."""

    async def close(self) -> None: ...


class OneByOne:
    """A ``Carrier`` that keeps nothing open."""

    async def carry(self, call: Call) -> tuple[int, bytes]:
        target = urlsplit(call.url)
        try:
            async with asyncio.timeout(call.timeout_s):
                reader, writer = await _connect(target.scheme, target.hostname or "", target.port)
                try:
                    writer.write(_head(call) + call.body)
                    return await _answer(reader)
                except (OSError, httptools.HttpParserError) as error:
                    raise Unanswered(str(error) or type(error).__name__) from error
                finally:
                    writer.close()
        except TimeoutError:
            raise Unanswered(f"no answer in {call.timeout_s:g} s") from None

    async def close(self) -> None:
        return


async def _connect(
    scheme: str, host: str, port: int | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(
                host, port or _PORTS[scheme], ssl=True if scheme == "https" else None
            )
    except TimeoutError:
        raise Unreached(f"no connection in {CONNECT_TIMEOUT_S:g} s") from None
    except OSError as error:
        raise Unreached(str(error)) from error


def _head(call: Call) -> bytes:
    target = urlsplit(call.url)
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    headers = {"Host": target.netloc, **call.headers, "Connection": "close"}
    if call.body:
        headers["Content-Length"] = str(len(call.body))
    lines = [f"{call.method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class _Ear:
    """What the parser hears of one answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.parts: list[bytes] = []
        self.size = 0
        self.is_framed = False
        self.is_whole = False

    def on_header(self, name: bytes, _: bytes) -> None:
        self.is_framed |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()

    def on_body(self, part: bytes) -> None:
        self.size += len(part)
        self.parts.append(part)

    def on_message_complete(self) -> None:
        # 1xx announces the answer and is none
        self.is_whole = self.status >= 200


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    ear = _Ear()
    while not ear.is_whole:
        chunk = await reader.read(CHUNK_BYTES)
        if not chunk:
            if ear.status >= 200 and not ear.is_framed:
                # without a length the end of the connection is the end (RFC 9112 section 6.3)
                break
            raise Unanswered("the connection ended before the answer did")
        try:
            ear.parser.feed_data(chunk)
        except httptools.HttpParserUpgrade:
            # no answer of ours: what follows is another protocol
            return ear.status, b""
        if ear.size > ANSWER_BYTES_MAX:
            raise TooLong
    return ear.status, b"".join(ear.parts)
