"""``make bench``: every row of the performance table, measured side by side with what is installed.

    python -m tests.bench [--quick] [--only ROW]... [--compiled WHEEL] [--json FILE]

Prints medians with minimum and maximum and whether each target is met; docs/performance.md says how
to read them. Ends with 1 when a row could not be measured, with 0 otherwise: a missed target is a
finding, not a failure.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from proxy.errors import SelfHealError
from tests.bench import load
from tests.bench.cores import Plan, pin, plan
from tests.bench.peers import absent, versions
from tests.bench.processes import CannotMeasure
from tests.bench.pythons import Build, compiled, plain
from tests.bench.report import Report, machine
from tests.bench.row_cpu import measure_cpu, measure_rps
from tests.bench.row_latency import measure_p50
from tests.bench.row_memory import measure_memory
from tests.bench.row_observe import measure_observe
from tests.bench.row_stall import measure_stall
from tests.bench.row_start import measure_start
from tests.bench.row_tree import measure_tree
from tests.bench.session import Options, Session

ROWS: dict[str, tuple[str, Callable[[Session, str], None]]] = {
    "start": ("from `selfheal up` to the first proxied byte", measure_start),
    "stall": ("longest pause of the event loop while 10,000 rows are flushed", measure_stall),
    "memory": ("growth of a data worker's peak memory, 512 MiB bodies", measure_memory),
    "tree": ("the whole tree at 5,000 requests/s, every row stored", measure_tree),
    "observe": ("observability on and off; the detector on and off", measure_observe),
    "get200": ("CPU per request, GET 200 B", measure_cpu),
    "get16k": ("CPU per request, GET 16 KiB", measure_cpu),
    "post16k": ("CPU per request, POST 16 KiB", measure_cpu),
    "get1m": ("CPU per request, GET 1 MiB", measure_cpu),
    "rps": ("requests a second, GET 200 B, 64 connections", measure_rps),
    "p50": ("median time of GET 200 B on one connection", measure_p50),
}
FULL = Options(rounds=5, seconds=3, connections=32)
QUICK = Options(rounds=3, seconds=1, connections=32)


def main() -> int:
    args = _arguments()
    if not Path("/proc/self/stat").exists():
        raise SystemExit("this benchmark reads /proc: run it on Linux")
    # told to stop, it still stops what it started
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    cores = plan()
    report = Report(machine(cores))
    with tempfile.TemporaryDirectory(prefix="selfheal-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)  # nginx reads it as a user of its own
        pin(os.getpid(), cores.load)
        builds = _builds(args, directory, report)
        session = Session(cores, directory, _options(args), builds, report, stack)
        _announce(session, cores)
        for row in args.only or ROWS:
            _measure(session, row)
    _conclude(report, args.json)
    return 1 if report.refused else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="three rounds of one second")
    parser.add_argument(
        "--only", action="append", choices=ROWS, metavar="ROW", help=", ".join(ROWS)
    )
    parser.add_argument("--compiled", type=Path, metavar="WHEEL", help="default: newest in dist/")
    parser.add_argument("--plain-only", action="store_true", help="leave a compiled wheel alone")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--connections", type=int)
    return parser.parse_args()


def _options(args: argparse.Namespace) -> Options:
    base = QUICK if args.quick else FULL
    return Options(
        args.rounds or base.rounds,
        args.seconds or base.seconds,
        args.connections or base.connections,
    )


def _builds(args: argparse.Namespace, directory: Path, report: Report) -> list[Build]:
    builds = [plain()]
    if not args.plain_only:
        try:
            builds.append(compiled(args.compiled, directory))
        except CannotMeasure as error:
            if args.compiled is not None:
                raise SystemExit(str(error)) from None
            report.refuse("compiled build", str(error))
    return builds


def _announce(session: Session, cores: Plan) -> None:
    options, found = session.options, session.report.machine
    found["load_tool"] = load.tool()
    found["builds"] = [build.name for build in session.builds]
    found["peers"] = versions()
    found["absent"] = absent()
    print(f"{found['at']}  {found['cpu']}, {found['cpus']} cores, {cores.describe()}")
    print(f"load of the machine {found['load_at_start']:.1f}; requests by {found['load_tool']}")
    print(f"{options.rounds} rounds of {options.seconds:g} s, {options.connections} connections")
    print("median (minimum-maximum); ratios are taken within each round")
    print("; ".join(f"{name}: {version}" for name, version in found["peers"].items()))
    for name, hint in absent().items():
        print(f"absent, so not compared: {name}; to have it: {hint}")


def _measure(session: Session, row: str) -> None:
    title, measure = ROWS[row]
    print(f"{row}: {title}", flush=True)
    try:
        measure(session, row)
    except (CannotMeasure, SelfHealError, OSError, subprocess.SubprocessError) as error:
        session.report.refuse(row, str(error) or type(error).__name__)


def _conclude(report: Report, path: Path | None) -> None:
    for name in report.missed():
        print(f"missed: {name}")
    for row, why in report.refused.items():
        print(f"not measured: {row}: {why}")
    if path is not None:
        report.write(path)


if __name__ == "__main__":
    sys.exit(main())
