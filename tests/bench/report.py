"""Findings: what was measured, judged against its target, in words and as JSON.

A finding keeps all its samples: a median without its spread says nothing on a busy machine.
"""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.cores import Plan
from tests.bench.targets import TARGETS


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``against`` is empty for a figure that stands for itself."""

    row: str
    build: str
    against: str
    unit: str
    samples: Sequence[float]
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def to_json(self) -> dict[str, Any]:
        target = TARGETS.get((self.row, self.build, self.against))
        must = target.must if target else None
        aim = target.aim if target else None
        return {
            "row": self.row,
            "build": self.build,
            "against": self.against,
            "unit": self.unit,
            "median": self.median,
            "min": min(self.samples),
            "max": max(self.samples),
            "samples": list(self.samples),
            "must": must,
            "aim": aim,
            "must_met": target.holds(self.median, must) if target and must is not None else None,
            "aim_met": target.holds(self.median, aim) if target and aim is not None else None,
            "note": self.note,
        }

    def to_text(self) -> str:
        what = f"{self.build} / {self.against}" if self.against else self.build
        values = f"{_short(self.median)} ({_short(min(self.samples))}-{_short(max(self.samples))})"
        words = f"{self.row:15} {what:24} {values:26} {self.unit:16} {self._verdict()}"
        return (words + (f"  {self.note}" if self.note else "")).rstrip()

    def _verdict(self) -> str:
        target = TARGETS.get((self.row, self.build, self.against))
        if target is None:
            return ""
        bounds = [("must", target.must)]
        bounds += [("aim", target.aim)] if target.aim is not None else []
        sign = ">=" if target.at_least else "<="
        return ", ".join(
            f"{name} {sign}{bound:g} {'met' if target.holds(self.median, bound) else 'MISSED'}"
            for name, bound in bounds
        )


@dataclass
class Report:
    machine: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Row → why it could not be measured."""

    def add(self, *findings: Finding) -> None:
        for finding in findings:
            self.findings.append(finding)
            print("  " + finding.to_text(), flush=True)

    def refuse(self, row: str, why: str) -> None:
        self.refused[row] = why
        print(f"  {row}: not measured: {why}", flush=True)

    def missed(self) -> list[str]:
        judged = (finding.to_json() for finding in self.findings)
        return [
            f"{f['row']} {f['build']}{' / ' if f['against'] else ''}{f['against']}"
            for f in judged
            if f["must_met"] is False
        ]

    def write(self, path: Path) -> None:
        text = {
            "machine": self.machine | {"load_at_end": os.getloadavg()[0]},
            "findings": [finding.to_json() for finding in self.findings],
            "refused": self.refused,
            "missed": self.missed(),
        }
        path.write_text(json.dumps(text, indent=2) + "\n")


def machine(cores: Plan) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpus": os.cpu_count(),
        "cpu": _cpu_model(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cores": cores.describe(),
        "load_at_start": os.getloadavg()[0],
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "")


def _short(value: float) -> str:
    return (
        f"{value:.3f}"
        if abs(value) < 0.1
        else f"{value:.2f}"
        if abs(value) < 100
        else f"{value:.0f}"
    )
