"""CPU per request, four kinds of exchange, and requests a second: the whole product, rows stored,
against every peer.
"""

from functools import partial

from tests.bench.load import Ask
from tests.bench.report import Finding
from tests.bench.session import Run, Session

ASKS = {
    "get200": Ask("/200"),
    "get16k": Ask("/16k"),
    "post16k": Ask("/post", post_bytes=16384),
    "get1m": Ask("/1m"),
}
RPS_CONNECTIONS = 64
WARM_S = 1.0


def measure_cpu(session: Session, row: str) -> None:
    """Adds ours over each peer, and the figures themselves."""
    runs = _all_rounds(session, ASKS[row], session.options.connections)
    _figures(session, row, runs)
    for build in session.builds:
        ours = [run.cpu_us for run in runs[build.name]]
        for peer in session.peers_of(build.name):
            theirs = [run.cpu_us for run in runs[peer]]
            ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
            session.report.add(Finding(row, build.name, peer, "x CPU", ratios))


def measure_rps(session: Session, row: str) -> None:
    runs = _all_rounds(session, ASKS["get200"], RPS_CONNECTIONS)
    for name, each in runs.items():
        session.report.add(Finding(row, name, "", "requests/s", [run.rps for run in each]))
    for build in session.builds:
        for peer in session.peers_of(build.name):
            pairs = zip(runs[build.name], runs[peer], strict=True)
            ratios = [ours.rps / theirs.rps for ours, theirs in pairs]
            session.report.add(Finding(row, build.name, peer, "x requests/s", ratios))


def _all_rounds(session: Session, ask: Ask, connections: int) -> dict[str, list[Run]]:
    proxies, seconds = session.proxies, session.options.seconds
    measure = partial(session.measure, ask=ask, connections=connections)
    for proxy in proxies.values():
        measure(proxy, seconds=WARM_S)
    found = session.interleave(list(proxies), lambda n: measure(proxies[n], seconds=seconds))
    return {name: list(runs) for name, runs in found.items()}


def _figures(session: Session, row: str, runs: dict[str, list[Run]]) -> None:
    builds = {build.name for build in session.builds}
    for name, each in runs.items():
        session.report.add(Finding(row, name, "", "us CPU", [run.cpu_us for run in each]))
        if name in builds:
            tree = [run.tree_us for run in each]
            session.report.add(Finding(row, name, "whole tree", "us CPU", tree))
