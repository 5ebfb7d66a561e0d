"""Bodies unpacked in bounded steps: never more than the limit is held, however small the sender's
bomb.

Knows nothing of what the bytes mean. Codings: gzip, deflate (zlib or raw), br, and zstd where the
``zstandard`` package happens to be installed.
"""

import importlib
import zlib
from collections.abc import Callable
from typing import Any

import brotli

from proxy.ingest.faults import Malformed, TooLarge, UnknownEncoding
from proxy.ingest.limits import EXPAND_STEP_BYTES

_ZLIB_OR_GZIP = 47
_RAW_DEFLATE = -15


def expand(data: bytes, coding: str, limit: int) -> bytes:
    """The body behind ``Content-Encoding:

    coding``. Raises ``BodyFault``; two stacked codings are refused.
    """
    unpack = _CODINGS.get(coding.strip().lower())
    if unpack is None:
        raise UnknownEncoding(f"content coding {coding[:40]!r} is not read here; use gzip or br")
    return unpack(data, limit)


def _identity(data: bytes, limit: int) -> bytes:
    _within(data, limit)
    return data


def _inflate(data: bytes, limit: int, wbits: int = _ZLIB_OR_GZIP) -> bytes:
    unpacker, out, pending = zlib.decompressobj(wbits), bytearray(), data
    try:
        while not unpacker.eof:
            piece = unpacker.decompress(pending, EXPAND_STEP_BYTES)
            pending = unpacker.unconsumed_tail
            out += piece
            _within(out, limit)
            if not piece and not pending:
                raise Malformed("the compressed body ends too early")
    except zlib.error:
        raise Malformed("the body is not the compressed data it claims to be") from None
    return bytes(out)


def _deflate(data: bytes, limit: int) -> bytes:
    """RFC 9110 8.4.1.2 means the zlib format; some senders leave its header away."""
    try:
        return _inflate(data, limit)
    except Malformed:
        return _inflate(data, limit, _RAW_DEFLATE)


def _brotli(data: bytes, limit: int) -> bytes:
    unpacker, out = brotli.Decompressor(), bytearray()
    piece, pending = b"", data
    try:
        while not unpacker.is_finished():
            piece = unpacker.process(pending, output_buffer_limit=EXPAND_STEP_BYTES)
            pending = b""
            out += piece
            _within(out, limit)
            if not piece and not unpacker.is_finished():
                raise Malformed("the compressed body ends too early")
    except brotli.error:
        raise Malformed("the body is not the compressed data it claims to be") from None
    return bytes(out)


def _zstd(data: bytes, limit: int) -> bytes:
    try:
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError:
        raise UnknownEncoding("zstd is not read here; use gzip or br") from None
    out = bytearray()
    try:
        with zstandard.ZstdDecompressor(max_window_size=limit).stream_reader(data) as reader:
            while piece := reader.read(EXPAND_STEP_BYTES):
                out += piece
                _within(out, limit)
    except zstandard.ZstdError:
        raise Malformed("the body is not the compressed data it claims to be") from None
    return bytes(out)


def _within(data: bytes | bytearray, limit: int) -> bytes | bytearray:
    if len(data) > limit:
        raise TooLarge(f"the body is larger than {limit} bytes")
    return data


_CODINGS: dict[str, Callable[[bytes, int], bytes]] = {
    "": _identity,
    "identity": _identity,
    "gzip": _inflate,
    "x-gzip": _inflate,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
