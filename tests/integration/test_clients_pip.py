"""pip from a local index: the same file, and no other, with the proxy between."""

import hashlib
import os
import sys
import zipfile
from pathlib import Path

from tests.support.clients import Ways, done

NAME, VERSION = "shop_parts", "1.0"
WHEEL = f"{NAME}-{VERSION}-py3-none-any.whl"


def write_wheel(where: Path) -> None:
    """The smallest wheel pip takes, with a payload larger than any buffer on the way."""
    info = f"{NAME}-{VERSION}.dist-info"
    files = {
        f"{NAME}/__init__.py": b"",
        f"{NAME}/prices.bin": bytes(range(256)) * 6000,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(where / WHEEL, "w", zipfile.ZIP_STORED) as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)


def downloaded(base: str, into: Path) -> dict[str, str]:
    """File name → SHA-256 of what `pip download` brought."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(into), "NO_PROXY": "*"}
    done(
        [
            *(sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "-q"),
            *("download", "--no-deps", "--no-cache-dir", "--no-input", "-d", str(into / "got")),
            *("--index-url", f"{base}/files/simple/", f"{NAME}=={VERSION}"),
        ],
        into,
        environ,
    )
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in (into / "got").iterdir()}


def test_pip_downloads_the_same_file(ways: Ways, tmp_path: Path) -> None:
    index = ways.app.files / "simple" / NAME.replace("_", "-")
    index.mkdir(parents=True, exist_ok=True)
    write_wheel(index)
    found = []
    for name, base in (("direct", ways.direct), ("through", ways.through)):
        home = tmp_path / name
        home.mkdir()
        found.append(downloaded(base, home))
    assert found[0] == found[1] == {WHEEL: hashlib.sha256((index / WHEEL).read_bytes()).hexdigest()}
