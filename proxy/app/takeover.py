"""An upgrade in place: the running sidecar gives its listening sockets to the one that takes over.

The sockets themselves change hands, not only their address: what waits in their queues is lost by
nobody when the old sidecar ends. Only who may read the data directory finds the way here.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path

_log = logging.getLogger("selfheal.takeover")

SOCKET_NAME = "takeover.sock"
SOCKETS_MAX = 128
"""One for each of at most 64 data workers and the control port, with room."""
WAIT_S = 2.0
"""A sidecar that does not answer by then is asked no more; its ports are shared by address."""


class Offer:
    """The running sidecar's side: whoever connects gets every socket."""

    def __init__(self, run_dir: Path, address_file: Path, sockets: Sequence[socket.socket]) -> None:
        """``run_dir`` has a short path, which a socket's name must have; ``address_file`` tells
        where it is.
        """
        self._path = run_dir / SOCKET_NAME
        self._address_file = address_file
        self._sockets = list(sockets)[:SOCKETS_MAX]
        self._door: socket.socket | None = None
        self.is_taken = False

    def open(self) -> None:
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.bind(str(self._path))
        door.listen(1)
        door.setblocking(False)
        self._door = door
        self._address_file.write_text(f"{self._path}\n", "utf-8")
        asyncio.get_running_loop().add_reader(door.fileno(), self._give)

    def _give(self) -> None:
        assert self._door is not None
        with contextlib.suppress(OSError):
            peer, _ = self._door.accept()
            with peer:
                peer.setblocking(False)
                socket.send_fds(peer, [b"."], [sock.fileno() for sock in self._sockets])
                self.is_taken = True
                _log.info("another sidecar shares the ports from now on")

    def close(self) -> None:
        """Before the sockets are closed: a closed one cannot be given."""
        if self._door is not None:
            asyncio.get_running_loop().remove_reader(self._door.fileno())
            self._door.close()
            self._door = None
            self._path.unlink(missing_ok=True)


def receive(address_file: Path) -> list[socket.socket]:
    """The sockets of the sidecar that runs now; none when there is no such, or an older one."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(WAIT_S)
        line.connect(address_file.read_text("utf-8").strip())
        _, fds, _, _ = socket.recv_fds(line, 1, SOCKETS_MAX)
        for fd in fds:
            os.set_inheritable(fd, False)
        return [socket.socket(fileno=fd) for fd in fds]
    return []
