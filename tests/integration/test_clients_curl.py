"""curl: whatever it is told to do, the app and the terminal see the same with the proxy between."""

from pathlib import Path

from tests.support.clients import Ways, program, run

OWN_HOP = {b"connection", b"keep-alive"}
"""Fields each hop says for itself (RFC 9110 section 7.6.1)."""

BIG = "big.bin"
CASES: tuple[tuple[str, ...], ...] = (
    ("/text",),
    ("/headers/a%2Fb//c/../d;e?x=%20+y&&z", "--path-as-is"),
    ("/headers?", "--path-as-is"),
    ("/headers", "-H", "X-Twice: 1", "-H", "x-twice: 2", "-H", "X-Empty;"),
    ("/headers", "-u", "founder:secret", "-b", "a=1; b=2", "-e", "http://elsewhere.example/"),
    ("/headers", "-X", "PROPFIND"),
    ("/headers", "-X", "delete"),
    ("/text", "-I"),
    ("/chunked", "-I"),
    ("/text", "-r", "100-199"),
    ("/text", "-r", "-50"),
    ("/text", "--http1.0"),
    ("/chunked", "--http1.0"),
    ("/chunked",),
    ("/chunked", "--raw"),
    ("/gzip", "--compressed"),
    ("/gzip",),
    ("/empty",),
    ("/missing",),
    ("/redirect",),
    ("/redirect", "-L"),
    ("/sse", "-N"),
    ("/echo", "-d", "a=1&b=2"),
    ("/echo", "--json", '{"a": 1}'),
    ("/echo", "-X", "PUT", "--data-binary", f"@{BIG}", "-H", "Expect:"),
    ("/echo", "-X", "PUT", "--data-binary", f"@{BIG}", "-H", "Expect: 100-continue"),
    ("/echo", "-T", BIG),
    ("/echo", "-T", BIG, "-H", "Transfer-Encoding: chunked"),
    ("/echo", "-T", BIG, "--http1.0"),
    ("/form", "-F", f"file=@{BIG};filename=parts.txt"),
)


def told(words: tuple[str, ...], url: str, cwd: Path) -> tuple[int, bytes, list[bytes], bytes]:
    """Exit code, status, header lines in their order and what came out."""
    path, *options = words
    head = cwd / "head"
    head.write_bytes(b"")
    done = run(
        *(program("curl", "curl"), "-sS", "-q", "--noproxy", "*", "-m", "50"),
        *("-D", str(head), "-H", "Host: shop.example", "--expect100-timeout", "40"),
        *options,
        url + path,
        cwd=cwd,
    )
    lines = head.read_bytes().split(b"\r\n")
    hop = OWN_HOP | ({b"transfer-encoding"} if "--http1.0" in options else set())
    kept = [line for line in lines if line.partition(b":")[0].lower() not in hop]
    statuses = b" ".join(line.split(b" ", 2)[1] for line in kept if line.startswith(b"HTTP/"))
    fields = [line for line in kept if not line.startswith(b"HTTP/")]
    return done.returncode, statuses, fields, done.stdout


def test_curl_sees_no_difference(ways: Ways, tmp_path: Path) -> None:
    (tmp_path / BIG).write_bytes(bytes(range(256)) * 6000)
    for words in CASES:
        direct = told(words, ways.direct, tmp_path)
        assert told(words, ways.through, tmp_path) == direct, words
        assert direct[0] == 0, words
        assert direct[1], words


def test_curl_keeps_its_connection(ways: Ways, tmp_path: Path) -> None:
    counted = run(
        *(program("curl", "curl"), "-sS", "-q", "--noproxy", "*", "-m", "50"),
        *("-w", "%{num_connects} %{http_code}\n", "-o", "/dev/null", "-o", "/dev/null"),
        *(ways.through + "/text", ways.through + "/chunked"),
        cwd=tmp_path,
    )
    assert counted.stdout == b"1 200\n0 200\n", counted.stderr
