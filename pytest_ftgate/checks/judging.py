"""The rule of raters, who should not be few."""

from collections.abc import Iterator

from pytest_ftgate.checks.context import Context
from pytest_ftgate.metrics import judged
from pytest_ftgate.result import Check
from pytest_ftgate.statistics import evidence


def check_raters(gate: Context) -> Iterator[Check]:
    """Check that the gain is no taste of some raters: with them as the observations."""
    metric = gate.scored["candidate"].scores[gate.deciding.name].metric
    ratings = metric.ratings if isinstance(metric, judged.Preferred) else None
    if ratings is None or ratings.few_raters:
        return
    if gate.config.evidence == "observed" or not gate.comparisons[gate.best].reached:
        return

    # As for the examples, the evidence says what must be shown.
    required = 0.0
    if gate.config.evidence == "proven":
        required = gate.config.standard_of(gate.best).gain
    p_value = ratings.rater_p_value(required)
    raters = f"with the {ratings.raters:,} raters as the observations"
    numbers = gate.requirement("evidence", required=required)
    if evidence.is_sure(p_value, evidence.level(gate.config.confidence)):
        message = f"{raters} the gain is not chance (p = {p_value:.2g})"
        yield Check("evidence", "pass", message, **numbers)
        return

    message = f"{raters} the gain could be chance (p = {p_value:.2g}, sign flips): "
    message += "some prefer the candidate and some the baseline"
    advice = "Let more people rate, about as many pairs each."
    yield Check("evidence", "inconclusive", message, **numbers, advice=advice)
