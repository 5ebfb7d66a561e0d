"""Small real apps in real git repositories: what the sandbox and the applier are tried on."""

import subprocess
import textwrap
from pathlib import Path

APP = '''\
"""A shop of one file: http.server and a dict."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PRICES = {"tea": 3, "cake": 5}


def price(name, count):
    return PRICES[name] * count


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, query = self.path.partition("?")
        status, body = 200, {"ok": True}
        try:
            if path.startswith("/price/"):
                body = {"price": price(path[7:], 2)}
            elif path == "/old":
                return self.redirect("/older")
            elif path == "/older":
                return self.redirect("/old")
            elif path == "/headers":
                body = dict(self.headers.items())
        except Exception as error:
            status, body = 500, {"error": f"{type(error).__name__}: {error}"}
        self.answer(status, body)

    def do_POST(self):
        data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self.answer(200, {"price": price(data["name"], data["count"])})
        except Exception as error:
            self.answer(500, {"error": f"{type(error).__name__}: {error}"})

    def redirect(self, where):
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'''

TESTS = """\
import unittest

import shop


class Prices(unittest.TestCase):
    def test_tea(self):
        self.assertEqual(shop.price("tea", 2), 6)


if __name__ == "__main__":
    unittest.main()
"""

START = "python shop.py {port}"
TEST = "python -m unittest -q test_shop"

RIGHT = """\
diff --git a/shop.py b/shop.py
--- a/shop.py
+++ b/shop.py
@@ -8,7 +8,7 @@


 def price(name, count):
-    return PRICES[name] * count
+    return PRICES.get(name, 0) * count


 class Handler(BaseHTTPRequestHandler):
"""
WRONG = RIGHT.replace("PRICES.get(name, 0) * count", "PRICES[name.upper()] * count")
BREAKS_TESTS = RIGHT.replace("PRICES.get(name, 0) * count", "PRICES.get(name, 0) + count")
NOOP = RIGHT.replace("PRICES.get(name, 0) * count", "count * PRICES[name]")


def git(repo: Path, *args: str, stdin: str | None = None) -> str:
    """Run git in ``repo`` as a plain user would; its output, stripped."""
    done = subprocess.run(
        ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", *args],
        cwd=repo,
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def make_repo(path: Path, files: dict[str, str] | None = None) -> str:
    """A checkout on branch ``main`` with one commit; its id."""
    path.mkdir(parents=True, exist_ok=True)
    git(path, "init", "-q", "-b", "main")
    for name, text in (files or {"shop.py": APP, "test_shop.py": TESTS}).items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return commit_all(path, "begin")


def commit_all(path: Path, message: str) -> str:
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", message)
    return git(path, "rev-parse", "HEAD")


def diff_of(path: Path, name: str, new: str) -> str:
    """The diff git makes for ``name`` becoming ``new``; the checkout is left as it was."""
    target = path / name
    old = target.read_text() if target.exists() else None
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(textwrap.dedent(new))
    git(path, "add", "-N", name)
    made = git(path, "diff", "--", name) + "\n"
    git(path, "reset", "-q", "--", name)
    if old is None:
        target.unlink()
    else:
        target.write_text(old)
    return made
