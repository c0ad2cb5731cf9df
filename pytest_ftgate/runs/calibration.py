"""The items of a judge's calibration, which people have judged, and the agreement of two raters."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from math import fsum
from typing import Any, NamedTuple

from pytest_ftgate.data import Example
from pytest_ftgate.data.load import Row, read_table
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.metrics.judged import ModelJudged

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
        what = f"a calibration needs at least {FEWEST_ITEMS} distinct items, got {distinct:,} in {len(items):,} rows"
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
        score = float(value)
    except (TypeError, ValueError, OverflowError):
        score = float("nan")
    if isinstance(value, bool) or not metric.low <= score <= metric.high:
        raise row.wrong("score", f"a score from {metric.low:g} to {metric.high:g}")
    return score


def kappa(one: Sequence[Any], other: Sequence[Any], differ: Callable[[Any, Any], float]) -> float | None:
    """Return Cohen's kappa of two raters of the same items, by how much two labels ``differ``.

    Unequal or not is the kappa of 1960. Quadratic differences of scores are the weighted one of 1968: for integers
    scikit-learn's ``cohen_kappa_score(weights="quadratic")``, for decimals Lin's concordance coefficient (1989). None
    if it is undefined, because both give one label to all items.
    """
    n, counts = len(one), (Counter(one).items(), Counter(other).items())
    observed = fsum(map(differ, one, other)) / n
    by_chance = fsum(m * k * differ(a, b) for (a, m), (b, k) in product(*counts)) / n**2
    return None if by_chance == 0 else 1 - observed / by_chance
