import numpy as np
import pytest

from pytest_ftgate.statistics.groups import effective_groups, group_codes, group_sizes, too_few


@pytest.mark.parametrize(
    ("names", "codes"),
    [
        (["b", "a", "b", "c"], [0, 1, 0, 2]),
        (["a", None, "a", None], [0, 1, 0, 2]),  # without a group an example is on its own
        ([1, None, 1, 1], [0, 1, 0, 0]),  # a number is a name and no place
        (np.array([3, 3, 0]), [0, 0, 1]),
    ],
)
def test_names_become_codes(names, codes):
    assert list(group_codes(names, len(names))) == codes


@pytest.mark.parametrize("groups", [None, [None, None, None], ["a", "b", "c"], np.arange(3)])
def test_nothing_shared_is_no_grouping(groups):
    assert group_codes(groups, 3) is None


def test_another_number_of_names_is_refused():
    with pytest.raises(ValueError, match=r"2 groups .*3"):
        group_codes(["a", "b"], 3)


def test_groups_of_one_size_count_as_many_as_there_are():
    sizes = group_sizes(np.arange(60) % 12)
    assert (list(sizes), effective_groups(sizes), too_few(sizes)) == ([5.0] * 12, 12, None)
    assert all(number in too_few(np.full(7, 3.0)) for number in ("7", "10"))


@pytest.mark.parametrize(
    ("sizes", "counted"),
    [([45, 45] + [1] * 8, 2), ([50] * 3 + [1] * 50, 5), ([10] * 9 + [9], 10), ([39] * 3 + [1] * 100, 10), ([1, 3], 2)],
)
def test_groups_of_different_sizes_count_as_fewer(sizes, counted):
    assert effective_groups(np.array(sizes, dtype=float)) == counted


def test_too_few_groups_say_what_they_count_as():
    sizes = np.array([80.0, 80] + [1] * 40)
    assert all(word in too_few(sizes) for word in ("groups", "42", "3", "10"))
    assert "examples" in too_few(sizes, "example")
