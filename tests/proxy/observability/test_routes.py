"""Route templates: learned from shape and from repetition; a scanner changes nothing."""

import io
import random
import string
import uuid
from datetime import UTC, datetime

import pytest

from proxy.config import Detector as Settings
from proxy.domain.exchange import Exchange, Outcome
from proxy.observability import detect
from proxy.observability.detector import MLDetector
from proxy.observability.recorder import Recorder
from proxy.observability.routes import CACHE_MAX, OTHER, TEMPLATES_MAX, RouteTable, shape_of
from tests.support.campaign import IS_WHOLE


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
    assert sum(map(len, table.paths.values())) == len(table._order) <= CACHE_MAX
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


TITLES = [f"{a}-{b}" for a in ("blue", "red", "green", "black") for b in ("shirt", "hat", "coat")]
NAMES = [
    f"{a}{b}"
    for a in ("an", "ber", "clau", "da")
    for b in ("na", "ta", "dia", "ric", "mon", "lo", "ve")
]


@pytest.mark.parametrize(
    ("place", "words", "template"),
    [
        ("/products", [*TITLES, "white-scarf"], "/products/{slug}"),
        ("/blog", [f"my-{n}-post" for n in "abcdefghijklm"], "/blog/{slug}"),
        ("/u", NAMES, "/u/{slug}"),
        ("/@", [f"@{name}" for name in NAMES[:13]], "/@/{slug}"),
        ("/tag", [f"caf%C3%A9{name}" for name in NAMES[:13]], "/tag/{slug}"),
        ("", [f"{name}-review" for name in [*NAMES, *map(str.upper, NAMES)]], "/{slug}"),
    ],
)
def test_slugs_of_few_words_are_learned(place: str, words: list[str], template: str) -> None:
    table = RouteTable()
    for word in words:
        table.template("GET", f"{place}/{word}/edit".encode(), 200)
    assert table.template("GET", f"{place}/never-seen/edit".encode(), 200) == f"{template}/edit"
    assert table.templates == {("GET", f"{template}/edit")}


def test_the_programs_own_words_stay_words() -> None:
    own = ["sign-in", "sign-out", "two-factor", "change-password", "api-keys", "orders", "cart"]
    table = RouteTable()
    for _ in range(3):
        for word in own:
            name = f"/account/{word}"
            assert table.template("GET", name.encode(), 200) == name
    # also beside slugs: what is visited again and again is no slug
    for _ in range(9):
        for word in own:
            table.template("GET", f"/account/{word}".encode(), 200)
    for name in NAMES:
        table.template("GET", f"/account/{name}".encode(), 200)
    for word in own:
        assert table.template("GET", f"/account/{word}".encode(), 200) == f"/account/{word}"
    assert len(table.templates) == len(own) + 1


def test_beside_slugs_known_by_their_shape_two_words_are_one_as_well() -> None:
    table = RouteTable()
    table.template("GET", b"/blog/known-page", 200)
    for n in range(3):
        table.template("GET", b"/blog/how-to-do-%s" % (b"it" * (n + 1)), 200)
    assert table.template("GET", b"/blog/first-post", 200) == "/blog/{slug}"
    assert table.template("GET", b"/blog/archive", 200) == "/blog/archive"
    assert table.template("GET", b"/blog/known-page", 200) == "/blog/known-page"
    for n in range(9):  # nothing that is not there teaches anything
        table.template("GET", b"/docs/how-to-do-%s" % (b"it" * (n + 1)), 404)
    assert table.template("GET", b"/docs/first-page", 200) == "/docs/first-page"


def test_who_counts_per_route_hears_what_became_one() -> None:
    moved: list[tuple[str, str, str]] = []
    table = RouteTable(on_fold=lambda *move: moved.append(move))
    for word in TITLES:
        table.template("GET", f"/p/{word}/reviews".encode(), 200)
        table.template("POST", f"/p/{word}/reviews".encode(), 201)
    assert moved == []
    table.template("GET", b"/p/old-hat/reviews", 200)
    assert sorted(moved) == sorted(
        (method, f"/p/{word}/reviews", "/p/{slug}/reviews")
        for word in TITLES
        for method in ("GET", "POST")
    )


def test_what_another_knows_well_is_known_here() -> None:
    table = RouteTable()
    table.template("GET", b"/blog/first-post", 200)
    table.recall(["/blog/{slug}", "/blog/archive", "/u/{slug}/posts/{id}", "/", "other"])
    assert table.template("GET", b"/blog/first-post", 200) == "/blog/{slug}"
    assert table.template("GET", b"/blog/archive", 200) == "/blog/archive"
    assert table.template("GET", b"/u/ada/posts/4", 200) == "/u/{slug}/posts/{id}"
    assert table.template("GET", b"/cart", 200) == "/cart"
    table.recall(["/{slug}"])
    assert table.template("GET", b"/anything", 200) == "/{slug}"


def traffic(paths: int) -> list[tuple[float, bytes, int, float]]:
    """A shop's visitors and a scanner: time, target, status, duration in ms."""
    rng = random.Random(9)
    rows = []
    for n in range(paths):
        kind = rng.random()
        if kind < 0.3:
            target, status = f"/products/{rng.choice(TITLES)}-{rng.choice('abcdef')}x", 200
        elif kind < 0.5:
            target, status = rng.choice(["/", "/cart", "/api/orders", "/api/users/me"]), 200
        elif kind < 0.6:
            target, status = f"/u/{rng.choice(NAMES)}", 200
        else:
            word = "".join(rng.choices(string.ascii_lowercase, k=8))
            target, status = f"/{word}/{word[::-1]}.php", rng.choice([404, 404, 403, 302])
        rows.append((1_763_884_800.0 + n, target.encode(), status, rng.lognormvariate(3.5, 0.3)))
    return rows


def test_detect_and_the_proxy_name_and_count_alike() -> None:
    rows = traffic(6000)
    live = MLDetector()
    recorder = Recorder(detector=live)
    lines = []
    for at, target, status, ms in rows:
        # a log knows milliseconds and the second a request began in
        ms = round(ms) * 1.0
        recorder.record(Exchange(at - ms / 1000, ms, "GET", target, status, Outcome.ANSWERED))
        clock = datetime.fromtimestamp(at, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        asked = f"GET {target.decode()} HTTP/1.1"
        lines.append(f'1.2.3.4 - - [{clock}] "{asked}" {status} 5 "-" "-" {ms / 1000:.3f}')
    found: list[MLDetector] = []

    def kept(settings: Settings | None = None) -> MLDetector:
        found.append(MLDetector(settings))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        # a function: what is compiled cannot be subclassed
        patch.setattr(detect, "MLDetector", kept)
        detect.run_detect(lines, Settings(), io.StringIO(), format="nginx")
    now = rows[-1][0]

    def counted(detector: MLDetector) -> dict[tuple[str, str], int]:
        return {key: counts.requests for key, counts in detector.windows(now)}

    assert counted(found[0]) == counted(live)
    names = {route for _, route in counted(live)}
    assert {"/", "/cart", "/api/orders", "/products/{slug}", "/u/{slug}", OTHER} <= names
    assert not [name for name in names if name.startswith("/products/") and "{" not in name]
    assert len(names) <= TEMPLATES_MAX + 1


@pytest.mark.parametrize("status", [200, 404])
def test_the_detector_gives_places_back_as_well(status: int) -> None:
    recorder = Recorder()
    rng = random.Random(3)
    for n in range(30_000 if not IS_WHOLE else 100_000):
        word = "".join(rng.choices(string.ascii_lowercase, k=6))
        target = f"/area{n % 7}/{word[:1]}/{word}".encode()
        recorder.record(Exchange(1000.0 + n / 50, 5.0, "GET", target, status, Outcome.ANSWERED))
    routes = [route for (_, route), _ in recorder.detector.windows(2000.0)]
    assert len(routes) <= 8 * 26 + 1
    assert recorder.faults == 0
    recorder.record(Exchange(9000.0, 5.0, "GET", b"/checkout", 200, Outcome.ANSWERED))
    assert ("GET", "/checkout") in dict(recorder.detector.windows(9001.0))
