"""An app for crowds, on a thread and loop of its own: GET is answered ``ok`` at once, ``/ws``
echoes, ``/wait`` is answered when it may be, and a POST is read to an end that never comes.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from tests.support.websocket import echo, switching

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class CrowdApp:
    def __init__(self) -> None:
        self.port = 0
        self.waiting = 0
        """Requests for ``/wait`` so far."""
        self._loop = asyncio.new_event_loop()
        self._may_answer = asyncio.Event()
        self._visits: set[asyncio.Task[None]] = set()

    def let_answer(self) -> None:
        """Every ``/wait``, those to come as well."""
        self._loop.call_soon_threadsafe(self._may_answer.set)

    def run(self, listens: threading.Event) -> None:
        with contextlib.closing(self._loop) as loop:
            server = loop.run_until_complete(
                asyncio.start_server(self._take, "127.0.0.1", 0, backlog=1024)
            )
            self.port = server.sockets[0].getsockname()[1]
            listens.set()
            loop.run_forever()
            server.close()
            loop.run_until_complete(self._let_go())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _let_go(self) -> None:
        visits = list(self._visits)
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.ensure_future(self._serve(reader, writer))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /ws "):
            at = head.lower().index(b"sec-websocket-key:")
            writer.write(switching(head[at:].split(b"\r\n", 1)[0].partition(b":")[2].strip()))
            await echo(reader, writer)
        if head.startswith(b"POST "):
            await reader.readuntil(b"the end of a body that never comes")
        if head.startswith(b"GET /wait "):
            self.waiting += 1
            await self._may_answer.wait()
        writer.write(OK)


@contextlib.contextmanager
def crowd_app() -> Iterator[CrowdApp]:
    app, listens = CrowdApp(), threading.Event()
    thread = threading.Thread(target=app.run, args=(listens,))
    thread.start()
    try:
        assert listens.wait(60)
        yield app
    finally:
        app.stop()
        thread.join()
