"""The console in a real pseudo-terminal: it opens, shows a job, and leaves the terminal as it
was."""

import asyncio
import os
import sys
from pathlib import Path

import pexpect  # type: ignore[import-untyped] # it ships no types

from tests.support.console_server import TOKEN, ConsoleServer

ROOT = Path(__file__).parents[2]
RUN = (
    "import argparse, sys; from console.cli import register; p = argparse.ArgumentParser();"
    " register(p.add_subparsers()); a = p.parse_args(); sys.exit(a.func(a))"
)


def _child(url: str, token: Path, *argv: str) -> "pexpect.spawn[str]":
    where = ["--url", url, "--token-file", str(token)]
    env = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm-256color"}
    return pexpect.spawn(
        sys.executable,
        ["-c", RUN, *argv, *where],
        cwd=str(ROOT),
        env=env,
        dimensions=(40, 120),
        encoding="utf-8",
        codec_errors="replace",
        timeout=45,
    )


def _look_around(child: "pexpect.spawn[str]") -> int:
    child.expect("Health")
    child.expect("live")
    child.send("2")
    child.expect("J-2")
    child.send("\r")
    child.expect("P-1")
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    return int(child.exitstatus or 0)


async def test_two_enter_q(server: ConsoleServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    child = _child(server.url, token, "console", "--calm")
    assert await asyncio.to_thread(_look_around, child) == 0
    assert all(method == "GET" for method, *_ in server.seen)


def _type_the_number(child: "pexpect.spawn[str]", number: str) -> int:
    child.expect("Type 1 to apply")
    child.sendline(number)
    child.expect(pexpect.EOF)
    child.close()
    return int(child.exitstatus or 0)


async def test_apply_asks_for_the_job_number(server: ConsoleServer, tmp_path: Path) -> None:
    from tests.support import console_facts as facts

    token = tmp_path / "token"
    token.write_text(TOKEN)
    server.patches["P-1"] = facts.patch(1, status="approved")
    no = _child(server.url, token, "apply", "P-1")
    assert await asyncio.to_thread(_type_the_number, no, "2") == 1
    assert "apply" not in str([path for _, path, *_ in server.seen])
    yes = _child(server.url, token, "apply", "P-1")
    assert await asyncio.to_thread(_type_the_number, yes, "1") == 0
    assert server.patches["P-1"].status == "applied"
    assert server.seen[-1][0] == "GET" or server.seen[-1][3]["interactive"] is True
