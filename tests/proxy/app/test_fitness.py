"""A machine that cannot carry the data plane gets a sentence, not a slower stand-in."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.app import fitness
from proxy.app.channel import Channel
from proxy.app.children import WORKER, Child
from proxy.app.fitness import unfit
from proxy.app.supervisor import Supervisor
from proxy.config import Config, Loaded

UP = ("-m", "proxy", "up", "--upstream", "http://127.0.0.1:1")


def blocked(tmp_path: Path, name: str) -> dict[str, str]:
    """An environment in which ``name`` is there and cannot be loaded."""
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('wrong ELF class: ELFCLASS32')\n")
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def without_the_parser(tmp_path: Path) -> dict[str, str]:
    """An aiohttp that was built without its C parts."""
    package = tmp_path / "aiohttp"
    package.mkdir()
    (package / "__init__.py").write_text("")
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_this_machine_is_fit() -> None:
    assert unfit() is None


@pytest.mark.parametrize("name", ["uvloop", "httptools"])
def test_up_refuses_with_what_to_install(tmp_path: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, *UP, "--data-dir", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=blocked(tmp_path, name),
    )
    lines = [line for line in done.stderr.splitlines() if "nothing listens at" not in line]
    assert (done.returncode, len(lines)) == (78, 1), done.stderr
    assert lines[0].startswith("selfheal up: ")
    assert f"pip install --force-reinstall {name}" in lines[0]
    assert not (tmp_path / "data").exists()


def test_aiohttp_needs_its_parser_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from proxy.app.fitness import unfit; print(unfit())"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=without_the_parser(tmp_path),
    )
    assert "pip install --force-reinstall aiohttp" in done.stdout
    monkeypatch.setenv("AIOHTTP_NO_EXTENSIONS", "1")
    assert "AIOHTTP_NO_EXTENSIONS is set" in (unfit() or "")


def test_what_is_imported_after_the_first_byte_is_missed_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(fitness._LATER, "no_such_package", "the part that is not there")
    told = unfit() or ""
    assert "no_such_package, the part that is not there, cannot be used here" in told
    assert "pip install --force-reinstall no_such_package" in told


async def test_a_worker_that_cannot_be_loaded_ends_the_start_but_not_the_traffic(
    tmp_path: Path,
) -> None:
    boss = Supervisor(Loaded(Config(), {}), tmp_path, reload=None)
    child = Child("worker-0", WORKER)
    ours, theirs = socket.socketpair()
    line = await Channel.open(ours)
    teller = await Channel.open(theirs)
    teller.send({"type": "fatal", "reason": "no parser", "exit_code": 78})
    teller.close()
    boss._forwarding.set()
    await line.listen(lambda message: boss._heard(child, message))
    line.close()
    assert not boss._stopping.is_set()
    boss._forwarding.clear()
    boss._heard(child, {"type": "fatal", "reason": "no parser", "exit_code": 78})
    assert (boss._stopping.is_set(), boss._exit_code) == (True, 78)


def test_a_child_says_what_it_lacks_and_is_quiet_otherwise(tmp_path: Path) -> None:
    child = Child("worker-0", "no.such.module")
    child.launch()
    assert child.sock is not None
    assert child.process is not None
    with child.sock:
        child.sock.settimeout(60)
        told = child.sock.recv(4096)
        assert child.process.wait(60) == 78
    assert b'"fatal"' in told
    assert b"no.such.module cannot be loaded" in told
