"""Codes only in their surroundings, frames of every language, cycles, and the side that speaks."""

import pytest

from proxy.healing.facts import gather
from proxy.healing.facts.codes import find_codes
from proxy.healing.facts.frames import first_in_app, split_frames
from proxy.healing.facts.redirects import find_cycle
from proxy.healing.facts.text import FIELD_CHARS_MAX, view
from proxy.healing.rules import Example


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{ code: '42501', details: null }", "sqlstate:42501"),
        ('{"code":"42P17"}', "sqlstate:42P17"),
        ("SQLSTATE[23505]: Unique violation", "sqlstate:23505"),
        ("permission denied (SQLSTATE 42501)", "sqlstate:42501"),
        ("ERROR 42P01: relation does not exist", "sqlstate:42P01"),
        ("PostgrestException(message: x, code: 57014, details: y)", "sqlstate:57014"),
        ('{"code":"PGRST301"}', "pgrst:PGRST301"),
        ("Error: P1001: Can't reach database server", "prisma:P1001"),
        ("(2006, 'MySQL server has gone away')", "mysql:2006"),
        ("ERROR 1062 (23000): Duplicate entry", "mysql:1062"),
        ("Msg 207, Level 16, State 1", "mssql:207"),
        ("ORA-00942: table or view does not exist", "oracle:00942"),
        ("E11000 duplicate key error", "mongo:11000"),
        ("Minified React error #418; visit", "react:418"),
        ("ERROR Error: NG0100: Expression", "angular:NG0100"),
        ("AADSTS50011: The redirect URI", "aadsts:AADSTS50011"),
        ("rpc error: code = DeadlineExceeded desc = x", "grpc:deadlineexceeded"),
    ],
)
def test_a_code_in_its_surroundings(text: str, key: str) -> None:
    assert key in {code.key for code in find_codes(view("message", text))}


@pytest.mark.parametrize(
    "text",
    [
        "took 42501 ms",
        "user 23505 left",
        "port 2006 open",
        "order #418 shipped",
        "pid (12345)",
        '{"code":50001}',
    ],
)
def test_a_bare_number_is_no_code(text: str) -> None:
    assert find_codes(view("message", text)) == ()


@pytest.mark.parametrize(
    ("stack", "file", "function"),
    [
        (
            (
                'File "/app/lib/python3.11/site-packages/flask/app.py", '
                'line 9, in run\nFile "/app/web.py", line 26, in hook'
            ),
            "/app/web.py",
            "hook",
        ),
        (
            (
                "at Layer.handle (/app/node_modules/express/lib/router/layer.js:95:5)\nat "
                "getOrder (/app/src/orders.js:3:4)"
            ),
            "/app/src/orders.js",
            "getOrder",
        ),
        (
            "at Slider (Slider.jsx:9:1)\nat renderWithHooks (react-dom.development.js:16305:1)",
            "Slider.jsx",
            "Slider",
        ),
        (
            "render@https://app.example/static/js/main.0a1b2c3d.js?v=9:1:2",
            "static/js/main.<hash>.js",
            "render",
        ),
        (
            "at java.util.List.get(List.java:3)\nat com.shop.Orders.find(Orders.java:42)",
            "com.shop.Orders",
            "find",
        ),
        (
            "at System.String.Join()\nat Shop.Orders.Find(Int32 id) in /src/Orders.cs:line 9",
            "Shop.Orders",
            "Find",
        ),
        (
            "/usr/lib/ruby/gems/3.0/gems/rack/x.rb:3:in `call'\napp/models/order.rb:161:in `total'",
            "app/models/order.rb",
            "total",
        ),
        (
            "#0 /app/vendor/laravel/x.php(3): A->b()\n#1 /app/Http/Order.php(9): Order->show()",
            "/app/Http/Order.php",
            "Order->show",
        ),
        (
            (
                "(ecto 3.11) lib/ecto/repo.ex:164: Ecto.Repo.one!/3\n(shop "
                "0.1.0) lib/shop/orders.ex:12: Shop.Orders.get/1"
            ),
            "lib/shop/orders.ex",
            "Shop.Orders.get/1",
        ),
        (
            "/usr/local/go/src/net/http/server.go:3 +0x1d\n/app/orders/handler.go:42 +0x1d",
            "/app/orders/handler.go",
            "",
        ),
        ("at /rustc/abc/library/core/src/x.rs:3:4\nat src/main.rs:10:5", "src/main.rs", ""),
    ],
)
def test_the_first_frame_of_the_app(stack: str, file: str, function: str) -> None:
    _, frames, _ = split_frames(stack)
    frame = first_in_app(frames)
    assert frame is not None
    assert (frame.file, frame.function) == (file, function)


def test_frame_paths_are_no_prose() -> None:
    prose, frames, _ = split_frames(
        "KeyError: 'a'\n  File \"/app/csrf.py\", line 3, in timeout\n    raise X"
    )
    assert "csrf" not in prose
    assert "KeyError" in prose
    assert len(frames) == 1


@pytest.mark.parametrize(
    ("chain", "cycle"),
    [
        (["/a", "/b", "/a"], ("/a", "/b", "/a")),
        (["/a", "/a", "/a"], ("/a", "/a")),
        (["/login", "/login"], ()),
        (["/a", "/b", "/c"], ()),
        (["/x", "/a#1", "/b", "/a#2"], ("/a", "/b", "/a")),
        ([], ()),
    ],
)
def test_cycles(chain: list[str], cycle: tuple[str, ...]) -> None:
    assert find_cycle(chain) == cycle


def test_a_chain_longer_than_any_client_follows_is_a_loop() -> None:
    assert len(find_cycle([f"/{n}" for n in range(30)])) == 30


def test_nothing_is_read_beyond_its_bound() -> None:
    assert len(view("body", "a" * 70000).text) == FIELD_CHARS_MAX
    facts = gather(Example("m" * 70000, body="b " * 40000, stack="s" * 70000).failure())
    assert sum(len(v.text) for v in facts.views) <= FIELD_CHARS_MAX


@pytest.mark.parametrize(
    ("example", "side"),
    [
        (Example("x", source_kind="browser"), "browser"),
        (Example("x", source_kind="server"), "server"),
        (Example("x", status=None, source_kind="http"), "browser"),
        (
            Example("x", stack="at f (/app/node_modules/express/lib/x.js:1:2)", source_kind="http"),
            "server",
        ),
        (
            Example("x", stack="at f (https://app.example/static/js/a.js:1:2)", source_kind="http"),
            "browser",
        ),
    ],
)
def test_the_side_that_speaks(example: Example, side: str) -> None:
    assert gather(example.failure()).side == side


def test_html_is_read_as_its_lines() -> None:
    page = (
        "<!doctype html><script>var jwt='expired'</script><h1>Duplicate &quot;key&quot;</h1><p>two"
    )
    assert gather(Example("x", body=page).failure()).views[0].text == 'Duplicate "key"\ntwo'
