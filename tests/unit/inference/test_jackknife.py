from __future__ import annotations

import numpy as np
import pytest

from pytest_ftgate.inference.jackknife import jackknife, means_without_a_group


def test_leaving_out_changes_nothing_at_all():
    found = jackknife(0.1, np.full(20, 0.1))
    assert found.standard_error == 0.0


def test_rounding_is_no_difference():
    found = jackknife(0.3, 0.3 + np.array([0.0, 1e-16, -1e-16, 5e-17]))
    assert found.standard_error == 0.0


def test_a_small_difference_is_one():
    assert jackknife(0.3, np.array([0.3, 0.3 + 1e-9, 0.3])).standard_error > 0


def test_a_single_unit_has_no_error():
    found = jackknife(0.3, np.array([0.2]))
    assert (found.standard_error, found.degrees) == (0.0, 0)


def test_means_without_a_group():
    values, groups = np.array([1.0, 2.0, 3.0, 6.0]), np.array([0, 1, 1, 2])
    assert means_without_a_group(values, groups) == pytest.approx([11 / 3, 3.5, 2.0])
