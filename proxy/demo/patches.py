"""Three patches for one bug, as three people might send them: one right, one wrong, one that
changes nothing.

The bug: since gift cards are sold, ``GET /api/products/gift-card`` fails, because a gift card
weighs nothing. Each patch is an edit of the app; git makes the diff.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from proxy.demo.git import git

Kind = Literal["right", "wrong", "noop"]
BROKEN_ROUTE = "/api/products/gift-card"
_FILE = "shop/catalogue.py"


@dataclass(frozen=True, slots=True)
class Proposal:
    kind: Kind
    description: str
    changes: tuple[tuple[str, str], ...]
    """(search, replace) in the catalogue; each search text stands there exactly once."""


PROPOSALS = (
    Proposal(
        "noop",
        "Document that weights are whole grams, so that nobody puts anything else there.",
        (
            (
                '    """One product, as the mobile app reads it."""\n',
                '    """One product, as the mobile app reads it. Weights are whole grams."""\n',
            ),
        ),
    ),
    Proposal(
        "wrong",
        "A product may come without a weight: make the field optional.",
        (("    weight_grams: int\n", "    weight_grams: int | None = None\n"),),
    ),
    Proposal(
        "right",
        "A product may come without a weight and then ships for nothing: gift cards are e-mailed.",
        (
            ("    weight_grams: int\n", "    weight_grams: int | None = None\n"),
            (
                '        """Letter rate up to 250 g, parcel above."""\n',
                (
                    '        """Nothing by e-mail, letter rate up to 250 g, parcel above."""\n'
                    "        if self.weight_grams is None:\n"
                    "            return 0\n"
                ),
            ),
        ),
    ),
)


def make_diffs(repo: Path) -> Iterator[tuple[Proposal, str]]:
    """Each proposal with its unified diff against the repository's HEAD;

    the checkout is not touched.
    """
    with tempfile.TemporaryDirectory(prefix="selfheal-proposals-") as folder:
        clone = Path(folder, "clone")
        git(repo, "clone", "-q", "--no-hardlinks", str(repo), str(clone))
        original = (clone / _FILE).read_text("utf-8")
        for proposal in PROPOSALS:
            (clone / _FILE).write_text(_changed(original, proposal), "utf-8")
            yield proposal, git(clone, "diff", "--no-color", "--no-ext-diff", "HEAD") + "\n"


def _changed(text: str, proposal: Proposal) -> str:
    for search, replace in proposal.changes:
        if text.count(search) != 1:
            raise ValueError(f"{proposal.kind}: {search!r} stands there {text.count(search)} times")
        text = text.replace(search, replace)
    return text
