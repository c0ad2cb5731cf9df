import numpy as np
import pytest

from pytest_ftgate.statistics.groups import effective_groups, group_codes, group_sizes, too_few


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


def test_groups_of_one_size_count_as_many_as_there_are():
    sizes = group_sizes(np.arange(60) % 12)
    assert (list(sizes), effective_groups(sizes), too_few(sizes)) == ([5.0] * 12, 12, None)
    assert too_few(np.full(7, 3.0)) == "too few groups: 7, 10 are needed"


@pytest.mark.parametrize(
    ("sizes", "counted"),
    [([45, 45] + [1] * 8, 2), ([50] * 3 + [1] * 50, 5), ([10] * 9 + [9], 10), ([39] * 3 + [1] * 100, 10), ([1, 3], 2)],
)
def test_groups_of_different_sizes_count_as_fewer(sizes, counted):
    assert effective_groups(np.array(sizes, dtype=float)) == counted


def test_too_few_groups_say_what_they_count_as():
    sizes = np.array([80.0, 80] + [1] * 40)
    assert too_few(sizes) == "too few groups: 42 of very different weight count as 3, 10 are needed"
    assert too_few(sizes, "example").startswith("too few examples: 42 of")
