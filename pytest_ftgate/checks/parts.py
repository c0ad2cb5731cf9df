"""What else must not get worse: guards, which are other test sets, and slices, the parts of the test set by a field."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from pytest_ftgate import errors, result, text
from pytest_ftgate.checks.audit import check_test_set, grouped_by_content, leaked_rows
from pytest_ftgate.config import GateKeys, GuardKeys, SliceKeys, Source
from pytest_ftgate.data import DataSet, expected_text
from pytest_ftgate.metrics import Metric, build_metric, judged
from pytest_ftgate.metrics.labels import distinct_outputs
from pytest_ftgate.statistics.groups import MIN_GROUPS, group_counts
from pytest_ftgate.statistics.planning import MOST_EXAMPLES, corrected_confidence, fewest_examples

NONE = "(none)"
"""The value of a field that is absent."""
_LEAST_DROP = 1e-12


class Tolerance(NamedTuple):
    """Hold the limit of a drop and the evidence for it.

    Attributes:
        max_drop: how much worse than the baseline the candidate may be, in the metric's unit.
        confidence: one-sided, and corrected where several drops are judged at once.
        proven: the lower bound of the gain must be within the limit. Otherwise a measured drop
            beyond the limit fails only where the upper bound is below 0.
        alone: the confidence before that correction.
    """

    max_drop: float
    confidence: float
    proven: bool
    alone: float | None = None


def margin_of(tolerance: Tolerance) -> float:
    """Return the margin of a drop; a test that rules one out needs a margin below 0, also for ``max_drop: 0``."""
    return -max(tolerance.max_drop, _LEAST_DROP)


class Size(NamedTuple):
    """Hold how many examples, or groups of them, there are, and how many are needed to pass.

    Groups of different sizes count as fewer. ``unit`` is "example" or "group".
    """

    have: int
    needed: int
    unit: str


def check_possible(metric: Metric, key: str, gain: float, source: Source) -> None:
    """Raise :class:`ConfigError` for a margin or ``max_drop`` as large as no gain or drop can be: 3 for 3 points."""
    width, percent = metric.high - metric.low, gain / 100
    if gain >= width:
        what = f"{key} {gain:g} ({source}) is impossible: {metric.name} is between {metric.low:g} and {metric.high:g}"
        cure = (
            f"Did you mean {percent:g}?"
            if percent < width
            else f"Write {key} in the metric's unit."
        )
        raise errors.ConfigError(what, where=errors.Where(source.place or None), cure=cure)


def size_of(metric: Metric, groups: Sequence[str | None], tolerance: Tolerance) -> Size:
    """Return the number of examples or groups, and how many the tolerance needs.

    See :func:`~pytest_ftgate.statistics.fewest_examples`.
    """
    grouped = group_counts(groups, len(groups))
    exact = metric.kind == "right_wrong" and grouped is None
    width = 1.0 if metric.kind == "set" else metric.high - metric.low
    asked: dict[str, Any] = {
        "confidence": tolerance.confidence,
        "proven": tolerance.proven,
        "exact": exact,
    }
    needed = fewest_examples(tolerance.max_drop / width, **asked) or MOST_EXAMPLES
    return (
        Size(grouped[1], max(needed, MIN_GROUPS), "group")
        if grouped
        else Size(len(groups), needed, "example")
    )


@dataclass(frozen=True)
class Guard:
    """Hold a guard before any model is called.

    Attributes:
        metric: its metric, built for its labels.
        leaked_rows: examples that are in the training set: row of the guard, row of the training
            set.
    """

    name: str
    spec: GuardKeys
    test: DataSet
    metric: Metric
    tolerance: Tolerance
    leaked_rows: tuple[tuple[int, int], ...]

    @property
    def path(self) -> str:
        """Return the path of its keys in the gate, which is also the name of its check."""
        return f"guards.{self.name}"

    def check(self, status: result.Status, message: str, **fields: Any) -> result.Check:
        """Return a check of the guard; its name says which guard, and its source where its test set is written."""
        return result.Check(
            self.path, status, message, **{"source": str(self.spec.sources["test_set"]), **fields}
        )

    def at(self, confidence: float) -> "Guard":
        """Return the guard at the confidence of another attempt."""
        return replace(self, tolerance=self.tolerance._replace(confidence=confidence))

    @property
    def facts(self) -> result.PartResult:
        """Return the facts that are known before it is measured."""
        test_set = result.TestSetResult(self.test.path, self.test.sha256, len(self.test))
        known: dict[str, Any] = {
            "test_set": test_set,
            "metric_range": (self.metric.low, self.metric.high),
        }
        return result.PartResult(
            self.name, self.metric.name, self.spec.max_drop, self.tolerance.confidence, **known
        )


@dataclass(frozen=True)
class Slice:
    """Hold the examples with one value of one field.

    Attributes:
        rows: their indices in the test set.
        metric: the deciding metric, built for their labels if it is an average over labels.
        note: why the slice is not judged; None where it is.
        is_small: whether it is not judged because it has too few examples.
    """

    field: str
    value: str
    rows: tuple[int, ...]
    metric: Metric
    note: str | None = None
    is_small: bool = False

    def __str__(self) -> str:
        return (
            f"{text.printable(self.field, text.EXCERPT)}={text.printable(self.value, text.EXCERPT)}"
        )


class Parts(NamedTuple):
    """Hold all that must not get worse beside the test set as a whole.

    Attributes:
        others: the guards, which have test sets of their own.
        slices: of the test set, in the order of fields and values.
        tolerance: the limit of the slices; its confidence is corrected for the number of those that
            are judged.
    """

    others: tuple[Guard, ...] = ()
    slices: tuple[Slice, ...] = ()
    tolerance: Tolerance | None = None

    def at(self, confidence: float) -> "Parts":
        """Return the parts with the guards at the confidence of an attempt.

        Slices keep that of the gate: where a significant loss fails, a higher confidence would be
        looser.
        """
        return self._replace(others=tuple(guard.at(confidence) for guard in self.others))


def prepare_parts(
    config: GateKeys,
    load: Callable[[Any, str], DataSet],
    data: tuple[DataSet, DataSet],
    metric: Metric,
    custom: Callable[[], Mapping[str, Any]],
) -> Parts:
    """Read and check the test set of each guard, and divide the test set into slices.

    Args:
        load: reads a data source, given with its origin.
        data: the test set and the training set.
        metric: the deciding metric.
        custom: returns the metrics of hooks by name.

    Raises:
        FtgateError: a test set, a metric, a field or a ``max_drop`` cannot be used.
    """
    test, training = data
    build = partial(build_metric, custom=custom() if config.guards or config.slices else {})
    guards = tuple(_guard(config, name, load, training, build) for name in config.guards)
    if (spec := config.slices) is None:
        return Parts(guards)
    check_possible(metric, "max_drop", spec.max_drop, spec.sources["max_drop"])
    build = partial(build, known=distinct_outputs(test, training))
    slices = [_judgeable(part, config, test, build) for part in _by_value(spec, test, metric)]
    tolerance = _slice_tolerance(config, spec, test, slices)
    return Parts(guards, tuple(_without_small(slices, test, tolerance)), tolerance)


def _slice_tolerance(
    config: GateKeys, spec: SliceKeys, test: DataSet, slices: Sequence[Slice]
) -> Tolerance:
    """Return the limit of the slices, corrected for the number of those that can fail at this limit.

    Every slice is compared with every baseline. A slice that is too small to fail even where all is
    lost raises no false alarm, and does not count.

    Source: R. E. Tarone, Biometrics 46 (1990) 515-522.
    """
    number = 0
    can_fail = 1
    while number < can_fail:
        number += 1
        confidence = corrected_confidence(config.confidence, number * len(config.baselines))
        tolerance = Tolerance(spec.max_drop, confidence, proven=False, alone=config.confidence)
        judged = _without_small(slices, test, tolerance)
        can_fail = sum(part.note is None for part in judged)
    return tolerance


def _without_small(slices: Iterable[Slice], test: DataSet, tolerance: Tolerance) -> list[Slice]:
    """Return the slices, with a note on those that have too few examples to fail."""
    noted = []
    for part in slices:
        groups = [test.examples[row].group for row in part.rows]
        have, needed, unit = size_of(part.metric, groups, tolerance)
        if part.note is None and have < needed:
            note = f"too few {unit}s ({have:,} of {needed:,} required)"
            part = replace(part, note=note, is_small=True)
        noted.append(part)
    return noted


def _guard(
    config: GateKeys,
    name: str,
    load: Callable[..., DataSet],
    training: DataSet,
    build: Callable[..., Metric],
) -> Guard:
    spec = config.guards[name]
    place = spec.sources["test_set"].at
    test = load(spec.test_set, place, name=f"guards.{name}.test_set")
    check_test_set(test)
    labels, known = distinct_outputs(test), distinct_outputs(training)
    try:
        metric = build(spec.metric, labels=labels, known=known, examples=test.examples)
        judged.refuse_judged(metric, "the metric of a guard", source=str(spec.sources["metric"]))
        check_possible(metric, "max_drop", spec.max_drop, spec.sources["max_drop"])
    except errors.ConfigError as error:
        raise errors.ConfigError(
            f"guard {text.printable(name, text.EXCERPT)}: {error.what}", **error.parts()
        ) from error
    tolerance = Tolerance(spec.max_drop, config.confidence, proven=True)
    return Guard(
        name, spec, grouped_by_content(test), metric, tolerance, leaked_rows(training, test)
    )


def _by_value(spec: SliceKeys, test: DataSet, metric: Metric) -> Iterator[Slice]:
    """Yield a slice for each value of each field; refuse a field that no example has."""
    known = {field: None for example in test.examples for field in example.fields}
    for name in spec.fields:
        if name not in known:
            what = (
                f"no example of the test set has the field {text.printable(name, text.EXCERPT)!r}"
            )
            evidence, near = (
                f"the fields of the test set are: {text.listed(known)}",
                text.nearest(name, known),
            )
            where, cure = (
                spec.sources["fields"].where("slices.fields"),
                f"Did you mean {near!r}?" if near else None,
            )
            raise errors.ConfigError(what, where=where, evidence=evidence, cure=cure)
        rows: dict[str, list[int]] = {}
        for row, example in enumerate(test.examples):
            value = example.fields.get(name)
            rows.setdefault(NONE if value is None else expected_text(value), []).append(row)
        yield from (Slice(name, value, tuple(places), metric) for value, places in rows.items())


def _judgeable(one: Slice, config: GateKeys, test: DataSet, build: Callable[..., Metric]) -> Slice:
    """Return a slice with the metric for its labels, or with the reason why it is not judged.

    An average over labels is one over the slice's own labels only, since others would score 0.
    """
    if one.metric.label_set is None or one.metric.kind != "set":
        return one
    labels, spec = (
        sorted({expected_text(test.examples[row].expected) for row in one.rows}),
        config.decided_by,
    )
    code, written = one.metric.label_set.code, spec.options.get("labels")
    if written is not None:
        codes = {code(one.metric.label_set.label_of(label)) for label in labels}
        written = [label for label in written if code(expected_text(label)) in codes]
        spec = replace(spec, options={**spec.options, "labels": written})
    try:
        if written == []:
            raise errors.ConfigError("it has none of the labels that the metric averages over")
        return replace(one, metric=build(spec, labels=labels))
    except errors.ConfigError as error:  # known before any call, such as a missing label
        return replace(one, note=f"cannot be judged by {one.metric.name}: {error.what}")
