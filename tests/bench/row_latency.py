"""What one client feels: the median time of an exchange on one keep-alive connection."""

import statistics
from contextlib import closing

from tests.bench.load import PingPong
from tests.bench.processes import CannotMeasure
from tests.bench.report import Finding
from tests.bench.session import Session, pairs

ASKED_PER_SECOND = 400
"""Exchanges of one block per second of ``--seconds``; short blocks keep proxies close in time."""
WARM = 200


def measure_p50(session: Session, row: str) -> None:
    count = max(100, int(ASKED_PER_SECOND * session.options.seconds))
    found: dict[str, list[float]] = {name: [] for name in session.proxies}
    for _ in range(session.options.rounds):
        for name in list(found):
            try:
                found[name].append(_median_us(session.proxies[name].port, count))
            except (CannotMeasure, OSError) as error:
                session.report.refuse(f"{row} {name}", str(error))
                del found[name]
    for name, samples in found.items():
        session.report.add(Finding(row, name, "", "us p50", samples))
    for build, peer, rounds in pairs(session.builds, found):
        ratios = [ours / theirs for ours, theirs in rounds]
        session.report.add(Finding(row, build, peer, "x p50", ratios))


def _median_us(port: int, count: int) -> float:
    with closing(PingPong(port, "/200")) as line:
        line.times_us(WARM)
        return statistics.median(line.times_us(count))
