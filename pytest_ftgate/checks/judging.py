"""The rules of judged answers: raters should not be few, and length alone not decide."""

from collections.abc import Iterator

import numpy as np

from pytest_ftgate.checks.context import Context
from pytest_ftgate.metrics import judged
from pytest_ftgate.result import Check, opponent
from pytest_ftgate.runs import measure
from pytest_ftgate.statistics import evidence, exact
from pytest_ftgate.statistics.groups import MIN_GROUPS
from pytest_ftgate.text import plural, show_percent

_DECIMALS = 12
_MORE_RATERS = (
    f"Let at least {MIN_GROUPS} people rate about as many pairs each, and name them in the column "
    "rater."
)


def check_free(gate: Context) -> Iterator[Check]:
    """Warn of few raters: so few may share a taste, and at most four can never show a gain."""
    people = None if gate.judging is None else gate.judging.people
    if people is None or gate.deciding.name != judged.HUMAN_PREFERENCE:
        return
    n_raters = people.raters
    if n_raters >= MIN_GROUPS:
        return

    message = f"{plural(n_raters, 'rater')} in {people.path}, fewer than {MIN_GROUPS}: "
    message += "the taste of so few could decide"
    if _never_significant(gate, people):
        confidence = show_percent(gate.config.confidence)
        message += f"; even if all agree, p is {people.least_p_value:.2g}, so that the gain can "
        message += f"never be significant at {confidence}"
    yield Check(
        "few_raters",
        "warning",
        message,
        observed=n_raters,
        required=MIN_GROUPS,
        source=people.source,
        cure=_MORE_RATERS,
    )


def _never_significant(gate: Context, ratings: judged.Ratings) -> bool:
    """Return whether not even raters who all prefer the candidate can show a gain."""
    if gate.config.evidence == "observed":
        return False
    return not evidence.is_sure(ratings.least_p_value, evidence.level(gate.config.confidence))


def check(gate: Context) -> Iterator[Check]:
    """Check that the gain is no taste of some raters: with them as the observations."""
    metric = gate.scored["candidate"].scores[gate.deciding.name].metric
    ratings = metric.ratings if isinstance(metric, judged.Preferred) else None
    if ratings is None:
        return
    if gate.config.evidence == "observed" or not gate.comparisons[gate.best].reached:
        return

    # As for the examples, the evidence says what must be shown.
    required = 0.0
    if gate.config.evidence == "proven":
        required = gate.config.standard_of(gate.best).gain
    p_value = ratings.rater_p_value(required)
    raters = f"with {plural(ratings.raters, 'rater')} as the observations"
    numbers = gate.requirement("evidence", required=required)
    if evidence.is_sure(p_value, evidence.level(gate.config.confidence)):
        message = f"{raters} the gain is not chance (p = {p_value:.2g})"
        yield Check("evidence", "pass", message, **numbers)
        return

    message = f"{raters} the gain could be chance (p = {p_value:.2g}, sign flips): "
    cure = "Let more people rate, about as many pairs each."
    if _never_significant(gate, ratings):
        message += "so few could not show one if all agreed"
        cure = _MORE_RATERS
    else:
        message += "some prefer the candidate and some the baseline"
    yield Check("evidence", "inconclusive", message, **numbers, cure=cure)


def check_length(gate: Context) -> Iterator[Check]:
    """Warn of judgements that length alone would decide as well, by two sign tests.

    The longer answer wins significantly more than half of the pairs that are decided, and that of
    the model which wins most of them is significantly more often the longer one.
    """
    if not gate.deciding.judged:
        return

    baseline = gate.scored[gate.best]
    candidate = gate.scored["candidate"]
    changes = measure.gains(baseline, candidate, gate.deciding.name)
    winners = np.sign(changes.round(_DECIMALS))
    longer = np.sign(measure.lengths(candidate) - measure.lengths(baseline))
    pairs = winners * longer
    n = int(np.count_nonzero(pairs))
    n_longer = int((pairs > 0).sum())
    side = np.sign(winners[pairs != 0].sum())
    n_of_winner = int((longer[pairs != 0] == side).sum())

    level = evidence.level(gate.config.confidence)
    for count in (n_longer, n_of_winner):
        if not n or not evidence.is_sure(exact.share_p_value(count, n, 0.5), level):
            return

    winner = "the candidate" if side > 0 else opponent(gate.best)
    message = f"the longer answer won {n_longer:,} of {plural(n, 'pair')}, and that of {winner} is "
    message += f"longer in {n_of_winner:,}: length alone decides as well"
    cure = "Read some pairs. Tell the judge that length does not count, or ask both models for "
    cure += "answers of the same length."
    yield Check("answer_length", "warning", message, observed=n_longer, required=n, cure=cure)
