"""What one case is: what a raw client does, what a raw upstream does, and what must come of it.

Pure. A script is a tuple of steps that either end takes in turn; a want looks at everything that
was seen and says in words what is wrong with it, or nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto


class Do(Enum):
    """What an end does beside writing (bytes) and waiting (seconds)."""

    HALF = auto()
    """End its sending; it still reads."""
    CLOSE = auto()
    RESET = auto()
    BODY = auto()
    """Upstream only: read on until the request is whole."""
    ECHO = auto()
    """Upstream only: from here on give back every byte that comes."""
    SINK = auto()
    """Upstream only: from here on only read."""


@dataclass(frozen=True, slots=True)
class Until:
    """Client only: wait until this was received, or nothing can come any more."""

    text: bytes


class Arrival(Enum):
    """How a case's first bytes meet the proxy; none of it may make a difference."""

    WHOLE = auto()
    """In the writes of the script, on a new connection."""
    APART = auto()
    """In small pieces."""
    WARM = auto()
    """Behind an exchange that went well, on both connections."""


Step = bytes | float | Do | Until
Script = tuple[Step, ...]
Answers = Callable[[int, bytes], Script]
"""The number of a request, counted over all connections from 1, and its bytes → the answer."""


@dataclass(slots=True)
class Reply:
    """One answer as the client got it; ``lines`` are raw field lines."""

    status: int = 0
    line: bytes = b""
    lines: list[bytes] = field(default_factory=list)
    body: bytes = b""
    trailers: list[bytes] = field(default_factory=list)
    is_complete: bool = False

    @property
    def is_final(self) -> bool:
        return self.status >= 200 or self.status in (0, 101)


@dataclass(slots=True)
class Heard:
    """One connection as the upstream saw it."""

    requests: list[bytes] = field(default_factory=list)
    """Whole ones."""
    rest: bytes = b""
    """Of a request that is not whole, or of a tunnel."""
    end: str = "open"
    """``open``, ``closed`` by the proxy, ``reset`` by it, or ``ours`` when the script ended it."""


@dataclass(slots=True)
class Saw:
    """Everything there was to see of one case."""

    raw: bytes = b""
    end: str = "open"
    """Of the client's connection: ``open``, ``closed``, ``reset``, ``none`` when refused."""
    replies: list[Reply] = field(default_factory=list)
    links: list[Heard] = field(default_factory=list)
    by_meaning: bool = False
    """Case of names and blanks around values do not count: a peer is not asked for our manners."""
    after_s: float = 0.0
    """From the client's last step to its connection's end, or to now."""

    @property
    def finals(self) -> list[Reply]:
        return [reply for reply in self.replies if reply.is_final]

    @property
    def requests(self) -> list[bytes]:
        return [request for link in self.links for request in link.requests]


Want = Callable[[Saw], str]
"""Empty when all is well, else what is not."""


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    send: Script
    want: Want
    answers: Answers
    at_head: bool = False
    """The upstream acts on a whole head instead of a whole request."""
    is_fresh: bool = False
    """Never behind another exchange: it is about new connections."""
    patience_s: float = 3.0
    least_s: float = 0.0
    """Look no earlier: for what must still be so later."""

    @property
    def waits_s(self) -> float:
        """A guess at how long it takes: the client's pauses, the app's first answer's, and what is
        allowed for the end to come.
        """
        steps = (*self.send, *self.answers(1, b""))
        return self.patience_s + sum(step for step in steps if isinstance(step, float))
