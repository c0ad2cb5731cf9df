"""The rules for models with identical answers, and for labels that a baseline wrote itself."""

from collections.abc import Iterator

from pytest_ftgate.checks.audit.wording import outputs_of
from pytest_ftgate.checks.context import Context
from pytest_ftgate.result import Check, called, opponent
from pytest_ftgate.runs.measure import Measured, rightness, same_outputs
from pytest_ftgate.text import plural


def check(gate: Context) -> Iterator[Check]:
    """Check each baseline whose answers equal those of the candidate, or the labels themselves.

    Of two models with identical answers one was not called, where a gain is required of the
    candidate. With ``max_drop`` equal answers are what the gate asks for, and labels that the
    baseline wrote itself are a warning: a candidate that agrees with its teacher is not much worse,
    but how good either of them is remains unknown.
    """
    n = len(gate.test)
    for role in gate.comparisons:
        model = gate.scored[role]
        may_drop = gate.config.standard_of(role).drops
        runs = gate.gain_runs
        if not may_drop and same_outputs(runs[role].run, runs["candidate"].run):
            count = plural(len(gate.gain_set), "answer")
            message = f"the candidate gave the same {count} as {opponent(role)}"
            cure = "Check whether both names refer to the same model; if not, the fine-tune "
            cure += "changed no answer."
            yield Check("identical_outputs", "fail", message, observed=n, cure=cure)
        if may_drop and _wrote_the_labels(gate, model):
            message = (
                f"{called(role, model.facts.name)} is right on all {plural(n, 'example')}, so "
            )
            message += "the labels look like its own outputs: the test measures agreement with "
            message += "this model, not quality"
            cure = "Have people check the labels of the test set without seeing the model's "
            cure += "answers."
            yield Check("circular", "warning", message, observed=n, cure=cure)


def _wrote_the_labels(gate: Context, model: Measured) -> bool:
    """Return whether all answers are the expected outputs as written, or all labels are right."""
    if gate.deciding.uses_labels:
        right = rightness(model.scores[gate.deciding.name]).round(12) == 1.0
        return bool(right.all())

    expected = outputs_of(gate.test)
    for repeat in model.answers:
        if [(answer or "").strip() for answer in repeat] != expected:
            return False
    return True
