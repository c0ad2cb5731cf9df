"""Complete enumeration of wins and losses among n pairs: the oracle of the tests, written apart from the package."""

import numpy as np
from scipy.special import betaincinv, gammaln


def outcomes(n):
    """Return all (wins, losses) with wins + losses <= n."""
    wins, losses = (
        grid.ravel() for grid in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    )
    possible = wins + losses <= n
    return wins[possible], losses[possible]


def trinomial(wins, losses, n, win_rates, loss_rates):
    """Return probabilities, a row for each outcome, a column for each pair of rates."""
    ties = n - wins - losses
    ways = gammaln(n + 1) - gammaln(wins + 1) - gammaln(losses + 1) - gammaln(ties + 1)
    logs = (
        np.log(np.maximum(rates, 1e-300))
        for rates in (win_rates, loss_rates, 1 - win_rates - loss_rates)
    )
    counts = (wins, losses, ties)
    return np.exp(
        ways[:, None] + sum(np.outer(count, log) for count, log in zip(counts, logs, strict=True))
    )


def rates_at(margin, points=201):
    """Win and loss rates whose difference is the margin, over all disagreement rates."""
    disagreement = abs(margin) + np.linspace(0, np.sqrt(1 - abs(margin)), points) ** 2
    return (disagreement + margin) / 2, (disagreement - margin) / 2


def half_count_score(wins, losses, n, margin):
    """Tango's score of (wins + 1/2, losses + 1/2) of n + 1, in the textbook form of the restricted estimate."""
    w, x, m = wins + 0.5, losses + 0.5, n + 1
    a, b, c = 2 * m, -w - x + (2 * m - w + x) * margin, -x * margin * (1 - margin)
    loss_rate = (np.sqrt(b * b - 4 * a * c) - b) / (2 * a)
    return (w - x - m * margin) / np.sqrt(m * (2 * loss_rate + margin * (1 - margin)))


def exact_p_values(n, margin, gamma=1e-4, points=4001):
    """Return wins, losses and the exact unconditional p-value of every outcome, by summing over all outcomes."""
    wins, losses = outcomes(n)
    score = half_count_score(wins, losses, n, margin)
    order = np.argsort(-score, kind="stable")
    wins, losses, score = wins[order], losses[order], score[order]
    # outcomes of equal score come together
    last = np.searchsorted(-score, -score + 1e-9, side="right") - 1

    def tails(disagreement):
        rates = (disagreement + margin) / 2, (disagreement - margin) / 2
        return np.cumsum(trinomial(wins, losses, n, *rates), axis=0)[last]

    grid = sum(rates_at(margin, points))
    on_grid = tails(grid)
    p = np.empty(len(wins))
    for disagreements in range(n + 1):
        low = betaincinv(disagreements, n - disagreements + 1, gamma / 2) if disagreements else 0.0
        high = (
            betaincinv(disagreements + 1, n - disagreements, 1 - gamma / 2)
            if disagreements < n
            else 1.0
        )
        ends = np.maximum([low, high], abs(margin))
        rows = wins + losses == disagreements
        inside = on_grid[rows][:, (grid >= ends[0]) & (grid <= ends[1])].max(axis=1, initial=0.0)
        p[rows] = np.maximum(inside, tails(ends)[rows].max(axis=1)) + gamma
    return wins, losses, np.minimum(p, 1.0)


def worst_false_pass(wins, losses, accepted, n, margin):
    """Return the largest probability of an accepted outcome where the gain is exactly the margin."""
    return float((accepted @ trinomial(wins, losses, n, *rates_at(margin))).max())
