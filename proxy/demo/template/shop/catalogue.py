"""What we sell. The catalogue is a file: it changes with the season, in a commit."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

FILE = Path(__file__).resolve().parent.parent / "data" / "catalogue.json"


class Product(BaseModel):
    """One product, as the mobile app reads it."""

    slug: str
    title: str
    price_cents: int
    weight_grams: int
    notes: str = ""

    @property
    def shipping_cents(self) -> int:
        """Letter rate up to 250 g, parcel above."""
        return 195 if self.weight_grams <= 250 else 490


@cache
def entries() -> dict[str, dict[str, Any]]:
    """The raw entries by slug, in the order of the file."""
    return {entry["slug"]: entry for entry in json.loads(FILE.read_text("utf-8"))}


def product(slug: str) -> Product | None:
    entry = entries().get(slug)
    return None if entry is None else Product.model_validate(entry)
