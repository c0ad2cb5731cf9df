"""Corpus BLEU: sacrebleu's value, a bound from pooled counts, and what no answer does to it."""

import random

import numpy as np
import pytest

from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics.bleu import bleu_of
from pytest_ftgate.statistics import PooledCounts, compare_set, hypothetical_set, interval_set
from pytest_ftgate.statistics.jackknife import jackknife

LONG = ("a text of five words", "another one of six words there")
ASKED = {"margin": 0.0, "confidence": 0.95, "evidence": "significant"}


def corpus(seed, n, keep=0.7, vocabulary=60):
    """Return expected texts, and answers of which each word is kept with this probability."""
    draw = random.Random(seed)
    words = [f"w{i}" for i in range(vocabulary)] + [".", ",", "don't", "3.5"]
    expected = [" ".join(draw.choices(words, k=draw.randint(4, 25))) for _ in range(n)]
    answers = [
        " ".join(word if draw.random() < keep else draw.choice(words) for word in text.split()[draw.randint(0, 2) :])
        for text in expected
    ]
    return expected, answers


def score(build, expected, answers, **options):
    return build("bleu", expected, **options).score(expected, [answers])


@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 50])
@pytest.mark.parametrize("tokenize", ["13a", "intl", "zh", "char", "none"])
def test_the_value_is_sacrebleus_corpus_bleu(build, keep, n, tokenize):
    import sacrebleu

    expected, answers = corpus(n, n, keep)
    theirs = sacrebleu.corpus_bleu(answers, [expected], tokenize=tokenize, force=True).score / 100
    scored = score(build, expected, answers, tokenize=tokenize)
    assert scored.value == pytest.approx(theirs, abs=1e-12)
    assert scored.statistic.value == pytest.approx(theirs, abs=1e-12)


def test_repeats_are_pooled(build):
    import sacrebleu

    expected, first = corpus(1, 20)
    _, second = corpus(2, 20, 0.3)
    pooled = sacrebleu.corpus_bleu([*first, *second], [[*expected, *expected]]).score / 100
    assert build("bleu", expected).score(expected, [first, second]).value == pytest.approx(pooled, abs=1e-12)


@pytest.mark.parametrize("tail", ["", " and far more than was asked for, so that answers are too long"])
def test_no_answer_is_worse_than_a_right_one_a_wrong_one_and_an_empty_line(build, tail):
    import sacrebleu

    expected, answers = corpus(3, 30)
    answers = [answer + tail for answer in answers]
    value = score(build, expected, answers).value
    for index in range(0, len(expected), 5):
        without = [None if i == index else answer for i, answer in enumerate(answers)]
        missing = score(build, expected, without).value
        empty = [answer or "" for answer in without]
        wrong = [answer or "x" + " x" * (len(text.split()) - 1) for answer, text in zip(without, expected, strict=True)]
        right = [answer or text for answer, text in zip(without, expected, strict=True)]
        assert missing < sacrebleu.corpus_bleu(empty, [expected], force=True).score / 100
        assert missing <= score(build, expected, wrong).value < score(build, expected, right).value
        assert missing < value or tail


def test_all_answers_missing_is_zero_and_normalize_counts(build):
    answers = [text.upper() for text in LONG]
    assert score(build, LONG, [None, " "]).value == score(build, LONG, answers).value == 0
    assert score(build, LONG, answers, normalize="case").value == pytest.approx(1)
    assert build("bleu", LONG).lenient().score(LONG, [answers]).value == pytest.approx(1)
    assert build("bleu", LONG).lenient().lenient() is None
    texts = ["今日はいい天気です"]
    assert score(build, texts, texts, tokenize="zh").value == pytest.approx(1)


def test_a_value_that_sacrebleu_would_not_give_is_an_error(build, monkeypatch):
    monkeypatch.setattr("pytest_ftgate.metrics.bleu.bleu_of", lambda totals: bleu_of(totals) + 0.01)
    with pytest.raises(MetricError, match="sacrebleu"):
        score(build, LONG, LONG)


# --- the bound -----------------------------------------------------------------------------------------------


def test_leaving_out_is_scoring_without(build):
    expected, answers = corpus(4, 15)
    counts = score(build, expected, answers).statistic
    without = counts.values_without()
    for index in (0, 7, 14):
        kept = [i for i in range(15) if i != index]
        again = score(build, [expected[i] for i in kept], [answers[i] for i in kept]).value
        assert without[index] == pytest.approx(again, abs=1e-12)
    groups = np.arange(15) // 5
    kept = [i for i in range(15) if groups[i] != 1]
    again = score(build, [expected[i] for i in kept], [answers[i] for i in kept]).value
    assert counts.values_without(groups)[1] == pytest.approx(again, abs=1e-12)


def test_a_better_model_is_proven_better_and_equal_ones_are_not(build):
    expected, worse = corpus(5, 80, 0.5)
    _, better = corpus(5, 80, 0.9)
    first, second = (score(build, expected, answers).statistic for answers in (worse, better))
    found = compare_set(first, second, **ASKED)
    assert found.gain == pytest.approx(second.value - first.value)
    assert found.above_zero
    assert 0 < found.lower < found.gain < found.upper
    assert found.wins > found.losses
    same = compare_set(first, first, **ASKED)
    assert (same.gain, same.above_zero, same.lower) == (0, False, None)


def test_the_standard_error_is_that_of_the_paired_bootstrap(build):
    """The jackknife is analytic; the bootstrap draws 4,000 test sets of whole examples."""
    expected, worse = corpus(6, 120, 0.6)
    _, better = corpus(7, 120, 0.65)
    better = [b if i % 3 else w for i, (w, b) in enumerate(zip(worse, better, strict=True))]
    first, second = (score(build, expected, answers).statistic for answers in (worse, better))
    found = compare_set(first, second, **ASKED)
    draws = np.random.default_rng(0).multinomial(120, np.full(120, 1 / 120), size=4000)
    drawn = bleu_of(draws @ second.counts) - bleu_of(draws @ first.counts)
    alone = jackknife(found.gain, second.values_without() - first.values_without())
    assert alone.standard_error == pytest.approx(drawn.std(), rel=0.08)
    assert found.lower <= found.gain - alone.half_width(0.05)


def test_a_drop_is_ruled_out_for_equal_models_and_seen_where_a_few_examples_are_lost(build):
    expected, answers = corpus(8, 300, 0.8)
    lost = [None if i < 40 else answer for i, answer in enumerate(answers)]
    first, second = (score(build, expected, given).statistic for given in (answers, lost))
    asked = {"confidence": 0.95, "evidence": "proven"}
    assert compare_set(first, first, margin=-0.05, **asked).reaches_margin
    assert not compare_set(first, first, margin=-0.001, **asked).reaches_margin
    found = compare_set(first, second, margin=-0.05, **asked)
    assert found.gain < -0.05
    assert not found.reaches_margin


def test_other_examples_are_not_compared(build):
    first, second = (score(build, *corpus(seed, 10)).statistic for seed in (1, 2))
    with pytest.raises(ValueError, match="differ"):
        compare_set(first, second, **ASKED)


def test_an_interval_holds_the_value_and_answers_are_mended_until_the_gain_is_there(build):
    counts = score(build, *corpus(10, 60, 0.4)).statistic
    interval = interval_set(counts, low=0, high=1, confidence=0.95)
    assert interval.low < counts.value < interval.high
    mended = hypothetical_set(counts, 0.1)
    assert isinstance(mended, PooledCounts)
    assert 0.1 <= mended.value - counts.value < 0.15
    assert hypothetical_set(counts, 0.99) is None
    assert (mended.scores >= counts.scores).all()
