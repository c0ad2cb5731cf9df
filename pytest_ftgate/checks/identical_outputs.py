"""Two models that answer everything alike: one model under two names, or labels that one of them wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_ftgate.result import Check, ModelResult, called, opponent
from pytest_ftgate.runs.measure import same_outputs
from pytest_ftgate.text import plural

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.metrics import Scored

MIN_CIRCULAR = 50
"""So many answers that are all as expected are no accident; fewer may be."""
MOST_SHARED_MISTAKES = 4
"""Even if two models share every second mistake, five in a row, and no other, happen to them once in thirty times."""


def check(gate: Context) -> list[Check]:
    """Check each baseline whose answers are those of the candidate, or the labels themselves."""
    found: list[Check | None] = []
    for role in gate.comparisons:
        baseline, n = gate.scored[role], len(gate.test)
        scored = baseline.scores[gate.deciding.name]
        identical = same_outputs(baseline.run, gate.scored["candidate"].run)
        if gate.config.objective == "beat":
            found.append(identical_check(opponent(role), n=n) if identical else None)
            continue
        mistakes = mistakes_in(scored)
        found.append(identical_in_match_check(opponent(role), n=n, mistakes=mistakes) if identical else None)
        labels = answers_are_labels(gate.expected, baseline.answers, scored)
        found.append(circular_check(role, baseline.facts, all_right=labels, n=n))
    return [check for check in found if check is not None]


def identical_check(baseline: str, *, n: int) -> Check:
    """Two models that answer everything alike are one model, or one of them was never called."""
    return Check(
        "identical_outputs",
        "fail",
        f"the candidate gave the same {plural(n, 'answer')} as {baseline}, word for word",
        observed=n,
        advice="Look whether both names reach one model; a fine-tune that changes no answer is not worth shipping.",
        action="measure_again",
    )


def identical_in_match_check(baseline: str, *, n: int, mistakes: int) -> Check:
    """Two models that answer everything alike may be as good as each other, or one model under two names.

    Both may be right everywhere, and that is what is hoped for. But different models make different mistakes.

    Args:
        baseline: as messages call it.
        n: examples, all answered alike.
        mistakes: how many of the answers are not as good as an answer can be.
    """
    message = f"the candidate gave the same {plural(n, 'answer')} as {baseline}, word for word"
    if mistakes > MOST_SHARED_MISTAKES:
        return Check(
            "identical_outputs",
            "fail",
            f"{message}, and so the same {mistakes:,} mistakes: this is one model under two names",
            observed=n,
            advice="Look whether both names reach one model: an alias, a router, a recording that was copied.",
            action="measure_again",
        )
    return Check(
        "identical_outputs",
        "warning",
        message,
        observed=n,
        advice="Look whether both names reach one model; if they do not, this is as equal as models get.",
    )


def mistakes_in(scored: Scored) -> int:
    """How many answers are not as good as an answer can be by the metric."""
    from pytest_ftgate.runs.measure import rightness

    metric = scored.metric
    best = 1.0 if scored.per_example is None else metric.high if metric.greater_is_better else metric.low
    return int((rightness(scored).round(12) != round(best, 12)).sum())


def circular_check(role: str, model: ModelResult, *, all_right: bool, n: int) -> Check | None:
    """Labels that a model wrote itself make it perfect, and say how far others agree with it, not who is right.

    A warning, for what the gate proves still holds: a candidate that differs from its teacher on few answers is not
    much worse than it. How good either of them is, nobody knows.

    Args:
        role: of a baseline.
        model: its facts.
        all_right: whether every answer of it is the expected one.
        n: examples.
    """
    if not all_right or n < MIN_CIRCULAR:
        return None
    return Check(
        "circular",
        "warning",
        f"{called(role, model.name)} is right on all {plural(n, 'example')}: the labels look like its own outputs; "
        "this test is circular: it measures agreement with that model, not who is right",
        observed=n,
        advice="Have people check the labels of the test set, without seeing the model's answers.",
    )


def answers_are_labels(expected: Sequence[Any], answers: Sequence[Sequence[str | None]], scored: Scored) -> bool:
    """Whether a model gave the expected output everywhere: word for word, or by a metric of labels."""
    from pytest_ftgate.data import expected_text

    if scored.metric.uses_labels and not mistakes_in(scored):
        return True
    labels = [expected_text(value).strip() for value in expected]
    return all([(answer or "").strip() for answer in repeat] == labels for repeat in answers)
