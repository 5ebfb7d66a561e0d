"""`selfheal up` in front of an app nobody here wrote, from outside: traffic first, nothing lost."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest

from proxy.store.embedded import Cluster
from tests.support.sidecar import Sidecar, ask, free_port, run_sidecar, until


async def query(sidecar: Sidecar, statement: str, *args: Any) -> list[asyncpg.Record]:
    """Ask the embedded server as its installer: a look from outside."""
    conn = await asyncpg.connect(
        Cluster(sidecar.data_dir).installer_dsn(), server_settings={"search_path": "selfheal"}
    )
    try:
        return await conn.fetch(statement, *args)
    finally:
        await conn.close()


def test_pages_pass_and_health_answers_as_the_contract_says(tmp_path: Path, upstream: str) -> None:
    with run_sidecar(tmp_path, upstream) as sidecar:
        assert sidecar.get("/a%2Fb//c?x=%20+y").body == b"hello /a%2Fb//c?x=%20+y"
        assert sidecar.get("/big?n=3000000").body == b"x" * 3_000_000
        assert sidecar.get("/", method="POST", body=b"z" * 500_000).body == b"z" * 500_000
        for name in ("/livez", "/readyz", "/healthz", "/metrics"):
            for method in ("GET", "HEAD"):
                answer = sidecar.control(name, method=method)
                assert (name, answer.status) == (name, 200)
                assert answer.headers["Cache-Control"] == "no-store"
        for name in ("/livez", "/readyz", "/healthz"):
            assert sidecar.get("/__selfheal" + name).status == 200
        body = sidecar.control("/healthz").json()
        assert body["status"] in ("ok", "degraded")
        assert {"status", "score", "upstream", "storage", "capture"} <= body.keys()
        until(
            lambda: 'selfheal_requests_total{class="2xx"} 3' in metrics_of(sidecar), what="a count"
        )
        assert sidecar.control("/api/v1/jobs").status == 401
        assert sidecar.stop() == 0
    assert not (sidecar.data_dir / "control.url").exists()


async def test_a_failing_route_becomes_a_job_at_once_and_every_id_fits(
    tmp_path: Path, upstream: str
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with run_sidecar(tmp_path, upstream, "--set", "metrics.flush_s=3600") as sidecar:
        await asyncio.to_thread(sidecar.wait_for_database)
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        for _ in range(3):
            answer = sidecar.get("/fail/41?token=hunter2", headers=headers)
            assert answer.status == 500
        found = await asyncio.to_thread(until, sidecar.jobs, timeout_s=2.0, what="a job")
        (job,) = found
        assert (job["method"], job["status"], job["category"]) == ("GET", "open", "UNKNOWN")
        assert job["route"] == "/fail/{id}"
        until(lambda: sidecar.jobs()[0]["occurrences"] == 3, what="three occurrences")
        detail = sidecar.api("/jobs/1").json()
        assert detail["job"]["trace_id"] == trace
        assert detail["events"][0]["request"]["method"] == "GET"
        assert "hunter2" not in json.dumps(detail)
        assert "KeyError" in detail["events"][0]["message"]
        # a job is stored before its worker's next report, which comes once a second
        until(
            lambda: sidecar.api("/health").json()["surroundings"]["requests"] == 3, what="a report"
        )
        told = json.loads(selfheal("doctor", "--json", "--data-dir", str(sidecar.data_dir)))
        lines = [f"{one['name']}: {one['text']}" for one in told["findings"]]
        assert [line for line in lines if line.startswith("in front: nobody who names himself")]
        assert [line for line in lines if line.startswith(f"behind: {upstream}: BaseHTTP")], lines
        assert [line for line in lines if line.startswith("blind to: what breaks in the browser")]
        related = [UUID(text) for text in detail["job"]["related_log_ids"]]
        assert len(related) == 3
        assert sidecar.stop() == 0
    with run_sidecar(tmp_path, upstream) as again:
        rows = await query(
            again,
            "select id, trace_id, status_code from observability_logs where id = any($1)",
            related,
        )
        assert {row["id"] for row in rows} == set(related)
        assert {(row["trace_id"], row["status_code"]) for row in rows} == {(trace, 500)}


def selfheal(*args: str) -> str:
    """What the command prints; it must have ended well."""
    command = [sys.executable, "-m", "proxy", *args]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


async def send(url: str, count: int, *, parallel: int = 50) -> int:
    """``count`` requests; how many were answered 200."""
    good = 0
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=parallel), raise_for_status=False
    ) as session:

        async def one(n: int) -> None:
            nonlocal good
            async with session.get(f"{url}/page/{n % 40}") as answer:
                await answer.read()
                good += answer.status == 200

        for start in range(0, count, 500):
            await asyncio.gather(*(one(n) for n in range(start, min(start + 500, count))))
    return good


async def test_every_request_is_stored_by_copy_and_the_buffer_keeps_its_bound(
    tmp_path: Path, upstream: str
) -> None:
    with run_sidecar(tmp_path, upstream) as sidecar:
        await asyncio.to_thread(sidecar.wait_for_database)
        await query(sidecar, "alter system set log_statement = 'all'")
        await query(sidecar, "select pg_reload_conf()")
        assert await send(sidecar.data_url, 10_500) == 10_500
        metrics = sidecar.control("/metrics").body.decode()
        high = next(
            line for line in metrics.splitlines() if line.startswith("selfheal_buffer_high")
        )
        assert int(high.split()[-1]) <= 10_000
        assert "selfheal_log_rows_dropped_total 0\n" in metrics
        assert "selfheal_log_rows_stored_total 0\n" not in metrics, "a filling buffer is flushed"
        assert sidecar.stop() == 0
    cluster = Cluster(sidecar.data_dir)
    written = [
        line
        for line in cluster.log_file.read_text(errors="replace").splitlines()
        if "observability_logs" in line and "statement:" in line
    ]
    assert written
    assert all("COPY" in line for line in written if "select" not in line.lower())
    assert not any("insert into" in line.lower() for line in written)
    with run_sidecar(tmp_path, upstream) as again:
        (row,) = await query(
            again, "select count(*) from observability_logs where route_path like '/page/%'"
        )
        assert row["count"] == 10_500


async def test_traffic_does_not_notice_a_killed_database(tmp_path: Path, upstream: str) -> None:
    with run_sidecar(tmp_path, upstream, "--set", "metrics.flush_s=0.5") as sidecar:
        await asyncio.to_thread(sidecar.wait_for_database)
        cluster = Cluster(sidecar.data_dir)
        pid = int((cluster.data / "postmaster.pid").read_text().split()[0])
        flowing, answered, refused = threading.Event(), [0], []

        def visitor() -> None:
            while not flowing.is_set():
                status = sidecar.get("/page/1").status
                answered[0] += 1
                if status != 200:
                    refused.append(status)

        thread = threading.Thread(target=visitor)
        thread.start()
        try:
            os.kill(pid, signal.SIGKILL)
            assert sidecar.get("/fail/7").status == 500
            assert sidecar.control("/readyz").status == 200
            until(lambda: answered[0] > 200, what="200 answers")
            await asyncio.to_thread(
                until,
                lambda: any("/fail/" in (job["route"] or "") for job in jobs_or_none(sidecar)),
                what="the job of the outage",
            )
        finally:
            flowing.set()
            thread.join()
        assert refused == []
        assert sidecar.stop() == 0
    with run_sidecar(tmp_path, upstream) as again:
        (row,) = await query(
            again, "select count(*) from observability_logs where route_path like '/page/%'"
        )
        assert row["count"] == answered[0], "every exchange of the outage is stored, none twice"


def jobs_or_none(sidecar: Sidecar) -> list[dict[str, Any]]:
    done = sidecar.command("jobs", "--all", "--json", check=None)
    return [json.loads(line) for line in done.stdout.splitlines()] if done.returncode == 0 else []


def pid_of(sidecar: Sidecar, name: str) -> int:
    children = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(sidecar.process.pid)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return next(
        int(line.split()[0]) for line in children.splitlines() if f"proxy.app.{name}" in line
    )


def test_a_killed_worker_and_a_killed_control_process_come_back(
    tmp_path: Path, upstream: str
) -> None:
    with run_sidecar(tmp_path, upstream) as sidecar:
        os.kill(pid_of(sidecar, "control"), signal.SIGKILL)
        assert sidecar.get("/still").status == 200
        until(lambda: sidecar.control("/readyz").status == 200, what="control again")
        old = pid_of(sidecar, "worker")
        os.kill(old, signal.SIGKILL)
        # The port stays open: this request waits in the kernel for the next worker.
        assert sidecar.get("/again").status == 200
        assert pid_of(sidecar, "worker") != old


def test_nothing_stays_behind_when_the_supervisor_is_killed(tmp_path: Path, upstream: str) -> None:
    with run_sidecar(tmp_path, upstream) as sidecar:
        children = [pid_of(sidecar, "worker"), pid_of(sidecar, "control")]
        sidecar.process.kill()
        sidecar.process.wait()
        until(lambda: not any(map(alive, children)), what="the children to end")
    Cluster(sidecar.data_dir).stop()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_drain_lets_running_requests_end(tmp_path: Path, upstream: str) -> None:
    with run_sidecar(tmp_path, upstream) as sidecar:
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(sidecar.get("/slow?s=3").status))
        thread.start()
        until(
            lambda: 'selfheal_in_flight{worker="worker-0"} 1' in metrics_of(sidecar),
            what="in flight",
        )
        sidecar.process.send_signal(signal.SIGTERM)
        until(lambda: sidecar.control("/readyz").status == 503, what="readyz 503", timeout_s=3)
        until(lambda: refuses(sidecar.data_url), what="the listeners to close", timeout_s=3)
        thread.join()
        assert answers == [200]
        assert sidecar.process.wait(20) == 0


def refuses(url: str) -> bool:
    """No new traffic: refused, or reset from the queue."""
    try:
        ask(url, "/new")
    except OSError:
        return True
    return False


def metrics_of(sidecar: Sidecar) -> str:
    return sidecar.control("/metrics").body.decode()


def refused(tmp_path: Path, *words: str) -> tuple[int, str]:
    """Exit code and last words of an `up` that must not start."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "proxy", "up", "--data-dir", str(tmp_path / "refused")),
            *words,
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stderr.strip().splitlines()[-1]


def broken_toml(tmp_path: Path) -> list[str]:
    (tmp_path / "bad.toml").write_text("[metrics\n")
    return ["--upstream", "http://127.0.0.1:1", "--config", str(tmp_path / "bad.toml")]


def newer_data_dir(tmp_path: Path) -> list[str]:
    data = Cluster(tmp_path / "refused").data
    data.mkdir(parents=True, exist_ok=True)
    (data / "PG_VERSION").write_text("99\n")
    return [
        "--upstream",
        "http://127.0.0.1:1",
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
    ]


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda _: [], 2, ["--upstream"]),
        (lambda _: ["--upstream", "nonsense"], 78, ["http://host:port"]),
        (lambda _: ["--upstream", "http://no-such-host.invalid:1"], 78, ["cannot be resolved"]),
        (broken_toml, 78, ["bad.toml", "TOML"]),
        (lambda _: ["--upstream", "http://127.0.0.1:1", "--set", "x.y=1"], 78, ["no setting"]),
        (
            lambda _: ["--upstream", "http://127.0.0.1:1", "--repo", "/tmp"],
            78,
            ["--repo", "checkout"],
        ),
        (newer_data_dir, 78, ["99"]),
    ],
    ids=[
        "no upstream",
        "bad upstream",
        "no host",
        "broken config",
        "no setting",
        "no repo",
        "newer",
    ],
)
def test_bad_input_is_one_sentence_and_its_exit_code(
    tmp_path: Path, make: Callable[[Path], list[str]], code: int, words: list[str]
) -> None:
    seen, text = refused(tmp_path, *make(tmp_path))
    assert (seen, text.startswith("selfheal up: ")) == (code, True), text
    for word in words:
        assert word in text


def test_a_busy_port_and_a_second_sidecar_on_one_directory(tmp_path: Path, upstream: str) -> None:
    with run_sidecar(tmp_path, upstream) as sidecar:
        busy = sidecar.data_url.removeprefix("http://")
        code, text = refused(tmp_path, "--upstream", upstream, "--listen", busy)
        assert (code, "busy" in text) == (78, True), text
        words = ("--upstream", upstream, "--listen", f"127.0.0.1:{free_port()}")
        code, text = refused(tmp_path, *words, "--data-dir", str(sidecar.data_dir))
        assert (code, "already runs" in text) == (78, True), text


def test_an_upstream_that_is_not_there_yet_gets_502_and_then_works(tmp_path: Path) -> None:
    port = free_port()
    with run_sidecar(tmp_path, f"http://127.0.0.1:{port}") as sidecar:
        assert sidecar.get("/").status == 502
        assert "nothing listens" in sidecar.log()
        until(lambda: sidecar.control("/healthz").status == 503, what="healthz 503")
        assert sidecar.control("/readyz").status == 200
        app = Path(__file__).parent.parent / "support" / "upstream_app.py"
        late = subprocess.Popen([sys.executable, str(app), str(port)], stdout=subprocess.DEVNULL)
        try:
            until(lambda: sidecar.get("/").status == 200, what="the app")
            until(lambda: sidecar.control("/healthz").status == 200, what="healthz 200")
        finally:
            late.kill()
            late.wait()


def test_what_failed_without_a_database_is_told_by_the_next_start(
    tmp_path: Path, upstream: str
) -> None:
    dsn = f"postgresql://nobody:x@127.0.0.1:{free_port()}/none"
    with run_sidecar(tmp_path, upstream, "--database-url", dsn) as sidecar:
        for _ in range(7):
            assert sidecar.get("/fail/kept").status == 500
        assert sidecar.stop() == 0
    spool = sidecar.data_dir / "spool"
    assert sorted(f.name for f in spool.iterdir()) == ["worker-0-failures.jsonl", "worker-0.jsonl"]
    with run_sidecar(tmp_path, upstream) as sidecar:
        sidecar.wait_for_database()
        (job,) = until(sidecar.jobs, what="the job of the run before")
        assert job["occurrences"] == 7
        until(lambda: not list(spool.iterdir()), what="the spool to be empty")


def test_a_database_that_refuses_stops_no_traffic(tmp_path: Path, upstream: str) -> None:
    dsn = f"postgresql://nobody:x@127.0.0.1:{free_port()}/none"
    with run_sidecar(tmp_path, upstream, "--database-url", dsn) as sidecar:
        assert sidecar.get("/page").status == 200
        body = sidecar.control("/healthz").json()
        assert body["storage"]["state"] != "ok"
        until(
            lambda: "database" in sidecar.log() and "traffic flows on" in sidecar.log(), what="log"
        )
        done = sidecar.command("jobs", check=None)
        assert done.returncode in (69, 77), done.stderr
    assert "nobody:x@" not in sidecar.log()
