"""What a supervisor tells its children, without starting any."""

import socket
from pathlib import Path
from typing import Any

import pytest

from proxy.app.channel import Channel
from proxy.app.children import INSTALLER_DSN, WORKER, Child
from proxy.app.supervisor import Supervisor
from proxy.config import Config, Loaded, load
from proxy.errors import ConfigError


def supervisor(tmp_path: Path, reload: Any = None, **sections: Any) -> Supervisor:
    config = Config.of({"database": {"url": "postgresql://root:hush@h/db"}, **sections})
    return Supervisor(Loaded(config, {}), tmp_path, reload=reload)


def test_no_child_but_migrate_is_told_the_installers_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "hush" not in str(supervisor(tmp_path)._start_message(Child("control", "x")))
    monkeypatch.setenv(INSTALLER_DSN, "postgresql://root:hush@h/db")
    script = tmp_path / "says_environment.py"
    out = tmp_path / "environment"
    script.write_text(
        f"import os, sys; open({str(out)!r}, 'w').write(str(dict(os.environ))); sys.exit()"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    child = Child("worker-0", "says_environment")
    child.launch()
    assert child.process is not None
    assert child.sock is not None
    with child.sock:
        assert child.process.wait(20) == 0
    assert "hush" not in out.read_text()
    assert "PYTHONPATH" in out.read_text()


async def test_what_was_said_while_a_child_had_no_channel_yet_is_said_again(
    tmp_path: Path,
) -> None:
    ours, theirs = socket.socketpair()
    heard: list[dict[str, Any]] = []
    boss = supervisor(tmp_path)
    boss_child = Child("worker-0", WORKER)
    told = boss._start_message(boss_child)
    boss._database = {"proxy_dsn": "postgresql://p@h/db"}
    boss.config = load(environ={}, sets=["metrics.flush_s=7"]).config
    boss._stopping.set()
    channel, child = await Channel.open(ours), await Channel.open(theirs)
    boss_child.channel = channel
    boss._tell_what_changed(boss_child, told)
    channel.close()
    await child.listen(heard.append)
    child.close()
    assert [message["type"] for message in heard] == ["database", "reload", "drain"]
    assert heard[1]["config"]["metrics"]["flush_s"] == 7


async def test_a_reload_is_whole_or_not_at_all(tmp_path: Path) -> None:
    answers: list[Any] = [
        ConfigError("broken"),
        load(environ={}, sets=["metrics.flush_s=7", "listen.workers=9"]),
    ]

    def read() -> Loaded:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Loaded)
        return answer

    boss = supervisor(tmp_path, read)
    before = boss.config
    boss._on_reload_signal()
    assert boss.config is before
    boss._on_reload_signal()
    assert (boss.config.metrics.flush_s, boss.config.listen.workers) == (7, 1)
    assert boss.config.database.url == before.database.url, "the database is not changed in flight"
