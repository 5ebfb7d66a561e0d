"""What seeing costs: one hot path with all its recording, with all but the detector, and with none.

Measured twice: all answers are good, as in the other rows; and one in a hundred fails, so that
capturing and classifying have their share.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.load import Ask
from tests.bench.processes import CannotMeasure, Running, free_port, start
from tests.bench.pythons import Build
from tests.bench.report import Finding
from tests.bench.session import Run, Session

HERE = Path(__file__).parent
FAILING_MAX = 0.05
NOISE_US = 10.0
"""A difference that moves further than its bound from round to round decides nothing."""
PARTS = ("none", "no-detector", "all")


def measure_observe(session: Session, row: str) -> None:
    """Adds ``observe`` (on over off), ``detector`` (on minus off) and ``observe-failing``."""
    for build in session.builds:
        with ExitStack() as stack:
            running = {part: _start(session, build, part) for part in PARTS}
            for one in running.values():
                stack.callback(one.stop)
            runs = _runs(session, running, row, PARTS, Ask("/200"))
            _figures(session, row, build, runs)
            costs = _pairs(runs, "no-detector", lambda on, off: on - off)
            note = "TOO NOISY to tell" if max(costs) - min(costs) > NOISE_US else ""
            session.report.add(Finding("detector", build.name, "", "us CPU", costs, note))
            runs = _runs(session, running, f"{row}-failing", ("none", "all"), Ask("/mixed"))
            _figures(session, f"{row}-failing", build, runs)


def _runs(
    session: Session, running: Mapping[str, Running], row: str, parts: Sequence[str], ask: Ask
) -> Mapping[str, Sequence[Run]]:
    def once(part: str, seconds: float) -> Run:
        connections = session.options.connections
        return session.measure(running[part], ask, connections, seconds, failing_max=FAILING_MAX)

    found = session.interleave(row, parts, once)
    if set(found) != set(parts):
        raise CannotMeasure("one of its parts could not be measured")
    return found


def _start(session: Session, build: Build, part: str) -> Running:
    port = free_port()
    command = build.run(str(HERE / "ours.py"), str(session.upstream.port), str(port), part)
    log = session.directory / f"ours-{build.name}-{part}.log"
    name = f"ours ({build.name}, {part})"
    return start(name, port, command, log, cores=session.cores.proxy, cwd=session.directory)


def _figures(session: Session, row: str, build: Build, runs: Mapping[str, Sequence[Run]]) -> None:
    for part, each in runs.items():
        cpu = [run.cpu_us for run in each]
        session.report.add(Finding(row, build.name, f"({part})", "us CPU", cpu))
    ratios = _pairs(runs, "none", lambda on, off: on / off)
    session.report.add(Finding(row, build.name, "off", "x CPU", ratios))


def _pairs(
    runs: Mapping[str, Sequence[Run]], part: str, compare: Callable[[float, float], float]
) -> list[float]:
    """All of it compared with ``part``, round by round."""
    pairs = zip(runs["all"], runs[part], strict=True)
    return [compare(everything.cpu_us, less.cpu_us) for everything, less in pairs]
