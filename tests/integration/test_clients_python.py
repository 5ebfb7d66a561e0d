"""aiohttp as a client, and h11 by hand: pools, streams, WebSocket with compression, pipelining."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import h11

from tests.support.clients import Ways

OWN_HOP = {b"connection", b"keep-alive"}
PATHS = ("/text", "/gzip", "/chunked", "/empty", "/redirect", "/missing", "/headers/a%2Fb//c?x=+y")
HOST = {"Host": "shop.example"}


async def pieces() -> AsyncIterator[bytes]:
    for number in range(50):
        yield bytes([number]) * 20_000
        await asyncio.sleep(0)


async def seen(session: aiohttp.ClientSession, method: str, path: str, **options: Any) -> Any:
    async with session.request(method, path, **options) as answer:
        body = await answer.read()
        headers = [pair for pair in answer.raw_headers if pair[0].lower() not in OWN_HOP]
        return path, answer.status, answer.reason, headers, hashlib.sha256(body).hexdigest()


async def by_aiohttp(base: str) -> list[Any]:
    """Everything an aiohttp client sees below ``base``."""
    said: list[Any] = []
    async with aiohttp.ClientSession(base, headers=HOST, auto_decompress=False) as session:
        for path in PATHS:
            said.append(await seen(session, "GET", path, allow_redirects=False))
        said.append(await seen(session, "HEAD", "/text"))
        said.append(await seen(session, "POST", "/echo", data=b"x" * 300_000))
        said.append(await seen(session, "PUT", "/echo", data=pieces()))
        said.append(await seen(session, "PUT", "/echo", data=pieces(), expect100=True))
        said.append(await asyncio.gather(*(seen(session, "GET", PATHS[n % 3]) for n in range(60))))
        async with session.get("/sse") as answer:
            said.append([line async for line in answer.content])
        async with session.get("/chunked") as answer:
            said.append(await answer.content.readexactly(10))
        async with session.ws_connect("/ws", protocols=("shop",), compress=15) as socket:
            await socket.send_str("prices " * 1000)
            await socket.send_bytes(b"z" * 200_000)
            said.append((socket.protocol, socket.compress, await socket.receive_str()))
            said.append((await socket.receive_bytes(), await socket.close(code=1001)))
            said.append(socket.close_code)
    return said


async def test_aiohttp_sees_no_difference(ways: Ways) -> None:
    direct = await by_aiohttp(ways.direct)
    assert await by_aiohttp(ways.through) == direct
    assert {entry[1] for entry in direct[: len(PATHS)]} == {200, 204, 302, 404}
    assert direct[-3][:2] == ("shop", 15), "compression was agreed on"


async def by_h11(base: str, requests: list[tuple[h11.Request, bytes]]) -> list[Any]:
    """All requests written at once on one connection; every event of their answers."""
    url = urlsplit(base)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    out = h11.Connection(h11.CLIENT)
    answers: list[Any] = []
    try:
        for request, body in requests:
            writer.write(out.send(request) or b"")
            writer.write((out.send(h11.Data(body)) or b"") if body else b"")
            writer.write(out.send(h11.EndOfMessage()) or b"")
            while True:
                event = out.next_event()
                if event is h11.NEED_DATA:
                    out.receive_data(await asyncio.wait_for(reader.read(65536), 60))
                elif isinstance(event, h11.Response | h11.InformationalResponse):
                    fields = [
                        pair for pair in event.headers.raw_items() if pair[0].lower() not in OWN_HOP
                    ]
                    answers.append((event.status_code, event.reason, event.http_version, fields))
                elif isinstance(event, h11.Data):
                    answers.append(bytes(event.data))
                else:
                    assert isinstance(event, h11.EndOfMessage)
                    break
            answers = joined(answers)
            out.start_next_cycle()
    finally:
        writer.close()
        await writer.wait_closed()
    return answers


def joined(events: list[Any]) -> list[Any]:
    """Where a body was cut into pieces is nobody's business."""
    whole: list[Any] = []
    for event in events:
        if whole and isinstance(event, bytes) and isinstance(whole[-1], bytes):
            whole[-1] += event
        else:
            whole.append(event)
    return whole


def question(method: str, target: str, *more: tuple[bytes, bytes]) -> h11.Request:
    return h11.Request(method=method, target=target, headers=[(b"Host", b"shop.example"), *more])


async def test_h11_by_hand_sees_no_difference(ways: Ways) -> None:
    requests = [
        (question("GET", "/text"), b""),
        (question("GET", "/chunked"), b""),
        (question("HEAD", "/chunked"), b""),
        (question("GET", "/empty"), b""),
        (question("PROPFIND", "/headers/%7Eodd?", (b"X-Odd", b"\xe9"), (b"x-odd", b"2")), b""),
        (question("POST", "/echo", (b"Content-Length", b"5")), b"hello"),
        (question("POST", "/echo", (b"Transfer-Encoding", b"chunked")), b"hello" * 1000),
    ]
    direct = await by_h11(ways.direct, requests)
    assert await by_h11(ways.through, requests) == direct
    assert sum(isinstance(event, tuple) for event in direct) == len(requests)
