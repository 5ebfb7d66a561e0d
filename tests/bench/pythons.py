"""Which interpreter runs what: this checkout as plain source, and a compiled wheel in a scratch
environment of its own.

A figure of the wrong build would be worse than none, so each is asked which files it loads.
"""

import json
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import CannotMeasure

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DIST = ROOT / "dist"
HOT = "proxy.dataplane.hot"
LOADED = f"import json, {HOT} as m; print(json.dumps(m.__file__))"


@dataclass(frozen=True)
class Build:
    """One installed build of ours."""

    name: str
    """``plain`` or ``compiled``."""
    python: str

    def run(self, *words: str) -> list[str]:
        """A command line. ``-P`` keeps this folder and the checkout out of the module path."""
        return [self.python, "-P", *words]


def script(name: str, *words: str) -> list[str]:
    """One of this folder's own small servers, with this interpreter."""
    return [sys.executable, "-P", str(HERE / name), *words]


def plain() -> Build:
    build = Build("plain", sys.executable)
    if (loaded := _loaded(build)).endswith(".so"):
        raise CannotMeasure(f"a compiled module lies in the source tree: remove {loaded}")
    _write_bytecode(build, ROOT)
    return build


def compiled(wheel: Path | None, directory: Path) -> Build:
    """``wheel``, or the newest platform wheel in dist/, installed below ``directory``."""
    wheel = wheel or newest_wheel()
    if wheel is None:
        raise CannotMeasure("no compiled wheel in dist/: run  make wheel  first")
    if not wheel.exists():
        raise CannotMeasure(f"{wheel}: there is no such wheel")
    home = directory / "compiled"
    # dependencies come from the environment we run in: nothing is downloaded
    _run(sys.executable, "-m", "venv", "--without-pip", str(home))
    site = next(home.glob("lib/python*/site-packages"))
    _run(sys.executable, "-m", "zipfile", "-e", str(wheel), str(site))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    build = Build("compiled", str(home / "bin" / "python"))
    loaded = _loaded(build)
    if not loaded.endswith(".so") or not loaded.startswith(str(home)):
        raise CannotMeasure(f"{wheel.name} is not a compiled build: it loads {loaded}")
    _write_bytecode(build, site)
    return build


def newest_wheel() -> Path | None:
    """Newest in dist/ that is made for one platform."""
    wheels = [path for path in DIST.glob("*.whl") if not path.name.endswith("-none-any.whl")]
    return max(wheels, key=lambda path: path.stat().st_mtime, default=None)


def _write_bytecode(build: Build, site: Path) -> None:
    """As pip does where it installs, and `make` for the checkout: a start reads it, and compiles
    nothing.
    """
    folders = [str(site / name) for name in ("proxy", "console")]
    _run(build.python, "-m", "compileall", "-q", *folders)


def _loaded(build: Build) -> str:
    done = subprocess.run(
        build.run("-c", LOADED), capture_output=True, text=True, check=False, cwd="/"
    )
    if done.returncode != 0:
        raise CannotMeasure(f"the {build.name} build does not import: {done.stderr[-300:]}")
    return str(json.loads(done.stdout))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotMeasure(f"{' '.join(command[:4])} failed: {done.stderr[-300:]}")
