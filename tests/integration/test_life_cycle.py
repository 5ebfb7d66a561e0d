"""The life of a running `selfheal up`, from outside: renewed, replaced, taken over, stopped."""

import contextlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.app.control import WORD_S
from proxy.locations import DataDir
from tests.support.certificates import Authority, written
from tests.support.sidecar import Answer, Sidecar, free_port, run_sidecar, until


def no_database() -> tuple[str, str]:
    """What happens here happens without one; an embedded one would only take its time."""
    return "--database-url", f"postgresql://nobody:x@127.0.0.1:{free_port()}/none"


def children(sidecar: Sidecar, name: str) -> set[int]:
    """The processes of the sidecar that run this module of ours."""
    listing = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(sidecar.process.pid)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {int(line.split()[0]) for line in listing.splitlines() if f"proxy.app.{name}" in line}


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


class Visitors:
    """Clients that ask and ask: some on one connection for as long as it lives, some on ever new
    ones. Whatever is no whole 200 is kept.
    """

    def __init__(self, port: int, lasting: int = 4, fleeting: int = 2) -> None:
        self.answered = 0
        self.lost: list[str] = []
        self._port = port
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(True,)) for _ in range(lasting)]
        self._threads += [
            threading.Thread(target=self._visit, args=(False,)) for _ in range(fleeting)
        ]

    def _visit(self, lasting: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._enough.is_set():
            try:
                connection.request("GET", "/page/1")
                response = connection.getresponse()
                if (response.status, response.read()) != (200, b"hello /page/1"):
                    self.lost.append(str(response.status))
                self.answered += 1
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
            if not lasting:
                connection.close()
        connection.close()

    def some_more(self, count: int = 100) -> None:
        wanted = self.answered + count
        until(lambda: self.answered >= wanted, what="more answers", timeout_s=60)

    def __enter__(self) -> "Visitors":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def successor(sidecar: Sidecar, upstream: str, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """A second `up` on the same ports and directory; yields once it has them."""
    with sidecar.log_file.open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "proxy", "up", "--upstream", upstream, "--takeover"),
                *("--listen", sidecar.data_url.removeprefix("http://")),
                *("--control", sidecar.control_url.removeprefix("http://")),
                *("--data-dir", str(sidecar.data_dir)),
                *flags,
            ],
            stdout=log,
            stderr=log,
        )
    pid_file = DataDir(sidecar.data_dir).pid_file
    try:
        until(lambda: pid_file.read_text() == f"{process.pid}\n", what="the take-over")
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


def test_an_upgrade_in_place_loses_no_request(tmp_path: Path, upstream: str) -> None:
    flags = no_database()
    with (
        run_sidecar(tmp_path, upstream, *flags) as old,
        Visitors(port_of(old.data_url)) as visitors,
    ):
        visitors.some_more()
        with successor(old, upstream, *flags, "--workers", "2") as new:
            visitors.some_more()
            assert old.stop() == 0
            visitors.some_more(300)
            assert visitors.lost == []
            until(lambda: old.control("/readyz").status == 200, what="the new one to say so")
            new.terminate()
            visitors_end = new.wait(60)
    assert visitors_end == 0
    assert not DataDir(old.data_dir).control_url.exists()


def test_a_worker_that_dies_is_replaced_and_an_endless_stream_is_cut_at_drain_s(
    tmp_path: Path, upstream: str
) -> None:
    flags = (*no_database(), "--workers", "2", "--set", "downstream.drain_s=0.5")
    with run_sidecar(tmp_path, upstream, *flags) as sidecar:
        until(lambda: len(children(sidecar, "worker")) == 2, what="two workers")
        before = children(sidecar, "worker")
        for victim in before:
            os.kill(victim, signal.SIGKILL)
            # a new connection waits in the kernel, at worst, for the worker that comes
            assert [sidecar.get("/page/1").status for _ in range(10)] == [200] * 10
        until(
            lambda: (
                len(now := children(sidecar, "worker")) == 2
                and not now & before
                and all(f'worker="worker-{n}"' in metrics(sidecar) for n in (0, 1))
            ),
            what="two new workers",
        )
        with stream(sidecar) as response:
            assert sidecar.stop() == 0
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                response.read()


def metrics(sidecar: Sidecar) -> str:
    return sidecar.control("/metrics").body.decode()


@contextlib.contextmanager
def stream(sidecar: Sidecar) -> Iterator[http.client.HTTPResponse]:
    """An answer whose first bytes are here and whose end will not come."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(sidecar.data_url), timeout=30)
    try:
        connection.request("GET", "/endless")
        response = connection.getresponse()
        assert response.read(5) == b"tick\n"
        yield response
    finally:
        connection.close()


def test_a_drain_tells_keep_alive_clients_to_close_and_a_second_signal_ends_it(
    tmp_path: Path, upstream: str
) -> None:
    flags = (*no_database(), "--set", "downstream.drain_s=3600")
    with run_sidecar(tmp_path, upstream, *flags) as sidecar, stream(sidecar) as endless:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(sidecar.data_url), timeout=60)
        connection.request("GET", "/first")
        first = connection.getresponse()
        assert (first.read(), first.headers["Connection"]) == (b"hello /first", None)
        go = tmp_path / "go"
        connection.request("GET", f"/when?file={go}")
        until(lambda: 'selfheal_in_flight{worker="worker-0"} 2' in metrics(sidecar), what="both")
        # as service managers do it: every process of the group hears the signal
        told = time.monotonic()
        for pid in (*children(sidecar, "control"), sidecar.process.pid):
            os.kill(pid, signal.SIGTERM)
        until(lambda: sidecar.control("/readyz").status == 503, what="readyz 503")
        until(lambda: refuses(sidecar), what="the listeners to close")
        go.touch()
        second = connection.getresponse()
        assert (second.read(), second.headers["Connection"]) == (b"now", "close")
        connection.close()
        assert endless.read(5) == b"tick\n", "it may go on for an hour"
        until(lambda: time.monotonic() > told + 1.5 * WORD_S, what="the moment of doubt to pass")
        assert sidecar.control("/readyz").status == 503, "health goes on saying draining"
        assert sidecar.process.poll() is None
        sidecar.process.terminate()
        assert sidecar.process.wait(60) == 0
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            endless.read()


def refuses(sidecar: Sidecar) -> bool:
    try:
        sidecar.get("/new")
    except OSError:
        return True
    return False


# -- TLS


def ask_tls(sidecar: Sidecar, path: str, authority: Authority) -> Answer:
    connection = http.client.HTTPSConnection(
        "localhost", port_of(sidecar.data_url), timeout=30, context=authority.trusting()
    )
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def test_a_certificate_is_renewed_under_way(tmp_path: Path, upstream: str) -> None:
    first, second = Authority(), Authority()
    certificate, key = written(first.pair(), tmp_path)
    flags = (
        *("--set", f"listen.tls_certificate={certificate}", "--set", f"listen.tls_key={key}"),
        *("--workers", "2"),
    )
    with run_sidecar(tmp_path, upstream, *no_database(), *flags) as sidecar:
        assert DataDir(sidecar.data_dir).data_url.read_text().startswith("https://")
        lasting = http.client.HTTPSConnection(
            "localhost", port_of(sidecar.data_url), timeout=30, context=first.trusting()
        )

        def asked() -> bytes:
            lasting.request("GET", "/lasting")
            return lasting.getresponse().read()

        assert asked() == b"hello /lasting"
        line = lasting.sock
        # one worker answers already while the other still starts
        until(
            lambda: ask_tls(sidecar, "/__selfheal/readyz", first).status == 200,
            what="both workers to be ready",
        )

        written(second.pair(), tmp_path)
        key.write_text(first.pair().key)
        sidecar.process.send_signal(signal.SIGHUP)
        until(lambda: "reload refused" in sidecar.log(), what="the refusal")
        assert "does not belong to the key" in sidecar.log()
        assert ask_tls(sidecar, "/", first).status == 200

        written(second.pair(), tmp_path)
        sidecar.process.send_signal(signal.SIGHUP)
        for worker in ("worker-0", "worker-1"):
            until(
                lambda name=worker: any(
                    name in line and "settings reloaded" in line
                    for line in sidecar.log().splitlines()
                ),
                what=f"{worker} to reload",
            )
        assert ask_tls(sidecar, "/", second).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            ask_tls(sidecar, "/", first)
        assert asked() == b"hello /lasting"
        assert lasting.sock is line, "the connection of before is still the same"
        lasting.close()

        # whoever replaces a worker needs no file
        certificate.unlink()
        for victim in children(sidecar, "worker"):
            os.kill(victim, signal.SIGKILL)
        assert ask_tls(sidecar, "/", second).status == 200
        assert sidecar.stop() == 0


def refused(tmp_path: Path, upstream: str, *flags: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "proxy", "up", "--upstream", upstream),
            *("--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"),
            *("--data-dir", str(tmp_path / "refused")),
            *flags,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.strip().splitlines()


def mismatched(folder: Path) -> list[str]:
    certificate, key = written(Authority().pair(), folder)
    key.write_text(Authority().pair().key)
    return [f"listen.tls_certificate={certificate}", f"listen.tls_key={key}"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (mismatched, "does not belong to the key"),
        (lambda _: ["downstream.trusted=10.0.0.0/8,all"], "'all' is no address"),
    ],
    ids=["two pairs", "no network"],
)
def test_settings_that_cannot_be_are_one_sentence(
    tmp_path: Path, upstream: str, settings: Callable[[Path], list[str]], words: str
) -> None:
    flags = [word for one in settings(tmp_path) for word in ("--set", one)]
    code, lines = refused(tmp_path, upstream, *flags)
    assert (code, len(lines)) == (78, 1), lines
    assert lines[0].startswith("selfheal up: ")
    assert words in lines[0]


# -- unix sockets


def ask_unix(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(path))
        sock.sendall(b"GET /unix HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := sock.recv(65536):
            answer += data
        return answer


def test_the_data_port_may_be_a_unix_socket(tmp_path: Path, upstream: str, short_dir: Path) -> None:
    path = short_dir / "data.sock"
    flags = (*no_database(), "--listen", f"unix:{path}", "--set", "listen.socket_mode=0660")
    with run_sidecar(tmp_path, upstream, *flags, "--workers", "2") as sidecar:
        assert path.stat().st_mode & 0o777 == 0o660
        assert ask_unix(path).endswith(b"hello /unix")
        assert sidecar.stop() == 0
    assert not path.exists()


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A socket's name takes about a hundred bytes; pytest's directories may have longer ones."""
    with tempfile.TemporaryDirectory(prefix="selfheal-t-") as name:
        yield Path(name)
