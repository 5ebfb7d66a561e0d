"""The sentences that explain an incident: what was measured, beside what was measured before. Words
only.

What is merely believed of a route is weighed (``baseline.py``), never told as if somebody had seen
it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import gmtime, strftime

from proxy.domain.anomaly import Anomaly
from proxy.observability.kinds import QUICK, SLOW, Alike

HARDLY_ANY = 0.05
"""An error of four days ago weighs so little that it is told no longer."""
HABITUAL = 10.0
"""What fewer requests did is what came before, and nothing usual."""
WHOLE = 1e-6
DATED_FROM_S = 1e8
"""Three years: no recorded traffic that counts from a midnight is so long."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was measured of a route outside of incidents, as weights: they halve in a day, those of
    durations in two and a half hours.
    """

    requests: float
    errors: float = 0.0

    @property
    def is_nothing(self) -> bool:
        return round(self.requests) < 1

    @property
    def has_failed(self) -> bool:
        return not self.is_nothing and self.errors >= HARDLY_ANY


def is_dated(seconds: float) -> bool:
    """Of the epoch; recorded traffic may count from a midnight of its own."""
    return seconds >= DATED_FROM_S


def clock(seconds: float) -> str:
    """``2026-11-22 14:03 UTC``: sentences are read days later. ``14:03`` where there is no date."""
    return strftime("%Y-%m-%d %H:%M UTC" if is_dated(seconds) else "%H:%M", gmtime(seconds))


def milliseconds(ms: float) -> str:
    return f"{ms:.1f} ms" if ms < 10 else f"{ms:,.0f} ms"


def weighed(weight: float) -> str:
    """``1,530``, or ``about 1,530`` of what has faded."""
    whole = round(weight)
    return f"{whole:,}" if abs(weight - whole) < WHOLE else f"about {whole:,}"


def latency_sentence(
    method: str,
    route: str,
    onset: float,
    observed: float,
    baseline: float,
    sigma: float,
    samples: int,
    what: str,
    known: Known,
) -> str:
    """``what`` is ``takes`` for the middle, or a word about the tail."""
    return (
        f"Since {clock(onset)} {method} {route} {what} {milliseconds(observed)} instead of "
        f"{milliseconds(baseline)} ({observed / baseline:.1f}x, {sigma:.1f} sigma over {samples} "
        f"requests, {weighed(known.requests)} before)."
    )


def error_sentence(
    method: str,
    route: str,
    onset: float,
    observed: float,
    sigma: float,
    samples: int,
    errors: int,
    known: Known,
    alike: Alike | None = None,
) -> str:
    """``sigma`` measures against the usual share, so where none ever failed it says nothing."""
    seen = f"{errors} of {samples} requests"
    if alike is not None:
        seen += f", each {_a_kind(alike)}"
    if known.has_failed:
        seen += f", {sigma:.1f} sigma"
    now = f"Since {clock(onset)} {method} {route} fails {observed:.1%} of the time ({seen})"
    return f"{now}; {_usually(known)}{_seldom(alike)}."


def _usually(known: Known) -> str:
    if known.is_nothing:
        return "nothing is known of it before"
    seen = f"{_counted(known.errors)} of {weighed(known.requests)}"
    if known.requests < HABITUAL:
        return f"{seen} before"
    if not known.has_failed:
        # not "never before": what incidents brought is not what is usual
        return f"usually never ({seen})"
    share = known.errors / known.requests
    usual = f"{share:.2%}" if share < 0.1 else f"{share:.0%}"
    return f"usually {usual} ({seen})"


def _counted(weight: float) -> str:
    if weight < HARDLY_ANY:
        return "0"
    return weighed(weight) if weight >= 0.5 else "less than 1"


def _a_kind(alike: Alike) -> str:
    pace = {QUICK: " far sooner than usual", SLOW: " far later than usual"}.get(alike.pace, "")
    return f"a {alike.status}{pace}"


def _seldom(alike: Alike | None) -> str:
    """Why so few prove so much: they are of a kind that hardly ever comes."""
    if alike is None:
        return ""
    where = " in the whole app" if alike.is_of_app else ""
    return (
        f", and{where} with {_a_kind(alike)} in {_counted(alike.before)} of "
        f"{weighed(alike.cases)} cases"
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


def own_sentence(anomaly: Anomaly, since: float, than: str) -> str:
    """A route that is much worse by now ``than`` the others or what was told. Its ratio is the
    likeliest by all of its durations; no usual one was measured beside it.
    """
    return (
        f"Since {clock(since)} {anomaly.method} {anomaly.route} takes {anomaly.ratio:.1f} times as "
        f"long as usual, {milliseconds(anomaly.observed)} ({anomaly.samples} requests), far more "
        f"{than}."
    )
