"""Handle groups of dependent examples, such as the turns of one conversation.

A group is one piece of evidence.
"""

import math
from collections.abc import Hashable, Iterable

import numpy as np

from pytest_ftgate.statistics.arrays import Codes, Floats
from pytest_ftgate.statistics.evidence import level
from pytest_ftgate.statistics.jackknife import degrees_of_freedom

_LARGE = 100_000  # steps in the sum of totals that have a common unit
_COSINES = 100_000
_PER_GROUP = 10
_GRIDS = 50
_ROUNDING = 1e-9
_DEVIATIONS = 9

MIN_GROUPS = 15
"""Smallest number of groups of equal size.

Unequal groups count as fewer: see :func:`effective_groups`. It is the least number that keeps
useless candidates at about 5 % where one group in five or more loses: see the table "Groups" in
``docs/methods.md``.
"""


def group_codes(groups: Iterable[Hashable] | None, n: int) -> Codes | None:
    """Return the group of each example as a code 0..G-1, shape ``(n,)``.

    None if no two examples share a group.
    """
    if groups is None:
        return None
    names = list(groups)
    if len(names) != n:
        raise ValueError(f"{len(names)} groups were given for {n} examples")
    if names.count(None) == n:  # as most test sets have none
        return None

    codes: dict[Hashable, int] = {}
    code_of_example = []
    for index, name in enumerate(names):
        # An example without a group is one of its own, whatever the groups are called.
        group = (index,) if name is None else (None, name)
        code_of_example.append(codes.setdefault(group, len(codes)))
    if len(codes) < n:
        return np.asarray(code_of_example, dtype=np.int64)
    return None


def group_counts(groups: Iterable[Hashable], n: int) -> tuple[int, int] | None:
    """Return the number of groups, and that of equal ones that hold as much information.

    None without groups.
    """
    codes = group_codes(groups, n)
    if codes is None:
        return None
    sizes = group_sizes(codes)
    return len(sizes), effective_groups(sizes)


def group_sizes(codes: Codes) -> Floats:
    """Return the number of examples of each group, shape ``(G,)``."""
    return np.bincount(codes).astype(np.float64)


def effective_groups(weights: Floats) -> int:
    """Return the number of groups of equal weight whose standard error is as well known.

    This is Satterthwaite's degrees of freedom plus 1, rounded: for equal weights the number of
    groups. If a few groups weigh much more than the others, it is about the number of these few.
    """
    return min(len(weights), round(degrees_of_freedom(weights) + 1))


def too_few(weights: Floats, unit: str = "group") -> str | None:
    """Return why groups of these weights, shape ``(G,)``, are too few for a bound.

    None if they are enough.
    """
    n = len(weights)
    counted = effective_groups(weights)
    if counted >= MIN_GROUPS:
        return None
    number = str(n) if counted == n else f"{n} of unequal weight count as {counted}"
    return f"too few {unit}s: {number}, at least {MIN_GROUPS} required"


def share_that_may_be_lost(n: int, confidence: float) -> float:
    """Return the share of all groups that may be lost whole although none of ``n`` was.

    It is ``1 - alpha^(1 / n)``.
    """
    share: float = 1 - level(confidence) ** (1 / n)
    return share


def groups_to_exclude(share: float, confidence: float) -> int:
    """Return how many groups, none of them lost, exclude that this share of all groups is lost."""
    return math.ceil(math.log(level(confidence)) / math.log1p(-share))


def chance_of_none_lost(weights: Floats, drop: float) -> float:
    """Return the largest chance that a sample has no lost group, if these cost ``drop`` on average.

    Each group is lost with a chance of its own, independently of the others, and costs its weight.
    The worst chances with that mean cost are ``max(0, 1 - level / weight)``: small groups are never
    lost if that is worse.

    Args:
        weights: the cost of losing each group, shape ``(G,)``; at least one above 0.
        drop: the mean cost of all lost groups, at least 0.

    Source: water-filling, S. Boyd & L. Vandenberghe, Convex Optimization (2004), section 5.5.3.
    """
    falling = -np.sort(-weights)
    if drop >= float(falling.sum()):
        return 0.0
    levels = (np.cumsum(falling) - drop) / np.arange(1, len(falling) + 1)
    lighter = np.append(falling[1:], 0.0)
    last = int(np.argmax(levels >= lighter))  # the lightest group that may be lost
    return math.exp(float(np.log(levels[last] / falling[: last + 1]).sum()))


def sign_flip_p_value(totals: Floats) -> float:
    """Return the share of all 2^G patterns of signs with at least the observed sum of totals.

    It is the exact one-sided p-value of "the true mean is at most 0" if each group's total is as
    likely to have the opposite sign. ``totals``, ``(G,)``, are the gains of the groups, summed over
    their examples. They are rounded to steps, alike for equal totals: to the largest unit that all
    are multiples of, or, if that is tiny, on a grid as fine as the time allows, where the roundings
    nearly cancel: few distinct totals that occur often would add up.

    Source: R. A. Fisher, The Design of Experiments (1935), section 21.
    """
    whole = np.rint(totals * _steps(totals))
    negative = int(-whole[whole < 0].sum())
    sizes = np.abs(whole[whole != 0]).astype(np.int64)
    # The sum is at least the observed one if the totals whose sign is flipped sum to 0 or less.
    return _chance_of_at_most(negative, sizes)


def _steps(totals: Floats) -> float:
    """Return how many steps make 1, for totals of shape ``(G,)``; 0 if all of them are 0.

    A step is the largest unit that all totals are multiples of. If it is too small for the time, it
    is one of a grid.
    """
    sizes = np.abs(totals)
    whole = float(sizes.sum())
    tolerance = _ROUNDING * max(1.0, float(sizes.max(initial=0.0)))
    # The greatest common divisor of the sizes so far, which further sizes can only reduce.
    unit = 0.0
    for size in np.unique(sizes[sizes > tolerance]).tolist():
        remainder = size
        while remainder > tolerance:  # Euclid's algorithm, with remainders to the nearest multiple
            unit, remainder = remainder, abs(unit - remainder * round(unit / remainder))
        if whole > _LARGE * unit:
            return _steps_of_grid(totals, sizes)
    if unit:
        return 1 / unit
    return 0.0


def _steps_of_grid(totals: Floats, sizes: Floats) -> float:
    """Return the steps per 1 of a grid that is as fine as the time allows.

    The inversion takes a cosine for each distinct size, at most about three times the mean one in
    steps, at as many frequencies as there are steps in the sum, or in nine standard deviations of
    twice the sum. Of several such grids the one counts on which the roundings cancel best.
    """
    n = len(sizes)
    whole = float(sizes.sum())
    # s steps make s * width frequencies
    width = min(whole, _DEVIATIONS * math.sqrt(float(sizes @ sizes)))
    terms = (_COSINES + _PER_GROUP * n) / width
    # the sizes stay as distinct as they are, or are rounded to 3 * s * whole / n distinct ones
    n_distinct = len(np.unique(sizes.round(9)))
    finest = max(terms / n_distinct, math.sqrt(terms * n / (3 * whole)))
    exact = float(totals.sum())

    def rounding(steps: float) -> float:
        rounded = float(np.rint(totals * steps).sum()) / steps
        return abs(rounded - exact)

    grids: list[float] = (finest * np.linspace(0.8, 1.0, _GRIDS)).tolist()
    return min(grids, key=rounding)


def _chance_of_at_most(limit: int, sizes: Codes) -> float:
    """Return the probability that a random subset of ``sizes`` has a sum of at most ``limit``.

    A coin decides of each one whether it is in the subset. The characteristic function, a product
    of cosines with a factor for each distinct size, is inverted at as many frequencies as there are
    sums within nine standard deviations of the mean. By Hoeffding's inequality (JASA 58 (1963)
    13-30) sums beyond these have a probability below 1e-17 together; rounding errors are below
    1e-12.
    """
    distinct, counts = np.unique(sizes, return_counts=True)
    whole = int(sizes.sum())
    deviation = math.sqrt(float(counts @ distinct**2)) / 2
    # the sums around the mean: an odd number, so that frequencies come in pairs
    n = min(whole + 1, math.ceil(2 * _DEVIATIONS * deviation)) | 1
    lowest = max(0, (whole + 1 - n) // 2)
    n_counted = limit - lowest + 1
    if n_counted <= 0:
        return 0.0
    if n_counted >= n:
        return 1.0

    frequencies = np.arange(1, n // 2 + 1)

    def angles(times: int) -> Floats:
        # whole turns are left out first, since a large angle would be rounded
        half_turns = times * frequencies % (2 * n)
        return half_turns.astype(np.float64) * (math.pi / n)

    # the waves of all counted sums together
    waves: Floats = np.cos(angles(whole - lowest - limit))
    waves *= np.sin(angles(n_counted))
    waves /= np.sin(angles(1))
    for size, count in zip(distinct.tolist(), counts.tolist(), strict=True):
        waves *= np.cos(angles(size)) ** count
    chance = (n_counted + 2 * float(waves.sum())) / n
    return min(max(chance, 0.0), 1.0)
