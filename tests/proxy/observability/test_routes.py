"""Route templates: learned from shape and from repetition; a scanner changes nothing."""

import random
import string
import uuid

import pytest

from proxy.observability.routes import CACHE_MAX, OTHER, TEMPLATES_MAX, RouteTable, shape_of


@pytest.mark.parametrize(
    ("segment", "template"),
    [
        ("orders", "orders"),
        ("4711", "{id}"),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "{uuid}"),
        ("2025-11-23", "{date}"),
        ("2025-11", "{date}"),
        ("d41d8cd98f00b204e9800998ecf8427e", "{hash}"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "{id}"),
        ("cus_9s6XKzkNRiz8i3", "{id}"),
        ("INV-2024-0007", "{id}"),
        ("my-first-blog-post", "{slug}"),
        ("main.3f2a9c1b.js", "main.{hash}.js"),
        ("12.json", "{id}.json"),
        ("index.html", "index.html"),
        ("v1", "v1"),
        ("oauth2", "oauth2"),
        ("s3", "s3"),
        ("web-hooks", "web-hooks"),
        ("", ""),
    ],
)
def test_shapes(segment: str, template: str) -> None:
    assert shape_of(segment) == template


def test_templates_are_per_method_and_ignore_the_query() -> None:
    table = RouteTable()
    assert table.template("GET", b"/orders/17?full=1", 200) == "/orders/{id}"
    assert table.template("GET", b"/orders/18", 200) == "/orders/{id}"
    assert table.template("GET", b"/", 200) == "/"
    assert table.template("GET", b"http://shop.example/orders/3", 200) == "/orders/{id}"
    assert table.template("DELETE", b"/orders/18", 404) == OTHER
    assert table.template("DELETE", b"/orders/18", 204) == "/orders/{id}"
    assert table.templates == {("GET", "/orders/{id}"), ("GET", "/"), ("DELETE", "/orders/{id}")}


def test_a_known_route_keeps_its_name_when_an_answer_is_404() -> None:
    table = RouteTable()
    table.template("GET", b"/orders/17", 200)
    assert table.template("GET", b"/orders/99", 404) == "/orders/{id}"


@pytest.mark.parametrize("target", [b"*", b"", b"/" * 40, b"/" + b"a" * 5000, b"nonsense"])
def test_what_is_no_path_of_ours_is_other(target: bytes) -> None:
    assert RouteTable().template("GET", target, 200) == OTHER


def test_hostile_bytes_do_no_harm() -> None:
    table = RouteTable()
    for target in (b"/\xff\xfe/\x00", b"/%2e%2e/%00", "/größe/ø".encode(), b"/a\r\nb"):
        assert table.template("GET", target, 404) == OTHER


def test_many_words_in_one_place_are_a_slug() -> None:
    table = RouteTable()
    for n in range(60):
        word = "".join(random.Random(n).choices(string.ascii_lowercase, k=7))
        table.template("GET", f"/blog/{word}".encode(), 200)
    assert table.template("GET", b"/blog/anything", 200) == "/blog/{slug}"
    assert len(table.templates) == 1


@pytest.mark.parametrize("status", [404, 403, 302, 502, 200])
def test_a_scanner_neither_grows_memory_nor_folds_real_routes(status: int) -> None:
    table = RouteTable()
    rng = random.Random(7)
    real = [b"/", b"/cart", b"/login", b"/api/products", b"/api/orders/%d", b"/admin/report"]
    names = ["/", "/cart", "/login", "/api/products", "/api/orders/{id}", "/admin/report"]

    def visit() -> list[str]:
        paths = [p % rng.randrange(10**9) if b"%d" in p else p for p in real]
        return [table.template("GET", p, 200) for p in paths]

    for _ in range(20):
        assert visit() == names
    for n in range(20_000):  # the shape of the attack repeats; 100,000 only take longer
        parts = ["".join(rng.choices(string.ascii_lowercase, k=6)) for _ in range(1 + n % 3)]
        table.template("GET", ("/" + "/".join(parts)).encode(), status)
        if n % 500 == 0:
            assert visit() == names
    assert visit() == names
    # where the app answers 200 to anything, a new page cannot be told from the scanner's
    expected = "/{slug}" if status == 200 else "/checkout"
    assert table.template("POST", b"/checkout", 201) == expected
    assert len(table.templates) <= TEMPLATES_MAX
    assert len(table._known) <= CACHE_MAX
    assert len(table._children) <= 2000


def test_uuids_and_ids_are_one_template_each() -> None:
    table = RouteTable()
    for n in range(2000):
        table.template("GET", f"/u/{uuid.UUID(int=n << 64 | 1 << 100)}/posts/{n}".encode(), 200)
    assert table.templates == {("GET", "/u/{uuid}/posts/{id}")}


def test_the_cap_holds() -> None:
    table = RouteTable(templates_max=10)
    rng = random.Random(1)
    for n in range(200):
        table.template(
            "GET", f"/a{'abcdefgh'[n % 8]}/b{'xyzuvw'[n % 6]}/{rng.random()}".encode(), 200
        )
    assert len(table.templates) <= 10
