"""The note on several answers per example: where the noise comes from, and what would reduce it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ftgate.result import Check
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.statistics import Comparison


def check(gate: Context) -> list[Check]:
    """Note for each gain whether more repeats or more examples would settle it."""
    if gate.config.repeats == 1 or len(gate.test) == 1 or gate.deciding.pairwise:
        return []
    return [_check(gate, role, comparison) for role, comparison in gate.comparisons.items()]


def _check(gate: Context, role: str, comparison: Comparison) -> Check:
    """Return the noise between examples and within them, and how many repeats or examples would settle the gain."""
    from pytest_ftgate.runs.measure import rightness_by_repeat
    from pytest_ftgate.statistics import remedy, spread_of

    config, metric = gate.config, gate.deciding
    baseline, candidate = gate.scored[role], gate.scored["candidate"]
    worse, better = (baseline, candidate) if metric.greater_is_better else (candidate, baseline)
    spread = spread_of(*(rightness_by_repeat(one, gate.expected, metric) for one in (worse, better)))
    target = config.asked_gain if config.evidence == "proven" else 0.0
    asked = {"target": target, "margin": config.asked_gain, "confidence": config.confidence}
    cure = remedy(spread, gain=comparison.gain, **asked)
    settled = comparison.reaches_margin or comparison.above_zero
    more = [f"{plural(cure.more_repeats, 'more repeat')} of each example"] if cure.more_repeats else []
    more += [plural(cure.more_examples, "more example")] if cure.more_examples else []
    return Check(
        "repeats",
        "note",
        f"{spread.repeats} answers per example: standard deviation of the difference {spread.between**0.5:.2f} between "
        f"examples, {spread.within**0.5:.2f} within an example",
        observed=spread.repeats,
        advice=None if settled or not more else f"{' or '.join(more)} would settle it with 80 % power.",
    )
