"""What the workers saw around the sidecar, added up, and what it cannot see with these settings.

Every blind spot names what would open it: a tool that shows nothing must not look like an app
without faults.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from proxy.config import Config
from proxy.contract.health import BlindSpot, Neighbour, SurroundingsView

FEW = 10
"""Below so many requests their likeness says nothing."""


def view(config: Config, workers: Iterable[dict[str, Any]], sdk_events: int) -> SurroundingsView:
    """``workers`` are ``Surroundings.facts``; ``sdk_events`` is what the ingest has accepted."""
    seen = list(workers)
    front = _union(one["front"] for one in seen)
    return SurroundingsView(
        front=[Neighbour(name=name, header=header) for name, header in front.items()],
        behind=[
            Neighbour(name=name, header=header)
            for name, header in _union(one["behind"] for one in seen).items()
        ],
        requests=sum(one["requests"] for one in seen),
        blind=[
            BlindSpot(to=to, remedy=remedy)
            for to, remedy in _blind(config, seen, sdk_events, has_front=bool(front))
        ],
    )


def _union(tables: Iterable[dict[str, str]]) -> dict[str, str]:
    return {name: header for table in tables for name, header in table.items()}


def _blind(
    config: Config, seen: list[dict[str, Any]], sdk_events: int, *, has_front: bool
) -> Iterator[tuple[str, str]]:
    requests = sum(one["requests"] for one in seen)
    yield (
        "what does not pass the data port: queues, scheduled jobs, calls between your services",
        "the middleware for ASGI and aiohttp apps, an SDK, or rows in observability_logs",
    )
    if not config.ingest.enabled:
        yield (
            "what breaks in the browser, and stack traces: the ingest is off",
            "ingest.enabled = true",
        )
    elif not sdk_events:
        yield (
            "what breaks in the browser, and stack traces: no SDK has reported yet",
            f"give a Sentry SDK the DSN http://KEY@YOUR-HOST{config.ingest.prefix}/1",
        )
    if requests >= FEW and config.trace.mode == "keep" and not any(one["traced"] for one in seen):
        yield (
            "which request an SDK event belongs to: no request carries a trace",
            "trace.mode = start",
        )
    if stranger := next((one["stranger"] for one in seen if one["stranger"]), ""):
        yield (
            f"who your visitors are: {stranger} names them and is not trusted",
            "add it to downstream.trusted",
        )
    elif has_front and requests >= FEW and all(one["visitors"] < 2 for one in seen):
        yield (
            "who your visitors are: the proxy in front hides them, all look like one",
            "let it send X-Forwarded-For, and name it in downstream.trusted",
        )
    for setting, value, to in (
        ("repo.path", config.repo.path, "what a patch does: the app's code is unknown"),
        ("repo.start", config.repo.start, "whether a patch cures the failing request: no replay"),
        ("repo.test", config.repo.test, "whether a patch breaks something else: no tests known"),
    ):
        if not value:
            yield to, f"set {setting}"
