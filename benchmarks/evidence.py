"""How fast and how honest the methods of ``pytest_ftgate.inference`` are, measured in one run.

    python benchmarks/evidence.py                 speed, side by side with the usual ways (about 20 seconds)
    python benchmarks/evidence.py --enumerate     worst false-pass rate of right/wrong metrics, every n from 20 to 200
    python benchmarks/evidence.py --graded        false-pass rate of graded metrics
    python benchmarks/evidence.py --sets          false-pass rate of macro-F1, and with groups
    python benchmarks/evidence.py --plain         how often the plain comparison of two numbers is wrong
    python benchmarks/evidence.py --power         chance to show a gain that is there

What is enumerated has no random error; what is simulated names its repetitions. ``docs/evidence.md`` quotes the tables.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator
from statistics import NormalDist

import numpy as np
from scipy.special import gammaln, stdtrit

from pytest_ftgate.inference import LabelCounts, bca_set, compare_right_wrong, compare_set
from pytest_ftgate.inference.exact import exact_p_value
from pytest_ftgate.inference.graded import Sample, graded_p_value
from pytest_ftgate.inference.score import tango_score

Z95 = NormalDist().inv_cdf(0.95)
MARGINS = [round(step / 50, 2) for step in range(-5, 6)]
RATES = 201  # disagreement rates between the margin and 1


# --- complete enumeration of wins and losses -----------------------------------------------------------------


def outcomes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """All numbers of wins and losses among n pairs."""
    wins, losses = (grid.ravel() for grid in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij"))
    possible = wins + losses <= n
    return wins[possible], losses[possible]


def probabilities(wins: np.ndarray, losses: np.ndarray, n: int, winning: np.ndarray, losing: np.ndarray) -> np.ndarray:
    """Trinomial probabilities, a row for each outcome, a column for each pair of rates."""
    ties = n - wins - losses
    ways = gammaln(n + 1) - gammaln(wins + 1) - gammaln(losses + 1) - gammaln(ties + 1)
    rates = (winning, losing, np.maximum(1 - winning - losing, 0))
    logs = [np.log(np.maximum(rate, 1e-300)) for rate in rates]
    return np.exp(
        ways[:, None] + sum(np.outer(count, log) for count, log in zip((wins, losses, ties), logs, strict=True))
    )


def at_margin(margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Rates of wins and losses whose difference is exactly the margin, over all disagreement rates."""
    rates = abs(margin) + np.linspace(0, math.sqrt(1 - abs(margin)), RATES) ** 2
    return (rates + margin) / 2, (rates - margin) / 2


def exact_region(n: int, margin: float, alpha: float = 0.05) -> np.ndarray:
    """The fewest wins that the exact test accepts, for each number of losses; more wins are accepted too."""
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
    """Which outcomes each method accepts as a gain above the margin, at 95 %."""
    gain, spread = (wins - losses) / n, (wins + losses) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        tango = np.nan_to_num(tango_score(wins, losses, n, margin), nan=-1.0) >= Z95
        error = np.sqrt(np.maximum(spread - gain**2, 0) / (n - 1))
        student = gain - stdtrit(n - 1, 0.95) * error >= margin if margin else gain - stdtrit(n - 1, 0.95) * error > 0
    return {"exact": wins >= exact_region(n, margin)[losses], "Tango": tango, "paired t": student}


def enumerate_false_passes(sizes: Iterable[int]) -> None:
    """Print the worst false-pass rate of three methods for each margin, over sizes and disagreement rates."""
    sizes = list(sizes)
    print(
        f"worst false-pass rate at nominal 5 %, n = {sizes[0]}..{sizes[-1]} ({len(sizes)} sizes), "
        f"{RATES} disagreement rates up to 100 %"
    )
    print("| margin | exact | at n | Tango | at n | paired t | at n |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for margin in MARGINS:
        worst: dict[str, tuple[float, int]] = {}
        for n in sizes:
            wins, losses = outcomes(n)
            chances = probabilities(wins, losses, n, *at_margin(margin))
            for name, region in accepted(n, margin, wins, losses).items():
                rate = float((region @ chances).max())
                worst[name] = max(worst.get(name, (0.0, 0)), (rate, n))
        print(f"| {margin:+.2f} | " + " | ".join(f"{rate:.4f} | {n}" for rate, n in worst.values()) + " |", flush=True)


# --- the plain comparison, and power -------------------------------------------------------------------------


def plain_passes(n: int, margin: float, gain: float, disagreement: float) -> float:
    """Probability that the measured gain reaches the margin."""
    wins, losses = outcomes(n)
    chances = probabilities(wins, losses, n, *rates_of(gain, disagreement))[:, 0]
    return float(chances[(wins - losses) >= round(margin * n, 9)].sum())


def rates_of(gain: float, disagreement: float) -> tuple[np.ndarray, np.ndarray]:
    """Rates of wins and losses, as arrays of one."""
    return np.array([(disagreement + gain) / 2]), np.array([(disagreement - gain) / 2])


def plain_table() -> None:
    """Print how often "candidate - baseline >= margin" passes."""
    for disagreement in (0.16, 0.30):
        print(f"\nprobability of a pass by the plain comparison, models disagreeing on {disagreement:.0%} (enumerated)")
        print("| n | +5: gain 0 | +5: gain 2.5 | +5: gain 5 | +2: gain 0 | +2: gain 1 | +2: gain 2 |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for n in (50, 100, 200, 500, 1000):
            cells = [plain_passes(n, m, m * share, disagreement) for m in (0.05, 0.02) for share in (0, 0.5, 1)]
            print(f"| {n} | " + " | ".join(f"{cell:.1%}" for cell in cells) + " |")


def power_table() -> None:
    """Print the chance that the exact test shows a gain that is there."""
    print("\nchance of evidence by the exact test, models disagreeing on 16 % (enumerated)")
    print("| n | gain 5, above 0 | gain 10, above 0 | gain 10, at least 5 | gain 15, at least 5 | gain 0, drop < 5 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for n in (50, 100, 200, 500):
        wins, losses = outcomes(n)
        cells = []
        for margin, gain in ((0.0, 0.05), (0.0, 0.10), (0.05, 0.10), (0.05, 0.15), (-0.05, 0.0)):
            chances = probabilities(wins, losses, n, *rates_of(gain, 0.16))[:, 0]
            cells.append(float(chances[wins >= exact_region(n, margin)[losses]].sum()))
        print(f"| {n} | " + " | ".join(f"{cell:.0%}" for cell in cells) + " |", flush=True)


# --- graded metrics ------------------------------------------------------------------------------------------


def by_student(differences: np.ndarray, margin: float) -> bool:
    """The usual paired t test, sure where nothing varies."""
    n = len(differences)
    error = differences.std(ddof=1) / math.sqrt(n)
    return bool(differences.mean() - stdtrit(n - 1, 0.95) * error >= margin)


def by_half_count_likelihood(differences: np.ndarray, margin: float) -> bool:
    """Empirical likelihood with half an example at each end of the scale, as a contrast; not used by the package."""
    shifts = np.append(differences, [1.0, -1.0]) - margin
    weights = np.append(np.ones(len(differences)), [0.5, 0.5])
    low, high = 0.0, 1 / (1 + margin)
    if weights @ shifts <= 0:
        return False
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if weights @ (shifts / (1 + middle * shifts)) > 0 else (low, middle)
    return math.sqrt(2 * float(weights @ np.log1p(low * shifts))) >= Z95


def by_gaffke(differences: np.ndarray, margin: float) -> bool:
    """What the package does."""
    return graded_p_value(Sample.of(differences, -1.0), margin) <= 0.05


GRADED: dict[str, Callable[[np.ndarray, float], bool]] = {
    "paired t": by_student,
    "half-count likelihood": by_half_count_likelihood,
    "Gaffke": by_gaffke,
}


def rare_losses(n: int, size: float, margin: float) -> dict[str, float]:
    """Worst false-pass rate where a share of the examples loses ``size`` and the others gain alike; enumerated."""
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
    "3 % lose 1, others +0.05": lambda rng, n: np.where(rng.random(n) < 0.03, -1.0, 0.05 * (rng.random(n) < 0.9)),
    "five-point scale": lambda rng, n: rng.choice([-0.5, -0.25, 0, 0.25, 0.5], n, p=[0.02, 0.13, 0.55, 0.2, 0.1]),
    "rare big gains": lambda rng, n: np.where(rng.random(n) < 0.05, 0.8, -0.02),
    "long left tail": lambda rng, n: 0.1 - np.minimum(rng.exponential(0.1, n), 1.0),
}


def graded_table(repetitions: int = 4000) -> None:
    """Print the false-pass rate of three tests of a graded metric."""
    print(
        "\nworst false-pass rate at nominal 5 % where a few examples lose much, all others gain a little (enumerated)"
    )
    print("| n | loss | margin | " + " | ".join(GRADED) + " |\n| --- | --- | --- |" + " --- |" * len(GRADED))
    for n in (30, 50, 100, 200):
        for size, margin in ((1.0, 0.0), (1.0, 0.05), (0.5, 0.0), (1.0, -0.02)):
            rates = rare_losses(n, size, margin)
            print(
                f"| {n} | {size:g} | {margin:+g} | " + " | ".join(f"{r:.1%}" for r in rates.values()) + " |", flush=True
            )
    print(f"\nfalse-pass rate at nominal 5 %, real gain 0, simulated ({repetitions} repetitions)")
    print("| shape | n | " + " | ".join(GRADED) + " |\n| --- | --- |" + " --- |" * len(GRADED))
    for shape, draw in SHAPES.items():
        real = float(np.mean([draw(np.random.default_rng(s), 1_000_000).mean() for s in range(4)]))
        for n in (50, 200):
            rng = np.random.default_rng(n)
            passed = dict.fromkeys(GRADED, 0)
            for _ in range(repetitions):
                sample = draw(rng, n)
                for name, passes in GRADED.items():
                    passed[name] += passes(sample, real)
            print(
                f"| {shape} | {n} | " + " | ".join(f"{k / repetitions:.1%}" for k in passed.values()) + " |", flush=True
            )


def graded_power_table(repetitions: int = 1000) -> None:
    """Print the price of honesty: the chance to show a gain of ordinary scores."""
    print(f"\nchance to show that a graded gain is above 0, normal differences, simulated ({repetitions} repetitions)")
    print("| gain | sd | n | " + " | ".join(GRADED) + " |\n| --- | --- | --- |" + " --- |" * len(GRADED))
    for gain, spread in ((0.05, 0.2), (0.10, 0.2), (0.05, 0.1)):
        for n in (50, 100, 200, 500):
            rng = np.random.default_rng(n)
            samples = [np.clip(gain + spread * rng.standard_normal(n), -1, 1) for _ in range(repetitions)]
            shown = [sum(passes(sample, 0.0) for sample in samples) / repetitions for passes in GRADED.values()]
            print(f"| {gain} | {spread} | {n} | " + " | ".join(f"{share:.0%}" for share in shown) + " |", flush=True)


# --- metrics of the whole set, and groups --------------------------------------------------------------------


def macro_f1(confusions: np.ndarray) -> np.ndarray:
    """Macro-F1 of stacked confusion matrices."""
    right = np.diagonal(confusions, axis1=1, axis2=2)[:, :-1]
    both = confusions.sum(axis=2)[:, :-1] + confusions.sum(axis=1)[:, :-1]
    return np.divide(2 * right, both, out=np.zeros_like(right), where=both > 0).mean(axis=1)


def cells_of(wins: float, losses: float, losing_labels: tuple[int, ...] = (0, 1, 2)) -> tuple[np.ndarray, np.ndarray]:
    """Kinds of examples (label, baseline, candidate) and their rates: three labels, 70/20/10 %, 90 % agreed right."""
    shares = np.array([0.7, 0.2, 0.1])
    lost = np.array([shares[label] if label in losing_labels else 0.0 for label in range(3)])
    lost /= lost.sum()
    kinds, rates = [], []
    for label in range(3):
        other = (label + 1) % 3
        agreed = (1 - wins - losses) * shares[label]
        kinds += [(label, label, label), (label, other, other), (label, label, other), (label, other, label)]
        rates += [0.9 * agreed, 0.1 * agreed, losses * lost[label], wins * shares[label]]
    return np.array(kinds), np.array(rates)


def real_gain(kinds: np.ndarray, rates: np.ndarray) -> float:
    """Of the population."""
    confusions = np.zeros((2, 4, 4))
    for (label, before, after), rate in zip(kinds, rates, strict=True):
        confusions[0, label, before] += rate
        confusions[1, label, after] += rate
    before, after = macro_f1(confusions)
    return float(after - before)


def set_passes(kinds: np.ndarray, rates: np.ndarray, n: int, margin: float, repetitions: int) -> tuple[float, float]:
    """Rates at which the jackknife alone, and what the package does, pass the margin."""
    rng = np.random.default_rng(n)
    alone = shipped = 0
    for _ in range(repetitions):
        label, before, after = kinds[rng.choice(len(kinds), n, p=rates)].T
        arms = [LabelCounts(label, answers[None], 3, macro_f1) for answers in (before, after)]
        result = compare_set(*arms, margin=margin, confidence=0.95, evidence="observed")
        shipped += result.reaches_margin
        if margin < 0 and result.lower is not None:  # the jackknife as it is where no drop has to be ruled out
            result = compare_set(*arms, margin=1e-9, confidence=0.95, evidence="observed")
            alone += bool(result.gain - (result.upper - result.gain) >= margin)
        elif margin >= 0:
            alone += result.reaches_margin
    return alone / repetitions, shipped / repetitions


def set_table(repetitions: int = 2000) -> None:
    """Print the false-pass rate of macro-F1."""
    print(f"\nfalse-pass rate of macro-F1 at nominal 5 %, real gain = margin, simulated ({repetitions} repetitions)")
    print("| case | real gain | n | jackknife alone | as shipped |\n| --- | --- | --- | --- | --- |")
    cases = {
        "wins 11 %, losses 5 %": cells_of(0.11, 0.05),
        "wins 16 %, losses 14 %": cells_of(0.16, 0.14),
        "losses 2 %, no wins": cells_of(0.0, 0.02),
        "losses 1 %, no wins": cells_of(0.0, 0.01),
        "losses 2 %, rare label only": cells_of(0.0, 0.02, (2,)),
        "losses 2 %, wins 1 %": cells_of(0.01, 0.02),
    }
    for case, (kinds, rates) in cases.items():
        gain = real_gain(kinds, rates)
        for n in (50, 100, 200, 500):
            alone, shipped = set_passes(kinds, rates, n, gain, repetitions)
            print(f"| {case} | {gain:+.4f} | {n} | {alone:.1%} | {shipped:.1%} |", flush=True)


def group_table(repetitions: int = 2000) -> None:
    """Print the false-pass rate with groups of examples whose outcomes go together."""
    print(
        f"\nfalse-pass rate of accuracy with groups of 10 examples, nominal 5 %, simulated ({repetitions} repetitions)"
    )
    print(
        "| groups | correlation | real gain = margin | groups unsaid | groups said |\n| --- | --- | --- | --- | --- |"
    )
    for n_groups, together, winning, losing in (
        (10, 0.3, 0.11, 0.05),
        (20, 0.3, 0.11, 0.05),
        (50, 0.3, 0.11, 0.05),
        (50, 0.1, 0.11, 0.05),
        (50, 0.3, 0.0, 0.02),
    ):
        rng = np.random.default_rng(n_groups)
        groups = np.repeat(np.arange(n_groups), 10)
        unsaid = said = 0
        for _ in range(repetitions):
            shared = rng.random((n_groups, 10)) < math.sqrt(together)
            draws = np.where(shared, rng.random((n_groups, 1)), rng.random((n_groups, 10))).ravel()
            won, lost = draws < winning, (draws >= winning) & (draws < winning + losing)
            asked = {"margin": winning - losing, "confidence": 0.95, "evidence": "observed"}
            unsaid += compare_right_wrong(lost, won, **asked).reaches_margin
            said += compare_right_wrong(lost, won, **asked, groups=groups).reaches_margin
        rates = f"{unsaid / repetitions:.1%} | {said / repetitions:.1%}"
        print(f"| {n_groups} | {together} | {winning - losing:+.2f} | {rates} |", flush=True)


# --- speed ---------------------------------------------------------------------------------------------------


def seconds(call: Callable[[], object], rounds: int = 5) -> float:
    """The median of several calls, after one to warm up."""
    call()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[rounds // 2]


def speed_rows() -> Iterator[tuple[str, float, float | None]]:
    """What, seconds, seconds of the usual way."""
    from scipy.stats import bootstrap
    from sklearn.metrics import f1_score

    for n in (200, 2_000, 100_000):
        wins, losses = round(0.13 * n), round(0.05 * n)
        yield f"exact p-value, n = {n:,}", seconds(lambda w=wins, x=losses, n=n: exact_p_value(w, x, n, 0.05)), None
    n = 2000
    right = [np.arange(n) < 0.8 * n, (np.arange(n) < 0.9 * n) & (np.arange(n) >= 0.04 * n)]
    asked = {"margin": 0.02, "confidence": 0.95, "evidence": "proven"}
    yield (
        "accuracy: p-values, both bounds, planning, n = 2,000",
        seconds(lambda: compare_right_wrong(*right, **asked)),
        None,
    )

    rng = np.random.default_rng(0)
    gold = rng.integers(0, 5, n)
    answers = [np.where(rng.random(n) < accuracy, gold, rng.integers(0, 5, n)) for accuracy in (0.8, 0.85)]
    arms = [LabelCounts(gold, one[None], 5, macro_f1) for one in answers]

    def leave_one_out(examples: int = 25) -> None:
        for index in range(examples):
            keep = np.arange(n) != index
            for one in answers:
                f1_score(gold[keep], one[keep], average="macro")

    loop = seconds(leave_one_out, 3) * n / 25
    yield (
        "macro-F1 jackknife, 5 labels, n = 2,000 (against a loop over scikit-learn)",
        seconds(lambda: compare_set(*arms, **asked)),
        loop,
    )

    def difference(labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> float:
        stacked = [
            np.bincount(labels * 6 + one, minlength=36).reshape(1, 6, 6).astype(float) for one in (after, before)
        ]
        return float(macro_f1(stacked[0])[0] - macro_f1(stacked[1])[0])

    def usual() -> None:
        bootstrap(
            (gold, *answers),
            difference,
            paired=True,
            vectorized=False,
            n_resamples=10_000,
            method="BCa",
            rng=np.random.default_rng(0),
        )

    yield (
        "macro-F1 BCa, 10,000 resamples, n = 2,000 (against scipy.stats.bootstrap)",
        seconds(lambda: bca_set(*arms, confidence=0.95)),
        seconds(usual, 1),
    )


def speed_table() -> None:
    """Print times, side by side."""
    print("| what | here | the usual way | ratio |\n| --- | --- | --- | --- |")
    for what, ours, usual in speed_rows():
        other = f"{usual * 1e3:,.0f} ms | {usual / ours:,.0f}x" if usual else "- | -"
        print(f"| {what} | {ours * 1e3:.1f} ms | {other} |", flush=True)


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="20:200", help="first and last n of --enumerate")
    for name in ("enumerate", "graded", "sets", "plain", "power"):
        parser.add_argument(f"--{name}", action="store_true")
    chosen = parser.parse_args()
    first, last = map(int, chosen.sizes.split(":"))
    tables = {
        "enumerate": lambda: enumerate_false_passes(range(first, last + 1)),
        "graded": lambda: (graded_table(), graded_power_table()),
        "sets": lambda: (set_table(), group_table()),
        "plain": plain_table,
        "power": power_table,
    }
    asked = [table for name, table in tables.items() if getattr(chosen, name)]
    for table in asked or [speed_table]:
        table()


if __name__ == "__main__":
    main()
