"""Questions to the socket below a transport that asyncio has no words for. Knows nothing of
HTTP.
"""

import contextlib
import os
import socket
import struct
import sys
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any


def reset_on_close(transport: Any) -> None:
    """Make the coming abort a reset: a peer that was promised no length must still see the cut."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def unread_bytes(transport: Any) -> int:
    """What the peer has not taken yet: our buffer, and the kernel's where it tells (Linux).

    The kernel's alone may hold a slow reader's next minutes.
    """
    left: int = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            left += int.from_bytes(ioctl(sock.fileno(), TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)
    return left


def take_unread(transport: Any, bytes_max: int) -> bytes:
    """What came in and was not read when a connection broke; empty when there is nothing, or TLS.

    The kernel keeps it after a reset, but no event loop asks for it once a write has failed.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("sslcontext") is not None:
        return b""
    data = b""
    with contextlib.suppress(OSError):
        while len(data) < bytes_max and (more := os.read(sock.fileno(), bytes_max - len(data))):
            data += more
    return data
