"""``make bench``: CPU per request against the peers installed, paired and interleaved; ratios with
min and max.

CPU is user and system time of the proxy's whole process tree over the requests wrk completed. Each
round measures every proxy once, one after the other, and the ratio is taken within the round: what
the machine does beside us moves both. Read the ratios, not the figures. Options: ``--rounds 5
--seconds 3 --connections 32``.
"""

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
START_S = 10.0
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

POST_LUA = 'wrk.method = "POST"\nwrk.body = string.rep("p", 16384)\n'
CASES = {
    "GET 200 B": ("/200", None),
    "GET 16 KiB": ("/16k", None),
    "POST 16 KiB": ("/post", POST_LUA),
    "GET 1 MiB": ("/1m", None),
}


@dataclass
class Proxy:
    name: str
    port: int
    process: subprocess.Popen[bytes]


@dataclass
class Run:
    requests: int
    cpu_us: float
    rps: float


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def tree_cpu_s(pid: int) -> float:
    """User and system seconds of ``pid`` and everything below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) * TICK_S
    return own + sum(tree_cpu_s(int(child)) for child in children)


def start(name: str, port: int, *command: str) -> Proxy:
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.perf_counter() + START_S
    while time.perf_counter() < deadline:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return Proxy(name, port, process)
        time.sleep(0.05)
    process.terminate()
    raise SystemExit(f"{name} did not start within {START_S:.0f} s")


def start_nginx(directory: Path, name: str, upstream: int, location: str) -> Proxy:
    assert NGINX is not None
    port = free_port()
    text = (HERE / "nginx.conf.template").read_text()
    conf = directory / f"{name}.conf"
    conf.write_text(
        text.format(dir=directory, name=name, upstream=upstream, port=port, location=location)
    )
    return start(name, port, NGINX, "-c", str(conf), "-e", str(directory / f"{name}.log"))


def start_ours(module: str, name: str, upstream: int) -> Proxy:
    port = free_port()
    return start(name, port, sys.executable, "-m", module, str(upstream), str(port))


def measure(proxy: Proxy, path: str, script: Path | None, seconds: int, connections: int) -> Run:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}"]
    command += ["-s", str(script)] if script is not None else []
    before = tree_cpu_s(proxy.process.pid)
    out = subprocess.run(
        [*command, f"http://127.0.0.1:{proxy.port}{path}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    cpu = tree_cpu_s(proxy.process.pid) - before
    if "Non-2xx" in out or "Socket errors" in out:
        print(f"  {proxy.name}: {out.strip().splitlines()[-3:]}")
    found = re.search(r"(\d+) requests in ([\d.]+)s", out)
    assert found is not None, out
    count = int(found[1])
    return Run(count, cpu / max(1, count) * 1e6, count / float(found[2]))


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):5.2f} ({min(values):.2f}-{max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    if NGINX is None or shutil.which("wrk") is None:
        raise SystemExit("nginx and wrk are needed: apt-get install nginx-light wrk")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "www").mkdir()
        (directory / "www" / "16k").write_bytes(b"x" * 16384)
        (directory / "www" / "1m").write_bytes(b"x" * (1 << 20))
        script = directory / "post.lua"
        running: list[Proxy] = []
        try:
            app = start_app(directory)
            running.append(app)
            through = "location / { proxy_pass http://app; proxy_http_version 1.1;"
            through += ' proxy_set_header Connection ""; }'
            proxies = [
                start_nginx(directory, "nginx", app.port, through),
                start_ours("tests.bench.ours", "ours", app.port),
                start_ours("tests.bench.plain_aiohttp", "aiohttp", app.port),
            ]
            running += proxies
            print(f"{options.rounds} rounds of {options.seconds} s,", end=" ")
            print(f"{options.connections} connections, {os.cpu_count()} cores,", end=" ")
            print(f"load {os.getloadavg()[0]:.1f}")
            for case, (path, lua) in CASES.items():
                if lua is not None:
                    script.write_text(lua)
                report(case, proxies, path, script if lua else None, options)
        finally:
            for proxy in running:
                proxy.process.terminate()
            for proxy in running:
                proxy.process.wait(10)


def start_app(directory: Path) -> Proxy:
    """The upstream: fixed answers from nginx; a POST body is read and thrown away."""
    sink = free_port()
    body = "y" * 200
    location = (
        f'location = /200 {{ return 200 "{body}"; }} '
        f"location = /post {{ proxy_pass http://127.0.0.1:{sink}/; proxy_http_version 1.1; "
        f'proxy_set_header Connection ""; }} }} '
        f'server {{ listen 127.0.0.1:{sink}; location / {{ return 200 "{body}"; }}'
    )
    return start_nginx(directory, "app", 1, location)


def report(
    case: str, proxies: list[Proxy], path: str, script: Path | None, options: argparse.Namespace
) -> None:
    rounds: dict[str, list[Run]] = {proxy.name: [] for proxy in proxies}
    for proxy in proxies:
        measure(proxy, path, script, 1, options.connections)
    for _ in range(options.rounds):
        for proxy in proxies:
            rounds[proxy.name].append(
                measure(proxy, path, script, options.seconds, options.connections)
            )
    ours = rounds["ours"]
    print(f"{case}:")
    for name, runs in rounds.items():
        print(
            f"  {name:8} {statistics.median(r.cpu_us for r in runs):8.1f} us CPU per request",
            end="",
        )
        print(f" {statistics.median(r.rps for r in runs):8.0f} requests/s")
    for name in ("nginx", "aiohttp"):
        cpu = [a.cpu_us / b.cpu_us for a, b in zip(ours, rounds[name], strict=True)]
        rps = [a.rps / b.rps for a, b in zip(ours, rounds[name], strict=True)]
        print(f"  ours / {name:8} CPU {spread(cpu)}   requests/s {spread(rps)}", flush=True)


if __name__ == "__main__":
    main()
