"""Visitors of a proxy under trouble: each keeps a connection alive as long as it may, asks one
question after another, and remembers how every one ended.

Seeded: what is asked is the same in every run; when, is the machine's business.
"""

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.dataplane import Client, Got

LEDGER_APP = Path(__file__).parent / "ledger_upstream.py"
HOT = ("get", "post", "put")
GENERAL = ("chunked post", "chunked answer", "head", "close", "old", "patch")
PATIENCE_S = 60.0
KINDS = (*HOT, *HOT, *GENERAL)
"""Half of what is asked is plain, so that both planes, and the way between them, are busy."""


@dataclass
class Asked:
    """One question and what became of it. Times are monotonic seconds."""

    number: bytes
    kind: str
    method: bytes
    began: float
    ended: float = 0.0
    status: int = 0
    is_whole: bool = False
    is_own: bool = True
    says_close: bool = False

    @property
    def is_good(self) -> bool:
        return self.status == 200 and self.is_whole and self.is_own


@dataclass
class Crowd:
    """All visitors of a campaign and everything they asked."""

    port: int
    seed: int
    wait_ms: int = 5
    asked: list[Asked] = field(default_factory=list)
    unanswered_connects: int = 0
    is_leaving: bool = False

    async def visit(self, visitor: int, *, reconnect: bool = True) -> None:
        """Ask until ``is_leaving``; without ``reconnect`` until nobody listens any more."""
        dice = random.Random(self.seed * 1000 + visitor)
        count = 0
        while not self.is_leaving:
            try:
                client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
            except OSError:
                self.unanswered_connects += 1
                if not reconnect:
                    return
                await asyncio.sleep(0.01)
                continue
            try:
                while not self.is_leaving:
                    count += 1
                    number = b"%d-%d-%d" % (self.seed, visitor, count)
                    asked = await self.ask(client, number, dice.choice(KINDS), dice)
                    if asked.status != 200:
                        await asyncio.sleep(0.01)  # nobody asks on and on in an outage
                    if not asked.is_whole or asked.says_close or asked.kind in ("close", "old"):
                        break
            finally:
                client.close()
                with contextlib.suppress(OSError):
                    await client.writer.wait_closed()

    async def ask(
        self, client: Client, number: bytes, kind: str, dice: random.Random, *, wait: bytes = b""
    ) -> Asked:
        """One question on an open connection. ``wait`` is what the app should wait for."""
        wait = wait or b"%d" % dice.randrange(self.wait_ms + 1)
        size = dice.choice((0, 10, 200, 3000, 70000))
        method, raw = question(kind, number, wait, size, dice)
        asked = Asked(number, kind, method, time.monotonic())
        self.asked.append(asked)
        client.patience_s = PATIENCE_S
        got = Got()
        with contextlib.suppress(OSError):
            await client.send(raw)
            got = await client.got(method)
        asked.ended = time.monotonic()
        asked.status, asked.is_whole = got.status, got.complete
        asked.says_close = b"close" in b",".join(got.values(b"connection")).lower()
        if got.status == 200 and got.complete and method != b"HEAD":
            asked.is_own = got.body.partition(b" ")[0] == number
        return asked


def question(
    kind: str, number: bytes, wait: bytes, size: int, dice: random.Random
) -> tuple[bytes, bytes]:
    """Method and raw bytes of one request."""
    method = {"post": b"POST", "chunked post": b"POST", "put": b"PUT", "head": b"HEAD"}.get(
        kind, b"PATCH" if kind == "patch" else b"GET"
    )
    version = b"1.0" if kind == "old" else b"1.1"
    framing = b"chunked" if kind in ("chunked answer", "old") else b"length"
    head = (
        b"%b /page/%d HTTP/%b\r\nHost: a\r\nX-Id: %b\r\nX-Wait: %b\r\nX-Size: %d\r\n"
        b"X-Framing: %b\r\n" % (method, dice.randrange(40), version, number, wait, size, framing)
    )
    if kind == "close":
        head += b"Connection: close\r\n"
    if kind == "chunked post":
        return method, head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    if method in (b"POST", b"PUT", b"PATCH"):
        body = b"b" * dice.choice((0, 1, 500, 20000))
        return method, head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    return method, head + b"\r\n"


class LedgerApp:
    """The remembering app as a process that can be killed and started again on its port."""

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(LEDGER_APP), str(self.port), str(self.ledger)],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """SIGKILL; returns when the kernel has closed everything it held."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def open_gate(self) -> None:
        """Let everything that waits for it be answered."""
        self._gate.touch()

    def close_gate(self) -> None:
        self._gate.unlink(missing_ok=True)

    @property
    def _gate(self) -> Path:
        return self.ledger.with_name(self.ledger.name + ".gate")

    def lines(self) -> Counter[tuple[bytes, bytes]]:
        """How often each ``(method, id)`` reached it."""
        return Counter(
            (method, number)
            for method, _, number in (
                line.partition(b" ") for line in self.ledger.read_bytes().splitlines()
            )
        )


@contextlib.contextmanager
def ledger_app(ledger: Path) -> Iterator[LedgerApp]:
    app = LedgerApp(ledger)
    app.start()
    try:
        yield app
    finally:
        app.kill()
