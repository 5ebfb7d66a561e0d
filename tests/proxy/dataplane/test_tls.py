"""TLS on either side of the data plane, with real certificates and real ``ssl`` clients."""

import asyncio
import re
import socket
import ssl
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.config import Config
from proxy.dataplane.tls import PEM_BYTES_MAX, Pem, ServerTls, read_pem
from proxy.domain.exchange import Outcome
from proxy.errors import ConfigError
from tests.support.certificates import Authority, serving, written
from tests.support.dataplane import GET, OK, Peer, config_for, replying, rig

AUTHORITY = Authority()
PAIR = AUTHORITY.pair()
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


# -- the data port


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_exchanges_pass_as_without_tls(hot: bool) -> None:
    async with rig(replying(CHUNKED), pem=PAIR, hot=hot) as r:
        client = await r.connect(AUTHORITY.trusting())
        for raw in (GET, POST, GET):
            await client.send(raw)
            got = await client.got(raw.split(b" ", 1)[0])
            assert (got.status, got.body, got.complete) == (200, b"ok", True)
        assert [seen.raw for seen in r.upstream.seen] == [GET, POST, GET]
        assert [e.client for e in await r.recorded(3)] == ["127.0.0.1"] * 3


@pytest.mark.parametrize(
    ("offered", "chosen"), [((), None), (("h2", "http/1.1"), "http/1.1"), (("h2",), None)]
)
async def test_alpn_never_promises_more_than_we_speak(
    offered: tuple[str, ...], chosen: str | None
) -> None:
    async with rig(pem=PAIR) as r:
        client = await r.connect(AUTHORITY.trusting(*offered))
        session = client.writer.get_extra_info("ssl_object")
        assert session.selected_alpn_protocol() == chosen
        assert session.version() == "TLSv1.3"
        await client.send(GET)
        assert (await client.got()).body == b"ok"


async def test_what_is_older_than_tls_1_2_gets_no_session() -> None:
    async with rig(pem=PAIR) as r:
        old = AUTHORITY.trusting()
        old.minimum_version = ssl.TLSVersion.TLSv1_2
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert (await r.ask(GET, tls=old)).body == b"ok"
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await r.connect(old)


async def test_plain_words_on_a_tls_port_reach_nobody() -> None:
    async with rig(pem=PAIR) as r:
        client = await r.connect()
        await client.send(GET)
        assert b"HTTP/1.1 200" not in await client.ended()
        assert (await r.ask(GET, tls=AUTHORITY.trusting())).body == b"ok"
        assert len(r.upstream.seen) == 1


async def test_a_handshake_that_never_comes_is_given_up() -> None:
    async with rig(pem=PAIR, downstream={"header_timeout_s": 0.2}) as r:
        client = await r.connect()
        assert await client.ended() == b""


async def test_forwarding_words_say_https() -> None:
    async with rig(pem=PAIR, downstream={"forwarded": "replace"}) as r:
        assert (await r.ask(GET, tls=AUTHORITY.trusting())).body == b"ok"
        assert r.upstream.seen[0].values(b"x-forwarded-proto") == [b"https"]
        assert b"proto=https" in r.upstream.seen[0].values(b"forwarded")[0]


async def test_a_refused_upload_learns_why() -> None:
    async with rig(pem=PAIR) as r:
        client = await r.connect(AUTHORITY.trusting())
        await client.send(POST.replace(b"Content-Length: 2", b"Content-Length: x2"))
        got = await client.got(b"POST")
        assert (got.status, got.complete) == (400, True)
        assert r.upstream.seen == []


async def test_server_sent_events_arrive_one_by_one() -> None:
    heard = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(3):
            await peer.send(b"data: %d\n\n" % number)
            await heard.wait()
            heard.clear()
        peer.writer.close()

    async with rig(behave, pem=PAIR) as r:
        client = await r.connect(AUTHORITY.trusting())
        await client.send(GET)
        for number in range(3):
            event = await client.reader.readuntil(b"data: %d\n\n" % number)
            assert event
            heard.set()
        assert await client.reader.readexactly(7) == b"\r\n0\r\n\r\n"


async def test_websocket_frames_pass_both_ways() -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCHING + b"early")
        while data := await peer.reader.read(65536):
            await peer.send(data.upper())
        peer.writer.close()

    async with rig(behave, pem=PAIR) as r:
        client = await r.connect(AUTHORITY.trusting())
        await client.send(HANDSHAKE)
        assert (await client.reader.readuntil(b"early")).startswith(b"HTTP/1.1 101 ")
        for frame in (b"hello", b"y" * 300_000):
            await client.send(frame)
            assert await client.reader.readexactly(len(frame)) == frame.upper()
        client.close()
        assert (await r.recorded())[0].outcome is Outcome.UPGRADED


async def test_a_client_that_leaves_cancels_its_request() -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        while await peer.more():
            pass

    async with rig(behave, pem=PAIR) as r:
        client = await r.connect(AUTHORITY.trusting())
        await client.send(GET)
        await r.until(lambda: r.upstream.seen)
        client.close()
        assert (await r.recorded())[0].outcome is Outcome.CLIENT_GONE
        await r.until(lambda: r.upstream.peers[0].got_eof)


@pytest.mark.parametrize("hot", [True, False], ids=["hot", "general"])
async def test_the_end_of_a_session_is_the_end_of_its_request(
    hot: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio knows no half-closed TLS; what it is asked about that lands in the log."""

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.more()

    async with rig(behave, pem=PAIR, hot=hot) as r:
        with socket.create_connection(("127.0.0.1", r.port)) as raw:
            tls = await asyncio.to_thread(
                AUTHORITY.trusting().wrap_socket, raw, server_hostname="localhost"
            )
            await asyncio.to_thread(tls.sendall, GET)
            await r.until(lambda: r.upstream.seen)
            with tls:
                await asyncio.to_thread(tls.unwrap)
            assert (await r.recorded())[0].outcome is Outcome.CLIENT_GONE
    assert caplog.records == []


async def test_a_renewed_certificate_meets_the_next_handshake_and_nobody_else() -> None:
    other = Authority()
    async with rig(pem=PAIR) as r:
        old = await r.connect(AUTHORITY.trusting())
        await old.send(GET)
        assert (await old.got()).body == b"ok"
        r.server.reload(config_for(r.upstream.port), other.pair())
        await old.send(GET)
        assert (await old.got()).body == b"ok"
        assert (await r.ask(GET, tls=other.trusting("h2", "http/1.1"))).body == b"ok"
        with pytest.raises(ssl.SSLCertVerificationError):
            await r.connect(AUTHORITY.trusting())
        with pytest.raises(ssl.SSLError):
            r.server.reload(config_for(r.upstream.port), Pem(PAIR.certificate, other.pair().key))
        assert (await r.ask(GET, tls=other.trusting())).body == b"ok"


async def test_a_client_that_never_says_goodbye_holds_up_no_drain() -> None:
    """Its socket stays open and unread, as those in the pool of a blocking client."""
    async with rig(pem=PAIR) as r:
        raw = socket.create_connection(("127.0.0.1", r.port))
        tls = await asyncio.to_thread(
            AUTHORITY.trusting().wrap_socket, raw, server_hostname="localhost"
        )
        await asyncio.to_thread(tls.sendall, GET)
        assert (await asyncio.to_thread(tls.recv, 65536)).startswith(b"HTTP/1.1 200 OK")
        r.server.start_draining()
        assert await asyncio.wait_for(r.server.drained(20), 15)
        tls.close()


# -- an https upstream


async def test_an_https_upstream_is_checked_and_reused(tmp_path: Path) -> None:
    trusted = Pem(upstream_ca=AUTHORITY.text)
    async with rig(pem=trusted, upstream_tls=serving(PAIR, tmp_path)) as r:
        url = f"https://localhost:{r.upstream.port}"
        r.server.reload(Config.of({"upstream": {"url": url}}), trusted)
        client = await r.connect()
        for raw in (GET, POST, GET):
            await client.send(raw)
            assert (await client.got(raw.split(b" ", 1)[0])).body == b"ok"
        assert [seen.raw for seen in r.upstream.seen] == [GET, POST, GET]
        assert len(r.upstream.peers) == 1
        session = r.upstream.peers[0].writer.get_extra_info("ssl_object")
        assert session.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("pair", "pem", "settings", "words"),
    [
        (PAIR, Pem(), {}, "unable to get local issuer"),
        (PAIR, Pem(upstream_ca=Authority().text), {}, "unable to get local issuer"),
        (AUTHORITY.pair("other.example"), Pem(upstream_ca=AUTHORITY.text), {}, "mismatch"),
        (PAIR, Pem(upstream_ca=AUTHORITY.text), {"tls_name": "app.example"}, "mismatch"),
        (AUTHORITY.pair(expired=True), Pem(upstream_ca=AUTHORITY.text), {}, "expired"),
    ],
    ids=["unknown authority", "another authority", "wrong name", "not the name set", "expired"],
)
async def test_a_certificate_that_proves_nothing_is_a_502_that_says_so(
    tmp_path: Path, pair: Pem, pem: Pem, settings: dict[str, str], words: str
) -> None:
    async with rig(upstream_tls=serving(pair, tmp_path)) as r:
        url = f"https://127.0.0.1:{r.upstream.port}"
        r.server.reload(Config.of({"upstream": {"url": url, **settings}}), pem)
        got = await r.ask(GET)
        assert got.status == 502
        assert b"certificate" in got.body
        assert words in got.body.decode()
        assert b"error=tls_certificate_error" in got.values(b"proxy-status")[0]
        (exchange,) = await r.recorded()
        assert exchange.outcome is Outcome.UPSTREAM_REFUSED
        assert r.upstream.seen == []


async def test_another_name_may_be_checked_and_a_private_line_may_go_unchecked(
    tmp_path: Path,
) -> None:
    pair = AUTHORITY.pair("app.internal")
    trusted = Pem(upstream_ca=AUTHORITY.text)
    async with rig(upstream_tls=serving(pair, tmp_path)) as r:
        url = f"https://127.0.0.1:{r.upstream.port}"
        named = {"upstream": {"url": url, "tls_name": "app.internal"}}
        r.server.reload(Config.of(named), trusted)
        assert (await r.ask(GET)).body == b"ok"
        unchecked = {"upstream": {"url": url, "tls_verify": False}}
        r.server.reload(Config.of(unchecked), Pem())
        assert (await r.ask(GET)).body == b"ok"


async def test_an_upstream_that_speaks_no_tls_is_a_502(tmp_path: Path) -> None:
    async with rig() as r:
        url = f"https://127.0.0.1:{r.upstream.port}"
        r.server.reload(Config.of({"upstream": {"url": url}}))
        r.upstream.behaviours = [_speaks_plainly]
        got = await r.ask(GET)
        assert got.status == 502
        assert b"tls_protocol_error" in got.values(b"proxy-status")[0]


async def _speaks_plainly(peer: Peer) -> None:
    await peer.reader.read(65536)
    await peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("goodbye", [True, False], ids=["close_notify", "cut"])
async def test_an_answer_until_close_is_whole_only_with_a_goodbye(
    tmp_path: Path, goodbye: bool
) -> None:
    """RFC 9112 section 9.8: without close_notify anybody on the line may have cut it."""

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        if goodbye:
            peer.writer.close()
        else:
            peer.shut_down()

    trusted = Pem(upstream_ca=AUTHORITY.text)
    async with rig(behave, upstream_tls=serving(PAIR, tmp_path)) as r:
        url = f"https://127.0.0.1:{r.upstream.port}"
        r.server.reload(Config.of({"upstream": {"url": url}}), trusted)
        got = await r.ask(GET)
        assert (got.body, got.complete) == (b"half", goodbye)
        outcome = Outcome.ANSWERED if goodbye else Outcome.UPSTREAM_BROKEN
        assert (await r.recorded())[0].outcome is outcome


async def test_websocket_over_tls_on_both_sides(tmp_path: Path) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCHING)
        while data := await peer.reader.read(65536):
            await peer.send(data[::-1])
        peer.writer.close()

    both = Pem(PAIR.certificate, PAIR.key, AUTHORITY.text)
    async with rig(behave, pem=both, upstream_tls=serving(PAIR, tmp_path)) as r:
        url = f"https://127.0.0.1:{r.upstream.port}"
        r.server.reload(Config.of({"upstream": {"url": url}}), both)
        client = await r.connect(AUTHORITY.trusting())
        await client.send(HANDSHAKE)
        await client.reader.readuntil(b"\r\n\r\n")
        await client.send(b"abc")
        assert await client.reader.readexactly(3) == b"cba"


# -- the files


def settings(**listen: str) -> Config:
    return Config.of({"listen": listen})


def test_files_are_read_whole_and_a_key_may_lie_beside_its_certificate(tmp_path: Path) -> None:
    certificate, key = written(PAIR, tmp_path)
    found = read_pem(settings(tls_certificate=str(certificate), tls_key=str(key)))
    assert found == PAIR
    assert PAIR.key not in repr(found)
    both = tmp_path / "both.pem"
    both.write_text(PAIR.key + PAIR.certificate)
    found = read_pem(settings(tls_certificate=str(both)))
    assert ServerTls(found)
    assert (found.certificate, found.key) == (PAIR.key + PAIR.certificate,) * 2
    assert read_pem(Config()) == Pem()


def locked(pem: Pem) -> str:
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key(pem.key.encode(), None)
    return key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"secret")
    ).decode()


@pytest.mark.parametrize(
    ("chain", "key", "words"),
    [
        (None, PAIR.key, r"listen\.tls_certificate .*cannot be read: No such file.*name a PEM"),
        (PAIR.certificate, None, r"listen\.tls_key .*cannot be read"),
        ("nonsense", PAIR.key, r"listen\.tls_certificate .*holds no certificate"),
        (PAIR.certificate, "nonsense", r"listen\.tls_key .*holds no private key"),
        (PAIR.certificate, Authority().pair().key, "does not belong to the key in"),
        (PAIR.certificate[:300], PAIR.key, "cannot be used with the key .*intact PEM"),
        (PAIR.certificate, PAIR.key[:100] + "\n", "cannot be used with the key .*intact PEM"),
        (PAIR.certificate, locked(PAIR), r"listen\.tls_key .*encrypted.*openssl pkey"),
        ("x" * (PEM_BYTES_MAX + 1), PAIR.key, "larger than"),
    ],
    ids=[
        "no file",
        "no key",
        "no pem",
        "no pem key",
        "two pairs",
        "cut",
        "cut key",
        "locked",
        "big",
    ],
)
def test_bad_files_are_one_sentence_with_the_fix(
    tmp_path: Path, chain: str | None, key: str | None, words: str
) -> None:
    files = [tmp_path / "chain.pem", tmp_path / "key.pem"]
    for file, text in zip(files, (chain, key), strict=True):
        if text is not None:
            file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_pem(settings(tls_certificate=str(files[0]), tls_key=str(files[1])))
    assert re.search(words, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 78


def test_a_key_alone_and_a_bundle_of_nobody(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"without listen\.tls_certificate"):
        read_pem(settings(tls_key="key.pem"))
    file = tmp_path / "ca.pem"
    for text in ("", "nonsense", AUTHORITY.text[:200]):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"upstream\.ca_file .*holds no certificate"):
            read_pem(Config.of({"upstream": {"ca_file": str(file)}}))
    file.write_text(AUTHORITY.text + Authority().text)
    assert read_pem(Config.of({"upstream": {"ca_file": str(file)}})).upstream_ca


def test_config_check_proves_the_files_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = written(PAIR, tmp_path)
    file = tmp_path / "my.toml"
    file.write_text(f"[listen]\ntls_certificate = '{certificate}'\ntls_key = '{key}'\n")
    assert main(["config", "check", str(file)]) == 0
    key.write_text(Authority().pair().key)
    assert main(["config", "check", str(file)]) == 78
    assert "does not belong to the key" in capsys.readouterr().err


# -- back-pressure

FAST_BYTES = 64 << 20
HELD_BYTES_MAX = 24 << 20
"""What four sockets' buffers and ours may hold of it; the kernel's make up nearly all."""


async def settled(count: list[int]) -> int:
    """The count once it has stopped growing: the line is full."""
    before = -1
    while before != count[0] or not count[0]:
        before = count[0]
        await asyncio.sleep(0.3)
    return before


async def pour(writer: asyncio.StreamWriter, count: list[int]) -> None:
    block = b"z" * 65536
    while count[0] < FAST_BYTES:
        writer.write(block)
        await writer.drain()
        count[0] += len(block)


async def test_a_client_that_does_not_read_stops_the_upstream() -> None:
    count = [0]

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % FAST_BYTES)
        await pour(peer.writer, count)

    async with rig(behave, pem=PAIR) as r:
        client = await r.connect(AUTHORITY.trusting())
        client.stop_reading()
        await client.send(GET)
        assert await settled(count) < HELD_BYTES_MAX
        client.read_on()
        await client.reader.readuntil(b"\r\n\r\n")
        got = 0
        while got < FAST_BYTES:
            got += len(await client.reader.read(1 << 20))
        assert (got, (await r.recorded())[0].response_bytes) == (FAST_BYTES, FAST_BYTES)


async def test_an_upstream_that_does_not_read_stops_the_client() -> None:
    count = [0]
    go = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.head()
        await go.wait()
        got = len(peer.raw.partition(b"\r\n\r\n")[2])
        while got < FAST_BYTES:
            got += len(await peer.reader.read(1 << 20))
        await peer.send(OK if got == FAST_BYTES else b"")

    async with rig(behave, pem=PAIR) as r:
        client = await r.connect(AUTHORITY.trusting())
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % FAST_BYTES)
        pouring = asyncio.ensure_future(pour(client.writer, count))
        assert await settled(count) < HELD_BYTES_MAX
        go.set()
        await pouring
        assert (await client.got(b"POST")).body == b"ok"
        assert (await r.recorded())[0].request_bytes == FAST_BYTES
