"""What the jail shows, and what it does not."""

import os
from pathlib import Path

import pytest

from proxy.healing import jail
from proxy.healing.jail import Bind, JailSpec, Limits, run_jailed, service_user


async def sh(tmp_path: Path, command: str, **spec: object) -> tuple[int | None, str]:
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    user = service_user()
    if user is not None:
        os.chown(tree, user.uid, user.gid)
    made = JailSpec(tree, user=user, **spec)  # type: ignore[arg-type]  # a test's shorthand
    ran = await run_jailed(made, ["/bin/sh", "-c", command])
    return ran.exit_code, ran.output.decode("utf-8", "replace")


async def test_a_jail_can_be_made_here_and_runs_as_nobody_special(tmp_path: Path) -> None:
    assert jail.bwrap_available(service_user()) is None
    code, out = await sh(
        tmp_path, "id -u; stat -c %a /tmp; touch /tmp/a x && pwd; grep CapEff /proc/self/status"
    )
    assert code == 0, out
    uid, mode, where, capabilities = out.splitlines()
    assert int(uid) != 0
    assert (mode, where, capabilities.split()[1]) == ("1777", "/src", "0" * 16)


async def test_the_environment_is_written_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUNDER_TOKEN", "secret")
    _, out = await sh(tmp_path, "env", env={"SHOP_URL": "x"})
    names = {line.partition("=")[0] for line in out.splitlines()}
    assert "SHOP_URL" in names
    assert "FOUNDER_TOKEN" not in names


async def test_shared_folders_are_read_only_and_links_are_not_followed(tmp_path: Path) -> None:
    app = tmp_path / "app"
    (app / ".venv").mkdir(parents=True)
    (app / ".venv" / "tool").write_text("hello")
    (app / "node_modules").symlink_to("/etc")
    binds = jail.shared_folders(app, [".venv", "node_modules", "missing", "..", ""])
    assert {b.target for b in binds} == {"/src/.venv", str(app / ".venv")}
    jail.make_mount_points(tmp_path / "tree", binds, service_user())
    _, out = await sh(tmp_path, "cat .venv/tool; echo x > .venv/tool", binds=binds)
    assert out.startswith("hello")
    assert "Read-only" in out
    assert (app / ".venv" / "tool").read_text() == "hello"


async def test_memory_is_bounded(tmp_path: Path) -> None:
    binds, path = jail.tool_prefixes(["python"])
    code, out = await sh(
        tmp_path,
        "python -c 'x = bytearray(1 << 30)'",
        binds=binds,
        path=path,
        limits=Limits(memory_bytes=256 << 20),
    )
    assert code != 0
    assert "MemoryError" in out


async def test_output_without_end_is_kept_by_its_tail(tmp_path: Path) -> None:
    _, out = await sh(tmp_path, "yes a | head -c 3000000; echo the end")
    assert len(out) == jail.OUTPUT_BYTES_MAX
    assert out.endswith("the end\n")


def test_no_home_is_ever_shown_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "mytool").write_text("#!/bin/sh\n")
    (tools / "mytool").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    binds, path = jail.tool_prefixes(["mytool --now", "'unfinished"])
    assert Bind(str(tools)) in binds
    assert Bind(str(tmp_path)) not in binds
    assert path[0] == str(tools)


def test_the_tree_is_seen_at_the_apps_own_place_but_never_over_the_system(tmp_path: Path) -> None:
    assert jail.root_for(tmp_path) == str(tmp_path.resolve())
    assert jail.root_for(Path("/usr/share")) == "/src"
    assert jail.root_for(Path("/etc/app")) == "/src"


def test_without_bubblewrap_the_sentence_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jail, "_availability", {})
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "apt-get install bubblewrap" in str(jail.bwrap_available())
