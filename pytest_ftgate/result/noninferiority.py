"""What the candidate must not have lost: other test sets, parts of this one, and label by label."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_ftgate.result.check import Status
from pytest_ftgate.result.data import TestSetResult


@dataclass(frozen=True, slots=True)
class GuardResult:
    """Another test set: ``baseline`` and ``candidate`` are values of its metric, ``against`` the baseline's role.

    ``gain`` and its bounds are as in :class:`GateResult`. ``verdict`` may also be ``warning``; None: not judged.
    """

    name: str
    metric: str
    max_drop: float
    evidence: str
    confidence: float
    against: str | None = None
    baseline: float | None = None
    candidate: float | None = None
    gain: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    method: str | None = None
    n: int | None = None
    wins: int | None = None
    losses: int | None = None
    examples_needed: int | None = None
    note: str | None = None
    verdict: Status | None = None
    test_set: TestSetResult = field(default_factory=TestSetResult)
    metric_range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class SliceResult:
    """The examples of the test set with one value of one field, by the deciding metric.

    ``confidence`` is that of the bounds, corrected for the number of slices. ``note`` says why a slice was not judged:
    its ``verdict`` is then None.
    """

    field: str
    value: str
    n: int
    baseline: float | None = None
    candidate: float | None = None
    gain: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    confidence: float | None = None
    wins: int | None = None
    losses: int | None = None
    note: str | None = None
    verdict: Status | None = None


@dataclass(frozen=True, slots=True)
class LabelResult:
    """The examples that expect one label: how many of their answers are right (recall), and the change."""

    label: str
    n: int
    baseline: float
    candidate: float
    change: float
