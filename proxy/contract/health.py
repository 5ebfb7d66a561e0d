"""How the app is: the score with its why, traffic, routes, and who stands around the sidecar."""

from datetime import datetime
from typing import Any, Literal

from proxy.contract.base import Answer


class WhyTerm(Answer):
    """One term that cost points of the health score."""

    term: str
    points: float
    text: str


class TrafficMinute(Answer):
    at: datetime
    requests: int
    errors: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


class Neighbour(Answer):
    """Somebody in front of or behind the sidecar, and the header that gave it away."""

    name: str
    header: str


class BlindSpot(Answer):
    to: str
    remedy: str
    """What would let the sidecar see it."""


class SurroundingsView(Answer):
    """Read from ``requests`` failing or redirected exchanges since the start."""

    front: list[Neighbour] = []
    behind: list[Neighbour] = []
    blind: list[BlindSpot] = []
    requests: int = 0


class Health(Answer):
    status: Literal["ok", "degraded", "draining", "starting"]
    score: int | None
    parts: dict[str, float | None] = {}
    """latency, error_rate, availability: 0-100 each, None without data."""
    why: list[WhyTerm] = []
    window_s: float = 300.0
    requests: int = 0
    errors: int = 0
    upstream: dict[str, Any] = {}
    storage: dict[str, Any] = {}
    capture: dict[str, Any] = {}
    workers: list[dict[str, Any]] = []
    service: str = ""
    environment: str = ""
    version: str = ""
    uptime_s: float = 0.0
    traffic: list[TrafficMinute] = []
    open_jobs: dict[str, int] = {}
    """Open jobs by severity, and ``total``, ``pending_patches``, ``pending_approvals``,
    ``resolved_7d``.
    """
    surroundings: SurroundingsView = SurroundingsView()


class RouteStats(Answer):
    method: str
    route: str
    requests: int
    error_rate: float
    client_error_rate: float = 0.0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    window_s: float = 300.0
    jobs: list[str] = []


class RouteList(Answer):
    routes: list[RouteStats]
