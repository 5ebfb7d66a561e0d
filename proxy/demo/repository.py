"""The demo app as a git repository of its own, with the history that brought its bugs in.

``template/`` holds the app as it stands today. Each ``Step`` names the files it added and, as
edits, what it changed in files that were there already; walking the steps forward gives every
earlier state, so nothing is kept twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from proxy.clock import Clock, SystemClock
from proxy.demo.git import git

TEMPLATE = Path(__file__).resolve().parent / "template"
_RENAMED = {"dot_gitignore": ".gitignore"}
"""Kept under another name: a .gitignore in here would hide files of this very package."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In ``path``, this step turned ``before`` into ``after`` (as it stands today)."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Step:
    subject: str
    author: str
    days_ago: int
    files: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()


MARA = "Mara Lind <mara@leaf-and-kettle.example>"
TOM = "Tom Okafor <tom@leaf-and-kettle.example>"
_IMPORTS = "from shop import {}\n"


def _feature(imports: tuple[str, str], line: str) -> tuple[Edit, ...]:
    before, after = (_IMPORTS.format(names) for names in imports)
    return Edit("app.py", before, after), Edit("app.py", "", f"    {line}.routes,\n")


HISTORY = (
    Step(
        "A shop window: pages, catalogue, and the mobile app's JSON",
        MARA,
        61,
        files=(
            ".gitignore",
            "README.md",
            "app.py",
            "data/catalogue.json",
            "shop/__init__.py",
            "shop/catalogue.py",
            "shop/database.py",
            "shop/errors.py",
            "shop/products.py",
            "shop/site.py",
            "shop/baskets.py",
            "shop/pages/frame.html",
            "shop/pages/home.html",
            "shop/pages/product.html",
            "shop/pages/about.html",
            "shop/pages/basket.html",
            "shop/static/shop.css",
            "shop/static/shop.js",
            "tests/__init__.py",
            "tests/test_catalogue.py",
            "tests/test_pages.py",
        ),
    ),
    Step(
        "A database: latest orders, what is bought together, the newsletter",
        TOM,
        48,
        files=("schema.sql", "shop/orders.py", "shop/newsletter.py"),
        edits=(
            *_feature(
                (
                    "baskets, database, products, site",
                    "baskets, database, newsletter, orders, products, site",
                ),
                "orders",
            ),
            Edit("app.py", "", "    newsletter.routes,\n"),
        ),
    ),
    Step(
        "Accounts with signed sessions",
        TOM,
        35,
        files=(
            "shop/accounts.py",
            "shop/sessions.py",
            "shop/pages/account.html",
            "tests/test_sessions.py",
        ),
        edits=(
            *_feature(
                (
                    "baskets, database, newsletter, orders, products, site",
                    "accounts, baskets, database, newsletter, orders, products, site",
                ),
                "accounts",
            ),
            Edit(
                "tests/test_pages.py",
                "",
                """
    async def test_signed_in_one_sees_ones_page(self) -> None:
        await self.client.post("/api/login", json={"customer": "Ada"})
        self.assertIn("Ada", await (await self.client.get("/account")).text())
""",
            ),
        ),
    ),
    Step(
        "Reviews, guarded by row-level security",
        MARA,
        22,
        files=("shop/reviews.py",),
        edits=_feature(
            (
                "accounts, baskets, database, newsletter, orders, products, site",
                "accounts, baskets, database, newsletter, orders, products, reviews, site",
            ),
            "reviews",
        ),
    ),
    Step(
        "Guests may write reviews too",
        TOM,
        15,
        edits=(
            Edit("shop/reviews.py", "", 'GUEST = "guest"\n'),
            Edit(
                "shop/reviews.py",
                """    if not token:
        return web.json_response({"error": "sign in to write a review"}, status=401)
    customer = sessions.customer_of(token)
""",
                "    customer = sessions.customer_of(token) if token else None\n",
            ),
            Edit("shop/reviews.py", "(ACT_AS, customer)", '(ACT_AS, customer or "")'),
            Edit(
                "shop/reviews.py",
                "        author = customer\n",
                "        # guests may review too, all under one name\n"
                "        author = customer or GUEST\n",
            ),
        ),
    ),
    Step(
        "Offers by region",
        MARA,
        9,
        files=("shop/offers.py", "shop/pages/offers.html"),
        edits=_feature(
            (
                "accounts, baskets, database, newsletter, orders, products, reviews, site",
                "accounts, baskets, database, newsletter, offers, orders, products, reviews, site",
            ),
            "offers",
        ),
    ),
    Step(
        "Rotate the session key",
        TOM,
        4,
        edits=(
            Edit(
                "shop/sessions.py",
                'KEYS = {"k1": b"slow-water-2024"}\nSIGN_WITH = "k1"\n',
                'KEYS = {"k2": b"first-flush-2026"}\nSIGN_WITH = "k2"\n',
            ),
        ),
    ),
    Step(
        "Sell gift cards",
        MARA,
        1,
        edits=(
            Edit(
                "data/catalogue.json",
                '"notes": "Keeps its warmth longer than you do."}\n',
                '"notes": "Keeps its warmth longer than you do."},\n'
                '  {"slug": "gift-card", "title": "Gift card", "price_cents": 2500, '
                '"weight_grams": null, "notes": "For somebody you like. Comes by e-mail."}\n',
            ),
        ),
    ),
)


def make_repo(path: Path, *, clock: Clock | None = None) -> list[str]:
    """Lay the app down at ``path`` (must not exist or be empty) as its own repository;

    the commits, oldest first.
    """
    now = (clock or SystemClock()).now()
    path.mkdir(parents=True, exist_ok=True)
    git(path, "init", "-q", "-b", "main")
    git(path, "config", "gc.auto", "0")
    for number, step in enumerate(HISTORY, start=1):
        for name, text in tree(number).items():
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        git(path, "add", "--all")
        when = (now - timedelta(days=step.days_ago)).strftime("%Y-%m-%dT%H:%M:%S+0000")
        git(path, "commit", "-q", "-m", step.subject, env=_identity(step.author, when))
    return git(path, "rev-list", "--reverse", "main").split()


def tree(steps: int) -> dict[str, str]:
    """The app's files after the first ``steps`` steps:

    today's text with every later edit taken back.
    """
    files = {name: _today(name) for step in HISTORY[:steps] for name in step.files}
    later = [edit for step in HISTORY[steps:] for edit in step.edits]
    for edit in reversed(later):
        if edit.path in files:
            files[edit.path] = _take_back(files[edit.path], edit)
    return files


def template_files() -> list[str]:
    """Every file of the template, by the name it has in the repository."""
    paths = (p.relative_to(TEMPLATE).as_posix() for p in TEMPLATE.rglob("*") if p.is_file())
    return sorted(_RENAMED.get(name, name) for name in paths if "__pycache__" not in name)


def _today(name: str) -> str:
    stored = next((kept for kept, real in _RENAMED.items() if real == name), name)
    return (TEMPLATE / stored).read_text("utf-8")


def _take_back(text: str, edit: Edit) -> str:
    """``after`` must stand there exactly once, or template and history have drifted apart."""
    if text.count(edit.after) != 1:
        raise ValueError(
            f"{edit.path}: {edit.after[:60]!r} stands there {text.count(edit.after)} times"
        )
    return text.replace(edit.after, edit.before)


def _identity(author: str, when: str) -> dict[str, str]:
    name, _, mail = author.rstrip(">").partition(" <")
    who: Iterable[tuple[str, str]] = (("NAME", name), ("EMAIL", mail), ("DATE", when))
    return {f"GIT_{side}_{key}": value for side in ("AUTHOR", "COMMITTER") for key, value in who}
