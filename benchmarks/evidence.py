"""How fast and how honest the methods of ``pytest_ftgate.statistics`` are, measured in one run.

Run ``python benchmarks/evidence.py`` with one of these options::

    (none)          speed, side by side with the usual ways (about 20 seconds)
    --enumerate     false passes of right/wrong metrics at worst, every n from 20 to 200
    --graded        false passes of graded metrics
    --sets          false passes of macro-F1, with rare labels, and what that costs
    --groups        false passes with groups, of one size and of very different ones
    --drops         how often a drop on the limit passes if groups are lost
    --plan          what the plan promises for groups, and what the gate gives
    --adversarial   answers and groups lost whole, baselines, repeats, skewed groups
    --plain         how often the plain comparison of two numbers is wrong
    --power         chance to show a gain that is there
    --repeated      latencies with repeats, and preferences of people
    --quick         with any of these: two repetitions, and few designs, to see that it runs

What is enumerated has no random error; what is simulated names its repetitions. "As shipped" and
"the verdict" mean the whole decision of a gate on its gain. ``docs/methods.md`` quotes the tables.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from scipy.special import gammaln, stdtrit

from pytest_ftgate.errors import Where
from pytest_ftgate.metrics.judged import Rating, Ratings
from pytest_ftgate.statistics.compare import compare_preferences, compare_right_wrong, compare_set
from pytest_ftgate.statistics.exact import exact_lower, exact_p_value, share_p_value, tango_score
from pytest_ftgate.statistics.graded import Sample, graded_p_value
from pytest_ftgate.statistics.groups import MIN_GROUPS, effective_groups
from pytest_ftgate.statistics.jackknife import jackknife
from pytest_ftgate.statistics.planning import chances
from pytest_ftgate.statistics.set_level import LabelCounts, PooledCounts

Z95 = NormalDist().inv_cdf(0.95)
MARGINS = [round(step / 50, 2) for step in range(-5, 6)]
RATES = 201  # disagreement rates between the margin and 1

T = TypeVar("T")


@dataclass(frozen=True)
class Scale:
    """How much of each table is computed."""

    quick: bool = False
    sizes: range = range(20, 201)

    def repetitions(self, usual: int) -> int:
        """Return how often to simulate."""
        return 2 if self.quick else usual

    def of(self, designs: Iterable[T]) -> list[T]:
        """Return the designs to compute; the first one is the cheapest."""
        return list(designs)[:1] if self.quick else list(designs)


def head(title: str, *columns: str) -> None:
    """Print the title of a table, and the names of its columns."""
    print(f"\n{title}")
    row(*columns)
    row(*["---"] * len(columns))


def row(*cells: object) -> None:
    """Print a row of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def percent(*shares: float, digits: int = 1) -> list[str]:
    """Return shares as cells of a table."""
    return [f"{share:.{digits}%}" for share in shares]


# --- complete enumeration of fixed and broken -----------------------------------------------------


def outcomes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all numbers of wins and losses among n pairs."""
    wins, losses = (
        grid.ravel() for grid in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    )
    possible = wins + losses <= n
    return wins[possible], losses[possible]


def probabilities(
    wins: np.ndarray, losses: np.ndarray, n: int, winning: np.ndarray, losing: np.ndarray
) -> np.ndarray:
    """Return trinomial probabilities, a row for each outcome, a column for each pair of rates."""
    ties = n - wins - losses
    ways = gammaln(n + 1) - gammaln(wins + 1) - gammaln(losses + 1) - gammaln(ties + 1)
    rates = (winning, losing, np.maximum(1 - winning - losing, 0))
    logs = [np.log(np.maximum(rate, 1e-300)) for rate in rates]
    return np.exp(
        ways[:, None]
        + sum(np.outer(count, log) for count, log in zip((wins, losses, ties), logs, strict=True))
    )


def at_margin(margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Return rates of fixed and broken whose difference is the margin, over all disagreement."""
    rates = abs(margin) + np.linspace(0, math.sqrt(1 - abs(margin)), RATES) ** 2
    return (rates + margin) / 2, (rates - margin) / 2


def exact_region(n: int, margin: float, alpha: float = 0.05) -> np.ndarray:
    """Return the fewest fixed examples that the exact test accepts, for each number of broken."""
    fewest = np.full(n + 1, n + 1)
    wins = 0
    for losses in range(n + 1):
        while wins <= n - losses and exact_p_value(wins, losses, n, margin) > alpha:
            wins += 1
        while wins > 0 and exact_p_value(min(wins, n - losses + 1) - 1, losses, n, margin) <= alpha:
            wins -= 1
        if wins > n - losses:
            break
        fewest[losses] = wins
    return fewest


def accepted(n: int, margin: float, wins: np.ndarray, losses: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outcomes that each method accepts as a gain above the margin, at 95 %."""
    gain, spread = (wins - losses) / n, (wins + losses) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        tango = np.nan_to_num(tango_score(wins, losses, n, margin), nan=-1.0) >= Z95
        error = np.sqrt(np.maximum(spread - gain**2, 0) / (n - 1))
        student = (
            gain - stdtrit(n - 1, 0.95) * error >= margin
            if margin
            else gain - stdtrit(n - 1, 0.95) * error > 0
        )
    return {"exact": wins >= exact_region(n, margin)[losses], "Tango": tango, "paired t": student}


def enumerate_false_passes(scale: Scale) -> None:
    """Print the worst false-pass rate of three methods for each margin, over sizes and rates."""
    sizes = scale.of(scale.sizes)
    title = (
        f"worst false-pass rate at nominal 5 %, n = {sizes[0]}..{sizes[-1]} ({len(sizes)} sizes), "
    )
    title += f"{RATES} disagreement rates up to 100 %"
    head(title, "margin", "exact", "at n", "Tango", "at n", "paired t", "at n")
    for margin in MARGINS:
        worst: dict[str, tuple[float, int]] = {}
        for n in sizes:
            wins, losses = outcomes(n)
            chances = probabilities(wins, losses, n, *at_margin(margin))
            for name, region in accepted(n, margin, wins, losses).items():
                rate = float((region @ chances).max())
                worst[name] = max(worst.get(name, (0.0, 0)), (rate, n))
        row(f"{margin:+.2f}", *(cell for rate, n in worst.values() for cell in (f"{rate:.4f}", n)))


# --- the plain comparison, and power --------------------------------------------------------------


def plain_passes(n: int, margin: float, gain: float, disagreement: float) -> float:
    """Return the probability that the measured gain reaches the margin."""
    wins, losses = outcomes(n)
    chances = probabilities(wins, losses, n, *rates_of(gain, disagreement))[:, 0]
    return float(chances[(wins - losses) >= round(margin * n, 9)].sum())


def rates_of(gain: float, disagreement: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the rates of wins and losses, as arrays of one."""
    return np.array([(disagreement + gain) / 2]), np.array([(disagreement - gain) / 2])


def plain_table(scale: Scale) -> None:
    """Print how often "candidate - baseline >= margin" passes."""
    for disagreement in (0.16, 0.30):
        title = "probability of a pass by the plain comparison, models disagreeing on "
        title += f"{disagreement:.0%} (enumerated)"
        gains = [(margin, margin * share) for margin in (0.05, 0.02) for share in (0, 0.5, 1)]
        head(title, "n", *(f"+{100 * margin:g}: gain {100 * gain:g}" for margin, gain in gains))
        for n in scale.of((50, 100, 200, 500, 1000)):
            row(
                n,
                *percent(*(plain_passes(n, margin, gain, disagreement) for margin, gain in gains)),
            )


def power_table(scale: Scale) -> None:
    """Print the chance that the exact test shows a gain that is there."""
    columns = (
        "gain 5, above 0",
        "gain 10, above 0",
        "gain 10, at least 5",
        "gain 15, at least 5",
        "gain 0, drop < 5",
    )
    head(
        "chance of evidence by the exact test, models disagreeing on 16 % (enumerated)",
        "n",
        *columns,
    )
    for n in scale.of((50, 100, 200, 500)):
        wins, losses = outcomes(n)
        cells = []
        for margin, gain in ((0.0, 0.05), (0.0, 0.10), (0.05, 0.10), (0.05, 0.15), (-0.05, 0.0)):
            chances = probabilities(wins, losses, n, *rates_of(gain, 0.16))[:, 0]
            cells.append(float(chances[wins >= exact_region(n, margin)[losses]].sum()))
        row(n, *percent(*cells, digits=0))


# --- graded metrics -------------------------------------------------------------------------------


def by_student(differences: np.ndarray, margin: float) -> bool:
    """Run the usual paired t test, which is sure where nothing varies."""
    n = len(differences)
    error = differences.std(ddof=1) / math.sqrt(n)
    return bool(differences.mean() - stdtrit(n - 1, 0.95) * error >= margin)


def by_half_count_likelihood(differences: np.ndarray, margin: float) -> bool:
    """Use empirical likelihood with half an example at each end of the scale, for contrast."""
    shifts = np.append(differences, [1.0, -1.0]) - margin
    weights = np.append(np.ones(len(differences)), [0.5, 0.5])
    low, high = 0.0, 1 / (1 + margin)
    if weights @ shifts <= 0:
        return False
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if weights @ (shifts / (1 + middle * shifts)) > 0 else (low, middle)
        )
    return math.sqrt(2 * float(weights @ np.log1p(low * shifts))) >= Z95


def by_gaffke(differences: np.ndarray, margin: float) -> bool:
    """Decide as the package does."""
    return graded_p_value(Sample.of(differences, -1.0), margin) <= 0.05


GRADED: dict[str, Callable[[np.ndarray, float], bool]] = {
    "paired t": by_student,
    "half-count likelihood": by_half_count_likelihood,
    "Gaffke": by_gaffke,
}


def rare_losses(n: int, size: float, margin: float) -> dict[str, float]:
    """Return the worst false-pass rate if some examples lose ``size`` and the others gain alike."""
    shares = np.concatenate([np.arange(1, 40) / (8 * n), np.arange(5, 40) / n])
    shares = shares[shares < 0.6]
    worst = dict.fromkeys(GRADED, 0.0)
    for share in shares:
        gain = (margin + share * size) / (1 - share)
        if gain > 1:
            continue
        lost = np.arange(n + 1)
        chances = np.exp(
            gammaln(n + 1)
            - gammaln(lost + 1)
            - gammaln(n - lost + 1)
            + lost * math.log(share)
            + (n - lost) * math.log1p(-share)
        )
        for name, passes in GRADED.items():
            total = 0.0
            for k in lost:
                if not passes(np.concatenate([np.full(k, -size), np.full(n - k, gain)]), margin):
                    break
                total += float(chances[k])
            worst[name] = max(worst[name], total)
    return worst


SHAPES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal, sd 0.2": lambda rng, n: np.clip(0.2 * rng.standard_normal(n), -0.9, 0.9),
    "3 % lose 1, others +0.05": lambda rng, n: np.where(
        rng.random(n) < 0.03, -1.0, 0.05 * (rng.random(n) < 0.9)
    ),
    "five-point scale": lambda rng, n: rng.choice(
        [-0.5, -0.25, 0, 0.25, 0.5], n, p=[0.02, 0.13, 0.55, 0.2, 0.1]
    ),
    "rare big gains": lambda rng, n: np.where(rng.random(n) < 0.05, 0.8, -0.02),
    "long left tail": lambda rng, n: 0.1 - np.minimum(rng.exponential(0.1, n), 1.0),
}


def graded_table(scale: Scale) -> None:
    """Print the false-pass rate of three tests of a graded metric."""
    repetitions = scale.repetitions(4_000)
    title = "worst false-pass rate at nominal 5 % if a few examples lose much, all others gain a "
    title += "little (enumerated)"
    head(title, "n", "loss", "margin", *GRADED)
    for n in scale.of((30, 50, 100, 200)):
        for size, margin in scale.of(((1.0, 0.0), (1.0, 0.05), (0.5, 0.0), (1.0, -0.02))):
            row(n, f"{size:g}", f"{margin:+g}", *percent(*rare_losses(n, size, margin).values()))
    title = f"false-pass rate at nominal 5 %, true gain 0, simulated ({repetitions} repetitions)"
    head(title, "shape", "n", *GRADED)
    for shape, draw in SHAPES.items():
        real = float(np.mean([draw(np.random.default_rng(s), 1_000_000).mean() for s in range(4)]))
        for n in (50, 200):
            rng = np.random.default_rng(n)
            passed = dict.fromkeys(GRADED, 0)
            for _ in range(repetitions):
                sample = draw(rng, n)
                for name, passes in GRADED.items():
                    passed[name] += passes(sample, real)
            row(shape, n, *percent(*(count / repetitions for count in passed.values())))


def graded_power_table(scale: Scale) -> None:
    """Print the price of honesty: the chance to show a gain of ordinary scores."""
    repetitions = scale.repetitions(1_000)
    title = "chance to show that a graded gain is above 0, normal differences, simulated "
    title += f"({repetitions} repetitions)"
    head(title, "gain", "sd", "n", *GRADED)
    for gain, spread in ((0.05, 0.2), (0.10, 0.2), (0.05, 0.1)):
        for n in (50, 100, 200, 500):
            rng = np.random.default_rng(n)
            samples = [
                np.clip(gain + spread * rng.standard_normal(n), -1, 1) for _ in range(repetitions)
            ]
            passed = [
                sum(passes(sample, 0.0) for sample in samples) / repetitions
                for passes in GRADED.values()
            ]
            row(gain, spread, n, *percent(*passed, digits=0))


# --- metrics of the whole set, and groups ---------------------------------------------------------


def macro_f1(tallies: np.ndarray) -> np.ndarray:
    """Return the macro-F1 of tallies of labels: right, expected and answered."""
    right, expected, answered = tallies[:, :, :-1].swapaxes(0, 1)
    pairs = expected + answered
    return np.divide(2 * right, pairs, out=np.zeros_like(right), where=pairs > 0).mean(axis=1)


def cells_of(
    wins: float, losses: float, losing_labels: tuple[int, ...] = (0, 1, 2)
) -> tuple[np.ndarray, np.ndarray]:
    """Return kinds of examples (label, baseline, candidate) with their rates.

    Labels have 70, 20 and 10 %; both models are right on 90 %.
    """
    shares = np.array([0.7, 0.2, 0.1])
    lost = np.array([shares[label] if label in losing_labels else 0.0 for label in range(3)])
    lost /= lost.sum()
    kinds, rates = [], []
    for label in range(3):
        wrong_label = (label + 1) % 3
        agreed = (1 - wins - losses) * shares[label]
        kinds += [
            (label, label, label),
            (label, wrong_label, wrong_label),
            (label, label, wrong_label),
            (label, wrong_label, label),
        ]
        rates += [0.9 * agreed, 0.1 * agreed, losses * lost[label], wins * shares[label]]
    return np.array(kinds), np.array(rates)


def real_gain(kinds: np.ndarray, rates: np.ndarray) -> float:
    """Return the gain of the population."""
    tallies = np.zeros((2, 3, 4))
    for (label, *answers), rate in zip(kinds, rates, strict=True):
        for model, answer in enumerate(answers):
            tallies[model, [0, 1, 2], [label, label, answer]] += (
                np.array([label == answer, 1, 1]) * rate
            )
    baseline, candidate = macro_f1(tallies)
    return float(candidate - baseline)


def sure(baseline: LabelCounts, candidate: LabelCounts, margin: float) -> tuple[bool, bool]:
    """Return whether the jackknife alone, and our method, show that the margin is reached."""
    gain = candidate.value - baseline.value
    alone = jackknife(gain, candidate.values_without() - baseline.values_without())
    if alone.standard_error > 0 and alone.p_value(margin) > 0.05:
        return False, False  # the package is at least as cautious
    shipped = compare_set(baseline, candidate, margin=margin, confidence=0.95, evidence="observed")
    return alone.standard_error > 0, shipped.reaches_margin


def set_passes(
    kinds: np.ndarray, rates: np.ndarray, n: int, margin: float, repetitions: int
) -> np.ndarray:
    """Return the rates at which the jackknife alone, and the package's method, pass the margin."""
    rng = np.random.default_rng(n)
    passed = np.zeros(2)
    for _ in range(repetitions):
        label, baseline, candidate = kinds[rng.choice(len(kinds), n, p=rates)].T
        passed += sure(
            *(LabelCounts(label, answers[None], 3, macro_f1) for answers in (baseline, candidate)),
            margin,
        )
    return passed / repetitions


def set_table(scale: Scale) -> None:
    """Print the false-pass rate of macro-F1."""
    repetitions = scale.repetitions(2_000)
    title = "false-pass rate of macro-F1 at nominal 5 %, true gain = margin, simulated "
    title += f"({repetitions} repetitions)"
    head(title, "case", "true gain", "n", "jackknife alone", "as shipped")
    cases = {
        "fixed 11 %, broken 5 %": cells_of(0.11, 0.05),
        "fixed 16 %, broken 14 %": cells_of(0.16, 0.14),
        "broken 2 %, none fixed": cells_of(0.0, 0.02),
        "broken 1 %, none fixed": cells_of(0.0, 0.01),
        "broken 2 %, rare label only": cells_of(0.0, 0.02, (2,)),
        "broken 2 %, fixed 1 %": cells_of(0.01, 0.02),
    }
    for case, (kinds, rates) in cases.items():
        gain = real_gain(kinds, rates)
        for n in (50, 100, 200, 500):
            row(case, f"{gain:+.4f}", n, *percent(*set_passes(kinds, rates, n, gain, repetitions)))


def macro_recall(tallies: np.ndarray) -> np.ndarray:
    """Return the mean of the labels' shares of right answers."""
    right, expected, _ = tallies[:, :, :-1].swapaxes(0, 1)
    return np.divide(right, expected, out=np.zeros_like(right), where=expected > 0).mean(axis=1)


def rare_table(scale: Scale) -> None:
    """Print the false-pass rate of macro recall if a rare label loses what a common one gains."""
    repetitions = scale.repetitions(1_000)
    title = "false-pass rate of recall_macro at nominal 5 %, true gain = margin = 0: the common "
    title += "label gains a share, the rarest loses as much; the worst of four shares from 4 to "
    title += f"20 %, simulated ({repetitions} repetitions)"
    head(title, "examples of each label", "jackknife alone", "as shipped")
    for sizes in (
        (88, 8, 4),
        (84, 10, 6),
        (80, 10, 10),
        (160, 20, 20),
        (240, 30, 30),
        (60, 20, 20),
        (40, 20, 20),
    ):
        worst = np.zeros(2)
        for share in (0.04, 0.08, 0.12, 0.2):
            rng, gold, passed = (
                np.random.default_rng(0),
                np.repeat(np.arange(3), sizes),
                np.zeros(2),
            )
            for _ in range(repetitions):
                baseline = np.where((gold == 0) & (rng.random(len(gold)) < 0.5), 1, gold)
                fixed = (baseline != gold) & (rng.random(len(gold)) < 2 * share)
                lost = (gold == 2) & (rng.random(len(gold)) < share)
                candidate = np.where(lost, 0, np.where(fixed, gold, baseline))
                passed += sure(
                    *(
                        LabelCounts(gold, arm[None], 3, macro_recall)
                        for arm in (baseline, candidate)
                    ),
                    0.0,
                )
            worst = np.maximum(worst, passed / repetitions)
        row(", ".join(map(str, sizes)), *percent(*worst))


def set_power_table(scale: Scale) -> None:
    """Print what an assumed loss costs: the chance to show that macro-F1 rose."""
    repetitions = scale.repetitions(400)
    columns = (
        "labels",
        "examples",
        "of the rarest",
        "fixed and broken",
        "jackknife alone",
        "as shipped",
    )
    head(
        f"chance to show that macro-F1 rose above 0, simulated ({repetitions} repetitions)",
        *columns,
    )
    many = np.linspace(12, 5, 26).round().astype(int)
    few = np.maximum(2, np.linspace(15, 2, 26).round().astype(int))
    for sizes in (
        [20] * 3,
        [34] * 3,
        [67] * 3,
        many,
        few,
        [42, 12, 6],
        [70, 20, 10],
        [140, 40, 20],
    ):
        for wins, losses in ((0.10, 0.05), (0.13, 0.03), (0.22, 0.02)):
            rng, gold, passed = (
                np.random.default_rng(1),
                np.repeat(np.arange(len(sizes)), sizes),
                np.zeros(2),
            )
            for _ in range(repetitions):
                wrong_label = (gold + 1 + rng.integers(0, len(sizes) - 1, len(gold))) % len(sizes)
                baseline = np.where(rng.random(len(gold)) < 0.75, gold, wrong_label)
                change = rng.random(len(gold))
                fixed, lost = (
                    (baseline != gold) & (change < 4 * wins),
                    (baseline == gold) & (change < losses / 0.75),
                )
                candidate = np.where(lost, wrong_label, np.where(fixed, gold, baseline))
                arms = (
                    LabelCounts(gold, arm[None], len(sizes), macro_f1)
                    for arm in (baseline, candidate)
                )
                passed += sure(*arms, 0.0)
            change = f"{wins:.0%} and {losses:.0%}"
            row(
                len(sizes),
                len(gold),
                min(sizes),
                change,
                *percent(*(passed / repetitions), digits=0),
            )


def zipf(groups: int, examples: int) -> list[int]:
    """Return sizes of which the k-th is the first divided by k."""
    shares = 1 / np.arange(1, groups + 1)
    return [max(1, round(examples * share / shares.sum())) for share in shares]


UNLIKE = {
    "20 of 10": [10] * 20,
    "15 of 10": [10] * 15,
    "40 of 5": [5] * 40,
    "100 of 2": [2] * 100,
    "3 of 39, 100 of 1": [39] * 3 + [1] * 100,
    "6 of 20, 60 of 1": [20] * 6 + [1] * 60,
    "6 of 20, 150 of 1": [20] * 6 + [1] * 150,
    "150 by Zipf's law, 107 to 1": zipf(150, 600),
    "40 of 1 to 40": list(range(1, 41)),
}


def is_passed(
    baseline: np.ndarray,
    candidate: np.ndarray,
    groups: np.ndarray | None,
    margin: float,
    evidence: str = "significant",
) -> bool:
    """Return whether a gate on right and wrong answers passes: its whole decision on the gain."""
    if (candidate.mean() - baseline.mean()) < margin:
        return False
    standard = {"margin": margin, "confidence": 0.95, "evidence": evidence, "groups": groups}
    return compare_right_wrong(baseline, candidate, bounds=False, **standard).status == "pass"


def in_groups(
    rng: np.random.Generator, better: np.ndarray, sizes: list[int], disagreement: float
) -> tuple:
    """Return answers of two models: each group has its gain, and others are fixed and broken."""
    gain = np.repeat(better, sizes)
    changed = disagreement / 2 * (1 - np.abs(gain))
    change = rng.random(len(gain))
    won = change < np.maximum(gain, 0) + changed
    lost = change > 1 - np.maximum(-gain, 0) - changed
    return lost, won, np.repeat(np.arange(len(sizes)), sizes)


def one_in_five(rng: np.random.Generator, groups: int) -> np.ndarray:
    """Return gains of groups: one in five loses 40 points, and the others gain 10."""
    return np.where(rng.random(groups) < 0.2, -0.4, 0.1)


def either(rng: np.random.Generator, groups: int) -> np.ndarray:
    """Return gains of groups: 40 points more or less."""
    return rng.choice([-0.4, 0.4], groups)


def unlike_group_table(scale: Scale) -> None:
    """Print false passes of accuracy if groups differ, and the power if each gains 10 points."""
    repetitions = scale.repetitions(400)
    title = "accuracy in groups: one group in five loses 40 points and the others gain 10, or half "
    title += (
        "of them lose 40 and half gain 40 (false passes of margin 0); each gains 10, and answers "
    )
    title += "differ on 10 % besides (margin 5); "
    title += f"simulated ({repetitions} repetitions, standard error)"
    columns = (
        "simple t, one in five",
        "verdict",
        "the same, 15 % differ besides",
        "half and half",
        "power",
    )
    head(title, "groups", "count as", *columns)
    designs = (
        (one_in_five, 0.0, 0.0),
        (one_in_five, 0.15, 0.0),
        (either, 0.0, 0.0),
        (None, 0.1, 0.05),
    )
    for name, sizes in UNLIKE.items():
        weights, cells = np.array(sizes, dtype=float), []
        for draw, disagreement, margin in designs:
            rng, passed = np.random.default_rng(1), np.zeros(2)
            for _ in range(repetitions):
                better = np.full(len(sizes), 0.1) if draw is None else draw(rng, len(sizes))
                baseline, candidate, groups = in_groups(rng, better, sizes, disagreement)
                sums = np.bincount(groups, weights=candidate.astype(float) - baseline)
                alone = jackknife(
                    sums.sum() / weights.sum(), (sums.sum() - sums) / (weights.sum() - weights)
                )
                passed += alone.p_value(0.0) <= 0.05, is_passed(baseline, candidate, groups, margin)
            cells += [with_error(share, repetitions) for share in passed / repetitions]
        row(name, effective_groups(weights), *(cells[place] for place in (0, 1, 3, 5, 7)))


def with_error(share: float, repetitions: int) -> str:
    """Return a simulated rate in percent, with its standard error."""
    error = math.sqrt(max(share * (1 - share), 1 / repetitions) / repetitions)
    return f"{100 * share:.1f} ({100 * error:.1f})"


DROPS = {
    "200 examples": ([1] * 200, [0.0]),
    "a near copy among 200, every group alike": ([2] + [1] * 198, [0.02]),
    "a near copy among 200, it most of all": ([2] + [1] * 198, [0.507] + [0.0151] * 198),
    "10 of 5, 100 of 1, only large ones": ([5] * 10 + [1] * 100, [0.28] * 10 + [0.0] * 100),
    "60 of 5": ([5] * 60, [0.05]),
    "40 of 2, 120 of 1, large ones": ([2] * 40 + [1] * 120, [0.1] * 40 + [0.02] * 120),
    "40 of 1 to 40, from 20 on": (list(range(1, 41)), [0.0] * 19 + [0.1] * 21),
}
"""Sizes of groups, and how likely each group is lost whole."""


def drop_table(scale: Scale) -> None:
    """Print how often a drop of exactly ``max_drop`` passes, where groups are lost whole."""
    repetitions = scale.repetitions(300)
    title = "a candidate on the limit of max_drop, which loses groups whole, simulated "
    title += f"({repetitions} repetitions)"
    head(
        title, "groups, and which are lost", "lower bound of equal answers", "limit", "false passes"
    )
    for name, (sizes, chances_of_loss) in DROPS.items():
        sizes_, lost = np.array(sizes), np.resize(chances_of_loss, len(sizes))
        limit, groups = (
            -float(sizes_ @ lost / sizes_.sum()),
            np.repeat(np.arange(len(sizes)), sizes),
        )
        right = np.ones(len(groups), dtype=bool)
        standard = {"confidence": 0.95, "evidence": "proven", "groups": groups}
        equal = compare_right_wrong(right, right, margin=-0.02, **standard)
        bound = "-" if equal.lower_bound is None else f"{100 * equal.lower_bound:+.1f}"
        if not limit:
            row(name, bound, "-", "-")
            continue
        rng, passed = np.random.default_rng(1), 0
        for _ in range(repetitions):
            candidate = ~(rng.random(len(sizes)) < lost)[groups]
            passed += is_passed(right, candidate, groups, limit, "proven")
        row(name, bound, f"{100 * limit:+.2f}", with_error(passed / repetitions, repetitions))


def plan_table(scale: Scale) -> None:
    """Print what the plan promises for groups, and how often gates and guards pass."""
    repetitions = scale.repetitions(300)
    from pytest_ftgate.checks.prospects import _simulated
    from pytest_ftgate.metrics import Scored
    from pytest_ftgate.metrics.text import ExactMatch

    title = "a baseline at 70 %, the candidate breaks 3 %, margin 5, answers change independently "
    title += "of their group; "
    head(
        f"{title}simulated ({repetitions} repetitions)",
        "groups",
        "true gain",
        "the plan",
        "the verdict",
    )
    standard = {"margin": 0.05, "confidence": 0.95, "evidence": "significant"}
    for groups, size in scale.of(((20, 10), (40, 5), (100, 2), (12, 20))):
        codes = np.repeat(np.arange(groups), size)
        right = np.arange(groups * size) % 10 < 7
        baseline = Scored(ExactMatch(), 0.7, per_example=right.astype(float))
        for gain in scale.of((0.05, 0.1, 0.2)):
            promised = _simulated(baseline, gain, codes, standard, broken=0.03)
            rng, passed = np.random.default_rng(1), 0
            for _ in range(repetitions):
                change = rng.random(len(right))
                fixed, lost = ~right & (change < (gain + 0.03) / 0.3), right & (change < 0.03 / 0.7)
                passed += is_passed(right, (right | fixed) & ~lost, codes, 0.05)
            promise = "-" if promised is None else f"{100 * promised.passed:.0f}"
            row(
                f"{groups} of {size}",
                f"{100 * gain:+.0f}",
                promise,
                with_error(passed / repetitions, repetitions),
            )
    head(
        "an equal candidate passes a guard with max_drop 0.03 (enumerated)",
        "examples",
        "differ on 0 %",
        "4 %",
        "6 %",
    )
    for n in scale.of((99, 149, 200, 300, 500)):
        of_guard = {"margin": -0.03, "confidence": 0.95, "evidence": "proven", "gain": 0.0}
        row(
            n,
            *percent(
                *(chances(n, disagreement=share, **of_guard).passed for share in (0.0, 0.04, 0.06)),
                digits=0,
            ),
        )


def same_everywhere_table(scale: Scale) -> None:  # noqa: ARG001
    """Print what is decided where every unit gains the same."""
    head("every unit gains the same, margin 5", "units", "gain", "95 % lower bound", "verdict")
    standard = {"margin": 0.05, "confidence": 0.95, "evidence": "significant"}
    for name, sizes, of_group in (
        ("60 groups of 2", 2, 1),
        ("40 groups of 5", 5, 5),
        ("60 examples", 1, 1),
    ):
        groups = np.repeat(np.arange(40 if sizes == 5 else 60), sizes)
        right = np.tile(np.arange(sizes) >= of_group, len(groups) // sizes)
        comparison = compare_right_wrong(
            right, right | True, groups=groups if sizes > 1 else None, **standard
        )
        row(
            name,
            f"{100 * comparison.gain:+.1f}",
            f"{100 * (comparison.lower_bound or 0):+.1f}",
            comparison.status,
        )


def micro_table(scale: Scale) -> None:
    """Print the false-pass rate of a micro average over documents of very different sizes."""
    repetitions = scale.repetitions(500)
    title = "field accuracy, micro, documents of different lengths, simulated "
    title += f"({repetitions} repetitions)"
    head(title, "documents", "count as", "10 points", "20 points", "40 points")
    lengths = {
        "60 of 5 fields": [5] * 60,
        "3 of 80, 57 of 3": [80] * 3 + [3] * 57,
        "2 of 100, 58 of 2": [100] * 2 + [2] * 58,
        "60 by Zipf's law, 300 to 5": [round(300 / place) for place in range(1, 61)],
    }
    for name, sizes in lengths.items():
        total, cells = np.array(sizes, dtype=float), []
        for spread in (0.1, 0.2, 0.4):
            rng, passed = np.random.default_rng(1), 0
            for _ in range(repetitions):
                better = rng.choice([-spread, spread], len(sizes)) / 2
                arms = (
                    pooled(rng.binomial(sizes, share), total)
                    for share in (0.7 - better, 0.7 + better)
                )
                passed += compare_set(*arms, **ASKED, bounds=False).status == "pass"
            cells.append(passed / repetitions)
        row(name, effective_groups(total), *percent(*cells))


def pooled(right: np.ndarray, sizes: np.ndarray) -> PooledCounts:
    """Return the counts of field accuracy, micro, of documents of these sizes."""
    right, sizes = right.astype(float), sizes.astype(float)
    counts, perfect, lost = (
        np.column_stack([counted, sizes]) for counted in (right, sizes, 0 * sizes)
    )
    return PooledCounts(
        counts, perfect, lost, right / sizes, lambda total: total[:, 0] / total[:, 1]
    )


def group_table(scale: Scale) -> None:
    """Print the false-pass rate with groups of examples whose outcomes go together."""
    repetitions = scale.repetitions(500)
    title = "false-pass rate of accuracy with groups of 10 examples, nominal 5 %, simulated"
    columns = ("groups", "correlation", "true gain = margin", "groups unsaid", "groups said")
    head(f"{title} ({repetitions} repetitions)", *columns)
    for n_groups, together, winning, losing in (
        (10, 0.3, 0.11, 0.05),
        (20, 0.3, 0.11, 0.05),
        (50, 0.3, 0.11, 0.05),
        (50, 0.1, 0.11, 0.05),
        (50, 0.3, 0.0, 0.02),
    ):
        rng = np.random.default_rng(n_groups)
        groups = np.repeat(np.arange(n_groups), 10)
        unsaid = unlikely = 0
        for _ in range(repetitions):
            shared = rng.random((n_groups, 10)) < math.sqrt(together)
            draws = np.where(shared, rng.random((n_groups, 1)), rng.random((n_groups, 10))).ravel()
            won, lost = draws < winning, (draws >= winning) & (draws < winning + losing)
            standard = {"margin": winning - losing, "confidence": 0.95, "evidence": "observed"}
            unsaid += compare_right_wrong(lost, won, **standard).reaches_margin
            unlikely += compare_right_wrong(lost, won, **standard, groups=groups).reaches_margin
        row(
            n_groups,
            together,
            f"{winning - losing:+.2f}",
            *percent(unsaid / repetitions, unlikely / repetitions),
        )


# --- designs in which a method that looks calm is wrong -------------------------------------------

ASKED = {"margin": 0.0, "confidence": 0.95, "evidence": "significant"}
Design = Callable[[np.random.Generator], bool]


def rate(passes: Design, repetitions: int) -> str:
    """Return how often a design passes, with its standard error, in percent."""
    rng = np.random.default_rng(1)
    return with_error(sum(passes(rng) for _ in range(repetitions)) / repetitions, repetitions)


def documents(
    n: int, fields: int, *, lost: float = 0.0, gain: float = 0.0, long: float = 0.0
) -> Design:
    """Field accuracy, micro: 80 % of the fields are right, and some documents are lost whole.

    All others gain as much as that, so that the true gain is ``gain``. Of documents of which a
    share is ``long``, with 40 fields, only long ones are lost.
    """
    # the share of all fields
    of_all = (40 * long / (40 * long + fields * (1 - long)) if long else 1) * lost

    def passes(rng: np.random.Generator) -> bool:
        sizes = np.where(rng.random(n) < long, 40, fields) if long else np.full(n, fields)
        gone = (
            (rng.random(n) < lost) & (sizes > fields if long else True)
            if lost
            else np.zeros(n, bool)
        )
        baseline = rng.binomial(sizes, 0.8)
        fixed = rng.binomial(sizes - baseline, (gain + 0.8 * of_all / (1 - of_all)) / 0.2)
        arms = (pooled(right, sizes) for right in (baseline, np.where(gone, 0, baseline + fixed)))
        return compare_set(*arms, **ASKED).status == "pass"

    return passes


def lost_groups(groups: int, size: int, share: float) -> Design:
    """Lose a share of the groups whole; all others gain as much."""
    gain = share / (1 - share)

    def passes(rng: np.random.Generator) -> bool:
        lost = np.repeat(rng.random(groups) < share, size)
        won = (rng.random(groups * size) < gain) & ~lost
        return is_passed(lost, won, np.repeat(np.arange(groups), size), 0.0)

    return passes


def two_baselines(n: int, *, every: bool, worse: float = 0.03) -> Design:
    """Guard, ``max_drop: 0.03``, two baselines: the candidate is on the limit of the worse one."""
    standard = {"margin": -0.03, "confidence": 0.95, "evidence": "proven"}

    def passes(rng: np.random.Generator) -> bool:
        kind = rng.random(n)
        good = kind < 0.15 + worse / 2
        bad = (kind >= 0.15 + worse / 2) & (kind < 0.3)
        is_common = kind >= 0.3
        better, second = good | is_common, bad | is_common
        # the candidate answers as the other baseline does
        arms = sorted((better, second), key=np.sum, reverse=True)
        return all(
            compare_right_wrong(arm, second, **standard).reaches_margin
            for arm in (arms if every else arms[:1])
        )

    return passes


def repeated(n: int, gain: float, disagreement: float, repeats: int = 3) -> Design:
    """Ask three times and get the same answer each time, as at temperature 0."""

    def passes(rng: np.random.Generator) -> bool:
        kind = rng.random(n)
        won, lost = kind < (disagreement + gain) / 2, kind > 1 - (disagreement - gain) / 2
        arms = (np.repeat(arm[None], repeats, axis=0).mean(axis=0) for arm in (lost, won))
        return compare_right_wrong(*arms, **ASKED).status == "pass"

    return passes


def told_to_stop(n: int, gain: float, disagreement: float, *, by_bound: bool) -> Design:
    """Drop a fine-tune without a measured gain or, as shipped, with a low upper bound."""

    def passes(rng: np.random.Generator) -> bool:
        wins, losses, _ = rng.multinomial(
            n, [(disagreement + gain) / 2, (disagreement - gain) / 2, 1 - disagreement]
        )
        return -exact_lower(losses, wins, n, 0.05) < 0.05 if by_bound else wins <= losses

    return passes


def settled(wins: int, losses: int, n: int, margin: float) -> str:
    """Return the number of examples that a gate promises, and how often it passes with so many."""
    right = [np.arange(n) < losses, (np.arange(n) >= losses) & (np.arange(n) < losses + wins)]
    standard = {"margin": margin, "confidence": 0.95, "evidence": "significant"}
    needed = compare_right_wrong(*right, **standard).examples_needed
    if needed is None:
        return "none"
    verdicts = chances(
        needed, gain=(wins - losses) / n, disagreement=(wins + losses) / n, **standard
    )
    return f"{needed:,} ({100 * verdicts.passed:.0f} %)"


def adversarial_tables(scale: Scale) -> None:
    """Print how often designs pass that are made to deceive, and what guards against them cost."""
    repetitions = scale.repetitions(1_000)
    false = {
        "micro, 20 fields, 1 % lost whole, n = 50": documents(50, 20, lost=0.01),
        "micro, 20 fields, 1 % lost whole, n = 100": documents(100, 20, lost=0.01),
        "micro, 6 fields, 1 % lost whole, n = 100": documents(100, 6, lost=0.01),
        "micro, 20 fields, 3 % lost whole, n = 100": documents(100, 20, lost=0.03),
        "micro, 5 or 40 fields, 5 % of the long lost, n = 200": documents(
            200, 5, lost=0.05, long=0.1
        ),
        "20 groups of 10, 3 % lost whole": lost_groups(20, 10, 0.03),
        "100 groups of 10, 3 % lost whole": lost_groups(100, 10, 0.03),
        "guard, the better of two baselines only, n = 100": two_baselines(100, every=False),
        "guard, every baseline, n = 100": two_baselines(100, every=True),
        "three equal answers, no gain, 16 % differ, n = 100": repeated(100, 0.0, 0.16),
        "no gain measured, true gain 5, n = 50": told_to_stop(50, 0.05, 0.16, by_bound=False),
        "no gain measured, true gain 5, n = 100": told_to_stop(100, 0.05, 0.16, by_bound=False),
        "told to stop, true gain 5, margin 5, n = 50": told_to_stop(50, 0.05, 0.16, by_bound=True),
        "told to stop, true gain 5, margin 5, n = 100": told_to_stop(
            100, 0.05, 0.16, by_bound=True
        ),
    }
    power = {
        "micro, 5 fields, +5, n = 50": documents(50, 5, gain=0.05),
        "micro, 5 fields, +5, n = 100": documents(100, 5, gain=0.05),
        "micro, 5 fields, +5, n = 200": documents(200, 5, gain=0.05),
        "guard, every baseline, candidate as the better, n = 200": two_baselines(
            200, every=True, worse=-0.03
        ),
        "three equal answers, +10, 16 % differ, n = 50": repeated(50, 0.1, 0.16),
        "three equal answers, +10, 16 % differ, n = 100": repeated(100, 0.1, 0.16),
    }
    for title, designs in (("false passes", false), ("power", power)):
        head(
            f"{title} in percent, nominal 5 %, {repetitions:,} simulations (standard error)",
            "design",
            "passes",
        )
        for name, design in designs.items():
            row(name, rate(design, repetitions))
    print(
        "\nexamples needed, and chance to pass with so many:",
        settled(11, 5, 100, 0.05),
        "(11:5 of 100, margin 5)",
    )


# --- latencies with repeats, and preferences of people --------------------------------------------


def latency_passes(rng: np.random.Generator, n: int, repeats: int) -> dict[str, bool]:
    """Return which checks pass at the limit: the candidate is twice as fast, or p95 is 1 second.

    Latencies vary with a standard deviation of the logarithm of 0.5 between examples and 0.2
    between repeats.
    """
    example = rng.normal(0, 0.5, (2, n, 1))
    logs = example + rng.normal(0, 0.2, (2, n, repeats))
    old, new = np.exp(logs[0]), np.exp(logs[1]) / 2
    p95 = math.exp(Z95 * math.hypot(0.5, 0.2))  # of single answers
    medians = rng.normal(0, 0.5, (2_000, 1)) + rng.normal(0, 0.2, (2_000, repeats))
    p95_median = float(np.quantile(np.exp(np.median(medians, axis=1)), 0.95))

    def faster(slow: np.ndarray, fast: np.ndarray) -> bool:
        reached = int((slow >= 2 * fast).sum())
        return (
            bool(np.median(slow) >= 2 * np.median(fast))
            and share_p_value(reached, slow.size, 0.5) <= 0.05
        )

    def within(latencies: np.ndarray, limit: float) -> bool:
        reached = int((latencies <= limit).sum())
        return share_p_value(reached, latencies.size, 0.95) <= 0.05

    return {
        "faster_by, every answer": faster(old, new),
        "faster_by, one latency an example": faster(np.median(old, axis=1), np.median(new, axis=1)),
        "p95, every answer": within(old, p95),
        "p95, one latency an example": within(np.median(old, axis=1), p95_median),
    }


def rated(
    rng: np.random.Generator, pairs: int, raters: Sequence[float], rated_pairs: int, spread: float
) -> Ratings:
    """Return the ratings of raters whose chance to prefer the candidate is 0.5 and their own taste.

    Args:
        rng: draws the raters and their ratings.
        pairs: the number of pairs.
        raters: the relative share of the pairs of each rater.
        each: how many raters rate a pair.
        spread: the standard deviation of the raters' taste.
    """
    taste = np.clip(0.5 + rng.normal(0, spread, len(raters)), 0, 1)
    shares = np.array(raters) / sum(raters)
    where = Where("prefs.csv")
    by_example = []
    for _ in range(pairs):
        chosen = rng.choice(len(raters), rated_pairs, replace=False, p=shares)
        ratings = [
            Rating(where, str(rater), float(rng.random() < taste[rater])) for rater in chosen
        ]
        by_example.append(tuple(ratings))
    return Ratings("prefs.csv", "", tuple(by_example))


def preferred(ratings: Ratings) -> dict[str, bool]:
    """Return whether preferences pass margin 5, without and with raters as observations."""
    values = np.array(ratings.values())
    standard = {"margin": 0.05, "confidence": 0.95, "evidence": "significant"}
    passed = (
        compare_preferences(values.round(12), means=ratings.raters > 1, **standard).status == "pass"
    )
    sure = ratings.rater_p_value(0.0) <= 0.05
    return {
        "pairs alone": passed,
        "as shipped": passed and sure,
        "warned": ratings.raters < MIN_GROUPS,
    }


def repeated_tables(scale: Scale) -> None:
    """Print false passes with repeated latencies, and of preferences of indifferent raters."""
    repetitions = scale.repetitions(2_000)
    rng = np.random.default_rng(1)
    title = f"latency at the limit, passes of {repetitions:,} simulations, nominal 5 %"
    head(title, "n", "repeats", *latency_passes(rng, 60, 1))
    for repeats in scale.of((1, 3, 5, 10)):
        results = [latency_passes(rng, 60, repeats) for _ in range(repetitions)]
        row(
            60,
            repeats,
            *percent(
                *(sum(result[name] for result in results) / repetitions for name in results[0])
            ),
        )

    fewer = scale.repetitions(500)
    designs = {
        "3 raters rate all": (100, [1] * 3, 3, 0.15),
        "5 raters, 2 a pair": (100, [1] * 5, 2, 0.15),
        **{f"{n} raters, 1 a pair": (100, [1] * n, 1, 0.15) for n in (5, 8, 10, 15, 30)},
        "12 raters, one has 60 %, 1 a pair": (100, [0.6] + [0.4 / 11] * 11, 1, 0.15),
        "12 raters, 2 a pair": (100, [1] * 12, 2, 0.15),
        "12 raters rate all": (100, [1] * 12, 12, 0.15),
    }
    title = f"preferences of indifferent raters, margin 5, n = 100, {fewer:,} simulations"
    head(title, "design", "spread", "pairs alone", "as shipped", "warned")
    for name, design in designs.items():
        results = [preferred(rated(rng, *design)) for _ in range(fewer)]
        shares = (sum(result[column] for result in results) / len(results) for column in results[0])
        row(name, design[-1], *percent(*shares))


# --- speed ----------------------------------------------------------------------------------------


def seconds(call: Callable[[], object], rounds: int) -> float:
    """Return the median time of several calls, after one to warm up."""
    call()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[rounds // 2]


def speed_rows(scale: Scale) -> Iterator[tuple[str, float, float | None]]:
    """Return what was measured, its seconds, and the seconds of the usual way."""
    from sklearn.metrics import f1_score

    rounds = scale.repetitions(5)
    for n in scale.of((200, 2_000, 100_000)):
        wins, losses = round(0.13 * n), round(0.05 * n)
        yield (
            f"exact p-value, n = {n:,}",
            seconds(lambda w=wins, x=losses, n=n: exact_p_value(w, x, n, 0.05), rounds),
            None,
        )
    n = 2_000
    right = [np.arange(n) < 0.8 * n, (np.arange(n) < 0.9 * n) & (np.arange(n) >= 0.04 * n)]
    standard = {"margin": 0.02, "confidence": 0.95, "evidence": "proven"}
    yield (
        "accuracy: p-values, both bounds, planning, n = 2,000",
        seconds(lambda: compare_right_wrong(*right, **standard), rounds),
        None,
    )

    rng = np.random.default_rng(0)
    gold = rng.integers(0, 5, n)
    answers = [
        np.where(rng.random(n) < accuracy, gold, rng.integers(0, 5, n)) for accuracy in (0.8, 0.85)
    ]
    arms = [LabelCounts(gold, answered[None], 5, macro_f1) for answered in answers]

    left_out = scale.repetitions(25)

    def leave_one_out() -> None:
        for index in range(left_out):
            keep = np.arange(n) != index
            for answered in answers:
                f1_score(gold[keep], answered[keep], average="macro")

    loop = seconds(leave_one_out, 3) * n / left_out
    yield (
        "macro-F1: jackknife, Gaffke, planning, 5 labels, n = 2,000 (against a loop over "
        "scikit-learn)",
        seconds(lambda: compare_set(*arms, **standard), rounds),
        loop,
    )


def speed_table(scale: Scale) -> None:
    """Print times, side by side."""
    head("median times", "what", "here", "the usual way", "ratio")
    for design, ours, usual in speed_rows(scale):
        times = (f"{usual * 1e3:,.0f} ms", f"{usual / ours:,.0f}x") if usual else ("-", "-")
        row(design, f"{ours * 1e3:.1f} ms", *times)


TABLES: dict[str, tuple[Callable[[Scale], None], ...]] = {
    "enumerate": (enumerate_false_passes,),
    "graded": (graded_table, graded_power_table),
    "sets": (set_table, rare_table, set_power_table),
    "groups": (same_everywhere_table, group_table, unlike_group_table, micro_table),
    "drops": (drop_table,),
    "plan": (plan_table,),
    "adversarial": (adversarial_tables,),
    "plain": (plain_table,),
    "power": (power_table,),
    "repeated": (repeated_tables,),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="20:200", help="first and last n of --enumerate")
    for name in (*TABLES, "quick"):
        parser.add_argument(f"--{name}", action="store_true")
    chosen = parser.parse_args(arguments)
    first, last = map(int, chosen.sizes.split(":"))
    scale = Scale(quick=chosen.quick, sizes=range(first, last + 1))
    tables = [table for name in TABLES if getattr(chosen, name) for table in TABLES[name]]
    for table in tables or [speed_table]:
        table(scale)


if __name__ == "__main__":
    main()
