"""The examples that may be shown: with ``max_attempts`` only some, because what is shown can be mended by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_ftgate.checks.context import RunName
from pytest_ftgate.checks.ledger import hash_of
from pytest_ftgate.data import DataSet, Example, normalized_input
from pytest_ftgate.diagnosis import Diagnosis, Flip
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.runs.measure import Measured, flips, gains, measure_run, score_run
from pytest_ftgate.runs.runner import Run

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context

SHOWN_ONE_IN = 10
"""One in so many examples, or groups, may be shown."""


def may_be_shown(example: Example) -> bool:
    """Return whether an example is in the tenth that may be shown. Examples of one group stay together."""
    text = normalized_input(example.input) if example.group is None else f"group {example.group}"
    return int(hash_of(text), 16) % SHOWN_ONE_IN == 0


# --- which attempt it is -------------------------------------------------------------------------------------


def whole_run(gate: Context, role: str) -> Run:
    """Return a run over the whole test set: also over the examples that do not count."""
    run, rest = gate.runs[RunName("test", role)], gate.runs.get(RunName("shown", role))
    return run if rest is None or gate.attempt is None else _joined(gate.attempt.whole, run, rest)


def _joined(test: DataSet, *runs: Run) -> Run:
    """Return a run over a test set, or a part of it, from runs that have all its answers."""
    repeats = range(len(runs[0].predictions))
    found = [
        {example.id: one for run in runs for example, one in zip(run.test_set, run.predictions[repeat], strict=True)}
        for repeat in repeats
    ]
    asked = replace(test, examples=tuple(example for example in test if example.id in found[0]))
    predictions = tuple(tuple(answers[example.id] for example in asked) for answers in found)
    return replace(runs[0], test_set=asked, predictions=predictions)


def shown_answers(gate: Context) -> dict[str, Measured]:
    """Return the best baseline and the candidate on the examples that may be shown, by role.

    Empty where they cannot be scored by themselves, as by a judge.
    """
    attempt = gate.attempt
    assert attempt is not None
    test, metric = attempt.shown, attempt.metric
    if not len(test) or metric.judged or metric.pairwise or (attempt.spares and not gate.runs_of("shown")):
        return {}
    found = {}
    for role in (gate.best, "candidate"):
        run = _joined(test, whole_run(gate, role))
        if run.unanswered:
            return {}
        try:
            measured = measure_run(gate.config.asked[role].name, run)
            found[role] = score_run(
                measured, {metric.name: metric}, metric.name, [one.expected for one in run.test_set]
            )
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


def shown_diagnosis(gate: Context, diagnosis: Diagnosis) -> Diagnosis:
    """Return a diagnosis that names only examples that may be shown."""
    found = shown_answers(gate)
    fixed: list[Example] = []
    broken: list[Example] = []
    if found:
        change = gains(found[gate.best], found["candidate"], gate.deciding.name)
        for example, gain in zip(found["candidate"].run.test_set, change, strict=True):
            (fixed if gain > 0 else broken if gain < 0 else []).append(example)
    return replace(
        diagnosis,
        fixed=tuple(example.name for example in fixed),
        broken=tuple(example.name for example in broken),
    )
