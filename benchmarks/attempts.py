"""Measure how often a useless fine-tune passes at last, where one test set judges several attempts.

    nice python benchmarks/attempts.py            the tables of docs/methods.md (about a minute)
    nice python benchmarks/attempts.py 40000      with so many simulations in place of 20,000

Every candidate is exactly as good as the baseline in truth.

In the first table the team climbs: it keeps the candidate with the best reported gain, and the next
attempt redraws 30 % of its answers. It also mends what the gate shows: up to ten of the candidate's
wrong answers, the broken ones first, of which half, or all, are right from then on, without any
gain elsewhere.

In the second table nothing is trained: a model is asked again until the gate passes, and answers
otherwise each time.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache

import numpy as np
from evidence import exact_region

N = 200
TENTH = N // 10
SHOWN = 10
REDRAWN = 0.3
BASELINE_RIGHT = 0.6
ATTEMPTS = 5
ALPHA = 0.05
BOTH = ("baseline", "candidate")
RUNS = (1, 5, 10, 20)
ASKED_N = 100
SPREAD = 2.0
"""Parameters 2 * 0.6 and 2 * 0.4 of the Beta distribution of a model's chance at an example."""


@dataclass(frozen=True)
class Scheme:
    """Hold how a gate treats its attempts.

    Attributes:
        shared: each attempt is judged at half of what is left of 5 %, the last one at all of it, in
            place of 5 % each.
        shown: how many of the examples, the first ones, may be shown.
        spared: examples that may be shown do not count.
    """

    name: str
    shared: bool
    shown: int
    spared: bool = False

    @property
    def first(self) -> int:
        """Return the first example that counts."""
        return self.shown if self.spared else 0

    def level(self, attempt: int) -> float:
        """Return the level at which the attempt is judged."""
        return shared_level(attempt, ATTEMPTS) if self.shared else ALPHA


def shared_level(attempt: int, most: int) -> float:
    """Return the level of an attempt, of ``most``: half of what is left, the last one all of it."""
    halvings = min(attempt, most - 1)
    return ALPHA * 2.0**-halvings


SCHEMES = (
    Scheme("5 % each, all examples shown", shared=False, shown=N),
    Scheme("5 % shared, all examples shown", shared=True, shown=N),
    Scheme("5 % shared, a tenth shown", shared=True, shown=TENTH),
    Scheme(
        "5 % shared, a tenth shown, which never counts (as shipped)",
        shared=True,
        shown=TENTH,
        spared=True,
    ),
)


@cache
def region(n: int, alpha: float) -> np.ndarray:
    """Return the fewest wins that pass for each number of losses."""
    return exact_region(n, 0.0, alpha)


def passes(change: np.ndarray, alpha: float, margin: float = 0.0) -> np.ndarray:
    """Return which simulations pass; ``change``: -1, 0 or 1, shape ``(simulations, examples)``."""
    wins, losses, n = (change > 0).sum(axis=1), (change < 0).sum(axis=1), change.shape[1]
    return (wins >= region(n, alpha)[losses]) & (wins - losses >= margin * n) & (wins > losses)


def candidates(
    rng: np.random.Generator, baseline: np.ndarray, disagreement: float, gain: float = 0.0
) -> np.ndarray:
    """Return which answers of new candidates are right, with this disagreement and gain."""
    wins, losses = (disagreement + gain) / 2, (disagreement - gain) / 2
    chance = np.where(baseline, 1 - losses / BASELINE_RIGHT, wins / (1 - BASELINE_RIGHT))
    answered: np.ndarray = rng.random(baseline.shape) < chance
    return answered


def shown(baseline: np.ndarray, candidate: np.ndarray, until: int) -> np.ndarray:
    """Return the examples that the gate shows: up to ten wrong ones, those that broke first."""
    order = np.where(candidate, 2, np.where(baseline, 0, 1))[:, :until]
    first = np.argsort(order, axis=1, kind="stable")[:, :SHOWN]
    is_shown = np.zeros(baseline.shape, bool)
    np.put_along_axis(is_shown, first, np.take_along_axis(order, first, axis=1) < 2, axis=1)
    return is_shown


def false_passes(
    scheme: Scheme, mended: float, disagreement: float, simulations: int, seed: int
) -> np.ndarray:
    """Return the share of simulations in which one of the first k attempts passes, for each k.

    Args:
        scheme: how attempts are treated.
        mended: the share of the shown examples that the next candidate answers right; above 1: it
            answers all examples right that may be shown.
        disagreement: the share of the examples on which only one model is right.
        simulations: how many.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    baseline = rng.random((simulations, N)) < BASELINE_RIGHT
    candidate = candidates(rng, baseline, disagreement)
    learned = np.zeros(baseline.shape, bool)
    best, best_gain = candidate, np.full(simulations, -np.inf)
    passed = np.zeros(simulations, bool)
    rates = []
    for attempt in range(1, ATTEMPTS + 1):
        first = scheme.first
        change = candidate[:, first:].astype(np.int8) - baseline[:, first:]
        passed |= passes(change, scheme.level(attempt))
        rates.append(passed.mean())
        gain = change.mean(axis=1)
        better = gain > best_gain
        best, best_gain = (
            np.where(better[:, None], candidate, best),
            np.where(better, gain, best_gain),
        )
        if mended > 1:
            learned[:, : scheme.shown] = True
        else:
            learned |= shown(baseline, candidate, scheme.shown) & (
                rng.random(baseline.shape) < mended
            )
        fresh = candidates(rng, baseline, disagreement)
        candidate = np.where(rng.random(baseline.shape) < REDRAWN, fresh, best) | learned
    return np.array(rates)


def power(scheme: Scheme, simulations: int, seed: int) -> list[float]:
    """Return how often a candidate that is truly 10 points better passes attempts 1, 3 and 5."""
    rng = np.random.default_rng(seed)
    baseline = rng.random((simulations, N)) < BASELINE_RIGHT
    change = candidates(rng, baseline, 0.2, 0.1).astype(np.int8) - baseline
    return [
        float(passes(change[:, scheme.first :], scheme.level(attempt), 0.05).mean())
        for attempt in (1, 3, 5)
    ]


def asked_again(
    roles: tuple[str, ...], counted: tuple[str, ...] | None, simulations: int, seed: int
) -> np.ndarray:
    """Return how often one of the first k runs passes, for each k of ``RUNS``.

    Args:
        roles: the models that are asked again at each run: "baseline", "candidate" or both.
        counted: the models whose other answers are another attempt; None: attempts are not limited.
        simulations: how many.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    first = 0 if counted is None else ASKED_N // 10
    shape = simulations, ASKED_N - first
    chance = rng.beta(SPREAD * BASELINE_RIGHT, SPREAD * (1 - BASELINE_RIGHT), shape)
    answers = {role: rng.random(shape) < chance for role in ("baseline", "candidate")}
    passed = np.zeros(simulations, bool)
    attempt = 1
    rates = []
    for run in range(1, max(RUNS) + 1):
        if run > 1:
            for role in roles:
                answers[role] = rng.random(shape) < chance
            if counted is not None and set(roles) & set(counted):
                attempt += 1
        if attempt <= ATTEMPTS:
            level = ALPHA if counted is None else shared_level(attempt, ATTEMPTS)
            passed |= passes(answers["candidate"].astype(np.int8) - answers["baseline"], level)
        if run in RUNS:
            rates.append(passed.mean())
    return np.array(rates)


def main(simulations: int) -> None:
    """Print the table: the worst of three rates of disagreement."""
    print(
        f"n = {N}, {simulations:,} simulations each, worst of disagreement .1, .2 and .3; "
        "false passes after 1, 3, 5"
    )
    print(
        "| scheme | climbing | half of ten mended | all ten mended | true +10 at attempt 1, 3, 5 |"
    )
    print("| --- | --- | --- | --- | --- |")
    for scheme in SCHEMES:
        cells = []
        for mended in (0.0, 0.5, 1.0):
            rates = [false_passes(scheme, mended, psi, simulations, 7) for psi in (0.1, 0.2, 0.3)]
            worst = np.max(rates, axis=0)
            cells.append(" / ".join(f"{100 * worst[k - 1]:.1f}" for k in (1, 3, 5)) + " %")
        chances = " / ".join(f"{chance:.2f}" for chance in power(scheme, simulations, 8))
        print(f"| {scheme.name} | {' | '.join(cells)} | {chances} |", flush=True)
    strongest = [false_passes(SCHEMES[3], 2.0, psi, simulations, 9) for psi in (0.1, 0.2, 0.3)]
    worst = np.max(strongest, axis=0)
    print(
        "shipped, and every example that may be shown learned by heart: "
        f"{100 * worst[-1]:.1f} % after 5"
    )
    print_asked_again(simulations)


def print_asked_again(simulations: int) -> None:
    """Print how often the gate has passed when a model was asked again and again."""
    ways = {
        "no max_attempts": None,
        "by the candidate's answers": ("candidate",),
        "as shipped": BOTH,
    }
    print(
        f"\nn = {ASKED_N}, max_attempts: {ATTEMPTS}; "
        f"false passes after {', '.join(map(str, RUNS))} runs"
    )
    print(f"| asked again | {' | '.join(ways)} |")
    print("| --- | --- | --- | --- |")
    for roles in (("baseline",), ("candidate",), BOTH):
        cells = []
        for counted in ways.values():
            rates = asked_again(roles, counted, simulations, 11)
            cells.append(" / ".join(f"{100 * rate:.1f}" for rate in rates) + " %")
        print(f"| {' and '.join(roles)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
