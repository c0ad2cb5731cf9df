"""Examples that belong together, such as the turns of one conversation, are one piece of evidence."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np

from pytest_ftgate.statistics.arrays import Codes, Floats

MIN_GROUPS = 10
"""Of one size. Groups of different sizes count as fewer: see :func:`effective_groups`."""


def group_codes(groups: Iterable[Hashable] | None, n: int) -> Codes | None:
    """Return the group of each of ``n`` examples as a code 0..G-1; None where no two examples share one.

    ``groups`` has a name per example, None for an example on its own; or is None for no groups at all.
    """
    if groups is None:
        return None
    codes: dict[Hashable, int] = {}
    of_example = [
        codes.setdefault((index,) if name is None else (None, name), len(codes)) for index, name in enumerate(groups)
    ]
    if len(of_example) != n:
        raise ValueError(f"{len(of_example)} groups were given for {n} examples")
    return np.asarray(of_example, dtype=np.int64) if len(codes) < n else None


def group_sizes(codes: Codes) -> Floats:
    """Return how many examples each group has."""
    return np.bincount(codes).astype(np.float64)


def effective_groups(weights: Floats) -> int:
    """Return how many groups of one weight say as much as these, to the nearest whole number: (sum w)^2 / sum w^2.

    As many as there are where all weigh the same; where a few weigh much more than the others, hardly more than those.

    Sources: L. Kish, Survey Sampling (1965), 8.2; for groups whose examples go together A. V. Carter, K. T. Schnepel &
    D. G. Steigerwald, Review of Economics and Statistics 99 (2017) 698-709.
    """
    return round(float(weights.sum()) ** 2 / float(weights @ weights))


def too_few(weights: Floats, unit: str = "group") -> str | None:
    """Say in words where groups of these weights are too few to say anything of others."""
    n, counted = len(weights), effective_groups(weights)
    if counted >= MIN_GROUPS:
        return None
    said = str(n) if counted == n else f"{n} of very different weight count as {counted}"
    return f"too few {unit}s: {said}, {MIN_GROUPS} are needed"
