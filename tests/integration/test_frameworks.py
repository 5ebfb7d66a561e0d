"""Real apps, unchanged, and real SDKs: what they do wrong lands in the right place. They are
installed by pip and npm, so only `make shows` runs this.
"""

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_clients_browser import browser
from tests.support.campaign import IS_WHOLE
from tests.support.clients import program
from tests.support.frameworks import Toolbox, install, running
from tests.support.sidecar import Sidecar, run_sidecar, until

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(not IS_WHOLE, reason="installs frameworks: make shows"),
    pytest.mark.timeout(900),
]

TRACE = "0af7651916cd43dd8448eb211c80319c"
TIMES = 6
"""A single refused login is no job, a jump of them is."""
EXPECTED = {
    "/boom": ("GET", b"", "UNKNOWN"),
    "/db": ("GET", b"", "DB_ERROR"),
    "/validate": ("POST", b'{"quantity": 0}', "API_SCHEMA"),
    "/login": ("POST", b'{"email": "a", "password": "b"}', "AUTH_FAILURE"),
}


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Toolbox:
    kept = os.environ.get("SELFHEAL_FRAMEWORKS")
    return install(Path(kept) if kept else tmp_path_factory.mktemp("frameworks"))


@pytest.mark.parametrize("name", ["flask", "fastapi", "django", "express"])
def test_an_app_nobody_changed_lands_in_the_right_categories(
    name: str, tools: Toolbox, tmp_path: Path
) -> None:
    with running(tools, name, tmp_path) as url, run_sidecar(tmp_path, url) as sidecar:
        sidecar.wait_for_database()
        for path, (method, body, _) in EXPECTED.items():
            for _ in range(TIMES):
                headers = {"Content-Type": "application/json"} if body else {}
                answer = sidecar.get(path, method=method, body=body or None, headers=headers)
                assert answer.status >= 400, (path, answer.body)
        jobs = until(lambda: complete(sidecar), what=f"four jobs, not {sidecar.jobs()}")
        found = {path: jobs[path]["category"] for path in EXPECTED}
        assert found == {path: expected for path, (_, _, expected) in EXPECTED.items()}, jobs
        for job in jobs.values():
            assert job["evidence"] or job["reason"], job


def complete(sidecar: Sidecar) -> dict[str, Any] | None:
    jobs = {job["route"]: job for job in sidecar.jobs()}
    return jobs if jobs.keys() >= EXPECTED.keys() else None


# --- SDKs ---------------------------------------------------------------------------------------

PYTHON_SDK = """
import sentry_sdk, sys
sentry_sdk.init(dsn=sys.argv[1], release="shop@1.2", traces_sample_rate=0)
sentry_sdk.get_isolation_scope().set_transaction_name("/checkout")
trace = {"sentry-trace": sys.argv[2] + "-" + "1" * 16}
def total(cart):
    return cart["total"]
with sentry_sdk.continue_trace(trace), sentry_sdk.new_scope():
    try:
        total({})
    except KeyError:
        sentry_sdk.capture_exception()
sentry_sdk.flush(10)
"""

NODE_SDK = """
const Sentry = require('@sentry/node');
Sentry.init({ dsn: process.argv[2], release: 'shop@1.2' });
function total(cart) { return cart.lines.length; }
const sentryTrace = process.argv[3] + '-' + '1'.repeat(16);
Sentry.continueTrace({ sentryTrace, baggage: undefined }, () => {
  Sentry.withScope((scope) => {
    scope.setTransactionName('GET /checkout');
    try { total({}); } catch (error) { Sentry.captureException(error); }
  });
});
Sentry.flush(10000).then(() => process.exit(0));
"""

BROWSER_SDK = """
import * as Sentry from '@sentry/browser';
const dsn = location.origin.replace('://', '://key@') + '/__selfheal/1';
Sentry.init({ dsn, release: 'shop@1.2' });
function total(cart) { return cart.lines.length; }
setTimeout(() => total({}), 50);
"""


def wait_for_job(sidecar: Sidecar, words: str, occurrences: int) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        return next(
            (
                job
                for job in sidecar.jobs()
                if words in json.dumps(job) and job["occurrences"] == occurrences
            ),
            None,
        )

    job: dict[str, Any] = until(look, what=f"{words} {occurrences} times", timeout_s=60)
    return job


def samples(sidecar: Sidecar, job: dict[str, Any]) -> list[dict[str, Any]]:
    shown = sidecar.command("show", job["id"], "--json").stdout
    events: list[dict[str, Any]] = json.loads(shown)["events"]
    return events


@pytest.mark.parametrize("sdk", ["python", "node"])
def test_an_error_in_a_server_sdk_is_one_job_with_stack_route_and_trace(
    sdk: str, tools: Toolbox, tmp_path: Path, upstream: str
) -> None:
    with run_sidecar(tmp_path, upstream) as sidecar:
        sidecar.wait_for_database()
        dsn = sidecar.data_url.replace("://", "://key@") + "/__selfheal/1"
        if sdk == "python":
            words = [tools.python, "-c", PYTHON_SDK]
        else:
            file = tools.node_dir / "sdk.cjs"
            file.write_text(NODE_SDK)
            words = [program("node", "nodejs"), str(file)]
        job: dict[str, Any] = {}
        for visit in (1, 2):
            subprocess.run([*words, dsn, TRACE], check=True, timeout=60)
            job = wait_for_job(sidecar, "total" if sdk == "python" else "length", visit)
        assert job["route"] == "/checkout"
        event = samples(sidecar, job)[0]
        assert event["trace_id"] == TRACE
        assert "total" in event["stack"]
        assert event["release"] == "shop@1.2"


class _Page(http.server.BaseHTTPRequestHandler):
    script = b""

    def do_GET(self) -> None:
        is_script = self.path.endswith(".js")
        body = self.script if is_script else b'<script src="/app.js"></script>hello'
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if is_script else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def page(tools: Toolbox) -> Iterator[str]:
    """A page whose script reports to wherever it was loaded from."""
    source = tools.node_dir / "browser.mjs"
    source.write_text(BROWSER_SDK)
    bundle = tools.node_dir / "bundle.js"
    esbuild = tools.node_dir / "node_modules" / ".bin" / "esbuild"
    subprocess.run(
        [str(esbuild), str(source), "--bundle", f"--outfile={bundle}", "--log-level=error"],
        check=True,
        timeout=60,
        cwd=tools.node_dir,
    )
    _Page.script = bundle.read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_error_in_a_page_is_one_job_and_a_second_visit_raises_its_count(
    page: str, tmp_path: Path
) -> None:
    with run_sidecar(tmp_path, page) as sidecar:
        sidecar.wait_for_database()
        job: dict[str, Any] = {}
        for visit in (1, 2):
            with browser(tmp_path / f"home{visit}", f"{sidecar.data_url}/cart"):
                job = wait_for_job(sidecar, "length", visit)
        assert (job["category"], job["route"]) == ("UI_BUG", "/cart")
        event = samples(sidecar, job)[0]
        assert "total" in event["stack"]
        assert len(event["trace_id"]) == 32
