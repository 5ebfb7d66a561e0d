"""Runs inside the jail, by itself: start the app, wait for it, send one request, say what came
back.

Standard library only, and nothing of this project: the jail does not show it. One JSON document on
stdin says what to do, one on stdout what happened. The app shares this jail and could forge the
answer; what a patch may gain by that ends at a founder who reads its diff.
"""

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

BODY_BYTES_MAX = 32768
READ_BYTES_MAX = 16 << 20
LOG_BYTES_MAX = 8192
HOPS_MAX = 10
LOG = "/tmp/app.log"
MARK = "X-Selfheal-Replay"
FRAMING = {"host", "connection", "content-length", "transfer-encoding", "keep-alive", "te",
           "upgrade", "expect", "proxy-connection", "accept-encoding", MARK.lower()}  # fmt: skip


def main() -> None:
    order = json.load(sys.stdin)
    port = free_port()
    app = start(order, port)
    try:
        problem = wait_until_it_answers(app, port, order["start_timeout_s"])
        answers = []
        if problem is None:
            for _ in range(order["times"]):
                answers.append(ask(order, port))
        result: dict[str, Any] = {"problem": problem, "answers": answers}
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(app.pid, signal.SIGKILL)
        app.wait()
    result["log"] = log_tail()
    json.dump(result, sys.stdout)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(order: dict[str, Any], port: int) -> "subprocess.Popen[bytes]":
    command = order["start"].replace("{port}", str(port))
    env = {**os.environ, "PORT": str(port), "HOST": "127.0.0.1"}
    with open(LOG, "wb") as log:
        return subprocess.Popen(
            ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
            start_new_session=True,
        )  # fmt: skip


def wait_until_it_answers(
    app: "subprocess.Popen[bytes]", port: int, timeout_s: float
) -> str | None:
    until = time.perf_counter() + timeout_s
    while time.perf_counter() < until:
        if app.poll() is not None:
            return f"the app ended by itself (exit {app.returncode}) before it listened"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return None
        except OSError:
            time.sleep(0.02)
    return f"the app did not listen on its port within {timeout_s:.0f} s"


def ask(order: dict[str, Any], port: int) -> dict[str, Any]:
    """Follows redirects only where asked, only to this very app, only a few times."""
    target: str = order["target"]
    chain: list[str] = []
    method, body = order["method"], base64.b64decode(order["body"])
    started = time.perf_counter()
    while True:
        answer = ask_once(order, port, method, target, body)
        location = answer.pop("location", None)
        if not (order["follow"] and location and 300 <= (answer.get("status") or 0) < 400):
            break
        chain.append(target)
        target = path_of(location)
        if target in chain or len(chain) >= HOPS_MAX:
            chain.append(target)
            break
        if answer["status"] in (301, 302, 303) and method not in ("GET", "HEAD"):
            method, body = "GET", b""
    answer["chain"] = chain
    answer["duration_ms"] = (time.perf_counter() - started) * 1000
    return answer


def path_of(location: str) -> str:
    if "://" in location:
        location = "/" + location.split("://", 1)[1].partition("/")[2]
    return location if location.startswith("/") else "/" + location


def ask_once(
    order: dict[str, Any], port: int, method: str, target: str, body: bytes
) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=order["timeout_s"])
    # the target goes out exactly as it came; http.client would refuse or change some
    connection._validate_path = lambda url: None  # type: ignore[attr-defined]  # not in its stubs
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", order["host"] or f"127.0.0.1:{port}")
        for name, value in order["headers"]:
            if name.lower() not in FRAMING:
                connection.putheader(name, value)
        connection.putheader(MARK, "1")
        connection.putheader("Connection", "close")
        if body or method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        kept = response.read(BODY_BYTES_MAX)
        rest = 0
        while (chunk := response.read(65536)) and rest < READ_BYTES_MAX:
            rest += len(chunk)
        return {
            "status": response.status,
            "headers": response.getheaders(),
            "body": base64.b64encode(kept).decode(),
            "truncated": rest > 0,
            "location": response.getheader("Location"),
        }
    except (OSError, http.client.HTTPException, UnicodeError, ValueError) as error:
        return {"status": None, "error": f"{type(error).__name__}: {error}"[:500]}
    finally:
        connection.close()


def log_tail() -> str:
    try:
        with open(LOG, "rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - LOG_BYTES_MAX))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""


if __name__ == "__main__":
    main()
