"""The answers of both models: confusion matrices, and examples side by side as HTML and as data for the script."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_ftgate.reports.html.evidence import Answers, Change, Reply, Row
from pytest_ftgate.reports.html.plots import Drawn, script_data
from pytest_ftgate.reports.sentences import FINISHES
from pytest_ftgate.reports.table import Table, columns
from pytest_ftgate.runs.mistakes import NO_LABEL
from pytest_ftgate.text import plural, show_count, show_seconds

_PLAIN_ROWS = 200
_PLAIN_OTHERS = 20
_ORDER: tuple[Change, ...] = ("broken", "fixed", "wrong", "right", "same")
_WORDS = ("broken", "fixed", "both wrong", "both right", "the same")
_GRADED = ("worse", "better", "both poor", "both good", "the same")
_ALONE = ("broken", "fixed", "wrong", "right", "the same")
_LEGEND = " Fixed: only the candidate got it right. Broken: only the baseline got it right."
_GRADED_LEGEND = " Better and worse: the candidate scores higher or lower than the baseline."


@dataclass(frozen=True)
class Examples:
    """The examples of one gate, those that changed first."""

    answers: Answers

    @property
    def alone(self) -> bool:
        """Return whether there is no candidate."""
        return self.answers.candidate is None

    @cached_property
    def rows(self) -> Sequence[Row]:
        """Return the broken examples, then the fixed ones, then the others."""
        return sorted(self.answers.rows, key=lambda row: _ORDER.index(row.change))

    @cached_property
    def expected(self) -> bool:
        """Return whether any example has an expected output, and so the table its column."""
        return any(row.expected for row in self.answers.rows)

    @property
    def words(self) -> Mapping[Change, str]:
        """Return the name of each change."""
        words = _ALONE if self.alone else _GRADED if self.answers.graded else _WORDS
        return dict(zip(_ORDER, words, strict=True))

    @property
    def legend(self) -> str:
        """Return what the names of changes mean; empty without a candidate."""
        return "" if self.alone else _GRADED_LEGEND if self.answers.graded else _LEGEND

    @cached_property
    def counts(self) -> Mapping[Change, int]:
        """Return the number of examples of each change that occurs."""
        found = Counter(row.change for row in self.answers.rows)
        return {change: found[change] for change in _ORDER if found[change]}

    @property
    def plain(self) -> Sequence[Row]:
        """Return the rows that are shown without a script: broken and fixed ones, up to a limit."""
        changed = self.counts.get("broken", 0) + self.counts.get("fixed", 0)
        return self.rows[: min(changed, _PLAIN_ROWS) or _PLAIN_OTHERS]

    @property
    def data(self) -> Drawn:
        """Return all rows as JSON for a ``<script>``: as short lists, since there may be many, and without ``<``."""
        rows = []
        for row in self.rows:
            candidate = None if row.candidate is None else self.reply(row.candidate)
            expected = row.expected if self.expected else None
            rows.append([row.id, row.input, expected, row.change, self.reply(row.baseline), candidate])
        return script_data(json.dumps(rows, separators=(",", ":"), allow_nan=False))

    def reply(self, reply: Reply) -> tuple[str, str, str, str]:
        """Return an answer, ``right``, ``wrong`` or ``open``, remarks on it, and its reasoning."""
        mark = "open" if reply.right is None else "right" if reply.right else "wrong"
        remarks = [] if mark == "open" else [mark]
        remarks += [f"score {reply.score:.3g}"] if self.answers.graded or self.answers.repeats > 1 else []
        remarks += [FINISHES[reply.finish]] if reply.finish in FINISHES else []
        remarks += [show_seconds(reply.latency_s)] if reply.latency_s is not None else []
        remarks += [plural(reply.output_tokens, "token")] if reply.output_tokens is not None else []
        remarks += [reply.why] if reply.why is not None and mark != "right" else []
        return reply.text.strip() or "(empty)", mark, " · ".join(remarks), reply.reasoning or ""


MOST_LABELS = 30
"""The most labels of which a matrix is drawn."""

_PAIRS_BESIDE = 10
_PAIRS_ALONE = 30
_STEPS = 5

Cell = tuple[str, str]
"""The text of a cell, and its class."""


@dataclass(frozen=True)
class Matrix:
    """Counts by expected label (rows) and answered label (columns), with a heading for each."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Confusions:
    """All matrices (none beyond :data:`MOST_LABELS`), and the pairs of labels that are confused most often."""

    matrices: tuple[Matrix, ...]
    pairs: Table
    n_labels: int


def confusions(answers: Answers) -> Confusions | None:
    """Return the confusions of both models; ``None`` where the outputs are not labels."""
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
    table = Table(f"Most frequent confusions ({len(rows)} of {len(wrong):,} pairs)", headings, tuple(rows))
    return table if answers.candidate is not None else table.only((0, 1, 2))


def _matrix(answers: Answers, title: str, weights: tuple[int, int]) -> Matrix:
    """Return a matrix of the counts of baseline and candidate, each times its weight.

    Answers that are not a label have a column where there are any. A cell's colour shows its share of the answers in
    its row, those of the baseline in a difference.
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
    """Return a cell: more right answers and fewer wrong ones are good; the smallest count is coloured, too."""
    if not count:
        return "", "diagonal" if right else ""
    kind = "good" if (count > 0) == right else "bad"
    step = min(_STEPS, 1 + int(abs(count) / (total or 1) * _STEPS))
    return f"{count:+,}" if signed else f"{count:,}", f"{kind}{step}{' diagonal' * right}"
