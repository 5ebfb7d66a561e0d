"""How a child process begins: wait for the supervisor's first message, then serve on uvloop."""

import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from proxy.app.channel import Message, receive_first
from proxy.log import setup

Serve = Callable[[Message, list[socket.socket], socket.socket], Coroutine[Any, Any, None]]
"""Start message, listening sockets and the line to the supervisor → serve until told to stop."""


def run_child(serve: Serve) -> None:
    """``python -m MODULE FD``; returns at once when the supervisor left without a word."""
    # Ctrl-C in a terminal reaches the whole group; only the supervisor decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = socket.socket(fileno=int(sys.argv[1]))
    received = receive_first(line)
    if received is None:
        return
    start, fds = received
    setup(start["config"]["log"]["level"], start["name"])
    uvloop.run(serve(start, [socket.socket(fileno=fd) for fd in fds], line))
