"""CPU per request, four kinds of exchange, and requests a second: the whole product, rows stored,
against every peer.
"""

from collections.abc import Mapping, Sequence

from tests.bench.load import Ask
from tests.bench.report import Finding
from tests.bench.session import Run, Session, pairs

ASKS = {
    "get200": Ask("/200"),
    "get16k": Ask("/16k"),
    "post16k": Ask("/post", post_bytes=16384),
    "get1m": Ask("/1m"),
}
RPS_CONNECTIONS = 64


def measure_cpu(session: Session, row: str) -> None:
    """Adds ours over each peer, and the figures themselves."""
    runs = _all_rounds(session, row, ASKS[row], session.options.connections)
    _figures(session, row, runs)
    for build, peer, rounds in pairs(session.builds, runs):
        ratios = [ours.cpu_us / theirs.cpu_us for ours, theirs in rounds]
        session.report.add(Finding(row, build, peer, "x CPU", ratios))


def measure_rps(session: Session, row: str) -> None:
    runs = _all_rounds(session, row, ASKS["get200"], RPS_CONNECTIONS)
    for name, each in runs.items():
        session.report.add(Finding(row, name, "", "requests/s", [run.rps for run in each]))
    for build, peer, rounds in pairs(session.builds, runs):
        ratios = [ours.rps / theirs.rps for ours, theirs in rounds]
        session.report.add(Finding(row, build, peer, "x requests/s", ratios))


def _all_rounds(
    session: Session, row: str, ask: Ask, connections: int
) -> Mapping[str, Sequence[Run]]:
    def once(name: str, seconds: float) -> Run:
        return session.measure(session.proxies[name], ask, connections, seconds)

    return session.interleave(row, list(session.proxies), once)


def _figures(session: Session, row: str, runs: Mapping[str, Sequence[Run]]) -> None:
    builds = {build.name for build in session.builds}
    for name, each in runs.items():
        session.report.add(Finding(row, name, "", "us CPU", [run.cpu_us for run in each]))
        if name in builds:
            tree = [run.tree_us for run in each]
            session.report.add(Finding(row, name, "whole tree", "us CPU", tree))
