"""Equal but cheaper: the candidate is not much worse than the baseline, which is proven.

That it is cheaper or faster: see :mod:`pytest_ftgate.checks.advantage`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks.advice import advice_on_loss
from pytest_ftgate.checks.drop import examples_advice, status_of
from pytest_ftgate.result import Check
from pytest_ftgate.text import plural, show_amount, show_difference, sure_of_drop

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Metric
    from pytest_ftgate.statistics import Comparison

_WORSE = "Keep the larger model, or look at the broken examples and mend the training data before another attempt."
_UNBOUNDED = "Decide by a metric that scores each answer, as accuracy, and hold the other to a bound under require."

_MOST_EXAMPLES = 100_000
"""Of more nobody has to be told how many exactly."""


def max_drop_check(gate: Context, comparison: Comparison, against: str) -> Check:
    """Check with ``objective: match`` the measured drop against the one that is allowed, and how sure we can be of it.

    Args:
        gate: what is asked for.
        comparison: of the candidate with a baseline, held to the margin ``-max_drop``.
        against: the baseline, as messages call it.
    """
    most, share = gate.config.max_drop, gate.share
    status = status_of(comparison, most, "proven")
    clauses = [f"measured {show_difference(comparison.gain, share=share)} against {against}"]
    clauses.append(f"may be worse by at most {show_amount(most, share=share)}")
    advice, observed = None, comparison.lower
    if status == "fail":
        advice, observed = advice_on_loss(gate, _WORSE), comparison.gain
    elif comparison.lower is None:
        clauses.append(f"how much worse it really is cannot be told: {comparison.note or 'no bound exists'}")
        advice = _UNBOUNDED
    else:
        sure = sure_of_drop(comparison.lower, gate.config.confidence, share=share)
        clauses.append(sure if status == "pass" else f"{sure}, which is not enough")
        advice = examples_advice(comparison, "is better", "test example") if status != "pass" else None
    required = gate.requirement("max_drop", required=-most)
    return Check("max_drop", status, "; ".join(clauses), observed=observed, **required, advice=advice)


def check_reach(gate: Context) -> list[Check]:
    """Check that the drop could be ruled out on so many examples by a model that is only as good.

    Here it is, with not one answer better or worse. Where some examples belong together, how many then do is not
    foreseen.
    """
    config, metric, n = gate.config, gate.deciding, len(gate.test)
    if config.objective != "match" or gate.grouped or not n:
        return []
    if metric.kind == "set" or metric.high - metric.low == float("inf"):
        return []
    needed = examples_without_difference(metric, config.max_drop, config.confidence, repeats=config.repeats)
    if needed is None and n > _MOST_EXAMPLES:
        return []
    counted = f"more than {_MOST_EXAMPLES:,} examples" if needed is None else plural(needed, "example")
    message = (
        f"to be {100 * config.confidence:g} % sure that a candidate which loses no answer is worse by at most "
        f"{show_amount(config.max_drop, share=gate.share)}, {counted} are needed"
    )
    numbers: dict[str, Any] = {"observed": n, "required": needed, "source": gate.source("max_drop")}
    if needed is not None and n >= needed:
        return [Check("reach", "note", message, **numbers)]
    more = f"Label {plural(needed - n, 'more test example')}, or allow" if needed is not None else "Allow"
    advice = f"{more} more with max_drop. A candidate that is really better is judged by objective: beat."
    message = f"{message}, and there are {n:,}"
    return [Check("reach", "inconclusive", message, **numbers, advice=advice, action="add_examples")]


def examples_without_difference(metric: Metric, max_drop: float, confidence: float, *, repeats: int = 1) -> int | None:
    """Return the fewest examples that show two models to be so close which differ nowhere; None: above 100,000.

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
