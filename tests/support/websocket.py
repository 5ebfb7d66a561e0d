"""The least of RFC 6455 that an echo needs, on raw bytes: handshake, short frames (section 5.2)."""

import asyncio
import base64
import hashlib

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = base64.b64encode(b"0123456789abcdef")
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)
MASK = b"\x11\x22\x33\x44"


def accept_for(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def switching(key: bytes) -> bytes:
    """The app's answer to a handshake."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_for(key) + b"\r\n\r\n"
    )


def _masked(payload: bytes) -> bytes:
    return bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def client_frame(text: bytes) -> bytes:
    """One whole text message of less than 126 bytes."""
    return bytes((0x81, 0x80 | len(text))) + MASK + _masked(text)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The payload of one short frame, masked or not."""
    _, size = await reader.readexactly(2)
    if size & 0x80:
        await reader.readexactly(4)
        return _masked(await reader.readexactly(size & 0x7F))
    return await reader.readexactly(size)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The app's side after its 101: every message back, unmasked, until the client leaves."""
    while True:
        text = await read_frame(reader)
        writer.write(bytes((0x81, len(text))) + text)
        await writer.drain()
