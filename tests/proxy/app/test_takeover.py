"""Listening sockets change hands, and with them whoever waits in their queues."""

import asyncio
import socket
import stat
from pathlib import Path

import pytest

from proxy.app.home import Home
from proxy.app.takeover import Offer, receive
from proxy.errors import ConfigError
from proxy.locations import DataDir


def listening() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


async def test_a_connection_that_waits_survives_the_one_it_waited_for(tmp_path: Path) -> None:
    first, second = listening(), listening()
    address_file = tmp_path / "takeover.path"
    offer = Offer(tmp_path, address_file, [first, second])
    offer.open()
    with socket.create_connection(first.getsockname()) as waiting:
        given = await asyncio.to_thread(receive, address_file)
        assert offer.is_taken
        assert [s.getsockname() for s in given] == [first.getsockname(), second.getsockname()]
        assert not any(sock.get_inheritable() for sock in given)
        offer.close()
        first.close()
        second.close()
        peer, _ = given[0].accept()
        with peer:
            peer.sendall(b"hello")
            assert waiting.recv(5) == b"hello"
    for sock in given:
        sock.close()
    assert receive(address_file) == [], "an offer that was withdrawn is nothing"


def test_nobody_to_take_over_from_is_no_error(tmp_path: Path) -> None:
    assert receive(tmp_path / "takeover.path") == []
    (tmp_path / "takeover.path").write_text("/nowhere/takeover.sock\n")
    assert receive(tmp_path / "takeover.path") == []


async def test_a_home_has_one_inhabitant_and_the_lock_stays_with_the_last(tmp_path: Path) -> None:
    files = DataDir(tmp_path / "data")
    old, new = Home(files, takeover=False), Home(files, takeover=True)
    old.enter()
    assert stat.S_IMODE(files.path.stat().st_mode) == 0o700
    with pytest.raises(ConfigError, match=r"already runs there; .*--takeover"):
        Home(files, takeover=False).enter()
    old.tell("http://a", "http://b")
    new.enter()
    new.tell("http://c", "http://d")
    locking = asyncio.ensure_future(new.keep_lock())
    files.pid_file.write_text("1\n")  # as if another process had written it
    old.leave()
    assert files.data_url.read_text() == "http://c\n", "they name the one that took over"
    await asyncio.wait_for(locking, 20)
    with pytest.raises(ConfigError, match="already runs there"):
        Home(files, takeover=False).enter()
    new.tell("http://c", "http://d")
    run_dir = new.run_dir
    new.leave()
    assert not files.data_url.exists()
    assert not run_dir.exists()


def test_a_take_over_that_fails_leaves_the_words_of_the_one_that_goes_on(tmp_path: Path) -> None:
    files = DataDir(tmp_path)
    old, new = Home(files, takeover=False), Home(files, takeover=True)
    old.enter()
    old.tell("http://a", "http://b")
    files.takeover.write_text("/old/takeover.sock\n")
    files.pid_file.write_text("1\n")  # as if another process had written it
    new.enter()
    new.tell("http://c", "http://d")
    files.takeover.write_text("/new/takeover.sock\n")
    new.leave()
    assert files.control_url.read_text() == "http://b\n"
    assert files.takeover.read_text() == "/old/takeover.sock\n"
    assert files.pid_file.read_text() == "1\n"
    old.leave()
