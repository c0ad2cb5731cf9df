"""For how long a model was busy, spread over its answers."""

import pytest

from pytest_ftgate.runs.asking import BusyTime


def test_the_shares_add_up_to_the_time_in_which_a_call_was_under_way():
    now = [0.0]
    busy = BusyTime(lambda: now[0])
    busy.begin()
    busy.begin()
    now[0] = 3
    first = busy.share_s()
    busy.end()
    now[0] = 4
    second = busy.share_s()
    busy.end()
    now[0] = 100  # idle
    busy.begin()
    now[0] = 102
    busy.end()  # failed: its two seconds were spent all the same
    now[0] = 200
    busy.begin()
    now[0] = 201
    third = busy.share_s()
    busy.end()
    assert (first, second, third) == pytest.approx((3, 1, 3))
