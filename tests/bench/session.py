"""What all rows share: the machine's plan, the builds, the upstream, the proxies side by side."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from tests.bench.cores import Plan
from tests.bench.load import Ask, Load, closed_loop
from tests.bench.peers import AIOHTTP, PEERS
from tests.bench.processes import CannotMeasure, Running
from tests.bench.pythons import Build
from tests.bench.report import Report
from tests.bench.sidecar import running_sidecar
from tests.bench.upstream import start_own, start_upstream

T = TypeVar("T")
LOST_SHARE_MAX = 0.001
"""Failed requests beyond this share make a run worthless: errors are cheaper than answers."""
WARM_S = 1.0
"""Before the first round, not counted."""


@dataclass(frozen=True)
class Options:
    rounds: int
    seconds: float
    connections: int


@dataclass(frozen=True)
class Run:
    """One proxy under one load. CPU is of those processes that carry traffic."""

    load: Load
    cpu_us: float
    tree_us: float

    @property
    def rps(self) -> float:
        return self.load.requests / self.load.seconds


def pairs(
    builds: Sequence[Build], found: Mapping[str, Sequence[T]]
) -> Iterator[tuple[str, str, Sequence[tuple[T, T]]]]:
    """Each build of ours with each peer that was measured: (build, peer, round by round)."""
    ours = [build.name for build in builds if build.name in found]
    for name in ours:
        for peer in found:
            if peer not in ours:
                yield name, peer, list(zip(found[name], found[peer], strict=True))


@dataclass
class Session:
    cores: Plan
    directory: Path
    options: Options
    builds: Sequence[Build]
    report: Report
    stack: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def upstream(self) -> Running:
        return self._keep(start_upstream(self.directory, self.cores.load))

    @cached_property
    def own_upstream(self) -> Running:
        """For bodies of any length."""
        return self._keep(start_own(self.directory, self.cores.load))

    @cached_property
    def proxies(self) -> Mapping[str, Running]:
        """Every peer installed, and every build of ours as a whole product."""
        found: dict[str, Running] = {}
        for peer in (*PEERS, AIOHTTP):
            if peer.program is None:
                continue
            try:
                started = peer.start(self.directory, self.upstream.port, self.cores.proxy)
                found[peer.name] = self._keep(started)
            except CannotMeasure as error:
                self.report.refuse(peer.name, str(error))
        for build in self.builds:
            home = self.directory / f"up-{build.name}"
            found[build.name] = self.stack.enter_context(
                running_sidecar(build, home, self.upstream.port, self.cores)
            )
        return found

    def _keep(self, running: Running) -> Running:
        self.stack.callback(running.stop)
        return running

    def measure(
        self,
        proxy: Running,
        ask: Ask,
        connections: int,
        seconds: float,
        failing_max: float = LOST_SHARE_MAX,
    ) -> Run:
        before = proxy.cpu_s()
        load = closed_loop(
            proxy.port,
            ask,
            seconds=seconds,
            connections=connections,
            cores=self.cores.load,
            directory=self.directory,
        )
        workers, tree = (after - b for after, b in zip(proxy.cpu_s(), before, strict=True))
        if load.broken > load.requests * LOST_SHARE_MAX or load.bad > load.requests * failing_max:
            lost = f"{load.broken} broken and {load.bad} failing answers"
            raise CannotMeasure(f"{proxy.name}: {lost} among {load.requests} requests")
        if load.requests == 0:
            raise CannotMeasure(f"{proxy.name} answered nothing")
        return Run(load, workers / load.requests * 1e6, tree / load.requests * 1e6)

    def interleave(
        self, row: str, names: Sequence[str], once: Callable[[str, float], Run]
    ) -> Mapping[str, Sequence[Run]]:
        """Every round asks each proxy once; what the machine does beside us moves all alike. Every
        second round goes backwards, so that none always follows the same neighbour. ``once`` takes
        the name and seconds. Whoever fails is left out of this row, and that is said.
        """
        found: dict[str, list[Run]] = {name: [] for name in names}
        for number in range(self.options.rounds + 1):
            for name in list(found) if number % 2 == 0 else list(found)[::-1]:
                try:
                    run = once(name, self.options.seconds if number else WARM_S)
                except CannotMeasure as error:
                    # a slow one may need more than the warm-up for its first answer
                    if number:
                        self.report.refuse(f"{row} {name}", str(error))
                        del found[name]
                else:
                    found[name] += [run] if number else []
        return found
