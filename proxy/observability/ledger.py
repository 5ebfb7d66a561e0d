"""The incidents of one route: which are open, which have just ended, what is told of them. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proxy.domain.anomaly import Anomaly, Ended
from proxy.observability.habits import Habits
from proxy.observability.incident import IncidentEnd, OpenIncident
from proxy.observability.situation import Situation

ESCALATED = 3.0
"""One that comes back this many times worse is told again."""


class Ledger:
    """One that ended within ``dedup_s`` opens again and counts up instead of a new report."""

    __slots__ = ("_closed", "_dedup_s", "_situation", "habits", "open")

    def __init__(self, dedup_s: float, situation: Situation) -> None:
        self._dedup_s = dedup_s
        self._situation = situation
        self._closed: dict[str, OpenIncident] = {}
        self.habits = Habits()
        self.open: dict[str, OpenIncident] = {}

    def report(
        self, anomaly: Anomaly, hurt: int, now: float, least: float | None = None
    ) -> Anomaly | None:
        """Open the incident; the anomaly when it is news. ``least`` is the ratio that is certain:
        what is expected at this hour is compared with that.
        """
        before = self._closed.pop(anomaly.kind, None)
        if (
            before is not None
            and now - before.last_seen < self._dedup_s
            and anomaly.ratio < ESCALATED * before.anomaly.ratio
        ):
            before.occurrences += 1
            before.hurt += hurt
            before.last_seen = now
            self.open[anomaly.kind] = before
            return None
        sure = anomaly if least is None else replace(anomaly, ratio=least)
        usual_until = self._expected_until(sure)
        self.open[anomaly.kind] = OpenIncident(
            anomaly, hurt=hurt, last_seen=now, quiet_until=usual_until
        )
        return anomaly if usual_until is None else None

    def _expected_until(self, anomaly: Anomaly) -> float | None:
        """Until when an incident like this is the usual thing; None when it is news."""
        for ask in (
            self.habits.expected_until,
            self._situation.habits.hourly_until,
            self.habits.frequent_until,
        ):
            until = ask(anomaly)
            if until is not None:
                return until
        return None

    def close(self, kind: str, reason: Ended, now: float, ends: list[IncidentEnd]) -> OpenIncident:
        incident = self.open.pop(kind)
        incident.last_seen = now
        self._closed[kind] = incident
        self.habits.remember(incident.anomaly, now)
        self._situation.habits.remember(incident.anomaly, now)
        if incident.quiet_until is None:
            lasted = now - incident.anomaly.onset
            ends.append(
                IncidentEnd(
                    incident.anomaly, now, lasted, incident.hurt, incident.occurrences, reason
                )
            )
        return incident

    @property
    def is_nil(self) -> bool:
        """Nothing is open and nothing has just ended."""
        return not self.open and not self._closed

    def break_silence(self, kind: str, now: float) -> Anomaly | None:
        """What every night brings is told after all when it lasts longer than every night."""
        incident = self.open[kind]
        if incident.quiet_until is None or now < incident.quiet_until:
            return None
        incident.quiet_until = None
        incident.anomaly = replace(incident.anomaly, detected_at=now)
        return incident.anomaly

    def forget(self, now: float) -> None:
        """What ended so long ago that it cannot open again."""
        for kind, incident in list(self._closed.items()):
            if now - incident.last_seen >= self._dedup_s:
                del self._closed[kind]

    # --- moving ----------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        return {
            "open": {kind: i.to_json() for kind, i in self.open.items()},
            "closed": {kind: i.to_json() for kind, i in self._closed.items()},
            "habits": self.habits.to_json(),
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` for what is no ledger."""
        self.open = {k: OpenIncident.from_json(i) for k, i in data["open"].items()}
        self._closed = {k: OpenIncident.from_json(i) for k, i in data["closed"].items()}
        self.habits = Habits.from_json(data["habits"])
