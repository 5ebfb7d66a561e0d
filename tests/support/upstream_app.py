"""A small app nobody here wrote specially: stdlib only, run as `python upstream_app.py PORT`."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path.startswith("/fail"):
            body = json.dumps({"error": f"KeyError: 'price' in {url.path}"}).encode()
            self._send(500, body, "application/json")
        elif url.path == "/slow":
            time.sleep(float(query["s"][0]))
            self._send(200, b"slow", "text/plain")
        elif url.path == "/when":
            while not os.path.exists(query["file"][0]):
                time.sleep(0.02)
            self._send(200, b"now", "text/plain")
        elif url.path == "/endless":
            self._tick()
        elif url.path == "/big":
            self._send(200, b"x" * int(query["n"][0]), "application/octet-stream")
        elif url.path == "/headers":
            self._send(200, json.dumps(self.headers.items()).encode(), "application/json")
        else:
            self._send(200, b"hello " + self.path.encode(), "text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._send(200, body, self.headers.get("Content-Type", "text/plain"))

    def _tick(self) -> None:
        """Chunks until nobody listens."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"5\r\ntick\n\r\n")
                time.sleep(0.1)
        except OSError:
            self.close_connection = True

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the tests read what came back, not a log."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
