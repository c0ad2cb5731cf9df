import numpy as np
import pytest

from pytest_ftgate.statistics.groups import group_codes
from pytest_ftgate.statistics.jackknife import degrees_of_freedom, jackknife


@pytest.mark.parametrize(
    "left_out", [np.full(20, 0.3), 0.3 + np.array([0.0, 1e-16, -1e-16, 5e-17])]
)
def test_leaving_out_changes_nothing_at_all_or_no_more_than_rounding(left_out):
    assert jackknife(0.3, left_out).standard_error == 0.0
    assert jackknife(0.3, np.array([0.3, 0.3 + 1e-9, 0.3])).standard_error > 0


def by_matrices(weights):
    """Satterthwaite's degrees of a quadratic form: (trace of AV)^2 / trace of AVAV."""
    share = np.asarray(weights, dtype=float) / np.sum(weights)
    # of the units' means from their weighted mean, each of variance 1
    errors = np.eye(len(share)) - share
    form = np.diag(share**2 / (1 - share)) @ errors @ errors.T  # that of CR2
    return np.trace(form) ** 2 / np.trace(form @ form)


@pytest.mark.parametrize(
    "weights",
    [
        *(
            [39, 39, 39] + [1] * 100,
            [80, 80] + [1] * 40,
            np.arange(1, 41),
            1 / np.arange(1, 51),
            [1, 2],
            [3, 1, 0],
        ),
        *(np.full(units, 0.3) for units in (2, 3, 10, 122)),
    ],
)
def test_degrees_of_freedom_are_those_of_the_quadratic_form(weights):
    weights = np.asarray(weights, dtype=float)
    assert degrees_of_freedom(weights) == pytest.approx(max(1.0, by_matrices(weights)))
    alone = jackknife(0.1, weights * np.arange(len(weights)))
    assert alone.degrees == pytest.approx(len(weights) - 1)


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("sizes", "allowed"),
    [
        ([10] * 20, 0.06),
        (list(range(1, 31)), 0.06),
        ([10] * 10 + [30] * 10 + [1] * 40, 0.06),
    ],
)
def test_groups_of_different_sizes_pass_falsely_about_five_percent(sizes, allowed):
    # In each group one of two models is better, over all groups they are alike. 4,000 repetitions: 5 % is known to 0.3.
    rng, sizes, passed = np.random.default_rng(0), np.array(sizes), 0
    better = rng.choice([-0.2, 0.2], (4000, len(sizes)))
    for sums in (rng.binomial(sizes, 0.7 + better) - rng.binomial(sizes, 0.7 - better)).astype(
        float
    ):
        left_out = (sums.sum() - sums) / (sizes.sum() - sizes)
        passed += jackknife(sums.sum() / sizes.sum(), left_out, sizes).p_value(0.0) <= 0.05
    assert passed <= allowed * 4000


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
