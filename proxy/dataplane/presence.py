"""Is the program at the other end of a TCP connection still there? Only the kernel knows, and only
for programs on this host.

A client that ended its sending may still read (RFC 9112 section 9.6); one that closed has left. On
the wire both are one FIN. Here the socket at the other end is looked up (sock_diag(7)): one that no
program holds any more has no inode. Knows nothing of HTTP.
"""

import contextlib
import socket
import struct
import sys
from ipaddress import ip_address
from typing import Any

_SOCK_DIAG = 4
_BY_FAMILY = 20
_ASKS = 1
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBxI2s2s16s16sI8s")
_ANY_STATE = 0xFFFFFFFF
_NO_COOKIE = b"\xff" * 8
_INODE_AT = _HEADER.size + 68
_ANSWER_BYTES_MAX = 4096

_line: socket.socket | None = None
"""To the kernel; opened with the first question of a process."""


def is_here(sock: Any) -> bool | None:
    """True while a program holds the other end of ``sock``, False when none does any more; None
    when it cannot be known: another host, another network namespace, no TCP, no Linux.
    """
    if sys.platform != "linux" or sock is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        question = _question(sock)
        if question is not None:
            return _answer(question)
    return None


def _question(sock: Any) -> bytes | None:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    (theirs, their_port), (ours, our_port) = sock.getpeername()[:2], sock.getsockname()[:2]
    here, there = _address(ours), _address(theirs)
    return _HEADER.pack(_HEADER.size + _QUESTION.size, _BY_FAMILY, _ASKS, 0, 0) + _QUESTION.pack(
        socket.AF_INET if len(there) == 4 else socket.AF_INET6,
        socket.IPPROTO_TCP,
        0,
        _ANY_STATE,
        their_port.to_bytes(2),
        our_port.to_bytes(2),
        there,
        here,
        0,
        _NO_COOKIE,
    )


def _address(text: str) -> bytes:
    """As the socket of a client has it: IPv4 also where our listener takes both."""
    address = ip_address(text.partition("%")[0])
    return (getattr(address, "ipv4_mapped", None) or address).packed


def _answer(question: bytes) -> bool | None:
    global _line
    if _line is None:
        _line = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
        _line.setblocking(False)
    try:
        # the kernel answers within the call that asks
        _line.send(question)
        data = _line.recv(_ANSWER_BYTES_MAX)
    except OSError:
        _line.close()
        _line = None
        raise
    if len(data) < _INODE_AT + 4 or _HEADER.unpack_from(data)[1] != _BY_FAMILY:
        return None
    return bool(struct.unpack_from("=I", data, _INODE_AT)[0])
