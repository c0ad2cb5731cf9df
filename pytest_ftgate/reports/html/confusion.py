"""Which labels are answered where others are expected: matrices for a few labels, pairs for many."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ftgate.reports.table import Table, columns
from pytest_ftgate.runs.answer_rows import Answers
from pytest_ftgate.runs.mistakes import NO_LABEL
from pytest_ftgate.text import show_count

MOST_LABELS = 30
"""A matrix of more cannot be read."""

_PAIRS_BESIDE = 10
_PAIRS_ALONE = 30
_STEPS = 5

Cell = tuple[str, str]
"""What a cell says, and its class."""


@dataclass(frozen=True)
class Matrix:
    """Counts by expected label (rows) and answered label (columns), with a heading for each."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Confusions:
    """All matrices (none where there are too many labels), and the pairs that are mixed up most."""

    matrices: tuple[Matrix, ...]
    pairs: Table
    n_labels: int


def confusions(answers: Answers) -> Confusions | None:
    """Return ``None`` where the outputs are no labels."""
    if not answers.labels:
        return None
    few = len(answers.labels) <= MOST_LABELS
    matrices = [_matrix(answers, "Baseline", (1, 0))] if few else []
    if few and answers.candidate is not None:
        matrices += [_matrix(answers, "Candidate", (0, 1)), _matrix(answers, "Difference", (-1, 1))]
    return Confusions(tuple(matrices), _pairs(answers, _PAIRS_BESIDE if few else _PAIRS_ALONE), len(answers.labels))


def _pairs(answers: Answers, most: int) -> Table:
    names = (*answers.labels, NO_LABEL)
    wrong = sorted((one for one in answers.confusions if one[0] != one[1]), key=lambda one: (-max(one[2:]), one))
    rows = [
        (names[expected], names[answered], show_count(old), show_count(new), f"{new - old:+,}")
        for expected, answered, old, new in wrong[:most]
    ]
    headings = columns(("expected", "answered"), ("baseline", "candidate", "change"))
    table = Table(f"Mixed up most ({len(rows)} of {len(wrong):,} pairs)", headings, tuple(rows))
    return table if answers.candidate is not None else table.only((0, 1, 2))


def _matrix(answers: Answers, title: str, weights: tuple[int, int]) -> Matrix:
    """So much of the baseline's counts and the candidate's; a column for what is no label only where there is some.

    The colour goes by the share of all answers that the row has, of the baseline in a difference.
    """
    size = len(answers.labels)
    width = size + any(answered == size for _, answered, _, _ in answers.confusions)
    counts, totals = [[0] * width for _ in range(size)], [0] * size
    for row, column, old, new in answers.confusions:
        counts[row][column] += weights[0] * old + weights[1] * new
        totals[row] += old if weights[0] else new
    rows = tuple(
        (label, tuple(_cell(count, totals[row], right=row == column, signed=weights[0] < 0)
                      for column, count in enumerate(counts[row])))
        for row, label in enumerate(answers.labels)
    )  # fmt: skip
    return Matrix(title, (*answers.labels, NO_LABEL)[:width], rows)


def _cell(count: int, total: int, *, right: bool, signed: bool) -> Cell:
    """More right answers and fewer wrong ones are better; little is seen, too."""
    if not count:
        return "", "diagonal" if right else ""
    kind = "good" if (count > 0) == right else "bad"
    step = min(_STEPS, 1 + int(abs(count) / (total or 1) * _STEPS))
    return f"{count:+,}" if signed else f"{count:,}", f"{kind}{step}{' diagonal' * right}"
