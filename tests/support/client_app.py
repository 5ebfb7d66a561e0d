"""The app real clients are shown: everything they do to a web app, on a thread of its own.

Answers are the same each time (``Date`` is fixed), so that what came directly and what came through
the proxy can be compared whole. ``/headers`` and ``/echo`` tell what reached the app.
"""

import asyncio
import contextlib
import gzip
import hashlib
import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

DATE = "Mon, 23 Nov 2026 00:00:00 GMT"
TEXT = b"".join(b"line %d of a text that is long enough\n" % n for n in range(500))
EVENTS = 5
GIT_BACKEND = Path("/usr/lib/git-core/git-http-backend")
BODY_BYTES_MAX = 1 << 28

PAGE = """<!doctype html><meta charset="utf-8"><title>shop</title><link rel="icon" href="data:,">
<script>
const said = [];
const events = () => new Promise((done) => {
  const source = new EventSource("/sse");
  const got = [];
  source.addEventListener("price", (event) => got.push(event.lastEventId + " " + event.data));
  source.addEventListener("end", () => { source.close(); done(got); });
});
const socket = () => new Promise((done) => {
  const got = [];
  const ws = new WebSocket("ws://" + location.host + "/ws", "shop");
  ws.onopen = () => { ws.send("hello " + ws.protocol); ws.send(new Uint8Array(70000)); };
  ws.onmessage = async (event) => {
    got.push(typeof event.data === "string" ? event.data : (await event.data.size) + " bytes");
    if (got.length === 2) ws.close(1000, "enough");
  };
  ws.onclose = (event) => { got.push(event.code + " " + event.reason); done(got); };
});
const upload = async () => {
  const form = new FormData();
  form.append("file", new Blob(["x".repeat(100000)]), "parts.txt");
  const answer = await fetch("/form", { method: "POST", body: form });
  return [answer.status, await answer.text()];
};
const text = async (path) => {
  const answer = await fetch(path);
  return [answer.status, answer.headers.get("content-type"), (await answer.text()).length];
};
(async () => {
  said.push(await events(), await socket(), await upload());
  for (const path of ["/text", "/gzip", "/chunked", "/missing"]) said.push(await text(path));
  await fetch("/report", { method: "POST", body: JSON.stringify(said) });
  const next = new URLSearchParams(location.search).get("next");
  if (next) location = next;
})();
</script>
"""


class ClientApp:
    def __init__(self, files: Path) -> None:
        self.files = files
        self.port = 0
        self.reports: queue.Queue[str] = queue.Queue()
        """What the page found out, as JSON, in the order it came."""
        self._loop = asyncio.new_event_loop()

    def run(self, listens: threading.Event) -> None:
        with contextlib.closing(self._loop) as loop:
            runner = web.AppRunner(self._build(), access_log=None, shutdown_timeout=0.1)
            loop.run_until_complete(runner.setup())
            site = web.TCPSite(runner, "127.0.0.1", 0)
            loop.run_until_complete(site.start())
            self.port = runner.addresses[0][1]
            listens.set()
            loop.run_forever()
            loop.run_until_complete(runner.cleanup())
            loop.run_until_complete(loop.shutdown_default_executor())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _build(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.on_response_prepare.append(_same_each_time)
        app.add_routes(
            [
                web.get("/text", _text),
                web.get("/gzip", _gzip),
                web.get("/chunked", _chunked),
                web.get("/empty", _empty),
                web.get("/redirect", _redirect),
                web.get("/sse", _sse),
                web.get("/ws", _websocket),
                web.get("/page", _page),
                web.post("/form", _form),
                web.post("/report", self._report),
                web.route("*", "/git/{path:.*}", self._git),
                web.static("/files", self.files, show_index=True),
                web.route("*", "/headers{rest:.*}", _headers),
                web.route("*", "/echo", _echo),
            ]
        )
        return app

    async def _report(self, request: web.Request) -> web.Response:
        self.reports.put(await request.text())
        return web.Response(status=204)

    async def _git(self, request: web.Request) -> web.StreamResponse:
        """`git http-backend` as the CGI program it is (RFC 3875)."""
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.files),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "founder",
            "PATH_INFO": "/" + request.match_info["path"],
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        body = await request.read()
        environ["CONTENT_LENGTH"] = str(len(body))
        process = await asyncio.create_subprocess_exec(
            str(GIT_BACKEND),
            env=environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate(body)
        head, _, content = out.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(fields.pop("Status", "200").split()[0])
        response = web.StreamResponse(status=status, headers=fields)
        await response.prepare(request)
        await response.write(content)
        return response


async def _same_each_time(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Date"] = DATE


async def _text(request: web.Request) -> web.StreamResponse:
    """Honours Range and If-None-Match, as a file server does."""
    tag = '"' + hashlib.sha256(TEXT).hexdigest()[:16] + '"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Content-Type": "text/plain"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    wanted = request.http_range
    if wanted.start is None and wanted.stop is None:
        return web.Response(body=TEXT, headers=headers)
    part = TEXT[wanted]
    start = wanted.indices(len(TEXT))[0]
    headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(TEXT)}"
    return web.Response(status=206, body=part, headers=headers)


async def _gzip(request: web.Request) -> web.StreamResponse:
    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return web.Response(body=gzip.compress(TEXT, mtime=0), headers=headers)


async def _chunked(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain", "Set-Cookie": "a=1"})
    response.headers.add("Set-Cookie", "b=2; HttpOnly")
    await response.prepare(request)
    if request.method == "HEAD":
        return response  # aiohttp would send what is written
    for start in range(0, len(TEXT), 4096):
        await response.write(TEXT[start : start + 4096])
    return response


async def _empty(request: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


async def _redirect(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "/text"})


async def _headers(request: web.Request) -> web.StreamResponse:
    """Method, target and header lines as they came, one to a line."""
    lines = [f"{request.method} {request.raw_path}".encode()]
    lines += [name + b": " + value for name, value in request.raw_headers]
    return web.Response(body=b"\n".join(lines), content_type="text/plain")


async def _echo(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    framing = {"chunked"} & {request.headers.get("Transfer-Encoding", "").lower()}
    said = f"{request.method} {len(body)} {hashlib.sha256(body).hexdigest()} {sorted(framing)}"
    return web.Response(text=said)


async def _form(request: web.Request) -> web.StreamResponse:
    form = await request.post()
    file = form["file"]
    assert isinstance(file, web.FileField)
    return web.Response(text=f"{file.filename} {len(file.file.read())}")


async def _sse(request: web.Request) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    for number in range(EVENTS):
        await response.write(b"id: %d\nevent: price\ndata: %d EUR\n\n" % (number, number * 7))
        await asyncio.sleep(0.01)
    await response.write(b"event: end\ndata: -\n\n")
    return response


async def _websocket(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=("shop",), max_msg_size=1 << 24)
    await socket.prepare(request)
    async for message in socket:
        data: Any = message.data
        if message.type is web.WSMsgType.TEXT:
            await socket.send_str("echo " + data)
        elif message.type is web.WSMsgType.BINARY:
            await socket.send_bytes(data)
    return socket


async def _page(request: web.Request) -> web.StreamResponse:
    return web.Response(text=PAGE, content_type="text/html")


@contextlib.contextmanager
def client_app(files: Path) -> Iterator[ClientApp]:
    """``files`` is served below ``/files``, and its git repositories below ``/git``."""
    app, listens = ClientApp(files), threading.Event()
    thread = threading.Thread(target=app.run, args=(listens,))
    thread.start()
    try:
        assert listens.wait(60)
        yield app
    finally:
        app.stop()
        thread.join()
