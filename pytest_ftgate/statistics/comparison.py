"""The result of comparing two models on one metric, and the input of a metric of the whole set."""

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
    """Candidate minus baseline on the same examples. If lower is better, the caller swaps the two.

    Attributes:
        n: number of examples.
        gain: the measured gain, in the metric's unit.
        gain_exact: the gain as a fraction, if it is a ratio of counts.
        wins, losses, ties: examples that the candidate answers better, worse and equally well.
        method: name and source of the method.
        examples_needed: total number of examples that would show the required evidence with 80 % power if the real gain
            is the measured one, and with which the measured gain would reach the margin; None if no number would, or
            if nothing has to be shown.
        note: a remark on the bounds, such as the number of groups.
        with_one_lost: the evidence if one more group were lost whole; None without groups.
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
    with_one_lost: Evidence | None = None

    def facts(self) -> dict[str, Any]:
        """Return the values that reports show, by their names there."""
        names = ("gain", "lower", "upper", "method", "n", "wins", "losses", "examples_needed", "note")
        return {{"lower": "lower_bound", "upper": "upper_bound"}.get(name, name): getattr(self, name) for name in names}


@dataclass(frozen=True)
class LabelCounts:
    """The labels that a metric of the whole set needs, for one model.

    Attributes:
        gold: expected labels as codes 0..K-1, shape ``(n,)``.
        predicted: answered labels as codes 0..K, shape ``(repeats, n)``; K stands for an unknown label.
        n_labels: K.
        statistic: the metric as a function of stacked confusion matrices, ``(m, K + 1, K + 1) -> (m,)``; rows are
            expected labels (the last row is empty), columns are answered labels. Repeats are pooled.
        of_parts: whether the metric is a mean over labels, so that a rare label has the weight of a frequent one.
    """

    of_parts: ClassVar[bool] = True

    gold: Codes
    predicted: Codes
    n_labels: int
    statistic: Callable[[Floats], Floats]

    def __len__(self) -> int:
        return len(self.gold)


SetCounts: TypeAlias = LabelCounts | PooledCounts
"""The counts of a metric of the whole set."""


@dataclass(frozen=True)
class Question:
    """The requirement on a gain.

    Attributes:
        margin: in the metric's unit; negative: the candidate may be worse by at most this much.
        confidence: one-sided, in (0.5, 1).
        evidence: "observed", "significant" or "proven".
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
        """Return the significance level: the highest rate of false passes."""
        return level(self.confidence)

    @property
    def target(self) -> float | None:
        """Return the gain that the lower bound must reach; None for "observed"."""
        return {"observed": None, "significant": 0.0, "proven": self.margin}[self.evidence]
