"""The rule ``unlabeled``: where models answer differently, an input of unlabeled_set has a label.

An equal answer is a tie, whatever its label. So inputs that are drawn at random need a label only
where the answers of candidate and baseline differ, and the gain is that of all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np

from pytest_ftgate.checks.agreement import same_answers
from pytest_ftgate.checks.context import Context
from pytest_ftgate.metrics import Metric
from pytest_ftgate.result import Check
from pytest_ftgate.runs.measure import Measured
from pytest_ftgate.statistics.arrays import Bools
from pytest_ftgate.statistics.evidence import Comparison
from pytest_ftgate.text import plural


def makes_ties(metric: Metric) -> bool:
    """Return whether equal answers are a tie by a metric that compares others with a label."""
    return metric.kind != "set" and metric.compares and not (metric.judged or metric.pairwise)


def rows_to_label(
    metric: Metric, expected: Sequence[Any], runs: Mapping[str, Measured]
) -> Iterator[int]:
    """Yield the rows without a label on which the candidate differs from any baseline."""
    for row in np.flatnonzero(_are_different(metric, runs)).tolist():
        if expected[row] is None:
            yield row


def _are_different(metric: Metric, runs: Mapping[str, Measured]) -> Bools:
    """Return on which rows the candidate differs from any baseline, shape ``(examples,)``."""
    candidate = runs["candidate"]
    are_different = np.zeros(len(candidate.run.test_set), dtype=bool)
    for role, measured in runs.items():
        if role != "candidate":
            are_different |= ~same_answers(metric, measured, candidate).all(axis=0)
    return are_different


def as_inputs(gate: Context, comparison: Comparison) -> str:
    """Return how many labels the examples that would decide need as inputs of unlabeled_set."""
    needed = comparison.examples_needed
    if needed is None or comparison.n_groups is not None or not makes_ties(gate.deciding):
        return ""

    more = max(needed - (comparison.n or 0), 1)
    share = float(_are_different(gate.deciding, gate.gain_runs).mean())
    labels = ceil(more * share)
    return f" {inputs_sentence(more, labels, labels)}"


def inputs_sentence(inputs: int, fewest: int, most: int) -> str:
    """Return ``As unlabeled_set, 354 inputs need only about 60 labels.``"""
    labels = plural(most, "label")
    if fewest < most:
        labels = f"{fewest:,} to {labels}"
    return f"As unlabeled_set, {plural(inputs, 'input')} need only about {labels}."


def check(gate: Context) -> Iterator[Check]:
    """Check that no input needs a label that is missing."""
    unlabeled = gate.unlabeled
    if unlabeled is None or unlabeled.to_label is None:
        return

    source = gate.source("unlabeled_set")
    inputs = plural(len(unlabeled.data), "input")
    missing = len(unlabeled.to_label)
    n_known = sum(value is not None for value in unlabeled.data.expected)
    if not missing:
        message = f"{inputs}, of which {n_known:,} have a label; the models give the same answer "
        message += "to the others"
        yield Check("unlabeled", "pass", message, observed=0, required=0, source=source)
        return

    verb = "needs" if missing == 1 else "need"
    message = f"{missing:,} of {inputs} {verb} a label"
    if n_known:
        message += f" ({n_known:,} more have one)"
    message += "; the models give the same answer to the others"
    yield Check(
        "unlabeled",
        "inconclusive",
        message,
        observed=missing,
        required=0,
        source=source,
        cure=_cure(gate),
    )


def _cure(gate: Context) -> str:
    path = gate.config.unlabeled_set.labels
    if path is not None:
        report = f"--ftgate-report=to_label:{path}"
        return f"Add them with {report}, which keeps what is filled in there, and label them."
    keys = "{path: ..., labels: todo.jsonl}"
    if gate.unlabeled is not None and gate.unlabeled.data.path is not None:
        keys = f"{{path: {gate.config.unlabeled_set.file}, labels: todo.jsonl}}"
    return (
        "Write them with --ftgate-report=to_label:todo.jsonl, fill in expected, and write "
        f"unlabeled_set: {keys}."
    )
