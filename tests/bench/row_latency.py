"""What one client feels: the median time of an exchange on one keep-alive connection."""

import statistics
from contextlib import closing

from tests.bench.load import PingPong
from tests.bench.report import Finding
from tests.bench.session import Session

ASKED_PER_SECOND = 400
"""Exchanges of one block per second of ``--seconds``; short blocks keep proxies close in time."""
WARM = 200


def measure_p50(session: Session, row: str) -> None:
    count = max(100, int(ASKED_PER_SECOND * session.options.seconds))
    found: dict[str, list[float]] = {name: [] for name in session.proxies}
    for number in range(session.options.rounds + 1):
        for name, proxy in session.proxies.items():
            with closing(PingPong(proxy.port, "/200")) as line:
                line.times_us(WARM)
                if number:
                    found[name].append(statistics.median(line.times_us(count)))
    for name, samples in found.items():
        session.report.add(Finding(row, name, "", "us p50", samples))
    for build in session.builds:
        for peer in session.peers_of(build.name):
            ratios = [a / b for a, b in zip(found[build.name], found[peer], strict=True)]
            session.report.add(Finding(row, build.name, peer, "x p50", ratios))
