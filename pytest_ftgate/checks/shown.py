"""The examples that may be shown: with ``max_attempts`` only some, because what is shown can be mended by itself."""

from dataclasses import replace

from pytest_ftgate.checks.context import Context
from pytest_ftgate.checks.ledger import hash_of
from pytest_ftgate.data import DataSet, Example, normalized_input
from pytest_ftgate.diagnosis import Flip
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.runs.jobs import Run
from pytest_ftgate.runs.measure import Measured, flips, measure_run, score_run

SHOWN_ONE_IN = 10
"""One in so many examples, or groups, may be shown."""


def may_be_shown(example: Example) -> bool:
    """Return whether an example is in the tenth that may be shown. Examples of one group stay together."""
    text = normalized_input(example.input) if example.group is None else f"group {example.group}"
    return int(hash_of(text), 16) % SHOWN_ONE_IN == 0


def part_of(run: Run, examples: DataSet) -> Run:
    """Return a run over some examples of its test set, in their order there."""
    wanted = {example.id for example in examples}
    kept = [index for index, example in enumerate(run.test_set) if example.id in wanted]
    return replace(run, test_set=examples, predictions=tuple(tuple(row[at] for at in kept) for row in run.predictions))


def shown_answers(gate: Context) -> dict[str, Measured]:
    """Return the best baseline and the candidate on the examples that may be shown, by role.

    Empty where they cannot be scored by themselves, as by a judge.
    """
    attempt = gate.attempt
    assert attempt is not None
    test, metric = attempt.shown, attempt.metric
    if not len(test) or metric.judged or metric.pairwise:
        return {}
    found = {}
    for role in (gate.best, "candidate"):
        run = part_of(attempt.runs[role], test)
        if run.unanswered:
            return {}
        try:
            measured = measure_run(gate.config.asked[role].name, run)
            found[role] = score_run(measured, {metric.name: metric}, metric.name, test.expected)
        except FtgateError:
            return {}
    return found


def may_show(gate: Context) -> DataSet:
    """Return the test examples that may be shown: all of them without ``max_attempts``."""
    return gate.attempt.shown if gate.attempt is not None and hides(gate) and len(gate.attempt.shown) else gate.test


def hides(gate: Context) -> bool:
    """Return whether only some examples may be shown."""
    return gate.attempt is not None and gate.attempt.most is not None


def shown_flips(gate: Context, most: int) -> dict[str, tuple[Flip, ...]]:
    """Return the broken and the wrong examples of those that may be shown, at most ``most`` of each."""
    found = shown_answers(gate)
    if not found:
        return {"broken": (), "wrong": ()}
    facts = flips(found[gate.best], found["candidate"], gate.deciding.name, most)
    return {"broken": facts["broken"], "wrong": facts["wrong"]}
