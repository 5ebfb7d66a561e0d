"""Days of kinds the bench does not have: sampled, all of them with SELFHEAL_CAMPAIGN=full."""

import pytest

from tests.support.campaign import IS_WHOLE
from tests.support.other_days import ALL_KINDS, make
from tests.support.verdict import assert_useful

SAMPLE = [("correlated", 901), ("releases", 901)]
CAMPAIGN = [(kind, seed) for kind in ALL_KINDS for seed in (901, 902, 903)] if IS_WHOLE else SAMPLE


@pytest.mark.campaign
@pytest.mark.timeout(3600 if IS_WHOLE else 120)
def test_days_of_other_kinds() -> None:
    assert_useful(make, CAMPAIGN)
