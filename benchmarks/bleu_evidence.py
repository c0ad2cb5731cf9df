"""How often a gate on corpus BLEU is wrongly sure of a gain: two models that are equally good, drawn again and again.

    python benchmarks/bleu_evidence.py

Each example has two answers of different quality, and chance says which model gave which, so that neither is better.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np

from pytest_ftgate.config import MetricSpec, Source
from pytest_ftgate.metrics import build_metric
from pytest_ftgate.metrics.bleu import bleu_of
from pytest_ftgate.statistics import PooledCounts, compare_set

POPULATION = 5_000
WORDS = [f"w{i}" for i in range(400)]


def population(draw: random.Random, keep: tuple[float, float]) -> tuple[PooledCounts, PooledCounts]:
    """Return counts of two answers to each of many examples, with one length or some far longer than others."""
    expected, answers = [], ([], [])
    for _ in range(POPULATION):
        words = draw.choices(WORDS, k=int(min(120, 5 + draw.expovariate(1 / 15))))
        expected.append(" ".join(words))
        for kept, given in zip(keep, answers, strict=True):
            quality = kept if draw.random() < 0.9 else 0.1  # one in ten goes wrong altogether
            given.append(" ".join(word if draw.random() < quality else draw.choice(WORDS) for word in words))
    metric = build_metric(MetricSpec("bleu", {}, Source("default", "benchmark", Path())), labels=expected, custom={})
    first, second = (metric.score(expected, [given]).statistic for given in answers)
    assert isinstance(first, PooledCounts)
    assert isinstance(second, PooledCounts)
    return first, second


def taken(counts: np.ndarray, whole: PooledCounts, rows: np.ndarray) -> PooledCounts:
    return PooledCounts(counts, whole.perfect[rows], whole.lost[rows], whole.scores[rows], bleu_of)


def false_passes(first: PooledCounts, second: PooledCounts, n: int, draws: int, rng: np.random.Generator) -> float:
    wrong = 0
    for _ in range(draws):
        rows = rng.integers(POPULATION, size=n)
        swap = rng.random((n, 1)) < 0.5
        one, other = first.counts[rows], second.counts[rows]
        baseline, candidate = np.where(swap, other, one), np.where(swap, one, other)
        found = compare_set(
            taken(baseline, first, rows),
            taken(candidate, first, rows),
            margin=0.0,
            confidence=0.95,
            evidence="observed",
        )
        wrong += found.above_zero
    return wrong / draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=4_000)
    draws = parser.parse_args().draws
    rng = np.random.default_rng(0)
    for keep in ((0.7, 0.7), (0.5, 0.9), (0.2, 0.9)):
        pair = population(random.Random(0), keep)
        rates = [f"{n}: {100 * false_passes(*pair, n, draws, rng):.1f} %" for n in (50, 100, 200)]
        print(f"words kept {keep[0]:g} and {keep[1]:g}: wrongly sure of a gain, by examples: {', '.join(rates)}")


if __name__ == "__main__":
    main()
