"""The table of what the data plane must and should reach, as data. A ratio or a figure is better
when it is smaller, except where ``at_least`` says otherwise.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    must: float
    aim: float | None = None
    at_least: bool = False

    def holds(self, value: float, bound: float) -> bool:
        return value >= bound if self.at_least else value <= bound


Key = tuple[str, str, str]
"""Row, build of ours, what it is compared with ("" for a figure of its own)."""

TARGETS: dict[Key, Target] = {
    ("get200", "compiled", "nginx"): Target(1.6, 1.2),
    ("get200", "plain", "nginx"): Target(2.0, 1.6),
    ("get16k", "compiled", "nginx"): Target(1.4, 1.1),
    ("get16k", "plain", "nginx"): Target(1.7, 1.4),
    ("post16k", "compiled", "nginx"): Target(1.4, 1.1),
    ("post16k", "plain", "nginx"): Target(1.7, 1.4),
    ("get1m", "compiled", "nginx"): Target(0.9, 0.6),
    ("get1m", "plain", "nginx"): Target(0.9, 0.6),
    ("get200", "compiled", "aiohttp"): Target(0.13, 0.09),
    ("get200", "plain", "aiohttp"): Target(0.16, 0.12),
    ("get200", "compiled", "caddy"): Target(0.35, 0.2),
    ("get200", "plain", "caddy"): Target(0.35, 0.2),
    ("get200", "compiled", "mitmproxy"): Target(0.03, 0.02),
    ("get200", "plain", "mitmproxy"): Target(0.03, 0.02),
    ("rps", "compiled", "aiohttp"): Target(6.0, 10.0, at_least=True),
    ("rps", "plain", "aiohttp"): Target(6.0, 10.0, at_least=True),
    ("p50", "compiled", "nginx"): Target(1.3, 1.1),
    ("p50", "plain", "nginx"): Target(1.3, 1.1),
    ("observe", "plain", "off"): Target(1.25, 1.10),
    ("detector", "plain", ""): Target(10.0),
    ("detector", "compiled", ""): Target(5.0),
    ("memory-down", "plain", ""): Target(4.0, 1.0),
    ("memory-up", "plain", ""): Target(4.0, 1.0),
    ("memory-stalled", "plain", ""): Target(4.0, 1.0),
    ("stall", "plain", ""): Target(10.0, 5.0),
    ("tree", "plain", "workers"): Target(1.5),
    ("tree", "compiled", "workers"): Target(1.5),
    ("start", "plain", ""): Target(1.0),
    ("start", "compiled", ""): Target(1.0),
}
"""``detector`` in microseconds, ``memory-*`` in MiB, ``stall`` in ms, ``start`` in seconds; the
others are ratios.
"""
