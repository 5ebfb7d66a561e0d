"""The harness itself: it counts what was answered, notices what failed, and refuses what would be a
wrong figure.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.bench import row_memory
from tests.bench.__main__ import ROWS
from tests.bench.cores import plan
from tests.bench.flush_probe import Watch
from tests.bench.load import Ask, PingPong, generate, parse_wrk
from tests.bench.peers import PEERS
from tests.bench.processes import CannotMeasure, Running, cpu_s, descendants, start
from tests.bench.pythons import Build, compiled, newest_wheel, plain
from tests.bench.report import Finding, Report, machine
from tests.bench.session import Options, Run, Session, pairs
from tests.bench.sidecar import Sidecar
from tests.bench.targets import TARGETS
from tests.bench.upstream import start_own

ANYWHERE = plan().every
GROW = """
import socket, sys, time
sock = socket.socket(); sock.bind(("127.0.0.1", int(sys.argv[1]))); sock.listen()
sock.accept()
while True:
    line, _ = sock.accept(); kept = bytearray(int(sys.argv[2]) << 20); del kept; line.close()
"""


def _wait_for_the_end(sock: socket.socket) -> None:
    sock.recv(1)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Running]:
    running = start_own(tmp_path, ANYWHERE)
    yield running
    running.stop()


def session(directory: Path) -> Session:
    return Session(plan(), directory, Options(2, 0.2, 2), [], Report(machine(plan())))


def test_wrk_is_understood() -> None:
    good = parse_wrk("  8123 requests in 1.10s, 2.98MB read\n")
    assert (good.requests, good.seconds, good.bad, good.broken) == (8123, 1.1, 0, 0)
    text = (
        "  12 requests in 2.5m, 1KB read\n  Socket errors: connect 1, read 2, write 3, timeout 4\n"
    )
    bad = parse_wrk(text + "  Non-2xx or 3xx responses: 7\n")
    assert (bad.requests, bad.seconds, bad.bad, bad.broken) == (12, 150.0, 7, 10)
    with pytest.raises(CannotMeasure):
        parse_wrk("unable to connect to 127.0.0.1")


def test_the_generator_counts_answers_failures_and_cut_connections(app: Running) -> None:
    mixed = generate(app.port, Ask("/mixed"), seconds=0.5, connections=1, cores=ANYWHERE)
    assert mixed.requests > 0
    assert (mixed.bad, mixed.broken) == (mixed.requests // 100, 0)
    body = Ask("/post", post_bytes=100_000)
    assert generate(app.port, body, seconds=0.2, connections=2, cores=ANYWHERE).requests > 0
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        with pytest.raises(CannotMeasure):
            generate(port, Ask("/200"), seconds=0.1, connections=1, cores=ANYWHERE)


def test_a_steady_rate_is_never_exceeded(app: Running) -> None:
    load = generate(app.port, Ask("/200"), seconds=1, connections=4, cores=ANYWHERE, rate=200)
    assert 0 < load.requests <= 201


def test_one_connection_is_timed(app: Running) -> None:
    with closing(PingPong(app.port, "/16k")) as line:
        assert all(took > 0 for took in line.times_us(5))
    with closing(PingPong(app.port, "/big/0")) as line:
        assert len(line.times_us(2)) == 2


def test_a_failure_is_no_time() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        closing(PingPong(server.getsockname()[1], "/")) as line,
        server.accept()[0] as peer,
    ):
        peer.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(CannotMeasure, match="502"):
            line.times_us(1)


def test_a_run_that_mostly_fails_gives_no_figure(app: Running, tmp_path: Path) -> None:
    here = session(tmp_path)
    run = here.measure(app, Ask("/200"), connections=2, seconds=1)
    assert run.load.requests > 0
    assert run.cpu_us > 0
    with pytest.raises(CannotMeasure, match="failing answers"):
        here.measure(app, Ask("/broken"), connections=2, seconds=1)


def test_rounds_alternate_and_who_fails_is_left_out(tmp_path: Path) -> None:
    asked: list[str] = []
    here = session(tmp_path)

    def once(name: str, seconds: float) -> Run:
        asked.append(name)
        if name == "b" and len(asked) > 5:
            raise CannotMeasure("it stopped answering")
        return Run(parse_wrk("1 requests in 1.00s"), float(len(asked)), 0.0)

    found = here.interleave("rps", ["a", "b", "c"], once)
    assert asked == ["a", "b", "c", "c", "b", "a", "a", "b", "c"]
    assert {name: [run.cpu_us for run in runs] for name, runs in found.items()} == {
        "a": [6.0, 7.0],
        "c": [4.0, 9.0],
    }
    assert here.report.refused == {"rps b": "it stopped answering"}
    builds = [Build("a", "python")]
    assert [(a, b, len(rounds)) for a, b, rounds in pairs(builds, found)] == [("a", "c", 2)]


def test_verdicts() -> None:
    met = Finding("get200", "plain", "nginx", "x CPU", [1.9, 1.7, 9.0])
    assert "must <=2 met, aim <=1.6 MISSED" in met.to_text()
    more = Finding("rps", "plain", "aiohttp", "x", [5.0]).to_json()
    assert (more["must_met"], more["aim_met"]) == (False, False)
    own = Finding("get200", "nginx", "", "us CPU", [30.0]).to_json()
    assert (own["must"], own["must_met"]) == (None, None)


def test_the_report_is_json_and_names_what_it_lacks(tmp_path: Path) -> None:
    report = Report(machine(plan()))
    report.add(Finding("stall", "plain", "", "ms", [12.0]))
    report.refuse("rps", "no machine")
    report.write(tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["missed"] == ["stall plain"]
    assert found["refused"] == {"rps": "no machine"}
    assert found["findings"][0]["samples"] == [12.0]


def test_every_target_has_a_row() -> None:
    derived = {"detector": "observe"}
    for row, _, _ in TARGETS:
        assert derived.get(row, row.partition("-")[0]) in ROWS
    assert {peer.name for peer in PEERS if not peer.hint} == set()


def test_a_wheel_without_compiled_code_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "ours-1-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for name in ("proxy/__init__.py", "proxy/dataplane/__init__.py", "proxy/dataplane/hot.py"):
            file.writestr(name, "")
    with pytest.raises(CannotMeasure, match="not a compiled build"):
        compiled(wheel, tmp_path)
    with pytest.raises(CannotMeasure, match="no such wheel"):
        compiled(tmp_path / "none.whl", tmp_path)


def test_a_pure_wheel_is_no_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.pythons.DIST", tmp_path)
    (tmp_path / "ours-1-py3-none-any.whl").touch()
    assert newest_wheel() is None
    assert plain().name == "plain"


def test_growth_is_seen(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", GROW, str(port), "24"]
    running = start("grower", port, command, tmp_path / "log", cores=ANYWHERE)
    try:
        grower = Sidecar("grower", port, running.process, running.log)
        grower.workers = [running.process.pid]
        assert row_memory._growth(grower, _wait_for_the_end) > 16
    finally:
        running.stop()


def test_the_tree_is_counted() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        while len(descendants(process.pid)) < 2:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.communicate()
    assert descendants(process.pid) == set()
    before = cpu_s([os.getpid()])
    while cpu_s([os.getpid()]) == before:
        pass


async def test_a_busy_pause_counts_as_the_cpu_it_took() -> None:
    watch = Watch()
    await asyncio.sleep(0)
    end = time.thread_time() + 0.03
    while time.thread_time() < end:
        pass
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    watch.stop()
    assert watch.wall_ms >= watch.own_ms >= 30


async def test_a_pause_of_the_loop_is_seen() -> None:
    watch = Watch()
    await asyncio.sleep(0)
    time.sleep(0.05)  # noqa: ASYNC251 - the very thing to be noticed
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    watch.stop()
    assert watch.wall_ms >= 50
    assert watch.own_ms >= 50, "a pause in which we wait is our own"
