"""Clients that asked once and stay: `python idle_clients.py PORT COUNT` holds that many keep-alive
connections, says how many were answered, and lets them go when its stdin ends.
"""

import contextlib
import socket
import sys
from collections.abc import Iterator

from tests.support.campaign import allow_descriptors

GET = b"GET /idle HTTP/1.1\r\nHost: a\r\n\r\n"
OWN_DESCRIPTORS = 64
TIMEOUT_S = 60.0


def answered(sock: socket.socket) -> bool:
    """One request on a connection that stays open."""
    sock.sendall(GET)
    got = b""
    while not got.endswith(b"\r\n\r\nok"):
        data = sock.recv(4096)
        if not data:
            return False
        got += data
    return got.startswith(b"HTTP/1.1 200 ")


@contextlib.contextmanager
def held(port: int, count: int) -> Iterator[list[socket.socket]]:
    allow_descriptors(count + OWN_DESCRIPTORS)
    socks: list[socket.socket] = []
    try:
        for _ in range(count):
            socks.append(socket.create_connection(("127.0.0.1", port), TIMEOUT_S))
            if not answered(socks[-1]):
                break
        yield socks
    finally:
        for sock in socks:
            sock.close()


if __name__ == "__main__":
    with held(int(sys.argv[1]), int(sys.argv[2])) as socks:
        print(len(socks), flush=True)
        sys.stdin.read()
        print(sum(answered(sock) for sock in socks), flush=True)
