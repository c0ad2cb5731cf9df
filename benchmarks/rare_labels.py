"""Try the studentised paired permutation test on macro-F1: is it honest where labels are rare?

    nice python benchmarks/rare_labels.py            the table of docs/methods.md (about a minute)
    nice python benchmarks/rare_labels.py --quick    two repetitions, to see that it runs

The answers of both models to an example, or to a whole group, are exchanged at random. The gain is
divided by its standard error in each of the permutations, and in the measured answers. The
candidate of each null has exactly the baseline's macro-F1 in truth. A test that may pass more than
6 % of them is not taken.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from evidence import head, macro_f1, row, sure, with_error

from pytest_ftgate.statistics.set_level import LabelCounts

PERMUTATIONS = 199
ALPHA = 0.05
ALIKE = 0.7  # the share of examples whose answers depend on the same luck in both models

Matrix = np.ndarray
"""How often each label (row) is answered with each one; the last column is no label at all."""


def answers(right: Sequence[float], to: Sequence[int] | None = None) -> Matrix:
    """Return a model by its share of right answers; mistakes are spread, or go to one label."""
    n_labels = len(right)
    matrix = np.zeros((n_labels, n_labels + 1))
    for label, share in enumerate(right):
        if to is None:
            matrix[label, :n_labels] = (1 - share) / (n_labels - 1)
        else:
            matrix[label, to[label]] = 1 - share
        matrix[label, label] = share
    return matrix


def value_of(shares: np.ndarray, matrix: Matrix) -> float:
    """Return the macro-F1 of a model with many examples."""
    joint = shares[:, None] * matrix
    right = np.append(np.diag(joint), 0.0)
    expected = np.append(shares, 0.0)
    return float(macro_f1(np.stack([right, expected, joint.sum(axis=0)])[None])[0])


@dataclass(frozen=True)
class Design:
    """How often each label comes, two models, and groups of examples with common luck."""

    shares: np.ndarray
    baseline: Matrix
    candidate: Matrix
    sizes: Sequence[int]
    counts: Sequence[int] = ()  # of each label; empty: drawn by their shares

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return labels, and the answers of both models."""
        n = sum(self.sizes)
        gold = rng.choice(len(self.shares), n, p=self.shares)
        if self.counts:
            gold = np.repeat(np.arange(len(self.counts)), self.counts)
        of_group = np.repeat(rng.random((2, len(self.sizes))), self.sizes, axis=1)
        own = rng.random((2, n))
        luck = np.where(rng.random(n) < (0.5 if max(self.sizes) > 1 else 0.0), of_group, own)
        luck[1] = np.where(rng.random(n) < ALIKE, luck[0], luck[1])
        return gold, chosen(self.baseline, gold, luck[0]), chosen(self.candidate, gold, luck[1])


def chosen(matrix: Matrix, gold: np.ndarray, luck: np.ndarray) -> np.ndarray:
    """Return answers to labels: the right one first, and then the others in order."""
    n_labels = len(matrix)
    result = gold.copy()
    for label in range(n_labels):
        order = [label, *(other for other in range(n_labels + 1) if other != label)]
        limits = np.cumsum(matrix[label, order])
        rows = gold == label
        place = np.minimum(np.searchsorted(limits, luck[rows], side="right"), n_labels)
        result[rows] = np.array(order)[place]
    return result


def as_good(
    shares: Sequence[float], baseline: Matrix, candidate: Callable[[float], Matrix]
) -> tuple[np.ndarray, Matrix, Matrix]:
    """Return the shares and both models, with the candidate's share that makes them equal."""
    parts = np.array(shares, dtype=float) / sum(shares)
    low, high = 0.0, 1.0
    target = value_of(parts, baseline)
    if not value_of(parts, candidate(low)) <= target <= value_of(parts, candidate(high)):
        raise ValueError("no candidate of this kind is as good as the baseline")
    for _ in range(60):
        middle = (low + high) / 2
        if value_of(parts, candidate(middle)) < target:
            low = middle
        else:
            high = middle
    return parts, baseline, candidate(high)


def studentised(arms: np.ndarray, is_swapped: np.ndarray) -> np.ndarray:
    """Return the gain divided by its standard error, for each permutation.

    The error is that of the sum of the units' influences on macro-F1 (the delta method).

    Args:
        arms: right, expected and answered labels of each unit, ``(2, units, 3, labels)``.
        is_swapped: whether the arms of a unit are exchanged, ``(permutations, units)``.
    """
    _, n_units, _, n_labels = arms.shape
    flat = arms.reshape(2, n_units, -1)
    change = is_swapped.astype(float) @ (flat[1] - flat[0])
    gain = np.zeros(len(is_swapped))
    influence = np.zeros(is_swapped.shape)
    for place, sign in ((0, -1), (1, 1)):
        total = flat[place].sum(axis=0) - sign * change
        right, expected, answered = total.reshape(-1, 3, n_labels).swapaxes(0, 1)
        pairs = np.maximum(expected + answered, 1.0)  # a label that never occurs has no right one
        gain += sign * (2 * right / pairs).mean(axis=1)
        slope = -2 * right / pairs**2 / n_labels
        slopes = np.concatenate([2 / pairs / n_labels, slope, slope], axis=1)
        own, other = slopes @ flat[place].T, slopes @ flat[1 - place].T
        influence += sign * np.where(is_swapped, other, own)
    error = np.sqrt((influence**2).sum(axis=1) * n_units / (n_units - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(gain / error, nan=0.0)


def by_permutation(
    rng: np.random.Generator, arms: Sequence[LabelCounts], units: np.ndarray
) -> bool:
    """Return whether the permutation test shows a gain above 0."""
    n_units = int(units.max()) + 1
    tallies = np.stack([arm.tallies(units, n_units)[..., :-1] for arm in arms])
    measured = studentised(tallies, np.zeros((1, n_units), dtype=bool))[0]
    if measured <= 0:
        return False
    drawn = studentised(tallies, rng.random((PERMUTATIONS, n_units)) < 0.5)
    at_least = int((drawn >= measured - 1e-9).sum())
    return (1 + at_least) / (1 + PERMUTATIONS) <= ALPHA


def passes(design: Design, repetitions: int) -> tuple[float, float | None]:
    """Return how often the permutation test, and the package's without groups, show a gain."""
    rng = np.random.default_rng(1)
    units = np.repeat(np.arange(len(design.sizes)), design.sizes)
    is_grouped = len(design.sizes) < len(units)
    permuted = shipped = 0
    for _ in range(repetitions):
        gold, *answered = design.draw(rng)
        arms = [LabelCounts(gold, arm[None], len(design.shares), macro_f1) for arm in answered]
        permuted += by_permutation(rng, arms, units)
        if not is_grouped:
            shipped += sure(*arms, 0.0)[1]
    return permuted / repetitions, None if is_grouped else shipped / repetitions


def traded(shares: Sequence[float], lost: Sequence[float], n: int) -> Design:
    """Lose answers to the last labels, whose shares of right ones are ``lost``, and gain others."""
    n_others = len(shares) - len(lost)
    baseline = answers([0.75] * len(shares))
    arms = as_good(shares, baseline, lambda share: answers([share] * n_others + [*lost]))
    return Design(*arms, [1] * n)


def alike(shares: Sequence[float], sizes: Sequence[int]) -> Design:
    """Compare two models that are equally good at every label."""
    arms = [answers([0.75] * len(shares))] * 2
    return Design(np.array(shares) / sum(shares), *arms, sizes)


def useless_on_one(of_each: int, *, malformed: bool) -> Design:
    """Compare mistakes at all of five labels with a candidate that is useless on one of them."""
    candidate = answers([1.0] * 4 + [0.0])
    if malformed:
        candidate[4] = [0.0] * 5 + [1.0]
    baseline = as_good([1] * 5, candidate, lambda share: answers([share] * 5))[2]
    return Design(np.full(5, 0.2), baseline, candidate, [1] * 5 * of_each, [of_each] * 5)


def rarely_lost(counts: Sequence[int], share: float) -> Design:
    """Lose a share of the rarest label, as seldom seen, and gain at the common one."""
    baseline = answers([0.5, 1.0, 1.0], to=[1, 0, 0])
    arms = as_good(counts, baseline, lambda right: answers([right, 1.0, 1.0 - share], to=[1, 0, 0]))
    return Design(*arms, [1] * sum(counts), counts)


def too_often() -> Design:
    """Gain recall of the rare label, and lose its precision."""
    baseline = answers([0.9, 0.75, 0.4], to=[1, 0, 0])
    arms = as_good([80, 15, 5], baseline, lambda right: answers([right, 0.75, 0.95], to=[2, 0, 0]))
    return Design(*arms, [1] * 100)


def nulls() -> dict[str, Design]:
    """Return designs in which the candidate gains nothing."""
    rare = traded([80, 15, 5], [0.4], 100)
    unequal = [20] * 6 + [1] * 150
    return {
        "80, 15, 5 %: equal at every label, n = 100": alike([80, 15, 5], [1] * 100),
        "5 labels: equal at every label, n = 20": alike([1] * 5, [1] * 20),
        "80, 15, 5 %: loses 35 points of the rarest, n = 100": rare,
        "the same, n = 300": traded([80, 15, 5], [0.4], 300),
        "80, 18, 2 %: loses all of the rarest, n = 100": traded([80, 18, 2], [0.0], 100),
        "88, 8 and 4 examples: loses 8 % of the rarest": rarely_lost([88, 8, 4], 0.08),
        "88, 8 and 4 examples: loses 20 % of the rarest": rarely_lost([88, 8, 4], 0.2),
        "40, 20 and 20 examples: loses 20 % of the rarest": rarely_lost([40, 20, 20], 0.2),
        "4 of each of 5 labels: one always mistaken": useless_on_one(4, malformed=False),
        "4 of each of 5 labels: one always malformed": useless_on_one(4, malformed=True),
        "10 of each of 5 labels: one always malformed": useless_on_one(10, malformed=True),
        "80, 15, 5 %: the rarest is answered too often, n = 100": too_often(),
        "20 labels: loses 35 points of five, n = 100": traded([1] * 20, [0.4] * 5, 100),
        "20 groups of 10, equal at every label": alike([80, 15, 5], [10] * 20),
        "40 groups of 1 to 40, equal at every label": alike([80, 15, 5], range(1, 41)),
        "20 groups of 10: loses 35 points of the rarest": replace(rare, sizes=[10] * 20),
        "6 groups of 20, 150 of 1: the same": replace(rare, sizes=unequal),
    }


def gains() -> dict[str, Design]:
    """Return designs in which the candidate gains, to see what honesty costs."""
    baseline = answers([0.75] * 3)
    designs = {}
    for n in (100, 200):
        shares = np.array([0.8, 0.15, 0.05])
        name = f"80, 15, 5 %: from 75 to 88 % at every label, n = {n}"
        designs[name] = Design(shares, baseline, answers([0.88] * 3), [1] * n)
    return designs


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    repetitions = 2 if parser.parse_args(arguments).quick else 500
    for title, designs in (("passes without a gain", nulls()), ("passes with a gain", gains())):
        title += f" in percent, nominal 5 %, {repetitions} simulations (standard error)"
        head(title, "design", "permutations", "as shipped")
        for name, design in designs.items():
            permuted, shipped = passes(design, repetitions)
            cells = [with_error(permuted, repetitions), "-"]
            if shipped is not None:
                cells[1] = with_error(shipped, repetitions)
            row(name, *cells)


if __name__ == "__main__":
    main()
