"""Simulate what a gate does not see, for the figures of ``docs/limits.md``.

    nice python benchmarks/limits.py            a minute
    nice python benchmarks/limits.py --quick    two repetitions, to see that it runs

Both models are right on 80 % of the answers, and differ on 16 %, unless a row says otherwise. No
candidate is better than the baseline in truth. Gates ask for a gain above 0 at 95 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from evidence import exact_region, head, macro_f1, percent, row

from pytest_ftgate.checks.constant_baseline import beats_deals
from pytest_ftgate.config.keys import BUILT_IN
from pytest_ftgate.config.metrics import MetricSpec
from pytest_ftgate.metrics import build_metric
from pytest_ftgate.statistics.compare import compare_right_wrong
from pytest_ftgate.statistics.planning import corrected_confidence

N = 100
ACCURACY = 0.8
DIFFERING = 0.16
CHECKPOINTS = 10
LABELS = 5


def passes(baseline: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """Return in which rows a gate passes, of right answers ``(repetitions, examples)``."""
    wins = (candidate & ~baseline).sum(axis=-1)
    losses = (baseline & ~candidate).sum(axis=-1)
    return wins >= exact_region(baseline.shape[-1], 0.0)[losses]


def equal_pair(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return right answers of two models that are equally good."""
    kind = rng.random(shape)
    baseline = kind < ACCURACY
    fixed = kind > 1 - DIFFERING / 2
    broken = kind < DIFFERING / 2
    return baseline, (baseline | fixed) & ~broken


def best_checkpoint(rng: np.random.Generator, repetitions: int, alike: float) -> float:
    """Choose the best of ten checkpoints on the test set; a share of their changes is common."""
    baseline, shared = equal_pair(rng, (repetitions, N))
    best = np.zeros((repetitions, N), dtype=bool)
    for _ in range(CHECKPOINTS):
        kind = rng.random((repetitions, N))
        half = DIFFERING / 2
        own = np.where(baseline, kind >= half / ACCURACY, kind < half / (1 - ACCURACY))
        checkpoint = np.where(rng.random((repetitions, N)) < alike, shared, own)
        is_better = checkpoint.sum(axis=1) > best.sum(axis=1)
        best[is_better] = checkpoint[is_better]
    return float(passes(baseline, best).mean())


def wrong_labels(rng: np.random.Generator, repetitions: int, share: float) -> float:
    """Let the candidate give the wrong label of some rows, as its training data do."""
    baseline, candidate = equal_pair(rng, (repetitions, N))
    is_mislabeled = rng.random((repetitions, N)) < share
    return float(passes(baseline & ~is_mislabeled, candidate | is_mislabeled).mean())


def paraphrased(rng: np.random.Generator, repetitions: int, share: float) -> float:
    """Let the candidate be right on the rows of which the training set has a paraphrase."""
    baseline, candidate = equal_pair(rng, (repetitions, N))
    is_trained = rng.random((repetitions, N)) < share
    return float(passes(baseline, candidate | is_trained).mean())


def small_slice(rng: np.random.Generator, repetitions: int, n: int, slices: int) -> float:
    """Judge one of several slices, on which the candidate loses 60 of 100 points."""
    right = np.ones(n, dtype=bool)
    confidence = corrected_confidence(0.95, slices)
    asked = {"margin": -0.03, "confidence": confidence, "evidence": "observed"}
    failed = 0
    for _ in range(repetitions):
        upper = compare_right_wrong(right, rng.random(n) < 0.4, **asked).upper_bound
        failed += upper is not None and upper < 0
    return failed / repetitions


def little_skill(
    rng: np.random.Generator, repetitions: int, shares: Sequence[float], points: int = 5
) -> float:
    """Return how often a baseline that is a few points better than a constant is a fair one.

    The labels have these shares, and a wrong answer is one of the other labels, each as often as
    the other ones. The baseline must beat the constant, and its own answers dealt at random. As
    every deal is scored, a tenth of the repetitions must do.
    """
    names = [str(label) for label in range(len(shares))]
    metric = build_metric(MetricSpec("accuracy", {}, BUILT_IN), labels=names, custom={})
    sizes = np.round(np.array(shares) * N).astype(int)
    gold = np.repeat(np.arange(len(sizes)), sizes)
    constant = int(sizes.max())
    expected = gold.astype(str).tolist()
    repetitions = max(2, repetitions // 10)
    passed = 0
    for _ in range(repetitions):
        wrong = (gold + rng.integers(1, len(sizes), N)) % len(sizes)
        is_right = rng.random(N) < (constant + points) / N
        answers = np.where(is_right, gold, wrong).astype(str).tolist()
        beats_constant = is_right.sum() > constant
        passed += beats_constant and beats_deals(metric, expected, [answers], 0.95)
    return passed / repetitions


def macro_f1_of(gold: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Return the macro-F1 of each row of answers."""
    labels = np.arange(LABELS)[:, None, None]
    right = ((gold == labels) & (answers == labels)).sum(axis=-1)
    expected, answered = (gold == labels).sum(axis=-1), (answers == labels).sum(axis=-1)
    tallies = np.stack([right, np.broadcast_to(expected, right.shape), answered]).astype(float)
    with_unknown = np.pad(tallies, ((0, 0), (0, 1), (0, 0)))
    return macro_f1(np.moveaxis(with_unknown, 2, 0))


def small_sample_bias(rng: np.random.Generator, repetitions: int, of_each: int) -> float:
    """Return the mean gain of macro-F1 of a candidate that gains nothing with many examples.

    It is right on four labels and gives the fifth's examples to them at random; the mistakes of the
    baseline, of as many answers as macro-F1 asks for, are spread over all labels.
    """
    gold = np.repeat(np.arange(LABELS), of_each)
    shape = (repetitions, len(gold))
    other = (gold + rng.integers(1, LABELS, shape)) % LABELS
    candidate = np.where(gold == LABELS - 1, rng.integers(0, LABELS - 1, shape), gold)
    # many examples: four labels have the F1 2 / 2.25, and equal mistakes give 1 - their share
    baseline = np.where(rng.random(shape) < 0.8 * 2 / 2.25, gold, other)
    return float((macro_f1_of(gold, candidate) - macro_f1_of(gold, baseline)).mean())


DESIGNS: dict[str, Callable[[np.random.Generator, int], float]] = {
    "best of 10 checkpoints, a tenth of the changes its own: passes": partial(
        best_checkpoint, alike=0.9
    ),
    "best of 10 checkpoints, all changes its own: passes": partial(best_checkpoint, alike=0.0),
    "5 % of the labels are wrong, as the candidate learned: passes": partial(
        wrong_labels, share=0.05
    ),
    "paraphrases of 10 % were trained on: passes": partial(paraphrased, share=0.1),
    "paraphrases of 20 % were trained on: passes": partial(paraphrased, share=0.2),
    "a slice of 5, the only one, loses 60 points: fails": partial(small_slice, n=5, slices=1),
    "a slice of 6, one of 2, loses 60 points: fails": partial(small_slice, n=6, slices=2),
    "a slice of 8, one of 10, loses 60 points: fails": partial(small_slice, n=8, slices=10),
    "baseline 5 points above a constant, 2 equal labels: passes": partial(
        little_skill, shares=[1 / 2] * 2
    ),
    "baseline 5 points above a constant, 4 equal labels: passes": partial(
        little_skill, shares=[1 / 4] * 4
    ),
    "baseline 5 points above a constant, 10 equal labels: passes": partial(
        little_skill, shares=[1 / 10] * 10
    ),
    "baseline 5 points above a constant, labels 80, 15 and 5 %: passes": partial(
        little_skill, shares=[0.8, 0.15, 0.05]
    ),
    "macro-F1, 4 examples of each of 5 labels: mean gain": partial(small_sample_bias, of_each=4),
    "macro-F1, 10 examples of each of 5 labels: mean gain": partial(small_sample_bias, of_each=10),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    repetitions = 2 if parser.parse_args(arguments).quick else 4_000
    head(f"what a gate does not see, n = {N}, {repetitions:,} simulations", "case", "rate")
    for name, simulate in DESIGNS.items():
        row(name, *percent(simulate(np.random.default_rng(1), repetitions)))


if __name__ == "__main__":
    main()
