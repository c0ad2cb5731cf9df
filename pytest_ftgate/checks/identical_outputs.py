"""Two models that answer everything alike: one model under two names, or labels that one of them wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_ftgate.result import Action, Check, Status, called, opponent
from pytest_ftgate.runs.measure import same_outputs
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Scored

MIN_CIRCULAR = 50
"""So many answers that are all as expected are no accident; fewer may be."""
MOST_SHARED_MISTAKES = 4
"""Even if two models share every second mistake, five in a row, and no other, happen to them once in thirty times."""


def check(gate: Context) -> Iterator[Check]:
    """Check each baseline whose answers are those of the candidate, or the labels themselves."""
    for role in gate.comparisons:
        if same_outputs(gate.scored[role].run, gate.scored["candidate"].run):
            yield _identical(gate, role)
        if gate.config.objective == "match" and len(gate.test) >= MIN_CIRCULAR and _answers_are_labels(gate, role):
            yield _circular(gate, role)


def _identical(gate: Context, role: str) -> Check:
    """Two models that answer everything alike are one model, or one of them was never called.

    With ``match`` both may be right everywhere, and that is what is hoped for. But different models make different
    mistakes.
    """
    n, match = len(gate.test), gate.config.objective == "match"
    mistakes = mistakes_in(gate.scored[role].scores[gate.deciding.name]) if match else 0
    message = f"the candidate gave the same {plural(n, 'answer')} as {opponent(role)}, word for word"
    status: Status = "fail"
    advice = "Look whether both names reach one model"
    if not match:
        advice += "; a fine-tune that changes no answer is not worth shipping."
    elif mistakes > MOST_SHARED_MISTAKES:
        message += f", and so the same {mistakes:,} mistakes: this is one model under two names"
        advice += ": an alias, a router, a recording that was copied."
    else:
        status, advice = "warning", f"{advice}; if they do not, this is as equal as models get."
    action: Action | None = "measure_again" if status == "fail" else None
    return Check("identical_outputs", status, message, observed=n, advice=advice, action=action)


def _circular(gate: Context, role: str) -> Check:
    """Labels that a model wrote itself make it perfect, and say how far others agree with it, not who is right.

    A warning, for what the gate proves still holds: a candidate that differs from its teacher on few answers is not
    much worse than it. How good either of them is, nobody knows.
    """
    n = len(gate.test)
    return Check(
        "circular",
        "warning",
        f"{called(role, gate.scored[role].facts.name)} is right on all {plural(n, 'example')}: the labels look like "
        "its own outputs; this test is circular: it measures agreement with that model, not who is right",
        observed=n,
        advice="Have people check the labels of the test set, without seeing the model's answers.",
    )


def mistakes_in(scored: Scored) -> int:
    """Count the answers that are not as good as an answer can be by the metric."""
    from pytest_ftgate.runs.measure import rightness

    metric = scored.metric
    best = 1.0 if scored.per_example is None else metric.high if metric.greater_is_better else metric.low
    return int((rightness(scored).round(12) != round(best, 12)).sum())


def _answers_are_labels(gate: Context, role: str) -> bool:
    """Whether a model gave the expected output everywhere: word for word, or by a metric of labels."""
    from pytest_ftgate.data import expected_text

    if gate.deciding.uses_labels and not mistakes_in(gate.scored[role].scores[gate.deciding.name]):
        return True
    labels = [expected_text(value).strip() for value in gate.expected]
    return all([(answer or "").strip() for answer in repeat] == labels for repeat in gate.scored[role].answers)
