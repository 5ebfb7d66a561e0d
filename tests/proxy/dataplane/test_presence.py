"""Who is still there is told by the kernel, or not known."""

import contextlib
import socket
import sys
from collections.abc import Iterator

import pytest

from proxy.dataplane import presence
from proxy.dataplane.presence import is_here

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag is Linux's")


@contextlib.contextmanager
def connection(listen: str, connect: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's end and the accepted one."""
    with socket.socket(socket.AF_INET6 if ":" in listen else socket.AF_INET) as listener:
        if listen == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listener.bind((listen, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        listener.listen()
        with socket.create_connection((connect, listener.getsockname()[1])) as client:
            accepted, _ = listener.accept()
            with accepted:
                yield client, accepted


@pytest.mark.parametrize(
    ("listen", "connect"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")],
)
def test_a_half_closed_client_is_here_and_a_closed_one_is_not(listen: str, connect: str) -> None:
    with connection(listen, connect) as (client, accepted):
        assert is_here(accepted) is True
        client.shutdown(socket.SHUT_WR)
        assert is_here(accepted) is True
        client.close()
        assert is_here(accepted) is False


def test_a_client_that_closes_at_once_is_not_here() -> None:
    with connection("127.0.0.1", "127.0.0.1") as (client, accepted):
        client.close()
        assert is_here(accepted) is False


def test_what_cannot_be_known_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    with one, other:
        assert is_here(one) is None
    assert is_here(None) is None
    with connection("127.0.0.1", "127.0.0.1") as (client, accepted):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        # reset: the kernel knows no such connection any more
        assert is_here(accepted) is None

    def refused(*_: object) -> socket.socket:
        raise PermissionError

    with connection("127.0.0.1", "127.0.0.1") as (_client, accepted):
        if presence._line is not None:
            presence._line.close()
        monkeypatch.setattr(presence, "_line", None)
        monkeypatch.setattr(presence.socket, "socket", refused)
        assert is_here(accepted) is None
