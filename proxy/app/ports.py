"""Binding what `up` listens on, with a sentence that names the fix when a port cannot be had."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Sequence

from proxy.config import parse_address
from proxy.errors import ConfigError, UsageError

BACKLOG = 4096


def bind_all(
    address: str,
    count: int,
    *,
    takeover: bool,
    flag: str,
    inherited: Sequence[socket.socket] = (),
    mode: int = 0o600,
) -> list[socket.socket]:
    """At least ``count`` listening sockets on one address (one for each data worker; a unix socket
    is one for all), not inheritable yet.

    Those of ``inherited`` that listen there come first. Every TCP socket carries SO_REUSEPORT so
    that workers, and with ``takeover`` a second sidecar, may share the port; without ``takeover`` a
    plain bind is tried first, because SO_REUSEPORT alone would share silently. ``mode`` are the
    permissions of a unix socket.
    """
    where = parse_address(address)
    if isinstance(where, str):
        ours = [sock for sock in inherited if sock.getsockname() == where]
        return ours or [_bind_unix(where, takeover=takeover, flag=flag, mode=mode)]
    host, port = where
    try:
        family, _, _, _, sockaddr = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(
            f"{flag} {address}: {host} is no address of this machine: {error}"
        ) from None
    sockets = [sock for sock in inherited if sock.getsockname()[:2] == sockaddr[:2]]
    bound: list[socket.socket] = []
    try:
        if not takeover and port:
            _bind_tcp(family, sockaddr, shared=False).close()
        while len(sockets) + len(bound) < count:
            sock = _bind_tcp(family, sockaddr, shared=True)
            bound.append(sock)
            sockaddr = sock.getsockname()
            sock.listen(BACKLOG)
    except OSError as error:
        for sock in bound:
            sock.close()
        raise _explain(error, address, flag) from None
    return sockets + bound


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


def _bind_unix(path: str, *, takeover: bool, flag: str, mode: int) -> socket.socket:
    """What a killed sidecar left at the path goes; its permissions are right before it listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.lexists(path):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise UsageError(
                    f"{flag} unix:{path}: that is a file, not a socket; choose another path"
                )
            if not takeover and _answers(path):
                raise OSError(errno.EADDRINUSE, "in use")
            os.unlink(path)
        sock.bind(path)
        os.chmod(path, mode)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _explain(error, f"unix:{path}", flag) from None
    except UsageError:
        sock.close()
        raise
    return sock


def unlink_unix(sock: socket.socket) -> None:
    """The path of a unix socket goes with it; nothing to do for any other."""
    name = sock.getsockname()
    if isinstance(name, str) and name:
        with contextlib.suppress(OSError):
            os.unlink(name)


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
