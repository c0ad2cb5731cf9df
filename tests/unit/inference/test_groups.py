from __future__ import annotations

import numpy as np
import pytest

from pytest_ftgate.inference.groups import group_codes


def test_names_become_codes():
    assert list(group_codes(["b", "a", "b", "c"], 4)) == [0, 1, 0, 2]


def test_an_example_without_a_group_is_on_its_own():
    assert list(group_codes(["a", None, "a", None], 4)) == [0, 1, 0, 2]


def test_a_number_is_a_name_and_no_place():
    assert list(group_codes([1, None, 1, 1], 4)) == [0, 1, 0, 0]


@pytest.mark.parametrize("groups", [None, [None, None, None], ["a", "b", "c"], np.arange(3)])
def test_nothing_shared_is_no_grouping(groups):
    assert group_codes(groups, 3) is None


def test_codes_of_an_array():
    assert list(group_codes(np.array([3, 3, 0]), 3)) == [0, 0, 1]


def test_another_number_of_names_is_refused():
    with pytest.raises(ValueError, match=r"^2 groups were given for 3 examples$"):
        group_codes(["a", "b"], 3)
