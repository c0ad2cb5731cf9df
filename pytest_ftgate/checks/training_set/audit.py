"""The audit of a training set: all that can be counted before a model is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_ftgate.checks.training_set.conversations import chat_errors, long_rows
from pytest_ftgate.checks.training_set.exact import ExactCounts, count_exact, outputs_of
from pytest_ftgate.checks.training_set.labels import Labels, compare_labels
from pytest_ftgate.checks.training_set.near import NearCopies, near_copies
from pytest_ftgate.checks.training_set.neighbours import Doubts, doubtful_rows
from pytest_ftgate.checks.training_set.outputs import unfinished_outputs
from pytest_ftgate.checks.training_set.wording import Wording
from pytest_ftgate.data import DataSet, is_blank


@dataclass(frozen=True)
class TrainingAudit:
    """What was found in a training set. Rows are numbered from 0, as the examples are.

    Args:
        path, sha256: of the training set.
        rows: all of them.
        filled: rows with a non-blank input.
        usable: distinct inputs of the rows whose input and output are both non-blank.
        conflict_rows: rows with an earlier row's input and another output, as (row, first row with its input).
        duplicates: rows with an earlier row's input, the conflicts among them.
        leaked_rows: rows of the test set whose input is in the training set, as (row, first such training row).
        near_rows: usable rows that are near copies of an earlier one, as (row, that row).
        leaked_near_rows: rows of the test set with a near copy among the usable rows, as (row, first such row).
        unfinished: rows whose output is empty or looks cut off, and in which way.
        chat_errors: rows whose conversation is not in order, and why.
        long_rows: rows over the token limit, and their estimated tokens.
        labels: of both sets.
        doubts: usable rows whose neighbours disagree with their label.
    """

    path: str | None
    sha256: str
    rows: int
    filled: int
    usable: int
    duplicates: int
    conflict_rows: tuple[tuple[int, int], ...]
    leaked_rows: tuple[tuple[int, int], ...]
    near_rows: tuple[tuple[int, int], ...]
    leaked_near_rows: tuple[tuple[int, int], ...]
    unfinished: Mapping[int, str]
    chat_errors: Mapping[int, str]
    long_rows: Mapping[int, int]
    labels: Labels
    doubts: Doubts

    @property
    def conflicts(self) -> int:
        return len(self.conflict_rows)

    @property
    def leaked(self) -> int:
        """Examples of the test set that stand in the training set."""
        return len(self.leaked_rows)

    @property
    def distinct(self) -> int:
        """Usable rows that are no near copy of an earlier one."""
        return self.usable - len(self.near_rows)


def audit_training_set(training: DataSet, test: DataSet, *, max_tokens: int | None = None) -> TrainingAudit:
    """Audit a training set for a test set. Takes time in proportion to the characters of both.

    Args:
        training, test: the sets.
        max_tokens: rows with more are called out; None: none are.
    """
    outputs, test_outputs = outputs_of(training), outputs_of(test)
    inputs = [example.input for example in training]
    counts = count_exact(training, test, outputs)
    labels = compare_labels(outputs, test_outputs)
    wordings = [Wording.of(counts.compared[row], outputs[row]) for row in counts.usable_rows]
    near = _near(counts, wordings, test_outputs)
    return TrainingAudit(
        path=training.path,
        sha256=training.sha256,
        rows=len(training),
        filled=sum(not is_blank(given) for given in inputs),
        usable=len(counts.usable_rows),
        duplicates=len(counts.repeats),
        conflict_rows=counts.conflicts,
        leaked_rows=counts.leaked,
        near_rows=near.within,
        leaked_near_rows=near.across,
        unfinished=unfinished_outputs(outputs),
        chat_errors=chat_errors(inputs),
        long_rows=long_rows(inputs, outputs, max_tokens) if max_tokens is not None else {},
        labels=labels,
        doubts=_doubts(counts, wordings, labels),
    )


def _near(counts: ExactCounts, training: list[Wording], test_outputs: list[str]) -> NearCopies:
    """Number rows as in the sets; what leaks as it stands is no near leak."""
    leaked = {row for row, _ in counts.leaked}
    asked = [row for row in range(len(test_outputs)) if row not in leaked]
    found = near_copies(training, [Wording.of(counts.compared_in_test[row], test_outputs[row]) for row in asked])
    rows = counts.usable_rows
    return NearCopies(
        tuple((rows[one], rows[first]) for one, first in found.within),
        tuple((asked[one], rows[first]) for one, first in found.across),
    )


def _doubts(counts: ExactCounts, wordings: list[Wording], labels: Labels) -> Doubts:
    if not labels.counts:
        return Doubts((), 0)
    found = doubtful_rows([one.words for one in wordings], [one.output for one in wordings])
    return Doubts(tuple((counts.usable_rows[row], label) for row, label in found.rows), found.compared)
