"""Work that is done once in each minute."""

import pytest

from proxy.clock import until_next


@pytest.mark.parametrize("takes_s", [0.0, 0.4, 31.0])
def test_however_long_the_work_takes_it_is_done_once_in_each_minute(takes_s: float) -> None:
    now, minutes = 1_700_000_003.7, []
    for _ in range(200):
        minutes.append(int(now // 60))
        now += takes_s
        now += until_next(now, 60.0)
    assert minutes == list(range(minutes[0], minutes[0] + 200))
