"""The rules for models with identical answers, and for labels that a baseline wrote itself."""

from collections.abc import Iterator

from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text
from pytest_ftgate.metrics import Scored
from pytest_ftgate.result import Action, Check, Status, called, opponent
from pytest_ftgate.runs.measure import rightness, same_outputs
from pytest_ftgate.text import plural

MIN_CIRCULAR = 50
"""From so many answers on, a model that is always right is suspicious."""
MOST_SHARED_MISTAKES = 4
"""More identical mistakes are unlikely: two models that share half of their mistakes share 5 of 5 once in 32 times."""


def check(gate: Context) -> Iterator[Check]:
    """Check each baseline whose answers equal those of the candidate, or the labels themselves."""
    for role in gate.comparisons:
        if same_outputs(gate.scored[role].run, gate.scored["candidate"].run):
            yield _identical(gate, role)
        if gate.config.standard_of(role).drops and len(gate.test) >= MIN_CIRCULAR and _answers_are_labels(gate, role):
            yield _circular(gate, role)


def _identical(gate: Context, role: str) -> Check:
    """Refuse two models whose answers are identical: they are one model, or one of them was not called.

    With ``max_drop`` both may be right everywhere, but different models would make different mistakes.
    """
    n, match = len(gate.test), gate.config.standard_of(role).drops
    mistakes = mistakes_in(gate.scored[role].scores[gate.deciding.name]) if match else 0
    message = f"the candidate gave the same {plural(n, 'answer')} as {opponent(role)}"
    status: Status = "fail"
    advice = "Check whether both names refer to the same model"
    if not match:
        advice += "; if not, the fine-tune changed no answer."
    elif mistakes > MOST_SHARED_MISTAKES:
        message += f", including {mistakes:,} identical mistakes: this is one model under two names"
        advice += ", through an alias, a router or a copied recording."
    else:
        status, advice = "warning", f"{advice}; if not, the models are equal on this test set."
    action: Action | None = "measure_again" if status == "fail" else None
    return Check("identical_outputs", status, message, observed=n, advice=advice, action=action)


def _circular(gate: Context, role: str) -> Check:
    """Warn of labels that the baseline wrote itself: they measure agreement with it, not quality.

    This is a warning, because the comparison still holds: a candidate that agrees with its teacher on nearly all
    answers is not much worse. How good either of them is remains unknown.
    """
    n = len(gate.test)
    return Check(
        "circular",
        "warning",
        f"{called(role, gate.scored[role].facts.name)} is right on all {plural(n, 'example')}, so the labels look like "
        "its own outputs: the test measures agreement with this model, not quality",
        observed=n,
        advice="Have people check the labels of the test set without seeing the model's answers.",
    )


def mistakes_in(scored: Scored) -> int:
    """Return the number of answers below the metric's best score."""
    metric = scored.metric
    best = 1.0 if scored.per_example is None else metric.best
    return int((rightness(scored).round(12) != round(best, 12)).sum())


def _answers_are_labels(gate: Context, role: str) -> bool:
    """Return whether a model gave the expected output everywhere, word for word or by a metric of labels."""
    if gate.deciding.uses_labels and not mistakes_in(gate.scored[role].scores[gate.deciding.name]):
        return True
    labels = [expected_text(value).strip() for value in gate.expected]
    return all([(answer or "").strip() for answer in repeat] == labels for repeat in gate.scored[role].answers)
