import socket
import stat
from pathlib import Path

import pytest

from proxy.app.ports import bind_all, shown_url, unlink_unix
from proxy.errors import ConfigError, UsageError


def close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def test_workers_share_one_port() -> None:
    sockets = bind_all("127.0.0.1:0", 3, takeover=False, flag="--listen")
    assert len({sock.getsockname() for sock in sockets}) == 1
    assert shown_url(sockets[0]) == f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    close(sockets)


def test_a_busy_port_is_named_with_its_fix_and_shared_only_on_request() -> None:
    first = bind_all("127.0.0.1:0", 1, takeover=False, flag="--listen")
    address = f"127.0.0.1:{first[0].getsockname()[1]}"
    with pytest.raises(ConfigError, match=r"--listen .* busy.*--takeover"):
        bind_all(address, 1, takeover=False, flag="--listen")
    second = bind_all(address, 1, takeover=True, flag="--listen")
    close(first + second)


def test_an_address_of_nobody_here() -> None:
    with pytest.raises(ConfigError, match="cannot listen there"):
        bind_all("192.0.2.1:0", 1, takeover=False, flag="--listen")


def test_what_is_inherited_comes_first_and_the_rest_is_bound() -> None:
    old = bind_all("127.0.0.1:0", 2, takeover=False, flag="--listen")
    address = f"127.0.0.1:{old[0].getsockname()[1]}"
    other = bind_all("127.0.0.1:0", 1, takeover=False, flag="--control")
    new = bind_all(address, 3, takeover=True, flag="--listen", inherited=[*other, *old])
    assert new[:2] == old
    assert {sock.getsockname() for sock in new} == {old[0].getsockname()}
    assert len(new) == 3
    assert bind_all(address, 1, takeover=True, flag="--listen", inherited=old) == old
    close(new + other)


def test_a_unix_socket_has_its_permissions_and_goes_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "s"
    for mode in (0o600, 0o666):
        (sock,) = bind_all(f"unix:{path}", 4, takeover=False, flag="--listen", mode=mode)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert bind_all(f"unix:{path}", 1, takeover=True, flag="--listen", inherited=[sock]) == [
            sock
        ]
        unlink_unix(sock)
        sock.close()
        assert not path.exists()


def test_a_link_that_leads_nowhere_is_not_taken_for_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.symlink_to(tmp_path / "nothing")
    with pytest.raises(UsageError, match="choose another path"):
        bind_all(f"unix:{path}", 1, takeover=False, flag="--listen")


def test_unix_sockets(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = bind_all(f"unix:{path}", 1, takeover=False, flag="--listen")
    assert shown_url(first[0]) == f"unix:{path}"
    with pytest.raises(ConfigError, match="busy"):
        bind_all(f"unix:{path}", 1, takeover=False, flag="--listen")
    close(first)
    close(bind_all(f"unix:{path}", 1, takeover=False, flag="--listen"))
    path.unlink()
    path.write_text("precious")
    with pytest.raises(UsageError, match="a file, not a socket"):
        bind_all(f"unix:{path}", 1, takeover=False, flag="--listen")
    assert path.read_text() == "precious"
