"""How a child process begins: wait for the supervisor's first message, then serve on uvloop.

``python -m proxy.app.child MODULE FD``; the module's ``serve`` takes the start message, the
listening sockets and the line to the supervisor. Nothing of weight is imported before it is known
to load, so that a child that cannot run says so in one sentence.
"""

import contextlib
import importlib
import json
import signal
import socket
import sys

from proxy.app.fitness import unfit

UNFIT = 78
"""As a bad setting: nothing on this machine will change by trying again."""


def main() -> int:
    """Returns at once when the supervisor left without a word."""
    module, number = sys.argv[1:]
    # Ctrl-C in a terminal reaches the whole group; only the supervisor decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = socket.socket(fileno=int(number))
    reason = unfit()
    if reason is not None:
        return _refuse(line, reason)
    try:
        serve = importlib.import_module(module).serve
    except ImportError as error:
        return _refuse(line, f"{module} cannot be loaded: {error}; install selfheal-sidecar anew")

    import uvloop

    from proxy.app.channel import receive_first
    from proxy.log import setup

    received = receive_first(line)
    if received is None:
        return 0
    start, fds = received
    setup(start["config"]["log"]["level"], start["name"])
    uvloop.run(serve(start, [socket.socket(fileno=fd) for fd in fds], line))
    return 0


def _refuse(line: socket.socket, reason: str) -> int:
    message = {"type": "fatal", "reason": reason, "exit_code": UNFIT}
    # the supervisor may have found out by itself, and left
    with contextlib.suppress(OSError):
        line.sendall(json.dumps(message).encode() + b"\n")
    return UNFIT


if __name__ == "__main__":
    sys.exit(main())
