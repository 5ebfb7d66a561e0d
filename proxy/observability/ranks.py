"""How far do durations lie above the usual ones, whatever the shape of either? Pure."""

from collections.abc import Mapping
from math import sqrt
from statistics import NormalDist

from proxy.observability.baseline import Baseline

NORMAL = NormalDist()


def rank_sigma(base: Baseline, counts: Mapping[int, float], shift: int) -> float:
    """How many standard deviations the ranks of these (bucket → how many, not empty) lie above
    those of the usual ones, ``shift`` buckets up: by their mean, or by their normal scores (van der
    Waerden 1952), whichever is more.

    Three mean ranks cannot get beyond 3.0, however slow: each is worth 1.73 at most. The scores see
    less of many that are all a little slower.
    """
    # no rank is known better than the number of durations that it is among
    most = 1.0 - 0.5 / (base.total + 1.0)
    number = ranks = scores = 0.0
    for bucket, count in counts.items():
        rank = min(most, max(1.0 - most, base.rank_share(bucket - shift)))
        number += count
        ranks += count * (rank - 0.5)
        scores += count * NORMAL.inv_cdf(rank)
    return max(ranks * sqrt(12.0 / number), scores / sqrt(number))
