"""The audit of a training set: everything that can be counted before a model is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_ftgate.checks.audit.exact import ExactCounts, count_exact, outputs_of
from pytest_ftgate.checks.audit.labels import Labels, compare_labels
from pytest_ftgate.checks.audit.leaks import copies_but_for_ids
from pytest_ftgate.checks.audit.near import NearCopies, near_copies
from pytest_ftgate.checks.audit.rows import chat_errors, long_rows
from pytest_ftgate.checks.audit.wording import Wording
from pytest_ftgate.data import DataSet, is_blank
from pytest_ftgate.result import RowPair
from pytest_ftgate.runs.measure import shown_input
from pytest_ftgate.text import readable

_SHOWN = 500  # characters of an input


@dataclass(frozen=True)
class TrainingAudit:
    """The findings of an audit. Rows are indices of examples, from 0.

    The pairs of ``leaked_rows`` name every row of both sets that is concerned, as do those of ``leaked_near_rows``.

    Attributes:
        path, sha256: of the training set.
        filled: number of rows with a non-blank input.
        usable: number of distinct inputs among the rows whose input and output are both non-blank.
        duplicates: number of further rows with the input of an earlier row, conflicts included.
        conflict_rows: rows with the input of an earlier row and another output, as (row, first row).
        leaked_rows: test rows whose input is in the training set, as (test row, training row).
        near_rows: usable rows that are near duplicates of an earlier one, as (row, earlier row).
        leaked_near_rows: test rows with a near duplicate in the training set, as (test row, training row).
        test_near_rows: test rows that are near duplicates of an earlier one, as (row, earlier row); they connect all.
        shared_groups: groups of both sets by name, with the first row of each: (test row, training row).
        in_shared_groups: number of test rows of these groups.
        empty_outputs: rows whose output is blank.
        chat_errors: rows with a malformed conversation, with the reason.
        long_rows: rows above the token limit, with their estimated tokens.
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
    test_near_rows: tuple[tuple[int, int], ...]
    shared_groups: Mapping[str, tuple[int, int]]
    in_shared_groups: int
    empty_outputs: tuple[int, ...]
    chat_errors: Mapping[int, str]
    long_rows: Mapping[int, int]
    labels: Labels

    @property
    def conflicts(self) -> int:
        """Return the number of rows with the input of an earlier row and another output."""
        return len(self.conflict_rows)

    @property
    def leaked(self) -> int:
        """Return the number of test examples whose input is in the training set."""
        return len({row for row, _ in self.leaked_rows})

    @property
    def leaked_near(self) -> int:
        """Return the number of test examples with a near duplicate in the training set."""
        return len({row for row, _ in self.leaked_near_rows})

    @property
    def distinct(self) -> int:
        """Return the number of usable rows without near duplicates of earlier ones."""
        return self.usable - len(self.near_rows)


def audit_training_set(training: DataSet, test: DataSet, *, max_tokens: int | None = None) -> TrainingAudit:
    """Audit a training set against a test set. The time is linear in the characters of both.

    ``max_tokens`` limits the estimated tokens of a row; None: no limit.
    """
    outputs, test_outputs = outputs_of(training), outputs_of(test)
    inputs = [example.input for example in training]
    counts = count_exact(training, test, outputs)
    labels = compare_labels(outputs, test_outputs)
    filled = sorted((*counts.usable_rows, *(row for row, _ in counts.repeats)))
    wordings = {row: Wording.of(counts.compared[row], outputs[row]) for row in filled}
    near = _near(counts, wordings, test_outputs)
    groups, trained = _first_rows(test), _first_rows(training)
    shared = {name: (row, trained[name]) for name, row in groups.items() if name in trained}
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
        test_near_rows=near.in_test,
        shared_groups=shared,
        in_shared_groups=sum(example.group in shared for example in test),
        empty_outputs=tuple(row for row, output in enumerate(outputs) if not output),
        chat_errors=chat_errors(inputs),
        long_rows=long_rows(training, outputs, max_tokens) if max_tokens is not None else {},
        labels=labels,
    )


def row_pairs(data: DataSet, others: DataSet, pairs: Iterable[tuple[int, int]]) -> tuple[RowPair, ...]:
    """Return pairs of rows of two sets as reports show them."""

    def shown(rows: DataSet, row: int) -> tuple[str, str]:
        return str(rows.where(row)), readable(shown_input(rows.examples[row]), _SHOWN)

    return tuple(RowPair(*shown(data, row), *shown(others, other)) for row, other in pairs)


def _near(counts: ExactCounts, training: Mapping[int, Wording], test_outputs: list[str]) -> NearCopies:
    """Return near duplicates as rows of the sets; exact repeats and exact leaks are not near duplicates."""
    wordings = map(Wording.of, counts.compared_in_test, test_outputs)
    found, rows = near_copies(list(training.values()), list(wordings)), list(training)
    repeated = {row for row, _ in counts.repeats}
    leaked_in_test, leaked = {row for row, _ in counts.leaked}, {row for _, row in counts.leaked}
    across = ((row, rows[near]) for row, near in found.across)
    return NearCopies(
        tuple((rows[one], rows[first]) for one, first in found.within if rows[one] not in repeated),
        tuple((row, near) for row, near in across if row not in leaked_in_test or near not in leaked),
        tuple(sorted({*found.in_test, *copies_but_for_ids(counts.compared_in_test, test_outputs)})),
    )


def _first_rows(data: DataSet) -> dict[str, int]:
    return {example.group: row for row, example in reversed(list(enumerate(data))) if example.group is not None}
