"""A release of the app, as somebody announced it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Announced = Literal["api", "header"]


@dataclass(frozen=True, slots=True)
class Deploy:
    """``version`` is whatever the announcer calls it, empty when not told; ``actor`` is the login
    that announced it, set by the database.
    """

    id: int
    created_at: datetime
    service: str
    version: str
    announced_by: Announced
    actor: str
