"""What else must not get worse: guards (other test sets) and slices (parts of the test set)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pytest_ftgate.config import GuardKeys
from pytest_ftgate.data import DataSet
from pytest_ftgate.metrics import Metric
from pytest_ftgate.result import Check, PartResult, Status, TestSetResult
from pytest_ftgate.statistics.groups import MIN_GROUPS, group_counts
from pytest_ftgate.statistics.planning import MOST_EXAMPLES, fewest_examples
from pytest_ftgate.text import EXCERPT, printable

_LEAST_DROP = 1e-12


class Tolerance(NamedTuple):
    """Hold the limit of a drop and the evidence for it.

    Attributes:
        max_drop: how much worse than the baseline the candidate may be, in the metric's unit.
        confidence: one-sided, and corrected where several drops are judged at once.
        proven: the lower bound of the gain must be within the limit. Otherwise, as for slices, a
            measured drop beyond the limit fails only where the upper bound is below 0.
    """

    max_drop: float
    confidence: float
    proven: bool = True


def margin_of(tolerance: Tolerance) -> float:
    """Return the margin of a drop: below 0, also for ``max_drop: 0``, as a test needs it."""
    return -max(tolerance.max_drop, _LEAST_DROP)


class Size(NamedTuple):
    """Hold how many examples, or groups of them, there are, and how many are needed to pass.

    Groups of different sizes count as fewer. ``unit`` is "example" or "group".
    """

    have: int
    needed: int
    unit: str


def size_of(metric: Metric, groups: Sequence[str | None], tolerance: Tolerance) -> Size:
    """Return the number of examples or groups, and how many the tolerance needs.

    See :func:`~pytest_ftgate.statistics.fewest_examples`.
    """
    counts = group_counts(groups, len(groups))
    # A drop is a share of what the metric can lose on one example.
    width = 1.0 if metric.kind == "set" else metric.high - metric.low
    needed = fewest_examples(
        tolerance.max_drop / width,
        confidence=tolerance.confidence,
        proven=tolerance.proven,
        exact=metric.kind == "right_wrong" and counts is None,
    )
    if needed is None:
        needed = MOST_EXAMPLES
    if counts is None:
        return Size(len(groups), needed, "example")
    return Size(counts[1], max(needed, MIN_GROUPS), "group")


@dataclass(frozen=True)
class Guard:
    """Hold a guard before any model is called.

    Attributes:
        metric: its metric, built for its labels.
        leaked_rows: the rows that are in the training set.
    """

    name: str
    spec: GuardKeys
    test: DataSet
    metric: Metric
    tolerance: Tolerance
    leaked_rows: Sequence[int]

    @property
    def path(self) -> str:
        """Return the path of its keys in the gate, which is also the name of its check."""
        return f"guards.{self.name}"

    def check(self, status: Status, message: str, **fields: Any) -> Check:
        """Return a check of the guard; its source is where its test set is written."""
        fields = {"source": str(self.spec.sources["test_set"]), **fields}
        return Check(self.path, status, message, **fields)

    def at(self, confidence: float) -> "Guard":
        """Return the guard at the confidence of another attempt."""
        return replace(self, tolerance=self.tolerance._replace(confidence=confidence))

    @property
    def facts(self) -> PartResult:
        """Return the facts that are known before both models are measured."""
        test_set = TestSetResult(self.test.path, self.test.sha256, len(self.test))
        return PartResult(
            self.name,
            metric=self.metric.name,
            max_drop=self.spec.max_drop,
            confidence=self.tolerance.confidence,
            test_set=test_set,
            metric_range=(self.metric.low, self.metric.high),
        )


@dataclass(frozen=True)
class Slice:
    """Hold the examples with one value of one field.

    Attributes:
        rows: their indices in the test set.
        metric: the deciding metric, built for their labels if it is an average over labels.
        note: why the slice is not judged; None where it is.
    """

    field: str
    value: str
    rows: tuple[int, ...]
    metric: Metric
    note: str | None = None

    def __str__(self) -> str:
        field = printable(self.field, EXCERPT)
        return f"{field}={printable(self.value, EXCERPT)}"


class Parts(NamedTuple):
    """Hold all that must not get worse beside the test set as a whole.

    Attributes:
        guards: other test sets.
        slices: of the test set, in the order of fields and values.
        tolerance: the limit of the slices; its confidence is corrected for the number of those that
            are judged.
    """

    guards: tuple[Guard, ...] = ()
    slices: tuple[Slice, ...] = ()
    tolerance: Tolerance | None = None

    def at(self, confidence: float) -> "Parts":
        """Return the parts with the guards at the confidence of an attempt.

        Slices keep that of the gate: where a significant loss fails, a higher confidence would be
        looser.
        """
        return self._replace(guards=tuple(guard.at(confidence) for guard in self.guards))
