"""Every shipped method against published numbers, or numbers that follow by hand."""

import json
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from pytest_ftgate.statistics import Spread, corrected_confidence, remedy
from pytest_ftgate.statistics.exact import disagreement_interval, exact_p_value
from pytest_ftgate.statistics.graded import Sample, graded_lower
from pytest_ftgate.statistics.jackknife import jackknife, means_without_a_group
from pytest_ftgate.statistics.score import score_lower

KNOWN = json.loads(Path(__file__).with_name("known_answers.json").read_text(encoding="utf-8"))


def cases(name):
    return [pytest.param(case, id=case["source"]) for case in KNOWN[name]]


@pytest.mark.parametrize("case", cases("tango_interval"))
def test_tango_interval(case):
    wins, losses, n = case["wins"], case["losses"], case["n"]
    critical = NormalDist().inv_cdf(0.5 + case["confidence"] / 2)
    found = score_lower(wins, losses, n, critical), -score_lower(losses, wins, n, critical)
    assert found == pytest.approx(case["expected"], abs=case["tolerance"])


@pytest.mark.parametrize("case", cases("exact_p_value"))
def test_exact_p_value(case):
    found = exact_p_value(case["wins"], case["losses"], case["n"], case["margin"])
    assert found == pytest.approx(case["expected"], abs=case["tolerance"])


@pytest.mark.parametrize("case", cases("clopper_pearson"))
def test_interval_of_the_disagreement_rate(case):
    found = disagreement_interval(case["successes"], case["n"], 1 - case["confidence"])
    assert found == pytest.approx(case["expected"], abs=case["tolerance"])


@pytest.mark.parametrize("case", cases("clopper_pearson"))
def test_gaffke_of_two_values_is_clopper_pearson(case):
    values = np.repeat([1.0, 0.0], [case["successes"], case["n"] - case["successes"]])
    alpha = (1 - case["confidence"]) / 2
    found = graded_lower(Sample.of(values, 0.0), alpha), -graded_lower(Sample.of(-values, -1.0), alpha)
    assert found == pytest.approx(case["expected"], abs=1.5e-4)  # the search stops at a fraction of an error


def test_jackknife_of_a_correlation():
    case = KNOWN["law_school"]
    x, y = np.array(case["lsat"]), np.array(case["gpa"])

    def correlation(keep):
        return float(np.corrcoef(x[keep], y[keep])[0, 1])

    everyone = np.arange(len(x))
    left_out = np.array([correlation(everyone != i) for i in everyone])
    found = jackknife(correlation(everyone), left_out)
    assert found.estimate == pytest.approx(case["correlation"], abs=case["tolerance"])
    assert found.standard_error == pytest.approx(case["standard_error"], abs=case["tolerance"])
    assert found.degrees == 14


def test_delete_a_group_is_the_clustered_error():
    case = KNOWN["clustered_error"]
    values, groups = np.arange(case["n"], dtype=float), np.arange(case["n"]) % case["groups"]
    found = jackknife(float(values.mean()), means_without_a_group(values, groups))
    assert found.standard_error == pytest.approx(case["expected"], abs=case["tolerance"])


def test_delete_one_of_a_mean_is_the_usual_error():
    values = np.array([0.1, 0.5, -0.2, 0.3, 0.0])
    found = jackknife(float(values.mean()), means_without_a_group(values, np.arange(5)))
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(5), rel=1e-12)
    # Student's t, 4 degrees, 95 %: 2.132 in every table
    assert found.half_width(0.05) == pytest.approx(2.132 * found.standard_error, rel=2e-4)
    assert found.p_value(found.estimate - 2.132 * found.standard_error) == pytest.approx(0.05, abs=1e-5)


def test_examples_for_a_difference_of_three_points():
    case = KNOWN["repeats_power"]
    spread = Spread(examples=100, repeats=1, between=case["between"], within=0.0)
    found = remedy(spread, gain=case["gain"], target=0.0, confidence=case["confidence"])
    assert found.more_examples == case["expected"] - 100
    assert found.more_repeats is None


def test_bonferroni_for_the_best_of_several():
    case = KNOWN["several_tests"]
    level = 1 - corrected_confidence(0.95, len(case["p_values"]))
    assert sum(p <= level for p in case["p_values"]) == case["bonferroni_rejections"]
