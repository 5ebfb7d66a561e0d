"""An open incident and its end, and the sentence that explains it. Values and words only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from proxy.domain.anomaly import Anomaly, AnomalyKind
from proxy.domain.failure import Severity


@dataclass(slots=True)
class OpenIncident:
    """``hurt`` counts requests that failed or were slow since the onset; ``occurrences`` how often
    it came back.
    """

    anomaly: Anomaly
    occurrences: int = 1
    hurt: int = 0
    last_seen: float = 0.0
    quiet_until: float | None = None
    """Set while the incident is what this hour always brings: told only if it lasts longer."""
    looked: float = 0.0
    """When it was last compared with what was told for it; a restart begins anew."""

    def to_json(self) -> dict[str, Any]:
        return {
            "anomaly": _to_json(self.anomaly),
            "occurrences": self.occurrences,
            "hurt": self.hurt,
            "last_seen": self.last_seen,
            "quiet_until": self.quiet_until,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "OpenIncident":
        return cls(
            _from_json(data["anomaly"]),
            int(data["occurrences"]),
            int(data["hurt"]),
            float(data["last_seen"]),
            data["quiet_until"],
        )


def _to_json(anomaly: Anomaly) -> dict[str, Any]:
    row = {f.name: getattr(anomaly, f.name) for f in fields(anomaly)}
    row["severity"] = anomaly.severity.value
    row["head"] = None if anomaly.head is None else _to_json(anomaly.head)
    return row


def _from_json(row: Mapping[str, Any]) -> Anomaly:
    head = row.get("head")
    told = {
        **row,
        "severity": Severity(row["severity"]),
        "head": None if head is None else _from_json({**head, "head": None}),
    }
    return Anomaly(**told)


@dataclass(frozen=True, slots=True)
class IncidentEnd:
    """``reason`` is ``recovered``, ``new_normal`` (the level stayed and is usual now) or
    ``silent`` (no traffic).
    """

    anomaly: Anomaly
    ended_at: float
    duration_s: float
    requests_hurt: int
    occurrences: int
    reason: str


def clock(seconds: float) -> str:
    """``14:03`` UTC: of the epoch, or of recorded traffic that counts from midnight."""
    minutes = int(seconds // 60) % 1440
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def milliseconds(ms: float) -> str:
    return f"{ms:.1f} ms" if ms < 10 else f"{ms:,.0f} ms"


def latency_sentence(
    method: str,
    route: str,
    onset: float,
    observed: float,
    baseline: float,
    sigma: float,
    samples: int,
    what: str,
) -> str:
    """``what`` is ``takes`` for the middle, or a word about the tail."""
    return (
        f"Since {clock(onset)} {method} {route} {what} {milliseconds(observed)} instead of "
        f"{milliseconds(baseline)} ({observed / baseline:.1f}x, {sigma:.1f} sigma over {samples} "
        f"requests)."
    )


def error_sentence(
    method: str,
    route: str,
    onset: float,
    observed: float,
    baseline: float,
    sigma: float,
    samples: int,
    errors: int,
) -> str:
    usual = f"{baseline:.2%}" if baseline < 0.1 else f"{baseline:.0%}"
    return (
        f"Since {clock(onset)} {method} {route} fails {observed:.1%} of the time "
        f""
        f"instead of {usual} ({errors} of {samples} requests, "
        f"{observed / baseline:.1f}x, {sigma:.1f} sigma)."
    )


NAMED_MAX = 12
"""So many routes stand in a sentence; each has its own row."""
EVERYTHING = 0.9
_ALSO, _FIRST, _PART = ", also ", " First ", " It is part of what began on "


def common_sentence(
    head: Anomaly, size: float, moving: int, judged: int, others: Sequence[str]
) -> str:
    """``head`` was the first of ``moving`` routes among ``judged``: ``size`` times slower, or
    ``size`` of their requests failing.
    """
    is_all = moving >= EVERYTHING * judged
    who = "everything" if is_all else "most routes"
    if head.kind == "latency":
        what = f"{'takes' if is_all else 'take'} {size:.1f} times as long"
    else:
        what = f"{'fails' if is_all else 'fail'} {size:.0%} of the time"
    named = ", ".join(others[:NAMED_MAX])
    if len(others) > NAMED_MAX:
        named += f" and {len(others) - NAMED_MAX} more"
    since = f"Since {clock(head.onset)} "
    # what was told of the first route alone, also when it has been counted up before
    first = head.explanation.rpartition(_FIRST)[2].removeprefix(since)
    return f"{since}{who} {what}: {moving} of {judged} routes{_ALSO}{named}.{_FIRST}{first}"


def as_part(one: Anomaly, head: Anomaly) -> Anomaly:
    """``one`` under ``head``, and in its sentence; under another than before as well."""
    own = one.explanation.partition(_PART)[0]
    words = f"{own}{_PART}{head.method} {head.route}, with {head.moving} routes."
    return replace(one, head=head, explanation=words)


def without_names(sentence: str) -> str:
    """The same without the other routes: what reads it for words must not find theirs."""
    crowd, also, rest = sentence.partition(_ALSO)
    return f"{crowd}.{_FIRST}{rest.rpartition(_FIRST)[2]}" if also else sentence


def own_sentence(anomaly: Anomaly, since: float) -> str:
    """A route that moved with the others and is much worse by now."""
    return (
        f"Since {clock(since)} {anomaly.method} {anomaly.route} takes "
        f"{milliseconds(anomaly.observed)} instead of {milliseconds(anomaly.baseline)} "
        f"({anomaly.ratio:.1f}x over {anomaly.samples} requests), far more than the other routes."
    )


def severity_of(kind: AnomalyKind, ratio: float, observed: float, per_minute: float) -> Severity:
    """Critical is a busy route of which nearly everything fails; a quiet one is high at most."""
    if kind == "error_rate":
        if observed >= 0.5:
            return Severity.CRITICAL if per_minute >= BUSY_PER_MINUTE else Severity.HIGH
        return Severity.HIGH if observed >= 0.1 else Severity.MEDIUM
    if ratio >= 5.0:
        return Severity.HIGH
    return Severity.MEDIUM if ratio >= 2.0 else Severity.LOW


BUSY_PER_MINUTE = 6.0
