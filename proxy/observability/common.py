"""One cause, one alert: what most routes show at once is told once. Pure.

The first report is never held back. When most of the routes that can be judged move with it, the
next ones are *parts* of it: open incidents like any other, with the first as their ``head``, and no
alert. That lasts as long as most routes move. What is much worse than all that was told, and what
stays when the others have recovered, is told after all. Routes are asked (``majority.py``) when
something is to be told and twice a minute while it lasts, never for a request.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.domain.anomaly import Anomaly
from proxy.domain.failure import Severity
from proxy.observability.incident import IncidentEnd, OpenIncident, severity_of
from proxy.observability.ledger import ESCALATED
from proxy.observability.majority import (
    EARLIER_S,
    NEAR_S,
    ROUTES_MIN,
    SURE,
    Key,
    Votes,
    busiest,
    count,
    name_of,
    size_of,
    surely,
)
from proxy.observability.sentences import as_part, common_sentence, own_sentence
from proxy.observability.series import Series
from proxy.observability.vote import Voice, failing, lately, slower

WORSE = 1.7
"""So many times worse than all that was told is news of its own."""
AGAIN_S = 300.0
"""No sooner the first report itself is told again."""
BELIEVED_S = 3.0
"""A majority holds for so long without asking again."""
LOOK_BACK_S, LATELY_S = 240.0, 120.0
OVER, OVER_S = 0.34, 180.0
"""When no more of the routes have moved for so long, what still does is an incident of its own."""
LEFT_GAIN = 4.0
"""Natural log of the odds from which a part that is left is told."""
YOUNG_S, DOUBTED = 300.0, 0.5
"""So soon after the first report a majority can turn out to be none: quiet routes speak late."""
SUSPICIOUS = 0.4
"""A share of the evidence needed that has a say by itself."""
SETTLED_S = 3600.0
"""A route whose level has become usual still speaks for the others so long."""
GROUPS_MAX = 8
LOOKED_AT = 3

RECOVERED = " The routes it moved with have recovered."
ALONE = " Most other routes do not move with it."

HeadKey = tuple[str, str, str, float]
"""kind, method, route, onset."""


@dataclass(slots=True)
class _Group:
    """``head`` was told for all its parts; ``over_since``: few routes have moved since."""

    head: Anomaly
    over_since: float | None = None
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class _Doubt:
    """An open incident without an alert, or the first, and what it is compared with; ``words`` when
    few others move any more.
    """

    series: Series
    incident: OpenIncident
    worst: float
    words: str


class Common:
    """One for all routes of a service; ``series`` are those of its detector. A restart forgets no
    part and no head, as open incidents know them.
    """

    def __init__(self, series: Mapping[Key, Series]) -> None:
        self._series = series
        self._groups: dict[HeadKey, _Group] = {}
        self._believed: tuple[float, HeadKey, Votes] | None = None
        self._waiting: list[_Doubt] = []
        """The one that was looked at longest ago is last."""
        self._settled: dict[Key, tuple[float, Anomaly]] = {}
        """When the level of a route that moved became usual, and the incident that ended so."""

    # --- something is to be told -----------------------------------------------------------------

    def settle(self, found: Anomaly, now: float) -> Anomaly:
        """The same with a ``head`` when it is part of what was told already, and in words that
        name the others when it is the first of many.
        """
        incident = self._series[(found.method, found.route)].ledger.open.get(found.kind)
        if incident is None:
            return found
        others = [a for a in self._open(found.kind) if name_of(a) != name_of(found)]
        self._recall(others)
        for head in self._heads(found, others):
            votes = self._votes(head, found, now)
            if votes.is_common and not self._is_far_worse(found, head, votes, now):
                incident.anomaly = found = self._join(found, head, votes)
                return found
        if not any(a.head is None and _is_near(a, found) for a in others):
            votes = self._votes(found, found, now)
            if votes.is_common:
                incident.anomaly = found = _counted(found, votes)
                self._begin(found)
        return found

    def _heads(self, found: Anomaly, others: list[Anomaly]) -> Iterator[Anomaly]:
        """What was told and may have the same cause: what still goes on, the latest first, else the
        first of what began at about the same time.
        """
        groups = [g.head for g in self._groups.values() if g.head.kind == found.kind]
        groups.sort(key=lambda h: -h.onset)
        for head in groups:
            if self._groups[_key(head)].is_over or found.onset < head.onset - EARLIER_S:
                continue
            # a level that was part of it and is usual by now has changed once more
            if name_of(head) != name_of(found) and not self._has_settled(found, head):
                yield self._as_told(head)
        near = [a for a in others if a.head is None and _is_near(a, found)]
        if near:
            first = min(near, key=lambda a: a.detected_at)
            if _key(first) not in self._groups:
                yield first

    def _is_far_worse(self, found: Anomaly, head: Anomaly, votes: Votes, now: float) -> bool:
        """Surely: few requests may look like anything."""
        least = WORSE * max(self._worst(head, found), votes.size)
        if found.kind == "error_rate":
            return surely(found) > least
        seen = lately(self._series[(found.method, found.route)], now)
        return found.ratio > least and seen is not None and seen.least > least

    def _worst(self, head: Anomaly, besides: Anomaly | None = None) -> float:
        """Of what was told since; ``besides`` is about to be."""
        told = [a for a in self._open(head.kind) if a.head is None and a is not besides]
        return max([size_of(head), *(size_of(a) for a in told if a.onset >= head.onset - NEAR_S)])

    def _join(self, found: Anomaly, head: Anomaly, votes: Votes) -> Anomaly:
        head = _counted(head, votes)
        incident = self._incident_of(head)
        if incident is not None:
            incident.occurrences += 1
            incident.anomaly = head
        self._begin(head)
        return as_part(found, head)

    def _begin(self, head: Anomaly) -> None:
        known = self._groups.get(_key(head))
        if known is not None:
            known.head = head
            return
        while len(self._groups) >= GROUPS_MAX:
            del self._groups[min(self._groups, key=lambda key: key[3])]
        self._groups[_key(head)] = _Group(head)

    def _recall(self, others: list[Anomaly]) -> None:
        """Groups that the open incidents know of: after a restart."""
        for part in others:
            if part.head is not None and _key(part.head) not in self._groups:
                self._begin(part.head)

    def _open(self, kind: str) -> Iterator[Anomaly]:
        for series in self._series.values():
            incident = series.ledger.open.get(kind)
            if incident is not None and incident.quiet_until is None:
                yield incident.anomaly

    def _incident_of(self, head: Anomaly) -> OpenIncident | None:
        series = self._series.get((head.method, head.route))
        incident = None if series is None else series.ledger.open.get(head.kind)
        return incident if incident is not None and _key(incident.anomaly) == _key(head) else None

    def _as_told(self, head: Anomaly) -> Anomaly:
        incident = self._incident_of(head)
        return head if incident is None else incident.anomaly

    def _has_settled(self, member: Anomaly, head: Anomaly) -> bool:
        ended = self._settled.get((member.method, member.route))
        return ended is not None and _key(ended[1].head or ended[1]) == _key(head)

    # --- the others ------------------------------------------------------------------------------

    def _votes(self, head: Anomaly, found: Anomaly, now: float) -> Votes:
        if self._believed is not None:
            at, whose, votes = self._believed
            if whose == _key(head) and 0.0 <= now - at < BELIEVED_S:
                return votes
        since = max(head.onset, now - LOOK_BACK_S)
        voices = {name_of(found): Voice(SURE, size_of(found))}
        for name, series in busiest(self._series.values(), since):
            incident = series.ledger.open.get(head.kind)
            if name in voices:
                continue
            if incident is None:
                voice = self._voice(series, head, since, now)
            elif incident.anomaly.onset >= head.onset - EARLIER_S:
                voice = Voice(SURE, size_of(incident.anomaly))
            else:
                # what began long before has another cause, and no say
                continue
            if voice is not None:
                voices[name] = voice
        votes = count(voices)
        self._believed = (now, _key(head), votes) if votes.is_common else None
        return votes

    def _voice(self, series: Series, head: Anomaly, since: float, now: float) -> Voice | None:
        """What a route says of the last minutes, by suspicion or by what came since."""
        run, needed = series.latency.run, series.latency.needed
        is_suspicious = head.kind == "latency" and run.evidence >= SUSPICIOUS * needed
        if is_suspicious and run.since >= head.onset - NEAR_S:
            return Voice(SURE, head.ratio)
        return self._lately(series, head, since, now)

    def _lately(self, series: Series, head: Anomaly, since: float, now: float) -> Voice | None:
        """The same by nothing but what came since."""
        ended = self._settled.get((series.method, series.route))
        if ended is not None and _key(ended[1].head or ended[1]) == _key(head):
            # what moved is usual by now: it moves no more only when it is faster than that
            return Voice(-SURE if series.level.is_faster else SURE, size_of(ended[1]))
        if head.kind == "error_rate":
            return failing(series, since, now, surely(head))
        return slower(series, since, now, head.ratio)

    # --- twice a minute, and then each second ----------------------------------------------------

    def hear(self, end: IncidentEnd) -> None:
        """A level that has become usual on one route will be on those that moved with it."""
        ended = end.anomaly
        if end.reason == "new_normal" and _key(ended.head or ended) in self._groups:
            self._settled[(ended.method, ended.route)] = (end.ended_at, ended)

    @property
    def is_asked(self) -> bool:
        """Something waits for ``look``."""
        return bool(self._waiting)

    def review(self, restless: Sequence[Series], now: float) -> None:
        """Ask whether most routes still move; what then may have to be told after all waits for
        ``look``. ``restless`` are at least all series with an incident.
        """
        parts = [
            (series, incident)
            for series in restless
            for incident in series.ledger.open.values()
            if incident.anomaly.head is not None and incident.quiet_until is None
        ]
        self._recall([incident.anomaly for _, incident in parts])
        self._waiting.clear()
        for key, group in list(self._groups.items()):
            mine = [(s, i) for s, i in parts if i.anomaly.head and _key(i.anomaly.head) == key]
            self._review_group(group, mine, now)
            if group.is_over and not mine:
                del self._groups[key]
        self._waiting += self._alone(restless, now)
        self._waiting.sort(key=lambda doubt: -doubt.incident.looked)
        for route, (at, _) in list(self._settled.items()):
            if now - at >= SETTLED_S:
                del self._settled[route]

    def _alone(self, restless: Iterable[Series], now: float) -> Iterator[_Doubt]:
        """Slow routes that nobody else moves with: far worse than was told is told, as failures
        are.
        """
        for series in restless:
            incident = series.ledger.open.get("latency")
            if incident is None or incident.quiet_until is not None:
                continue
            one = incident.anomaly
            is_alone = one.head is None and _key(one) not in self._groups
            if is_alone and now - one.detected_at >= AGAIN_S:
                yield _Doubt(series, incident, one.ratio * ESCALATED / WORSE, "")

    def _review_group(
        self, group: _Group, parts: list[tuple[Series, OpenIncident]], now: float
    ) -> None:
        head, words = self._as_told(group.head), self._judge(group, now)
        worst, first = self._worst(head), self._incident_of(head)
        self._waiting += [_Doubt(series, incident, worst, words) for series, incident in parts]
        if first is not None and parts and now - head.detected_at >= AGAIN_S:
            # what was told for all may outgrow the others as well
            self._waiting.append(_Doubt(self._series[(head.method, head.route)], first, worst, ""))

    def look(self, now: float) -> list[Anomaly]:
        """What is told after all: parts much worse than what was told, and those left when the
        others have recovered. A few each second: with hundreds no request waits for all.
        """
        found: list[Anomaly] = []
        for _ in range(min(LOOKED_AT, len(self._waiting))):
            doubt = self._waiting.pop()
            incident, open_one = doubt.incident, doubt.incident.anomaly
            if doubt.series.ledger.open.get(open_one.kind) is not incident:
                continue
            incident.looked = now
            told = self._outgrown(doubt.series, open_one, doubt.worst, now)
            if told is None and doubt.words:
                told = self._left(doubt.series, open_one, doubt.words, now)
            if told is not None:
                incident.anomaly = told
                found.append(told)
        return found

    def _judge(self, group: _Group, now: float) -> str:
        """Whether most routes still move; words for those that do when most do not."""
        head = group.head
        since = max(head.onset, now - LATELY_S)
        said = {
            name: self._lately(series, head, since, now)
            for name, series in busiest(self._series.values(), since)
        }
        votes = count({name: voice for name, voice in said.items() if voice is not None})
        is_young = now - head.detected_at <= YOUNG_S
        if is_young and len(votes.moving) >= ROUTES_MIN and votes.part < DOUBTED:
            return ALONE
        if votes.part > OVER:
            group.over_since, group.is_over = None, False
            return ""
        if group.over_since is None:
            group.over_since = now
        group.is_over = now - group.over_since >= OVER_S
        return RECOVERED if group.is_over else ""

    def _outgrown(self, series: Series, one: Anomaly, worst: float, now: float) -> Anomaly | None:
        seen = lately(series, now) if one.kind == "latency" else None
        if seen is None or seen.least <= WORSE * worst:
            return None
        than = "than the other routes" if one.head or one.moving else "than was told"
        again = replace(
            one,
            head=None,
            moving=0,
            detected_at=now,
            baseline=seen.usual,
            observed=seen.observed,
            ratio=seen.factor,
            samples=seen.requests,
        )
        severity = max(one.severity, severity_of(one.kind, seen.factor, 0.0, 0.0), key=_rank)
        return replace(again, severity=severity, explanation=own_sentence(again, seen.since, than))

    def _left(self, series: Series, part: Anomaly, words: str, now: float) -> Anomaly | None:
        since = max(part.onset, now - OVER_S)
        alone = replace(part, head=None, detected_at=now, explanation=part.explanation + words)
        voice = self._lately(series, alone, since, now)
        return alone if voice is not None and voice.gain >= LEFT_GAIN else None


def _counted(head: Anomaly, votes: Votes) -> Anomaly:
    """In words that name the others."""
    moving = len(votes.moving)
    others = [name for name in votes.moving if name != name_of(head)]
    words = common_sentence(head, votes.size, moving, votes.decided, others)
    return replace(head, explanation=words, moving=moving)


def _rank(severity: Severity) -> int:
    return severity.rank


def _is_near(one: Anomaly, other: Anomaly) -> bool:
    return abs(one.onset - other.onset) <= NEAR_S


def _key(anomaly: Anomaly) -> HeadKey:
    return (anomaly.kind, anomaly.method, anomaly.route, anomaly.onset)
