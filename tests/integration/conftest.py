"""One small upstream app for all tests of this folder."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.store.embedded import Cluster
from tests.support.client_app import client_app
from tests.support.clients import Ways
from tests.support.sidecar import until
from tests.support.worker import data_worker

APP = Path(__file__).parent.parent / "support" / "upstream_app.py"


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """The URL of a plain web app that fails on ``/fail…``."""
    process = subprocess.Popen([sys.executable, str(APP), "0"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="session")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    """An app for real clients, and a data worker in front of it."""
    files, home = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("worker")
    with client_app(files) as app, data_worker(home, app.port) as worker:
        yield Ways(app, f"http://127.0.0.1:{app.port}", f"http://127.0.0.1:{worker.port}")


def removed(home: Path) -> bool:
    """False while an initdb whose starter was killed still writes there."""
    shutil.rmtree(home, ignore_errors=True)
    return not home.exists()


@pytest.fixture(autouse=True)
def no_cluster_stays_behind(tmp_path: Path) -> Iterator[None]:
    """As root a cluster lies outside its data directory, and would outlive it."""
    yield
    for name in ("data", "refused"):
        cluster = Cluster(tmp_path / name)
        if cluster.home.exists():
            cluster.stop()
            until(lambda home=cluster.home: removed(home), what=f"{cluster.home} to go")
