"""Which labels are answered where others are expected: matrices for a few labels, pairs for many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pytest_ftgate.runs.answer_rows import Answers
from pytest_ftgate.runs.mistakes import NO_LABEL

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

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Pair:
    """Two labels that are mixed up."""

    expected: str
    answered: str
    baseline: int
    candidate: int


@dataclass(frozen=True)
class Confusions:
    """All matrices (none where there are too many labels), and the pairs that are mixed up most."""

    matrices: tuple[Matrix, ...]
    pairs: tuple[Pair, ...]
    n_pairs: int
    n_labels: int


def confusions(answers: Answers) -> Confusions | None:
    """``None`` where the outputs are no labels."""
    if not answers.labels:
        return None
    names = (*answers.labels, NO_LABEL)
    wrong = [one for one in answers.confusions if one[0] != one[1]]
    wrong.sort(key=lambda one: (-max(one[2:]), one))
    few = len(answers.labels) <= MOST_LABELS
    shown = wrong[: _PAIRS_BESIDE if few else _PAIRS_ALONE]
    return Confusions(
        matrices=tuple(_matrices(answers)) if few else (),
        pairs=tuple(Pair(names[row], names[column], old, new) for row, column, old, new in shown),
        n_pairs=len(wrong),
        n_labels=len(answers.labels),
    )


def _matrices(answers: Answers) -> Iterator[Matrix]:
    yield _matrix(answers, "Baseline", "baseline", _counted)
    if answers.candidate is not None:
        yield _matrix(answers, "Candidate", "candidate", _counted)
        yield _matrix(answers, "Difference", "difference", _changed)


def _matrix(
    answers: Answers,
    caption: str,
    what: Literal["baseline", "candidate", "difference"],
    cell: Callable[[int, float, bool], Cell],
) -> Matrix:
    """Coloured by the share of a row; a column for what is no label only where there is some."""
    size = len(answers.labels)
    used = max((one[1] for one in answers.confusions), default=0)
    width = size + 1 if used == size else size
    counts = [[0] * width for _ in range(size)]
    totals = [0] * size
    for row, column, old, new in answers.confusions:
        counts[row][column] += {"baseline": old, "candidate": new, "difference": new - old}[what]
        totals[row] += new if what == "candidate" else old
    rows = tuple(
        (label, tuple(cell(count, count / (totals[row] or 1), row == column)
                      for column, count in enumerate(counts[row])))
        for row, label in enumerate(answers.labels)
    )  # fmt: skip
    return Matrix(caption, (*answers.labels, NO_LABEL)[:width], rows)


def _counted(count: int, share: float, diagonal: bool) -> Cell:
    if not count:
        return "", "diagonal" if diagonal else ""
    kind = "good" if diagonal else "bad"
    return f"{count:,}", f"{kind}{_step(share)}{' diagonal' * diagonal}"


def _changed(count: int, share: float, diagonal: bool) -> Cell:
    """More right answers and fewer wrong ones are better."""
    if not count:
        return "", "diagonal" if diagonal else ""
    kind = "good" if (count > 0) == diagonal else "bad"
    return f"{count:+,}", f"{kind}{_step(abs(share))}{' diagonal' * diagonal}"


def _step(share: float) -> int:
    """1 to 5; little is seen, too."""
    return min(_STEPS, 1 + int(share * _STEPS))
