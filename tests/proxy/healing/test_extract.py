"""The pages and answers of the usual frameworks, and the redacted request that is sent again."""

import gzip
import json
from datetime import UTC, datetime

import pytest

from proxy.domain.exchange import Capture, Exchange, Headers, Outcome
from proxy.domain.redact import STAND_IN, Redactor
from proxy.healing.extract import ErrorText, error_text, failure_from_exchange

NOW = datetime(2026, 1, 2, tzinfo=UTC)

DJANGO = """<!DOCTYPE html><html><head><title>ValueError at /orders/</title>
<style>h1{}</style></head>
<body><div id="summary"><h1>ValueError\n at /orders/</h1>
<pre class="exception_value">invalid literal for int() with base 10: &#x27;a&#x27;</pre></div>
<textarea>Traceback (most recent call last):\n  File "/app/views.py", line 3, in index
</textarea></body>"""
EXPRESS = """<!DOCTYPE html><html lang="en"><head><title>Error</title></head><body>
<pre>TypeError: Cannot read properties of undefined (reading &#39;id&#39;)
<br> &nbsp; &nbsp;at /app/index.js:3:4
</pre></body></html>"""
RAILS = """<html><head><title>Action Controller: Exception caught</title></head><body>
<header><h1>NoMethodError in OrdersController#show</h1></header>
<h2>undefined method `name&#39; for nil:NilClass</h2>
<pre><code>app/controllers/orders_controller.rb:3:in `show&#39;</code></pre></body></html>"""
SPRING = """<html><body><h1>Whitelabel Error Page</h1>
<p>This application has no explicit mapping</p>
<div>There was an unexpected error (type=Internal Server Error, status=500).</div>
<div>could not execute statement</div></body></html>"""
WERKZEUG = """<!doctype html><html><head><title>KeyError: 'a' // Werkzeug Debugger</title></head>
<body><h1>KeyError</h1><p class="errormsg">KeyError: 'a'</p>
<pre>Traceback (most recent call last):\n  File "/app/a.py", line 3, in f</pre></body></html>"""
SYMFONY = """<html><head><title>An exception occurred while executing a query (500)</title></head>
<body><h1 class="break-long-words">SQLSTATE[42S02]: Base table or view not found</h1>
</body></html>"""
ASPNET = """<html><head><title>Object reference not set to an instance of an object.</title></head>
<body><h1>Server Error in '/' Application.</h1><h2><i>Object reference not set</i></h2>
</body></html>"""


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (DJANGO, "ValueError: invalid literal for int() with base 10: 'a'"),
        (EXPRESS, "TypeError: Cannot read properties of undefined (reading 'id')"),
        (RAILS, "NoMethodError: undefined method `name' for nil:NilClass"),
        (SPRING, "could not execute statement"),
        (WERKZEUG, "KeyError"),
        (SYMFONY, "SQLSTATE[42S02]: Base table or view not found"),
        (ASPNET, "Object reference not set"),
    ],
)
def test_html_pages_give_up_their_words(page: str, words: str) -> None:
    found = error_text(500, "text/html; charset=utf-8", page.encode())
    assert words in found.message
    assert found.body is not None
    assert "<" not in found.message


@pytest.mark.parametrize("page", [DJANGO, EXPRESS, RAILS, WERKZEUG])
def test_a_trace_in_the_page_is_kept_as_stack(page: str) -> None:
    assert error_text(500, "text/html", page.encode()).stack


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"message": "jwt expired"}, "jwt expired"),
        ({"error": {"message": "boom", "type": "x"}}, "boom"),
        ({"detail": "Not authenticated"}, "Not authenticated"),
        ({"detail": [{"loc": ["body", "qty"], "msg": "field required"}]}, "field required"),
        ({"errors": [{"message": "Cannot query field a"}]}, "Cannot query field a"),
        ({"type": "https://a.example/x", "title": "Conflict", "detail": "taken"}, "taken"),
        ({"error": "invalid_grant", "error_description": "Code not valid"}, "Code not valid"),
        (
            {"exception": "App\\Err\\BrokenException", "message": "no"},
            "App\\Err\\BrokenException: no",
        ),
        ({"status": 500, "error": {"password": ["too short"]}}, "password: too short"),
    ],
)
def test_json_answers(answer: object, words: str) -> None:
    assert error_text(500, "application/json", json.dumps(answer).encode()).message == words


def test_frames_in_json_become_a_stack() -> None:
    laravel = {
        "message": "m",
        "trace": [{"file": "/app/A.php", "line": 3, "function": "f", "class": "A", "type": "->"}],
    }
    assert (
        error_text(500, "application/json", json.dumps(laravel).encode()).stack
        == "#0 /app/A.php(3): A->f"
    )


def test_plain_text_tells_the_error_behind_its_frames() -> None:
    text = b"Traceback (most recent call last):\n  File \"a.py\", line 1, in x\nKeyError: 'a'"
    found = error_text(500, "text/plain", text)
    assert (found.message, found.stack) == ("KeyError: 'a'", text.decode())


def test_nothing_readable_is_nothing() -> None:
    assert error_text(500, "", b"") == ErrorText("")
    assert error_text(500, "image/png", b"\x89PNG\x00\x00") == ErrorText("")
    assert error_text(500, "application/json", b"[" * 60000).message


def _exchange(
    status: int = 500, body: bytes = b"", headers: Headers | None = None, **more: object
) -> Exchange:
    capture = Capture(
        request_headers=[
            (b"Host", b"app.example"),
            (b"Content-Type", b"application/json"),
            (b"Authorization", b"Bearer hunter2x"),
            (b"Accept", b"*/*"),
        ],
        request_body=b'{"qty":2,"password":"hunter2x"}',
        response_headers=headers or [(b"content-type", b"text/plain")],
        response_body=body,
    )
    exchange = Exchange(
        0.0, 12.5, "POST", b"/orders?token=hunter2x&a=1", status, Outcome.ANSWERED, capture=capture
    )
    for name, value in more.items():
        setattr(exchange, name, value)
    return exchange


def _failure(exchange: Exchange) -> object:
    return failure_from_exchange(
        exchange,
        service="app",
        environment="production",
        log_id=None,
        occurred_at=NOW,
        redactor=Redactor(),
    )


def test_a_failing_exchange_becomes_a_redacted_failure() -> None:
    failure = failure_from_exchange(
        _exchange(body=b"boom at password=hunter2x", route="/orders"),
        service="shop",
        environment="test",
        log_id=None,
        occurred_at=NOW,
        redactor=Redactor(),
    )
    assert "hunter2x" not in repr(failure)
    assert (failure.service, failure.environment, failure.route) == ("shop", "test", "/orders")
    assert failure.message == f"boom at password={STAND_IN}"
    request = failure.request
    assert request is not None
    assert request.target == f"/orders?token={STAND_IN}&a=1"
    assert request.body == f'{{"qty":2,"password":"{STAND_IN}"}}'.encode()
    assert request.headers == (
        ("Content-Type", "application/json"),
        ("Authorization", STAND_IN),
        ("Accept", "*/*"),
    )
    assert set(request.redacted) == {"token", "authorization", "password"}


def test_a_compressed_page_is_opened_and_a_bomb_is_not() -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")]
    opened = _failure(_exchange(body=gzip.compress(b"relation x is gone"), headers=headers))
    assert "relation x is gone" in repr(opened)
    bomb = gzip.compress(b"a" * 10_000_000)
    assert len(repr(_failure(_exchange(body=bomb, headers=headers)))) < 60_000
    assert "500 Internal Server Error" in repr(
        _failure(_exchange(body=b"not gzip", headers=headers))
    )


@pytest.mark.parametrize(
    ("outcome", "status", "words"),
    [
        (Outcome.UPSTREAM_REFUSED, 502, "refused the connection"),
        (Outcome.UPSTREAM_TIMEOUT, 504, "did not answer in time"),
        (Outcome.UPSTREAM_BROKEN, 502, "was broken"),
    ],
)
def test_without_an_answer_the_outcome_speaks(outcome: Outcome, status: int, words: str) -> None:
    exchange = Exchange(0.0, 1.0, "GET", b"/a", status, outcome)
    failure = failure_from_exchange(
        exchange, service="a", environment="b", log_id=None, occurred_at=NOW, redactor=Redactor()
    )
    assert words in failure.message
    assert failure.request is None


WERKZEUG = """<!doctype html><html><head><title>KeyError: &#39;total&#39;
 // Werkzeug Debugger</title></head><body><h1>KeyError</h1>
<p class="errormsg">KeyError: &#39;total&#39;</p>
<h4>File <cite class="filename">"/app/shop.py"</cite>, line <em class="line">12</em>,
in <code class="function">boom</code></h4><div class="source">
<pre class="line before"><span class="ws"></span>@app.get("/boom")</pre>
<pre class="line current"><span class="ws">    </span>return {"total": {}["total"]}</pre>
<pre class="line after"><span class="ws">    </span>return sqlite3.connect(":memory:")</pre>
</div></body></html>"""


def test_a_debug_page_speaks_of_the_line_that_failed_and_not_of_its_neighbours() -> None:
    found = error_text(500, "text/html", WERKZEUG.encode())
    assert found.message == "KeyError: 'total'"
    assert "sqlite3" not in (found.body or "")
    assert '{}["total"]' in (found.body or "")
