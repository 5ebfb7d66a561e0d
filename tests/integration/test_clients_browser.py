"""A browser: one page with WebSocket, server-sent events, an upload and plain reads, loaded through
the proxy and then directly.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.clients import Ways, program

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--no-proxy-server",
)  # fmt: skip
PAGE_TIMEOUT_S = 90.0


@contextlib.contextmanager
def browser(home: Path, url: str) -> Iterator[None]:
    process = subprocess.Popen(
        [program("chromium", "chromium"), *FLAGS, f"--user-data-dir={home}", url],
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        # the browser and all its helpers: they are a group of their own
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_page_works_the_same_through_the_proxy(ways: Ways, tmp_path: Path) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            ways.app.reports.get_nowait()
    with browser(tmp_path, f"{ways.through}/page?next={ways.direct}/page"):
        through = json.loads(ways.app.reports.get(timeout=PAGE_TIMEOUT_S))
        direct = json.loads(ways.app.reports.get(timeout=PAGE_TIMEOUT_S))
    assert through == direct
    events, socket, upload, *reads = through
    assert events == ["0 0 EUR", "1 7 EUR", "2 14 EUR", "3 21 EUR", "4 28 EUR"]
    assert socket == ["echo hello shop", "70000 bytes", "1000 "]
    assert upload == [200, "parts.txt 100000"]
    assert [status for status, _, _ in reads] == [200, 200, 200, 404]
