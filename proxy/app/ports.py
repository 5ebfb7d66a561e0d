"""Binding what `up` listens on, with a sentence that names the fix when a port cannot be had."""

import errno
import os
import socket
import stat

from proxy.config import parse_address
from proxy.errors import ConfigError, UsageError

BACKLOG = 4096


def bind_all(address: str, count: int, *, takeover: bool, flag: str) -> list[socket.socket]:
    """``count`` listening sockets on one address (one for each data worker), not inheritable yet.

    Every TCP socket carries SO_REUSEPORT so that workers, and with ``takeover`` a second sidecar,
    may share the port; without ``takeover`` a plain bind is tried first, because SO_REUSEPORT alone
    would share silently.
    """
    where = parse_address(address)
    if isinstance(where, str):
        return [_bind_unix(where, takeover=takeover, flag=flag)]
    host, port = where
    try:
        family, _, _, _, sockaddr = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(
            f"{flag} {address}: {host} is no address of this machine: {error}"
        ) from None
    sockets: list[socket.socket] = []
    try:
        if not takeover and port:
            _bind_tcp(family, sockaddr, shared=False).close()
        for _ in range(count):
            sock = _bind_tcp(family, sockaddr, shared=True)
            sockets.append(sock)
            sockaddr = sock.getsockname()
            sock.listen(BACKLOG)
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise _explain(error, address, flag) from None
    return sockets


def shown_url(sock: socket.socket, scheme: str = "http") -> str:
    """The address a person can paste: ``http://127.0.0.1:8080``."""
    name = sock.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name[0], name[0])
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{name[1]}"


def _bind_tcp(family: int, sockaddr: object, *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(sockaddr)  # type: ignore[arg-type]  # whatever getaddrinfo returned for this family
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(path: str, *, takeover: bool, flag: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.exists(path):
            if not stat.S_ISSOCK(os.stat(path).st_mode):
                raise UsageError(
                    f"{flag} unix:{path}: that is a file, not a socket; choose another path"
                )
            if not takeover and _answers(path):
                raise OSError(errno.EADDRINUSE, "in use")
            os.unlink(path)
        sock.bind(path)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _explain(error, f"unix:{path}", flag) from None
    except UsageError:
        sock.close()
        raise
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _explain(error: OSError, address: str, flag: str) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"{flag} {address}: the port is busy; stop what listens there, choose another with"
            f" {flag}, or use --takeover to share it with a running sidecar"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(
            f"{flag} {address}: not permitted; ports below 1024 need privileges, use a higher one"
        )
    return ConfigError(f"{flag} {address}: cannot listen there: {error.strerror or error}")
