"""The rules for models with identical answers, and for labels that a baseline wrote itself."""

from collections.abc import Iterator

from pytest_ftgate import result, text
from pytest_ftgate.checks.context import Context
from pytest_ftgate.data import expected_text
from pytest_ftgate.runs.measure import rightness, same_outputs

MIN_CIRCULAR = 50
"""From so many answers on, a model that is always right is suspicious."""
MOST_SHARED_MISTAKES = 4
"""More identical mistakes are unlikely: two models that share half of their mistakes share 5 of 5 once in 32 times."""


def check(gate: Context) -> Iterator[result.Check]:
    """Check each baseline whose answers equal those of the candidate, or the labels themselves.

    Two models with identical answers are one model, or one of them was not called. With ``max_drop`` both may be right
    everywhere, but different models would make different mistakes. There labels that the baseline wrote itself are a
    warning: a candidate that agrees with its teacher is not much worse, but how good either of them is remains unknown.
    """
    n, labels = len(gate.test), [expected_text(value).strip() for value in gate.expected]
    for role in gate.comparisons:
        model, drops = gate.scored[role], gate.config.standard_of(role).drops
        scored = model.scores[gate.deciding.name]
        best = 1.0 if scored.per_example is None else scored.metric.best
        mistakes = int((rightness(scored).round(12) != round(best, 12)).sum())
        if same_outputs(model.run, gate.scored["candidate"].run):
            message = f"the candidate gave the same {text.plural(n, 'answer')} as {result.opponent(role)}"
            message += f", with {mistakes:,} identical mistakes" if drops and mistakes else ""
            advice = "Check whether both names refer to the same model; if not, the fine-tune changed no answer."
            if drops and mistakes <= MOST_SHARED_MISTAKES:
                yield result.Check("identical_outputs", "warning", message, n, advice=advice)
            else:
                yield result.Check("identical_outputs", "fail", message, n, advice=advice, action="measure_again")
        written = all([(answer or "").strip() for answer in repeat] == labels for repeat in model.answers)
        if drops and n >= MIN_CIRCULAR and (written or (gate.deciding.uses_labels and not mistakes)):
            message = f"{result.called(role, model.facts.name)} is right on all {text.plural(n, 'example')}, so the "
            message += "labels look like its own outputs: the test measures agreement with this model, not quality"
            advice = "Have people check the labels of the test set without seeing the model's answers."
            yield result.Check("circular", "warning", message, n, advice=advice)
