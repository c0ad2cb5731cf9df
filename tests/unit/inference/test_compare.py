from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit
from set_examples import accuracy, arms, macro_f1, pooled_arm

from pytest_ftgate.statistics.compare import compare_graded, compare_right_wrong, compare_set
from pytest_ftgate.statistics.evidence import is_sure
from pytest_ftgate.statistics.exact import exact_lower
from pytest_ftgate.statistics.graded import Sample, graded_lower, graded_p_value
from pytest_ftgate.statistics.jackknife import jackknife
from pytest_ftgate.statistics.set_level import LabelCounts


def rights(wins, losses, n):
    """Return baseline and candidate with these wins and losses; of the ties every other one is right in both."""
    rows = np.arange(n)
    is_win_and_loss = (rows >= wins + losses) & (rows % 2 == 0)
    return is_win_and_loss | ((rows >= wins) & (rows < wins + losses)), is_win_and_loss | (
        rows < wins
    )


def right_wrong(wins, losses, n, **asked):
    return compare_right_wrong(
        *rights(wins, losses, n),
        **{"margin": 0.03, "confidence": 0.95, "evidence": "proven"} | asked,
    )


def graded(differences, **asked):
    differences = np.asarray(differences, dtype=float)
    baseline = np.where(differences < 0, -differences, 0.0)
    asked = {
        "low": 0.0,
        "high": 1.0,
        "margin": 0.0,
        "confidence": 0.95,
        "evidence": "significant",
    } | asked
    return compare_graded(baseline, baseline + differences, **asked)


def of_set(baseline_arm, candidate_arm, **asked):
    return compare_set(
        baseline_arm,
        candidate_arm,
        **{"margin": 0.02, "confidence": 0.95, "evidence": "proven"} | asked,
    )


def test_a_clear_gain():
    comparison = right_wrong(31, 9, 200)
    assert (comparison.n, comparison.fixed, comparison.broken) == (200, 31, 9)
    assert (comparison.gain, comparison.required, comparison.reached, comparison.status) == (
        0.11,
        0.03,
        True,
        "pass",
    )
    assert comparison.reaches_margin
    assert comparison.p_margin == pytest.approx(0.004772, abs=1e-6)
    assert (round(comparison.lower_bound, 3), round(comparison.upper_bound, 3)) == (0.059, 0.163)
    assert ("exact" in comparison.method, comparison.note) == (True, None)
    standards = [("observed", 0.1), ("significant", 0.1), ("proven", 0.1), ("observed", 0.12)]
    statuses = [
        right_wrong(31, 9, 200, evidence=evidence, margin=margin).status
        for evidence, margin in standards
    ]
    assert statuses == ["pass", "pass", "inconclusive", "fail"]


@pytest.mark.parametrize(
    ("counts", "keys", "sure"),
    [
        ((0, 0, 98), {"margin": -0.03}, False),
        ((0, 0, 99), {"margin": -0.03}, True),
        ((31, 9, 200), {"confidence": 0.999}, False),
        ((60, 0, 60), {"confidence": 0.99999}, True),
        # A group in 33 may be lost as a whole: 99 groups without a difference are as good as 99 examples.
        ((0, 0, 490), {"margin": -0.03, "groups": np.arange(490) // 5}, False),
        ((0, 0, 495), {"margin": -0.03, "groups": np.arange(495) // 5}, True),
        # One win in 50 groups of two: a group in 20 could lose altogether and still not have been met.
        ((1, 0, 100), {"margin": -0.03, "groups": np.arange(100) // 2}, False),
        ((1, 0, 400), {"margin": -0.03, "groups": np.arange(400) // 2}, True),
        # One group is a tenth of all examples, and no answer differs: its losses may not have been met.
        ((0, 0, 1000), {"margin": -0.03, "groups": np.maximum(np.arange(1000) - 99, 0)}, False),
        ((0, 0, 1000), {"margin": -0.03, "groups": np.repeat(np.arange(200), 5)}, True),
    ],
)
def test_what_is_sure(counts, keys, sure):
    comparison = right_wrong(*counts, **keys)
    assert comparison.reaches_margin is sure
    if counts[:2] == (0, 0):
        zeros = graded(np.zeros(counts[2]), **{"evidence": "proven"} | keys)
        assert zeros.reaches_margin is sure


@given(st.integers(1, 150), st.data(), st.sampled_from([-0.99, -0.05, 0.0, 0.03, 0.1, 0.99, 1.0]))
def test_bounds_and_decisions_agree(n, data, margin):
    wins = data.draw(st.integers(0, n))
    losses = data.draw(st.integers(0, n - wins))
    comparison = right_wrong(wins, losses, n, margin=margin, evidence="observed")
    assert -1 <= comparison.lower_bound <= comparison.gain <= comparison.upper_bound <= 1
    above_zero = is_sure(comparison.p_zero, 0.05)
    for sure, target in ((above_zero, 0.0), (comparison.reaches_margin, margin)):
        assert comparison.lower_bound >= target if sure else comparison.lower_bound <= target
    if margin >= 0:
        assert above_zero or not comparison.reaches_margin
    swapped = right_wrong(losses, wins, n, margin=margin, evidence="observed")
    assert (swapped.gain, swapped.fixed, swapped.broken) == (-comparison.gain, losses, wins)
    assert swapped.upper_bound == pytest.approx(-exact_lower(wins, losses, n, 0.05), abs=1e-12)


def test_a_number_that_has_just_proved_too_small_is_never_given():
    for wins in range(1, 30, 3):
        comparison = right_wrong(wins, 0, 40, margin=-0.01, evidence="significant")
        assert comparison.shown or comparison.examples_needed > 40


def test_the_scale_of_the_metric_is_only_a_unit():
    differences = np.linspace(-0.2, 0.5, 60)
    usual, asked = (
        graded(differences, margin=0.05),
        {"margin": 0.2, "confidence": 0.95, "evidence": "significant"},
    )
    scaled = compare_graded(np.full(60, 3.0), 3.0 + 4 * differences, low=1.0, high=5.0, **asked)
    for name, unit in (
        ("lower_bound", 4),
        ("upper_bound", 4),
        ("p_margin", 1),
        ("examples_needed", 1),
    ):
        assert getattr(scaled, name) == pytest.approx(unit * getattr(usual, name), abs=1e-9)


def test_macro_f1_by_the_jackknife():
    baseline_arm, candidate_arm = arms(11, 300, 4)
    comparison = of_set(baseline_arm, candidate_arm)
    left_out = candidate_arm.values_without() - baseline_arm.values_without()
    own_jackknife = jackknife(
        comparison.gain, left_out, baseline_arm.weights() + candidate_arm.weights()
    )
    values = 300 * comparison.gain - 299 * left_out
    lost, opposite = (
        Sample.of(sign * values, min(-300 * arm.weights().max(), (sign * values).min()))
        for sign, arm in ((1, candidate_arm), (-1, baseline_arm))
    )
    lower = min(comparison.gain - own_jackknife.half_width(0.05), graded_lower(lost, 0.05))
    upper = max(comparison.gain + own_jackknife.half_width(0.05), -graded_lower(opposite, 0.05))
    p_margin = max(own_jackknife.p_value(0.02), graded_p_value(lost, 0.02))
    expected = pytest.approx((lower, upper, p_margin), abs=1e-12)
    assert (comparison.lower_bound, comparison.upper_bound, comparison.p_margin) == expected
    assert ("jackknife" in comparison.method, "Gaffke" in comparison.method) == (True, True)
    assert comparison.note is None
    right = [arm.predicted[0] == arm.gold for arm in (baseline_arm, candidate_arm)]
    assert (comparison.fixed, comparison.broken) == (
        (right[1] & ~right[0]).sum(),
        (right[0] & ~right[1]).sum(),
    )


def test_identical_answers_are_no_gain_and_enough_of_them_rule_out_a_drop():
    baseline_arm, _ = arms(13, 100, 3)
    comparison = of_set(baseline_arm, baseline_arm, margin=0.05)
    assert (comparison.gain, comparison.reaches_margin, comparison.status) == (0.0, False, "fail")
    assert (comparison.p_zero, comparison.p_margin, comparison.examples_needed) == (1.0, 1.0, None)
    assert comparison.lower_bound < 0 < comparison.upper_bound
    # The baseline has each label 25, 33 or 42 times: one lost example of the rarest weighs most.
    gold = np.repeat([0, 1, 2], [25, 33, 42])
    for factor, sure in ((1, False), (3, True)):
        arm = LabelCounts(np.tile(gold, factor), np.tile(gold, factor)[None], 3, macro_f1)
        comparison = of_set(arm, arm, margin=-0.03)
        assert (comparison.reaches_margin, comparison.lower_bound > -0.03, comparison.p_zero) == (
            sure,
            sure,
            1.0,
        )
        assert comparison.upper_bound == pytest.approx(-comparison.lower_bound)
        assert ("Gaffke" in comparison.method, comparison.note) == (True, None)


def recall_macro(tallies):
    right, gold, _ = tallies[:, :, :-1].swapaxes(0, 1)
    return np.divide(right, gold, out=np.zeros_like(right), where=gold > 0).mean(axis=1)


def of_right_answers(gold, wrong, statistic):
    """Return counts in which the first examples are wrong."""
    return LabelCounts(
        gold, np.where(np.arange(len(gold)) < wrong, (gold + 1) % 3, gold)[None], 3, statistic
    )


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    ("statistic", "gold", "wrong"),
    [
        (lambda tallies: tallies[:, 0, 0] / tallies[:, 1, 0], np.array([0, 1, 1, 1]), (1, 0)),
        (
            lambda tallies: np.where(tallies[:, 2, -1] > 0, np.nan, accuracy(tallies)),
            np.arange(40) % 3,
            (10, 5),
        ),
    ],
    ids=["without some example", "with one more wrong answer"],
)
def test_a_metric_that_is_undefined(statistic, gold, wrong):
    baseline_arm, candidate_arm = (of_right_answers(gold, n, statistic) for n in wrong)
    for margin in (-0.01, 0.0):
        comparison = of_set(baseline_arm, candidate_arm, margin=margin)
        assert (comparison.lower_bound, comparison.shown, comparison.reaches_margin) == (
            None,
            False,
            False,
        )
        assert "undefined" in comparison.note
    with pytest.raises(ValueError, match="nan"):
        of_set(
            *(
                of_right_answers(gold, n, lambda tallies: np.full(len(tallies), np.nan))
                for n in wrong
            )
        )


@pytest.mark.simulation
@pytest.mark.parametrize(
    "sizes", [(88, 8, 4), (84, 10, 6), (80, 10, 10), (40, 20, 20), (20, 20, 20)]
)
def test_no_gain_is_sure_where_the_losses_of_a_rare_label_may_not_have_been_met(sizes):
    # The real model fixes as large a share of the common label as it loses of the rarest: recall_macro gains nothing.
    # The p-value of a set in which it lost none must be at least the chance of such a set.
    gold = np.repeat(np.arange(3), sizes)
    baseline_labels = np.where(np.arange(len(gold)) < sizes[0] // 2, 3, gold)
    for wins in range(1, sizes[0] // 2 + 1):
        candidate_labels = np.where(np.arange(len(gold)) < wins, gold, baseline_labels)
        comparison = of_set(
            *(
                LabelCounts(gold, arm[None], 3, recall_macro)
                for arm in (baseline_labels, candidate_labels)
            ),
            margin=0.0,
        )
        assert comparison.p_zero >= (1 - wins / sizes[0]) ** sizes[2]


def test_outcomes_that_go_together_are_less_evidence():
    together = right_wrong(60, 10, 300, groups=np.arange(300) // 10)
    apart = right_wrong(60, 10, 300)
    assert together.gain == apart.gain
    assert together.lower_bound < apart.lower_bound
    assert together.examples_needed > apart.examples_needed
    of_group = np.repeat([1.0, -1.0, 0.0], [6, 1, 23])
    width = stdtrit(29, 0.95) * of_group.std(ddof=1) / 30**0.5
    assert together.lower_bound <= 1 / 6 - width
    assert together.p_zero == pytest.approx(8 / 128)  # by flipping the signs of seven groups
    assert together.lower_bound < 0 < apart.lower_bound


def test_to_rule_out_a_drop_a_lost_group_counts_as_if_it_had_been_seen():
    comparison = right_wrong(1, 0, 100, margin=-0.03, groups=np.arange(100) // 2)
    assert comparison.lower_bound < 0.05 ** (1 / 50) - 1 + 0.01
    assert all(word in comparison.method for word in ("clustered", "Gaffke"))
    groups = np.maximum(np.arange(1000) - 99, 0)  # one of them is a tenth
    comparison = right_wrong(0, 0, 1000, margin=-0.03, groups=groups)
    assert (comparison.reaches_margin, "count as 2" in comparison.note) == (False, True)


def test_a_near_copy_costs_little_of_the_evidence_of_a_drop():
    pair = [0, 0, *range(1, 199)]
    lower = [
        right_wrong(0, 0, n, margin=-0.02, groups=groups).lower_bound
        for n, groups in ((200, pair), (198, None))
    ]
    assert lower == pytest.approx([-0.0164, -0.0150], abs=2e-4)


@pytest.mark.parametrize(
    ("sizes", "margin", "chance"),
    [
        # Large groups alone are lost, each with the chance 0.15, which costs 5 points.
        ([5] * 10 + [1] * 100, -0.05, 0.85**10),
        # The pair is lost with the chance 0.507, and each single example with 0.015: together 2 points.
        ([2] + [1] * 198, -0.02, 0.9849246**198 * 0.4924623),
        ([5] * 60, -0.05, 0.95**60),
    ],
)
def test_the_p_value_of_equal_answers_is_the_largest_chance_of_no_lost_group(sizes, margin, chance):
    n = sum(sizes)
    comparison = right_wrong(0, 0, n, margin=margin, groups=np.repeat(np.arange(len(sizes)), sizes))
    assert comparison.p_margin == pytest.approx(chance, rel=1e-5)


EVERYWHERE = {  # all units gain the same: lower bounds
    "60 groups of 2, one more right in each": (
        lambda: right_wrong(60, 0, 120, margin=0.05, groups=np.tile(np.arange(60), 2)),
        0.421,
    ),
    "40 groups of 5, all right": (
        lambda: right_wrong(200, 0, 200, margin=0.05, groups=np.arange(200) // 5),
        0.970,
    ),
    "all right": (lambda: right_wrong(60, 0, 60, margin=0.05), 0.902),
    "graded, 40 groups of 5": (
        lambda: graded(np.full(200, 0.2), groups=np.arange(200) // 5),
        0.182,
    ),
    "graded": (lambda: graded(np.full(200, 0.2)), 0.182),
    "macro-F1 from 0 to 1": (
        lambda: of_set(*(of_right_answers(np.arange(120) % 3, n, macro_f1) for n in (120, 0))),
        0.951,
    ),
}


@pytest.mark.parametrize("case", EVERYWHERE)
def test_a_gain_that_is_the_same_everywhere_is_shown(case):
    compare, lower = EVERYWHERE[case]
    comparison = compare()
    assert (comparison.status, is_sure(comparison.p_zero, 0.05)) == ("pass", True)
    assert comparison.lower_bound == pytest.approx(lower, abs=2e-3)


@pytest.mark.parametrize("groups", [None, np.arange(200) // 5])
def test_equal_answers_are_no_gain(groups):
    comparisons = [
        right_wrong(0, 0, 200, margin=0.0, groups=groups),
        graded(np.zeros(200), groups=groups),
    ]
    arm = of_right_answers(np.arange(200) % 3, 50, macro_f1)
    comparisons.append(of_set(arm, arm, margin=0.0, groups=groups))
    assert [(comparison.status, comparison.p_zero > 0.05) for comparison in comparisons] == [
        ("fail", True)
    ] * 3


@pytest.mark.simulation
def test_groups_that_are_lost_rarely_pass_falsely_at_most_five_percent():
    # Groups of five that are lost as a whole, one in 40: the real gain is the margin. The groups are all that counts.
    rng, groups, passed = np.random.default_rng(0), np.arange(300) // 5, 0
    for _ in range(150):
        lost, won = np.repeat(rng.random(60) < 0.025, 5), rng.random(300) < 0.01
        options = {"margin": -0.0151, "confidence": 0.95, "evidence": "observed", "groups": groups}
        passed += compare_right_wrong(lost, won & ~lost, **options).reaches_margin
    assert passed <= 0.05 * 150


@pytest.mark.parametrize(
    ("sizes", "counted"),
    [
        ([45, 45] + [1] * 8, 2),
        ([80, 80] + [1] * 40, 2),
        ([50] * 3 + [1] * 50, 3),
        ([100] * 4 + [2] * 100, 4),
        ([20] * 6 + [1] * 150, 7),
    ],
)
def test_a_few_large_groups_are_never_sure(sizes, counted):
    """There is no gain over all groups; within each one of the two models is better."""
    options = {"margin": 0.0, "confidence": 0.95, "evidence": "significant"}
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(len(sizes)), sizes)
    better = rng.choice([-0.2, 0.2], len(sizes))[groups]
    baseline, candidate = (
        rng.random(len(groups)) < share for share in (0.7 - better, 0.7 + better)
    )
    for pair in ((baseline, candidate), (baseline & ~candidate, candidate | ~baseline)):
        comparison = compare_right_wrong(*pair, **options, groups=groups)
        assert not comparison.shown
        assert all(str(number) in comparison.note for number in (len(sizes), counted, 15))
    scores = baseline.astype(float), candidate.astype(float)
    assert (
        compare_graded(*scores, low=0.0, high=1.0, **options, groups=groups).note == comparison.note
    )
    gold = np.arange(len(groups)) % 2
    pair = (
        LabelCounts(gold, np.where(right, gold, 1 - gold)[None], 2, accuracy)
        for right in (baseline, candidate)
    )
    assert compare_set(*pair, **options, groups=groups).note == comparison.note


def test_groups_of_slightly_different_sizes_lose_little():
    # 40 groups of two to five examples: Student's t has 28 degrees instead of 39.
    group_numbers = np.arange(40)
    groups = np.repeat(group_numbers, group_numbers % 4 + 2)
    group_difference = np.where(group_numbers % 5 == 0, -0.2, 0.3)
    differences = group_difference[groups]
    comparison = graded(differences, groups=groups)

    left_out = np.array([differences[groups != group].mean() for group in range(40)])
    deviations = left_out - left_out.mean()
    error = np.sqrt(39 / 40 * (deviations**2).sum())
    lower = comparison.gain - stdtrit(28, 0.95) * error
    lower_of_equal_sizes = comparison.gain - stdtrit(39, 0.95) * error

    assert comparison.lower_bound <= lower
    assert comparison.lower_bound <= graded(differences).lower_bound
    assert comparison.lower_bound == pytest.approx(lower, abs=0.02)
    assert comparison.gain - lower < 1.01 * (comparison.gain - lower_of_equal_sizes)


GROUPED = {
    "right or wrong": lambda groups, **asked: right_wrong(55, 0, 100, groups=groups, **asked),
    "graded": lambda groups, **asked: graded(np.linspace(0, 0.5, 100), groups=groups, **asked),
    "set": lambda groups, **asked: of_set(*arms(18, 100, 3), groups=groups, **asked),
}


@pytest.mark.parametrize("count", [1, 7, 14])
@pytest.mark.parametrize("kind", GROUPED)
def test_too_few_groups_are_never_sure(kind, count):
    comparison = GROUPED[kind](np.arange(100) % count)
    assert (
        comparison.lower_bound,
        comparison.upper_bound,
        comparison.shown,
        comparison.reaches_margin,
    ) == (
        None,
        None,
        False,
        False,
    )
    assert (comparison.p_zero, comparison.examples_needed) == (None, None)
    assert all(number in comparison.note for number in (str(count), "15"))
    assert GROUPED[kind](np.arange(100) % 15).note == "15 groups"


@pytest.mark.parametrize("groups", [None, np.arange(100) % 20])
@pytest.mark.parametrize("kind", GROUPED)
def test_a_decision_without_bounds_is_the_same(kind, groups):
    whole, decided = (GROUPED[kind](groups, bounds=bounds) for bounds in (True, False))
    unknown = {"lower_bound": None, "upper_bound": None, "examples_needed": None}
    assert decided == replace(whole, **unknown)


@pytest.mark.parametrize("kind", GROUPED)
def test_groups_of_one_are_no_groups(kind):
    assert GROUPED[kind]([None] * 100) == GROUPED[kind](None) == GROUPED[kind](np.arange(100))


def refused(baseline, candidate=None, *, low=0, confidence=0.95, evidence="proven", groups=None):
    options = {"margin": 0, "confidence": confidence, "evidence": evidence, "groups": groups}
    compare_graded(
        *map(np.asarray, (baseline, baseline if candidate is None else candidate)),
        low=low,
        high=1,
        **options,
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (partial(refused, np.ones(3), np.ones(4)), r"\(3,\) .*\(4,\)"),
        (partial(refused, []), r"\(0,\)"),
        (partial(refused, [1, 0], low=float("-inf")), "without bounds"),
        *(
            (partial(refused, [1, 0], confidence=value), "confidence")
            for value in (0.5, 1.0, 95, float("nan"))
        ),
        (partial(refused, [1, 0], evidence="certain"), "evidence .*'certain'"),
        (partial(refused, [1, 0, 1], groups=["a", "b"]), r"2 groups .*3"),
        *(
            (partial(refused, [0.5, v, 0.2]), rf"1 .*\[0, 1\].*{v}")
            for v in (1.5, -0.1, float("nan"))
        ),
        (lambda: of_set(arms(16, 40, 3)[0], pooled_arm(1)), "kinds"),
        (lambda: of_set(arms(16, 40, 3)[0], arms(17, 40, 3)[0]), "differ"),
        (
            lambda: of_set(
                pooled_arm(1), replace(pooled_arm(2), perfect=pooled_arm(2).perfect + 1)
            ),
            "differ",
        ),
    ],
)
def test_arguments_that_mean_nothing_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
