"""Which 4xx are worth a job: a jump of one signature, never its daily drizzle. Pure but for a
clock.

A mistyped password or a scanner's 404 is no bug; the same refusal many times over what is usual
here within a minute is one.
"""

from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus

from proxy.clock import Clock
from proxy.domain.failure import Category, Classification, Failure

WINDOW_S = 60.0
RATIO = 5.0
"""The design's 5x rule, applied to one signature's own usual minute."""
MEMORY = 0.8
"""Weight of the past in the usual count; a level that stays is normal after some ten minutes."""
SIGNATURES_MAX = 2000

LEAST: dict[Category, int] = {
    Category.RLS_VIOLATION: 3,
    Category.DB_ERROR: 3,
    Category.API_SCHEMA: 5,
    Category.AUTH_FAILURE: 5,
}
"""Fewest in a minute: the surer the evidence of a bug, the fewer."""
LEAST_OTHER = 20
_STATUS_ALONE = ("none", "status.")
"""Rules that read nothing but the status: words that another program wrote down deliberately
count at once.
"""


@dataclass(slots=True)
class _Series:
    window: int
    count: int = 0
    told: int = 0
    usual: float = 0.0


class ClientErrors:
    """Counts 4xx per signature and minute; bounded, the least recently seen go first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._series: OrderedDict[str, _Series] = OrderedDict()

    def due(self, failure: Failure, classification: Classification) -> int:
        """How many failures to tell now: 1 for whatever is no 4xx of an exchange, 0 below the
        threshold, and the whole minute's count when it is passed.
        """
        if not _is_client_error(failure, classification):
            return 1
        series = self._of(str(classification.signature))
        series.count += 1
        least = LEAST.get(classification.category, LEAST_OTHER)
        if series.count < max(least, RATIO * series.usual):
            return 0
        due, series.told = series.count - series.told, series.count
        return due

    def _of(self, signature: str) -> _Series:
        window = int(self._clock.monotonic() // WINDOW_S)
        series = self._series.get(signature)
        if series is None:
            if len(self._series) >= SIGNATURES_MAX:
                self._series.popitem(last=False)
            series = self._series[signature] = _Series(window)
        self._series.move_to_end(signature)
        if series.window != window:
            # the usual level is an average over minutes, the silent ones included
            silent = min(window - series.window - 1, 60)
            series.usual = (MEMORY * series.usual + (1 - MEMORY) * series.count) * MEMORY**silent
            series.window, series.count, series.told = window, 0, 0
        return series


def _is_client_error(failure: Failure, classification: Classification) -> bool:
    return (
        (
            failure.origin == "proxy"
            or (failure.origin == "adopted" and _wordless(failure, classification))
        )
        and failure.status is not None
        and 400 <= failure.status < 500
        and not failure.redirect_chain
        and failure.anomaly_id is None
    )


def _wordless(failure: Failure, classification: Classification) -> bool:
    """Whether nothing but the status speaks, in digits or in the phrase that goes with it."""
    if classification.rule.startswith(_STATUS_ALONE):
        return True
    try:
        phrase = HTTPStatus(failure.status or 0).phrase.lower()
    except ValueError:
        return False
    return failure.message.lower() in (phrase, f"{failure.status} {phrase}") and not failure.stack
