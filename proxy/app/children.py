"""The processes the supervisor keeps alive.

Imports next to nothing: the first data worker is launched before the supervisor has even read its
settings, so that both interpreters import side by side.
"""

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.app.channel import Channel, Message

WORKER = "proxy.app.worker"
CONTROL = "proxy.app.control"
INSTALLER_DSN = "SELFHEAL_DATABASE__URL"
"""Holds the installer's password: only the child that migrates finds it in its environment."""


class Child:
    """One process, and the sockets it is given anew at every start."""

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self.module = module
        self.sockets: list[socket.socket] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.sock: socket.socket | None = None
        self.channel: Channel | None = None

    @property
    def is_worker(self) -> bool:
        return self.module == WORKER

    def launch(self) -> None:
        """Start the interpreter; it imports, and then waits for ``begin``."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "proxy.app.child", self.module, str(theirs.fileno())],
                env={name: v for name, v in os.environ.items() if name != INSTALLER_DSN},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.sock = ours

    def begin(self, message: "Message") -> None:
        """Hand over the start message and the listening sockets."""
        from proxy.app.channel import send_first

        assert self.sock is not None
        send_first(self.sock, message, [s.fileno() for s in self.sockets])

    def gone(self) -> None:
        """It ended; the next ``launch`` starts afresh."""
        self.process = self.channel = self.sock = None


def first_worker() -> Child:
    """The first data worker, launched before anything else."""
    child = Child("worker-0", WORKER)
    child.launch()
    return child


def abandon(child: Child) -> None:
    """Nothing half-started stays behind: a child that never began ends when its channel closes."""
    if child.sock is not None:
        child.sock.close()
    if child.process is not None:
        child.process.wait()
