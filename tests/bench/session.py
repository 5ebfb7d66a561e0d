"""What all rows share: the machine's plan, the builds, the upstream, the proxies side by side."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.bench.cores import Plan
from tests.bench.load import Ask, Load, closed_loop
from tests.bench.peers import AIOHTTP, PEERS
from tests.bench.processes import CannotMeasure, Running
from tests.bench.pythons import Build
from tests.bench.report import Report
from tests.bench.sidecar import running_sidecar
from tests.bench.upstream import start_own, start_upstream

LOST_SHARE_MAX = 0.001
"""Failed requests beyond this share make a run worthless: errors are cheaper than answers."""


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

    def peers_of(self, build: str) -> Iterator[str]:
        """The names ``build`` is compared with."""
        names = {b.name for b in self.builds}
        return (name for name in self.proxies if name not in names)

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
        self, names: Sequence[str], once: Callable[[str], Run]
    ) -> Mapping[str, Sequence[Run]]:
        """Every round asks each proxy once; what the machine does beside us moves all alike. Every
        second round goes backwards, so that none always follows the same neighbour.
        """
        found: dict[str, list[Run]] = {name: [] for name in names}
        for number in range(self.options.rounds):
            for name in names if number % 2 == 0 else reversed(names):
                found[name].append(once(name))
        return found
