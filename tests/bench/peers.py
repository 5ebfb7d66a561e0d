"""The proxies we are measured against, as far as they are installed here. A missing one is named
with what would install it; no ratio is made up for it.
"""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.bench.cores import Cores
from tests.bench.processes import Running, free_port, start
from tests.bench.pythons import script
from tests.bench.upstream import NGINX

TEMPLATES = Path(__file__).parent / "templates"
SBIN = "/usr/sbin:/usr/local/sbin"

Command = Callable[[str, Path, int, int], list[str]]
"""Its program, the folder of this run, the upstream's port and its own port → the command line."""


@dataclass(frozen=True)
class Peer:
    name: str
    program: str | None
    hint: str
    command: Command
    tell_version: str
    """The word that makes it say its version."""

    def version(self) -> str:
        assert self.program is not None
        words = [self.program, self.tell_version]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        lines = (done.stdout or done.stderr).strip().splitlines()
        return lines[0] if lines else "unknown"

    def start(self, directory: Path, upstream: int, cores: Cores) -> Running:
        assert self.program is not None
        port = free_port()
        command = self.command(self.program, directory, upstream, port)
        return start(self.name, port, command, directory / f"{self.name}.log", cores=cores)


def _nginx(program: str, directory: Path, upstream: int, port: int) -> list[str]:
    conf = _fill("nginx.conf", directory, upstream, port)
    return [program, "-c", str(conf), "-e", str(directory / "nginx.log")]


def _haproxy(program: str, directory: Path, upstream: int, port: int) -> list[str]:
    return [program, "-q", "-f", str(_fill("haproxy.cfg", directory, upstream, port))]


def _caddy(program: str, directory: Path, upstream: int, port: int) -> list[str]:
    conf = _fill("Caddyfile", directory, upstream, port)
    return [program, "run", "--adapter", "caddyfile", "--config", str(conf)]


def _mitmproxy(program: str, directory: Path, upstream: int, port: int) -> list[str]:
    mode = f"reverse:http://127.0.0.1:{upstream}"
    home = f"confdir={directory / 'mitmproxy'}"
    return [program, "-q", "--mode", mode, "--listen-port", str(port), "--set", home]


def _aiohttp(program: str, directory: Path, upstream: int, port: int) -> list[str]:
    return script(program, str(upstream), str(port))


def _fill(template: str, directory: Path, upstream: int, port: int) -> Path:
    text = (TEMPLATES / template).read_text()
    conf = directory / f"peer-{template}"
    conf.write_text(text.format(dir=directory, name="nginx", upstream=upstream, port=port))
    return conf


def _find(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=SBIN)


PEERS = (
    Peer("nginx", NGINX, "apt-get install nginx-light", _nginx, "-v"),
    Peer("haproxy", _find("haproxy"), "apt-get install haproxy", _haproxy, "-v"),
    Peer("caddy", _find("caddy"), "apt-get install caddy", _caddy, "version"),
    Peer(
        "mitmproxy",
        _find("mitmdump"),
        "pip install mitmproxy in an environment of its own, mitmdump on PATH",
        _mitmproxy,
        "--version",
    ),
)
"""Programs; beside them stands ``AIOHTTP``, which is always there."""
AIOHTTP = Peer("aiohttp", "plain_aiohttp.py", "", _aiohttp, "")


def versions() -> dict[str, str]:
    """What each installed peer says it is."""
    found = {peer.name: peer.version() for peer in PEERS if peer.program is not None}
    return found | {"aiohttp": f"aiohttp {version('aiohttp')} on uvloop {version('uvloop')}"}


def absent() -> dict[str, str]:
    """Peers that are not here → how to install them."""
    return {peer.name: peer.hint for peer in PEERS if peer.program is None}
