"""What the console learns from outside, as values: news of the stream, answers, failures. Knows no
HTTP."""

from dataclasses import dataclass
from typing import Any, Literal

from proxy.contract.events import Event

What = Literal[
    "health", "jobs", "job", "patch", "routes", "approvals", "alerts", "audit", "verify", "control"
]
"""The parts of the world that are loaded one by one."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream stands. ``gap``: events may have been missed, so load a snapshot."""

    gap: bool


@dataclass(frozen=True, slots=True)
class Received:
    event: Event


@dataclass(frozen=True, slots=True)
class Alive:
    """A heartbeat."""


@dataclass(frozen=True, slots=True)
class Lost:
    reason: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The token is not taken. No further try is made."""

    reason: str


@dataclass(frozen=True, slots=True)
class Got:
    """An answer of the API: ``value`` is the contract's shape for ``what``."""

    what: What
    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """A part that could not be loaded, or a deed that went wrong."""

    what: str
    reason: str


News = Opened | Received | Alive | Lost | Refused
"""What the stream tells."""

Input = News | Got | Failed
"""Everything ``state.reduce`` takes."""
