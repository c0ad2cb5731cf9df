"""The result of comparing two models on one metric, and what a metric of the whole set has to bring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, TypeAlias

from pytest_ftgate.statistics.arrays import Codes, Floats
from pytest_ftgate.statistics.evidence import Evidence, level
from pytest_ftgate.statistics.pooled import PooledCounts


@dataclass(frozen=True, kw_only=True)
class Comparison(Evidence):
    """Candidate minus baseline on the same examples. Where lower is better, the caller swaps the two.

    Attributes:
        gain: measured, in the metric's unit; ``gain_exact`` as a fraction, where it is a count by a count.
        wins, losses, ties: examples that the candidate answers better, worse, equally well.
        method: by name, with its source.
        examples_needed: how many examples in all would do for the evidence asked for, 4 times out of 5, if the real
            gain is what was measured; None where no number would, or where nothing is to be shown.
        note: what a reader should know of the bounds, such as the number of groups.
    """

    n: int
    gain: float
    gain_exact: Fraction | None
    wins: int | None
    losses: int | None
    ties: int | None
    method: str
    examples_needed: int | None
    note: str | None

    def facts(self) -> dict[str, Any]:
        """Return what reports show of it, by their names."""
        names = ("gain", "lower", "upper", "method", "n", "wins", "losses", "examples_needed", "note")
        return {{"lower": "lower_bound", "upper": "upper_bound"}.get(name, name): getattr(self, name) for name in names}


@dataclass(frozen=True)
class LabelCounts:
    """Everything a metric of the whole set needs, for one model.

    Attributes:
        gold: expected labels as codes 0..K-1, shape ``(n,)``.
        predicted: answered labels as codes 0..K, shape ``(repeats, n)``; K stands for no known label.
        n_labels: K.
        statistic: the metric as a function of stacked confusion matrices, ``(m, K + 1, K + 1) -> (m,)``; rows are
            the expected labels (the last row is empty), columns the answered ones. Repeats are pooled.
        of_parts: a label may be rare, and weigh as much as all others.
    """

    of_parts: ClassVar[bool] = True

    gold: Codes
    predicted: Codes
    n_labels: int
    statistic: Callable[[Floats], Floats]

    def __len__(self) -> int:
        return len(self.gold)


SetCounts: TypeAlias = LabelCounts | PooledCounts
"""What a metric of the whole set may bring."""


@dataclass(frozen=True)
class Question:
    """What the gain is held to: the margin asked for, in the metric's unit, negative for "at most so much worse"; a
    one-sided confidence; and "observed", "significant" or "proven".
    """

    margin: float
    confidence: float
    evidence: str

    def __post_init__(self) -> None:
        level(self.confidence)
        if self.evidence not in ("observed", "significant", "proven"):
            raise ValueError(f"evidence must be observed, significant or proven, got {self.evidence!r}")

    @property
    def alpha(self) -> float:
        """The false-pass rate allowed."""
        return level(self.confidence)

    @property
    def target(self) -> float | None:
        """The gain that has to be proven; None where nothing has to be."""
        return {"observed": None, "significant": 0.0, "proven": self.margin}[self.evidence]
