"""Equal but cheaper: the candidate is not much worse than the baseline, which is proven.

That it is cheaper or faster: see :mod:`pytest_ftgate.checks.advantage`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import is_share, plural, show_amount

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys
    from pytest_ftgate.metrics import Metric

MIN_CIRCULAR = 50
"""So many answers that are all as expected are no accident; fewer may be."""
MOST_SHARED_MISTAKES = 4
"""Even if two models share every second mistake, five in a row, and no other, happen to them once in thirty times."""
_MOST_EXAMPLES = 100_000
"""Of more nobody has to be told how many exactly."""


# --- before any call -----------------------------------------------------------------------------------------


def check_reach(gate: Context) -> list[Check]:
    """Check that the drop could be ruled out on so many examples.

    Where some examples belong together, how many then do is not foreseen.
    """
    if gate.config.objective != "match" or gate.grouped:
        return []
    reach = _reach_check(gate.config, gate.deciding, len(gate.test))
    return [reach] if reach else []


def _reach_check(config: GateKeys, metric: Metric, n: int) -> Check | None:
    """A model that is only as good must be able to pass: here it is, with not one answer better or worse."""
    assert config.max_drop is not None  # a gate that matches has one
    if metric.kind == "set" or metric.high - metric.low == float("inf") or not n:
        return None
    needed = examples_without_difference(metric, config.max_drop, config.confidence, repeats=config.repeats)
    if needed is None and n > _MOST_EXAMPLES:
        return None
    drop = show_amount(config.max_drop, share=is_share((metric.low, metric.high)))
    counted = plural(_MOST_EXAMPLES, "example") if needed is None else plural(needed, "example")
    message = (
        f"to be {100 * config.confidence:g} % sure that a candidate which loses no answer is worse by at most {drop}, "
        f"{'more than ' if needed is None else ''}{counted} are needed"
    )
    source = str(config.sources["max_drop"])
    if needed is not None and n >= needed:
        return Check("reach", "note", message, observed=n, required=needed, source=source)
    more = f"Label {plural(needed - n, 'more test example')}, or allow" if needed is not None else "Allow"
    return Check(
        "reach",
        "inconclusive",
        f"{message}, and there are {n:,}",
        observed=n,
        required=needed,
        source=source,
        advice=f"{more} more with max_drop. A candidate that is really better is judged by objective: beat.",
        action="add_examples",
    )


def examples_without_difference(metric: Metric, max_drop: float, confidence: float, *, repeats: int = 1) -> int | None:
    """The fewest examples that show two models to be so close which differ nowhere; None: above 100,000.

    Args:
        metric: right or wrong, or graded within bounds.
        max_drop: above 0, in the metric's unit.
        confidence: one-sided.
        repeats: answers per example, which make grades of right and wrong.
    """
    from pytest_ftgate.statistics import fewest_examples

    exact = metric.kind == "right_wrong" and repeats == 1
    share = max_drop / (metric.high - metric.low)
    return fewest_examples(share, confidence=confidence, evidence="proven", exact=exact, most=_MOST_EXAMPLES)
