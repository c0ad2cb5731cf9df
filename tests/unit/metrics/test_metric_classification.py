"""Scikit-learn's metrics: by value, and as functions of confusion matrices."""

import random
import warnings
from fractions import Fraction

import numpy as np
import pytest
import sklearn.metrics
from building import build, failure
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.statistics.set_level import LabelCounts

LABELS = ("a", "b", "c", "d")
AVERAGED = [
    f"{s}_{average}"
    for s in ("f1", "precision", "recall")
    for average in ("macro", "micro", "weighted")
]
BINARY = ["f1", "precision", "recall"]
OTHERS = ["accuracy", "balanced_accuracy", "matthews_corrcoef", "cohen_kappa"]
SET_LEVEL = [*AVERAGED, *BINARY, *OTHERS[1:]]


def tallies(gold, predicted, k):
    return LabelCounts(gold, np.atleast_2d(predicted), k, None).tallies(gold * 0, 1)[0]


def oracle(name, gold, answers, labels=LABELS):
    """Scikit-learn's value, from the texts themselves; an answer that is no label is one more class."""
    predicted = [answer if answer in LABELS else "neither" for answer in answers]
    score, _, average = name.partition("_")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in AVERAGED:
            function = getattr(sklearn.metrics, f"{score}_score")
            return function(gold, predicted, labels=list(labels), average=average, zero_division=0)
        if name in BINARY:
            function = getattr(sklearn.metrics, f"{name}_score")
            return function(
                [g == "a" for g in gold], [p == "a" for p in predicted], zero_division=0
            )
        return getattr(sklearn.metrics, name if name == "matthews_corrcoef" else f"{name}_score")(
            gold, predicted
        )


def made(name, expected=LABELS, /, **options):
    return build(name, expected, **options, **({"pos_label": "a"} if name in BINARY else {}))


def sample(labels, size=40):
    """Return expected labels, each of them at least once, and answers."""
    answer = st.sampled_from([*labels, "x", "", None])
    pairs = st.lists(st.tuples(st.sampled_from(labels), answer), min_size=1, max_size=size)
    firsts = st.tuples(*(st.tuples(st.just(label), answer) for label in labels))
    return st.builds(
        lambda first, later_pairs: [
            list(column) for column in zip(*first, *later_pairs, strict=True)
        ],
        firsts,
        pairs,
    )


@pytest.mark.parametrize("name", AVERAGED)
@given(sample(LABELS), st.lists(st.sampled_from(LABELS), min_size=1, unique=True))
def test_an_average_over_some_labels_is_that_of_scikit_learn(name, drawn, some):
    gold, answers = drawn
    value = made(name, labels=some).score(gold, [answers]).value
    assert value == pytest.approx(oracle(name, gold, answers, some), abs=1e-12)


@pytest.mark.parametrize("name", SET_LEVEL)
@given(st.data())
def test_the_statistic_of_any_answers_is_scikit_learns_value(name, data):
    """Also of samples that lack a label, as a resampling method makes them."""
    labels = ("a", "b") if name in BINARY else LABELS
    metric, k = made(name, labels), len(labels)
    pairs = st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k)), min_size=1, max_size=12)
    samples = data.draw(st.lists(pairs, min_size=1, max_size=3))
    stacked = np.stack([tallies(*np.array(drawn).T, k) for drawn in samples])
    statistic = metric.statistic(stacked)
    assert statistic.shape == (len(samples),)
    for value, drawn in zip(statistic, samples, strict=True):
        gold, answers = (
            [(*labels, "x")[code] for code in codes] for codes in zip(*drawn, strict=True)
        )
        assert value == pytest.approx(oracle(name, gold, answers), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", SET_LEVEL)
def test_the_counts_give_the_value_again(name):
    labels = ("a", "b") if name in BINARY else LABELS
    draw = random.Random(7)
    gold = [*labels, *draw.choices(labels, k=200)]
    repeats = [draw.choices([*labels, "x", None], k=len(gold)) for _ in range(3)]
    scored = made(name, labels).score(gold, repeats)
    counts = scored.statistic
    assert (counts.gold.shape, counts.predicted.shape) == ((len(gold),), (3, len(gold)))
    assert counts.n_labels == len(labels)
    tallied = tallies(counts.gold, counts.predicted, counts.n_labels)
    assert counts.statistic(tallied[None])[0] == pytest.approx(scored.value, abs=1e-12)
    assert scored.value == pytest.approx(
        oracle(name, gold * 3, [a for r in repeats for a in r]), abs=1e-12
    )
    assert (scored.exact, scored.per_example) == (None, None)


def test_accuracy_is_an_exact_fraction_and_averages_repeats_within_the_example():
    scored = build("accuracy").score(["a", "b", "c"], [["a", "x", None]])
    assert (scored.value, scored.exact, scored.statistic) == (1 / 3, Fraction(1, 3), None)
    assert (scored.per_example.tolist(), scored.per_example.dtype) == ([1, 0, 0], np.float64)
    scored = build("accuracy").score(["a", "b"], [["a", "b"], ["a", "c"], ["b", "c"]])
    assert (scored.exact, scored.per_example.tolist()) == (Fraction(3, 6), [2 / 3, 1 / 3])


def test_an_undefined_value_is_an_error_that_says_what_happened():
    error = failure(build("cohen_kappa"), "bb", "bb")
    assert "cohen_kappa" in error.what
    assert error.evidence.count("b.") == 2


def test_a_positive_label_is_read_as_labels_are_and_may_be_a_json_value():
    metric = build("f1", ("Ham", "Spam"), pos_label="SPAM", normalize="case")
    assert metric.score(["Ham", "Spam"], [["spam", "spam"]]).value == pytest.approx(2 / 3)
    assert build("recall", ("0", "1"), pos_label=1).score([0, 1, 1], [["1", "1", "0"]]).value == 0.5
