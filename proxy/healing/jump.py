"""Which 4xx are worth a job: a jump of one signature, never its daily drizzle. Pure but for a
clock.

A mistyped password or a scanner's 404 is no bug; the same refusal many times over what is usual
here within a minute is one.
"""

from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus

from proxy.clock import Clock
from proxy.config import Healing
from proxy.domain.failure import Classification, Failure

WINDOW_S = 60.0
LEAST_OTHER = 20
"""Where the settings name no number for what they do not list."""
MEMORY = 0.8
"""Weight of the past in the usual count; a level that stays is normal after some ten minutes."""
SIGNATURES_MAX = 2000

OTHER = "other"
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

    def __init__(self, clock: Clock, settings: Healing | None = None) -> None:
        self._clock = clock
        self.reload(settings or Healing())
        self._series: OrderedDict[str, _Series] = OrderedDict()

    def reload(self, settings: Healing) -> None:
        """``jump_least``: fewest in a minute; the surer the evidence of a bug, the fewer."""
        pairs = (entry.partition("=") for entry in settings.jump_least)
        self._least = {OTHER: LEAST_OTHER} | {name: int(number) for name, _, number in pairs}
        self._ratio = settings.jump_ratio

    def due(self, failure: Failure, classification: Classification) -> int:
        """How many failures to tell now: 1 for whatever is no 4xx of an exchange, 0 below the
        threshold, and the whole minute's count when it is passed.
        """
        if not _is_client_error(failure, classification):
            return 1
        series = self._of(str(classification.signature))
        series.count += 1
        least = self._least.get(classification.category.value, self._least[OTHER])
        if series.count < max(least, self._ratio * series.usual):
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
