"""Which core does what: the proxy under test has one for itself, upstream and load share another.

On one shared core a quick upstream would take time from the proxy it is measured against.
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass

Cores = frozenset[int]
"""Numbers of cores; empty where this system cannot pin."""


@dataclass(frozen=True)
class Plan:
    """``proxy`` and ``load`` are the same where there is only one core."""

    every: Cores
    proxy: Cores
    load: Cores

    def describe(self) -> str:
        if self.proxy == self.load:
            return "not pinned: fewer than two cores, or no sched_setaffinity here"
        return f"proxy on core {max(self.proxy)}, upstream and load on core {max(self.load)}"


def plan() -> Plan:
    if not hasattr(os, "sched_getaffinity"):
        return Plan(frozenset(), frozenset(), frozenset())
    every = frozenset(os.sched_getaffinity(0))
    return Plan(every, frozenset({max(every)}), frozenset({min(every)}))


def pin(pid: int, cores: Cores) -> None:
    """``pid`` with all its threads; what it starts later inherits it."""
    if not cores:
        return
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task), cores)


def before_exec(cores: Cores) -> Callable[[], None]:
    """For ``Popen(preexec_fn=…)``: pinned before the first thread of the child exists."""

    def settle() -> None:
        if cores:
            os.sched_setaffinity(0, cores)

    return settle
