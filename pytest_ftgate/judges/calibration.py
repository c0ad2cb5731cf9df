"""A judge held to what people have said: the same items, the same questions, and how far the two agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_ftgate.data import Example
from pytest_ftgate.data.table import Row, read_table
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.judges.agreement import cohen_kappa, weighted_kappa
from pytest_ftgate.metrics.judged import ModelJudged
from pytest_ftgate.result import Check, Status
from pytest_ftgate.text import excerpt, kind_of, plural

FEWEST_ITEMS = 20
"""On fewer items kappa is hardly an estimate at all."""

_COLUMNS = {"rubric": ("input", "output", "score"), "preference": ("input", "a", "b", "preferred")}
_SIDES = ("a", "b", "tie")
_ADVICE = (
    "Write the rubric so that two people would agree by it, or take another judge; where people do not agree among "
    "themselves, no judge can agree with them."
)


@dataclass(frozen=True, slots=True)
class Item:
    """One item that people have judged: the task, the answer or the two answers, and the score, ``a``, ``b`` or
    ``tie``.
    """

    example: Example
    outputs: tuple[str, ...]
    label: float | str


def read_items(metric: ModelJudged) -> tuple[Item, ...]:
    """Return the items of a calibration, at least 20 different ones; none where none is asked for."""
    if metric.calibration is None:
        return ()
    path, columns = metric.calibration.path, _COLUMNS[metric.name]
    items = [_item(metric, row) for row in read_table(path, columns)]
    distinct = len({(item.example.input, *item.outputs) for item in items})
    if distinct < FEWEST_ITEMS:
        copies = f" of {len(items)} rows are different" if distinct < len(items) else ""
        what = f"{plural(distinct, 'item')}{copies}, at least {FEWEST_ITEMS} are needed to hold a judge to them"
        raise DataError(what, where=Where(path=shown_path(path)), cure="let people judge more")
    return tuple(items)


def _item(metric: ModelJudged, row: Row) -> Item:
    given, *outputs = (row.text(column) for column in ("input", *(("a", "b") if metric.pairwise else ("output",))))
    expected = row.values.get("expected")
    example = Example(id=str(row.where.line), input=given, expected="" if expected is None else expected)
    return Item(example, tuple(outputs), _side(row) if metric.pairwise else _score(row, metric))


def _score(row: Row, metric: ModelJudged) -> float:
    value = row.values["score"]
    try:
        score = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):  # a whole number beyond all floats
        score = None
    if score is None or not metric.low <= score <= metric.high:
        found = excerpt(str(value)) if isinstance(value, str | int | float) else kind_of(value)
        raise DataError(f"must be a score from {metric.low:g} to {metric.high:g}, is {found}", where=row.at("score"))
    return score


def _side(row: Row) -> str:
    value = row.values["preferred"]
    side = value.strip().lower() if isinstance(value, str) else value
    if side not in _SIDES:
        raise row.wrong("preferred", "a, b or tie")
    return str(side)


def agreement(metric: ModelJudged, people: Sequence[Any], judge: Sequence[Any]) -> tuple[float | None, str]:
    """Return the kappa of the judge with people, and its name; None where both say one thing throughout."""
    if not metric.pairwise:
        return weighted_kappa(people, judge), "Cohen, quadratic weights"
    return cohen_kappa(people, judge), "Cohen"


def calibration_check(metric: ModelJudged, kappa: float | None, kind: str, n: int) -> Check:
    """Check that the judge agrees with people as far as is asked; one that does not cannot judge this gate."""
    calibration = metric.calibration
    assert calibration is not None  # there are items
    status: Status
    asked, rounded = calibration.min_kappa, None if kappa is None else round(kappa, 12)
    held = rounded is not None and rounded >= round(asked, 12)
    on = f"on {plural(n, 'human-labelled item')} ({kind})"
    seen = "cannot be told: all of them have one label" if kappa is None else f"is kappa {kappa:.2f}"
    message = f"agreement of the judge {metric.judge.name} with people {on} {seen}, asked for {asked:g}"
    status, advice = "pass" if held else "error", None if held else _ADVICE
    return Check(f"calibration.{metric.name}", status, message, rounded, asked, calibration.source, advice)
