"""What cases go through: our data plane in this process, and the peers that are installed.

Every door has as many lanes as cases run at once, each with an upstream of its own, for what
arrives malformed cannot say which case it belongs to.
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from proxy.clock import SystemClock
from proxy.dataplane.server import DataServer, serve
from tests.parity.playing import Upstream
from tests.support.dataplane import Kept, config_for

LIMIT_S = 1.5
"""Every time-out of every door; cases that wait are written for it."""
KEEPALIVE_S = 20
START_S = 20.0
SBIN = "/usr/sbin:/usr/local/sbin"
PEERS = ("nginx", "haproxy")
TEMPLATES = Path(__file__).parent / "templates"

Lane = tuple[int, Upstream]
"""The proxy's port, and the upstream behind it."""


def program(peer: str) -> str | None:
    return shutil.which(peer) or shutil.which(peer, path=SBIN)


@contextlib.asynccontextmanager
async def upstreams(count: int) -> AsyncIterator[list[Upstream]]:
    made = [Upstream() for _ in range(count)]
    try:
        for upstream in made:
            await upstream.start()
        yield made
    finally:
        for upstream in made:
            await upstream.stop()


@contextlib.asynccontextmanager
async def ours(lanes: int, *, hot: bool) -> AsyncIterator[list[Lane]]:
    async with contextlib.AsyncExitStack() as stack:
        made = await stack.enter_async_context(upstreams(lanes))
        yield [(await _ours(stack, upstream.port, hot=hot), upstream) for upstream in made]


async def _ours(stack: contextlib.AsyncExitStack, upstream: int, *, hot: bool) -> int:
    config = config_for(
        upstream,
        upstream={"connect_timeout_s": LIMIT_S, "response_timeout_s": LIMIT_S},
        downstream={
            "header_timeout_s": LIMIT_S,
            "body_idle_timeout_s": LIMIT_S,
            "keepalive_timeout_s": KEEPALIVE_S,
            "drain_s": 1.0,
        },
    )
    server = DataServer(config, Kept(), clock=SystemClock(), hot=hot)
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    runner = await serve(server, [sock])
    stack.push_async_callback(runner.cleanup)
    port: int = sock.getsockname()[1]
    return port


@contextlib.asynccontextmanager
async def peer(name: str, lanes: int, directory: Path) -> AsyncIterator[list[Lane]]:
    """A program that must be installed, with one port a lane."""
    async with upstreams(lanes) as made:
        ports = _free_ports(lanes)
        pairs = list(zip(ports, (upstream.port for upstream in made), strict=True))
        with _running(name, directory, pairs) as process:
            for port in ports:
                if not await _answers(port, process):
                    words = (directory / f"{name}.log").read_text(errors="replace")
                    raise RuntimeError(f"{name} does not answer on port {port}: {words[-2000:]}")
            yield list(zip(ports, made, strict=True))


async def _answers(port: int, process: "subprocess.Popen[bytes]") -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_S):
            while process.poll() is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return True
                await asyncio.sleep(0.05)
    return False


def _free_ports(count: int) -> list[int]:
    """All held at once, so that none is named twice."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in held]


@contextlib.contextmanager
def _running(
    name: str, directory: Path, pairs: list[tuple[int, int]]
) -> Iterator["subprocess.Popen[bytes]"]:
    found = program(name)
    assert found is not None
    directory.chmod(0o755)  # a worker that gave up root goes in too
    head, one, foot = (TEMPLATES / f"{name}.conf").read_text().split("@@\n")
    values = {"dir": directory, "limit_ms": int(LIMIT_S * 1000), "keepalive_s": KEEPALIVE_S}
    texts = [head.format(**values)]
    texts += [one.format(port=port, upstream=upstream, **values) for port, upstream in pairs]
    conf = directory / f"{name}.conf"
    conf.write_text("".join([*texts, foot.format(**values)]))
    words = ["-c", str(conf), "-e", str(directory / "error.log")]
    command = [found, *words] if name == "nginx" else [found, "-q", "-f", str(conf)]
    with (directory / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


SETTINGS = (
    *("--set", f"upstream.connect_timeout_s={LIMIT_S}"),
    *("--set", f"upstream.response_timeout_s={LIMIT_S}"),
    *("--set", f"downstream.header_timeout_s={LIMIT_S}"),
    *("--set", f"downstream.body_idle_timeout_s={LIMIT_S}"),
    *("--set", f"downstream.keepalive_timeout_s={KEEPALIVE_S}"),
)
"""The same limits for a whole sidecar, as flags of ``selfheal up``."""
