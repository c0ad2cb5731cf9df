"""The items of a judge's calibration, which people have judged, and the agreement of two raters."""

from collections.abc import Sequence
from math import fsum
from typing import NamedTuple

from pytest_ftgate.data import Example
from pytest_ftgate.data.load import Row, read_table
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.metrics.judged import ModelJudged
from pytest_ftgate.text import excerpt, kind_of

FEWEST_ITEMS = 20  # minimum number of items: with fewer, the estimate of kappa is useless
_COLUMNS = {False: ("input", "output", "score"), True: ("input", "a", "b", "preferred")}
SIDES = {"a": 1.0, "tie": 0.5, "b": 0.0}
"""The score of the first of two answers, by the side that is preferred."""


class Item(NamedTuple):
    """One item of a calibration, which people have judged."""

    example: Example  # the task
    outputs: tuple[str, ...]  # one or two answers
    label: float | str  # a score, or a, b or tie


def read_items(metric: ModelJudged) -> tuple[Item, ...]:
    """Return the items of a calibration, at least 20 distinct ones; none without calibration."""
    if metric.calibration is None:
        return ()
    path = metric.calibration.path
    items = [_item(metric, row) for row in read_table(path, _COLUMNS[metric.pairwise])]
    distinct = len({(item.example.input, *item.outputs) for item in items})
    if distinct < FEWEST_ITEMS:
        copies = f" in {len(items):,} rows" if distinct < len(items) else ""
        what = f"a calibration needs at least {FEWEST_ITEMS} distinct items, got {distinct:,}{copies}"
        raise DataError(what, where=Where(path=shown_path(path)), cure="Let people judge more items.")
    return tuple(items)


def _item(metric: ModelJudged, row: Row) -> Item:
    given, *outputs = (row.text(column) for column in _COLUMNS[metric.pairwise][:-1])
    expected = row.values.get("expected")
    example = Example(id=str(row.where.line), input=given, expected="" if expected is None else expected)
    return Item(example, tuple(outputs), _side(row) if metric.pairwise else _score(row, metric))


def _side(row: Row) -> str:
    side = str(row.values["preferred"]).strip().lower()
    if side not in SIDES:
        raise row.wrong("preferred", "a, b or tie")
    return side


def _score(row: Row, metric: ModelJudged) -> float:
    value = row.values["score"]
    try:
        score = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):  # an integer that is too large for a float
        score = None
    if score is None or not metric.low <= score <= metric.high:
        found = excerpt(str(value)) if isinstance(value, str | int | float) else kind_of(value)
        raise DataError(f"must be a score from {metric.low:g} to {metric.high:g}, got {found}", where=row.at("score"))
    return score


def cohen_kappa(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Return Cohen's kappa (1960) of two raters of the same items; None if both give one label to all items."""
    n, labels = len(one), {*one, *other}
    observed = sum(a == b for a, b in zip(one, other, strict=True)) / n
    by_chance = sum(one.count(label) * other.count(label) for label in labels) / n**2
    return None if len(labels) == 1 else (observed - by_chance) / (1 - by_chance)


def weighted_kappa(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Cohen's kappa with quadratic weights (1968): a difference of two counts four times as much as one of one.

    For integers it equals scikit-learn's ``cohen_kappa_score(weights="quadratic")``; for decimals it is Lin's
    concordance coefficient (1989). None if it is undefined, because both give one score to all items.
    """
    n = len(one)
    observed = fsum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / n
    means = [fsum(scores) / n for scores in (one, other)]
    spread = sum(fsum((s - mean) ** 2 for s in scores) / n for scores, mean in zip((one, other), means, strict=True))
    by_chance = spread + (means[0] - means[1]) ** 2
    return None if by_chance == 0 else 1 - observed / by_chance
