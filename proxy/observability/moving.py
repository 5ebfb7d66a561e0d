"""What of a series leaves its process: told to others once a minute, stored for the next start.

Pure; everything is JSON-able. Compiled code cannot be asked for its attributes by itself, so the
names of a series' own state stand here.
"""

from collections.abc import Mapping
from typing import Any

from proxy.observability.baseline import Baseline, join_durations
from proxy.observability.delta import Delta
from proxy.observability.kinds import NO_KIND, kinds_seen
from proxy.observability.series import WARM_UP_REQUESTS, Series
from proxy.observability.tally import Tally

# --- other processes -----------------------------------------------------------------------------


def share(series: Series) -> dict[str, Any] | None:
    """What was learned here since the last call, for ``hear`` elsewhere; None when that is
    nothing, or nobody is to be told.
    """
    fresh = series.baseline.unshared
    if not fresh:
        return None
    series.baseline.unshared = Delta()
    return {"first_seen": series.first_seen, **fresh.to_json()}


def hear(series: Series, row: Mapping[str, Any], now: float) -> None:
    """Learn what another process learned of this route, as if it had been seen here.

    Raises ``KeyError``, ``TypeError``, ``ValueError`` or ``AttributeError`` for what is no
    ``share``, and has taken nothing then.
    """
    delta, first_seen = Delta.from_json(row), float(row["first_seen"])
    series.first_seen = min(series.first_seen, first_seen)
    series.baseline.hear_counts(delta, now)
    if not series.is_warm:
        series.baseline.hear_durations(delta, now)
    elif series.heard is None:
        series.heard = delta
    else:
        join_durations(series.heard, delta)


# --- the next start ------------------------------------------------------------------------------


def export(series: Series) -> dict[str, Any]:
    """The baseline (counts that add) and this process's own state beside it."""
    series.level.read(series.baseline)
    return {
        "first_seen": series.first_seen,
        "baseline": series.baseline.to_json(),
        "heard": None if series.heard is None else series.heard.to_json(),
        "state": {
            **{name: getattr(series, name) for name in _PLAIN},
            "_durations": {str(b): n for b, n in series._durations.items()},
            "_error_kinds": list(series._error_kinds),
            "_level_counts": series._level_counts.to_json(),
            **{name: getattr(series, name).to_json() for name in _PARTS},
        },
    }


def adopt(series: Series, row: Mapping[str, Any], now: float) -> None:
    """``restore``, though requests have come already: what was learned of them is kept."""
    young, is_warm = series.baseline, series.is_warm
    if is_warm:
        # it has judged by itself for minutes: only the counts are joined
        series.baseline.add(Baseline.from_json(row["baseline"]))
        series.rebuild()
        return
    restore(series, row, now)
    series.baseline.add(young)


def restore(series: Series, row: Mapping[str, Any], now: float) -> None:
    """Go on where ``export`` stopped; without ``state`` the baseline spares a new warm-up.

    Raises ``KeyError``, ``TypeError``, ``ValueError``, ``IndexError`` or ``AttributeError`` for
    what is no export.
    """
    baseline = Baseline.from_json(row["baseline"])
    baseline.unshared = series.baseline.unshared
    series.baseline = baseline
    heard = row.get("heard")
    series.heard = None if heard is None else Delta.from_json(heard)
    series.first_seen = min(float(row["first_seen"]), now)
    if series.baseline.total >= WARM_UP_REQUESTS:
        series.warm(now)
    state = row.get("state")
    if state is None or "level" not in state:
        return
    for name in _PLAIN:
        setattr(series, name, type(getattr(series, name))(state[name]))
    series._durations = {int(b): int(n) for b, n in state["_durations"].items()}
    # what an earlier version wrote knows no kinds
    series._error_kinds = kinds_seen(state.get("_error_kinds", []))
    series._last_kind = int(state.get("_last_kind", NO_KIND))
    series._level_counts = Tally.from_json(state["_level_counts"])
    for name in _PARTS:
        getattr(series, name).restore(state[name])


_PLAIN = (
    "is_warm",
    "_is_adopted",
    "weighed",
    "due",
    "late",
    "_hot_from",
    "_hot_score",
    "_hot_at",
    "_cool_at",
    "_before_error",
    "_requests",
    "_errors",
    "_error_runs",
    "_first_error",
    "_last_error",
    "_failed_last",
    "_began",
    "_last_request",
    "_followed",
    "_level_from",
)
_PARTS = ("situation", "level", "latency", "failures", "ledger", "lessons")
