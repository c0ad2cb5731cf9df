"""Agreement between people, or between a judge and people, beyond chance: kappa, and the calibration of a judge."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from pytest_ftgate.data import Example
from pytest_ftgate.data.table import Row, read_table
from pytest_ftgate.errors import DataError, Where, shown_path
from pytest_ftgate.metrics.judged import ModelJudged
from pytest_ftgate.result import Check, JudgeResult, Status
from pytest_ftgate.text import excerpt, kind_of, plural

FEWEST_ITEMS = 20  # minimum number of items: with fewer, the estimate of kappa is useless

_COLUMNS = {"rubric": ("input", "output", "score"), "preference": ("input", "a", "b", "preferred")}
_SIDES = ("a", "b", "tie")
_ADVICE = (
    "Make the rubric so specific that two people would agree, or use another judge. If people disagree with each "
    "other, no judge can agree with them."
)


def cohen_kappa(one: Sequence[Hashable], other: Sequence[Hashable]) -> float | None:
    """Return Cohen's kappa of two raters of the same items; None if both give one label to all items.

    Source: J. Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement 20 (1960)
    37-46; computed by scikit-learn.
    """
    from sklearn.metrics import cohen_kappa_score

    first, second = (list(map(str, labels)) for labels in (one, other))
    if len({*first, *second}) < 2:
        return None
    return float(cohen_kappa_score(first, second))


def weighted_kappa(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Cohen's kappa with quadratic weights: a difference of two counts four times as much as one of one.

    For integers it equals scikit-learn's ``cohen_kappa_score(weights="quadratic")``; for decimals it is Lin's
    concordance coefficient. None if it is undefined, because both give one score to all items.

    Sources: J. Cohen, Weighted kappa, Psychological Bulletin 70 (1968) 213-220; L. I-K. Lin, Biometrics 45 (1989)
    255-268.
    """
    n = len(one)
    observed = fsum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / n
    means = [fsum(scores) / n for scores in (one, other)]
    spread = sum(fsum((s - mean) ** 2 for s in scores) / n for scores, mean in zip((one, other), means, strict=True))
    by_chance = spread + (means[0] - means[1]) ** 2
    return None if by_chance == 0 else 1 - observed / by_chance


def fleiss_kappa(counts: Sequence[Sequence[int]]) -> float | None:
    """Return Fleiss' kappa of ``counts[item][category]``; the raters may differ between items.

    Items with fewer than two ratings are left out. If items have different numbers of ratings, the category shares are
    over all ratings, and every item has the same weight. None if it is undefined: no item has two ratings, or all
    ratings are in one category.

    Source: J. L. Fleiss, Measuring nominal scale agreement among many raters, Psychological Bulletin 76 (1971) 378-382.
    """
    rated = [row for row in counts if sum(row) >= 2]
    if not rated:
        return None
    total = sum(map(sum, rated))
    shares = [sum(column) / total for column in zip(*rated, strict=True)]
    by_chance = fsum(share * share for share in shares)
    if by_chance >= 1:
        return None
    return (observed_agreement(rated) - by_chance) / (1 - by_chance)


def observed_agreement(counts: Sequence[Sequence[int]]) -> float:
    """Return the share of agreeing pairs of raters, averaged over items with at least two ratings each."""
    return fsum((sum(k * k for k in row) - sum(row)) / (sum(row) * (sum(row) - 1)) for row in counts) / len(counts)


# --- calibration -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """One item that people have judged."""

    example: Example  # the task
    outputs: tuple[str, ...]  # one or two answers
    label: float | str  # a score, or a, b or tie


def read_items(metric: ModelJudged) -> tuple[Item, ...]:
    """Return the items of a calibration, at least 20 distinct ones; none without calibration."""
    if metric.calibration is None:
        return ()
    path, columns = metric.calibration.path, _COLUMNS[metric.name]
    items = [_item(metric, row) for row in read_table(path, columns)]
    distinct = len({(item.example.input, *item.outputs) for item in items})
    if distinct < FEWEST_ITEMS:
        copies = f" in {len(items):,} rows" if distinct < len(items) else ""
        what = f"a calibration needs at least {FEWEST_ITEMS} distinct items, got {distinct:,}{copies}"
        raise DataError(what, where=Where(path=shown_path(path)), cure="Let people judge more items.")
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
    except (ValueError, OverflowError):  # an integer that is too large for a float
        score = None
    if score is None or not metric.low <= score <= metric.high:
        found = excerpt(str(value)) if isinstance(value, str | int | float) else kind_of(value)
        raise DataError(f"must be a score from {metric.low:g} to {metric.high:g}, got {found}", where=row.at("score"))
    return score


def _side(row: Row) -> str:
    value = row.values["preferred"]
    side = value.strip().lower() if isinstance(value, str) else value
    if side not in _SIDES:
        raise row.wrong("preferred", "a, b or tie")
    return str(side)


def agreement(metric: ModelJudged, people: Sequence[Any], judge: Sequence[Any]) -> tuple[float | None, str]:
    """Return the kappa of the judge with people (None if both give one label to all items) and its name."""
    if not metric.pairwise:
        return weighted_kappa(people, judge), "Cohen, quadratic weights"
    return cohen_kappa(people, judge), "Cohen"


def calibration_check(metric: ModelJudged, facts: JudgeResult, who: str) -> Check:
    """Check that the agreement of the judges (``who``) with people reaches the minimum; else the gate is an error."""
    kappa = facts.kappa
    assert metric.calibration is not None  # there are items
    status: Status
    asked, rounded = metric.calibration.min_kappa, None if kappa is None else round(kappa, 12)
    held = rounded is not None and rounded >= round(asked, 12)
    found = "kappa is undefined, because all items have one label" if kappa is None else f"kappa {kappa:.2f}"
    items = plural(facts.n_kappa or 0, "human-labelled item")
    message = f"agreement of {who} with people: {found} (min {asked:g}; {items}; {facts.kappa_kind})"
    status, advice = "pass" if held else "error", None if held else _ADVICE
    return Check(f"calibration.{metric.name}", status, message, rounded, asked, metric.source, advice)
