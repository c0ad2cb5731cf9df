"""Read the test sets of guards, and divide the test set into slices."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pytest_ftgate import errors, text
from pytest_ftgate.checks.audit import check_test_set, grouped_by_content, leaked_rows
from pytest_ftgate.checks.parts import Guard, Parts, Slice, Tolerance, size_of
from pytest_ftgate.config import GateKeys, MetricSpec, SliceKeys
from pytest_ftgate.data import DataSet, expected_text
from pytest_ftgate.gate.ranges import check_possible
from pytest_ftgate.metrics import Metric, build_metric, judged
from pytest_ftgate.metrics.labels import distinct_outputs, refuse_unrepeated
from pytest_ftgate.statistics.planning import corrected_confidence

_NONE = "(none)"
"""The value of a field that is absent."""


def read_parts(
    config: GateKeys,
    load: Callable[..., DataSet],
    test: DataSet,
    training: DataSet,
    metric: Metric,
    custom: Mapping[str, Any],
) -> Parts:
    """Read and check the test set of each guard, and divide the test set into slices.

    Args:
        load: reads a data source, given with its origin.
        test: the test set.
        training: the training set.
        metric: the deciding metric.
        custom: the metrics of hooks by name.

    Raises:
        FtgateError: a test set, a metric, a field or a ``max_drop`` cannot be used.
    """
    guards = tuple(_read_guard(config, name, load, training, custom) for name in config.guards)
    spec = config.slices
    if spec is None:
        return Parts(guards)

    check_possible(metric, "max_drop", spec.max_drop, spec.sources["max_drop"])
    # A slice may lack labels that the training set has.
    build = partial(build_metric, known=distinct_outputs(test, training), custom=custom)
    slices = []
    for field in spec.fields:
        for value, rows in _rows_by_value(spec, field, test).items():
            slice_ = Slice(field, value=value, rows=tuple(rows), metric=metric)
            slices.append(_with_own_metric(slice_, config.decided_by, test, build))

    tolerance = _slice_tolerance(config, spec, test, slices)
    return Parts(guards, tuple(_without_small(slices, test, tolerance)), tolerance)


def _read_guard(
    config: GateKeys,
    name: str,
    load: Callable[..., DataSet],
    training: DataSet,
    custom: Mapping[str, Any],
) -> Guard:
    spec = config.guards[name]
    place = spec.sources["test_set"].at
    test = load(spec.test_set, place, name=f"guards.{name}.test_set")
    check_test_set(test)
    try:
        metric = build_metric(
            spec.metric,
            labels=distinct_outputs(test),
            known=distinct_outputs(training),
            custom=custom,
            examples=test.examples,
        )
        if metric.label_set is not None:
            refuse_unrepeated(metric.label_set, spec.metric, test, training)
        judged.refuse_judged(metric, "the metric of a guard", source=str(spec.sources["metric"]))
        check_possible(metric, "max_drop", spec.max_drop, spec.sources["max_drop"])
    except errors.ConfigError as error:
        message = f"guard {text.printable(name, text.EXCERPT)}: {error.what}"
        raise errors.ConfigError(message, **error.parts()) from error

    tolerance = Tolerance(spec.max_drop, config.confidence)
    leaked = leaked_rows(training, test)
    return Guard(
        name,
        spec=spec,
        test=grouped_by_content(test),
        metric=metric,
        tolerance=tolerance,
        leaked_rows=leaked,
    )


# --- slices ---------------------------------------------------------------------------------------


def _rows_by_value(spec: SliceKeys, field: str, test: DataSet) -> dict[str, list[int]]:
    """Return the rows with each value of a field.

    Raises:
        ConfigError: no example has the field.
    """
    fields: dict[str, None] = {}
    rows: dict[str, list[int]] = {}
    for row, example in enumerate(test):
        fields.update(dict.fromkeys(example.fields))
        value = example.fields.get(field)
        name = _NONE if value is None else expected_text(value)
        rows.setdefault(name, []).append(row)

    if field not in fields:
        near = text.nearest(field, fields)
        raise errors.ConfigError(
            f"no example of the test set has the field {text.printable(field, text.EXCERPT)!r}",
            where=spec.sources["fields"].where("slices.fields"),
            evidence=f"the fields of the test set are: {text.listed(fields)}",
            cure=f"Did you mean {near!r}?"
            if near
            else f"Add {field} to the rows of the test set, or remove it from slices.",
        )
    return rows


def _with_own_metric(
    slice_: Slice, spec: MetricSpec, test: DataSet, build: Callable[..., Metric]
) -> Slice:
    """Return a slice with the metric for its labels, or with the reason why it is not judged.

    An average over labels is one over the slice's own labels only, since others would score 0.
    """
    metric = slice_.metric
    if metric.label_set is None or metric.kind != "set":
        return slice_

    labels = sorted({expected_text(test.examples[row].expected) for row in slice_.rows})
    averaged = spec.options.get("labels")
    if averaged is not None:
        # The labels may be written in another case than in the data.
        code = metric.label_set.code
        codes = {code(metric.label_set.label_of(label)) for label in labels}
        averaged = [label for label in averaged if code(expected_text(label)) in codes]
        spec = replace(spec, options={**spec.options, "labels": averaged})
    try:
        if averaged == []:
            raise errors.ConfigError("it has none of the labels that the metric averages over")
        return replace(slice_, metric=build(spec, labels=labels))
    except errors.ConfigError as error:  # known before any call, such as a missing label
        return replace(slice_, note=f"cannot be judged by {metric.name}: {error.what}")


def _slice_tolerance(
    config: GateKeys, spec: SliceKeys, test: DataSet, slices: Sequence[Slice]
) -> Tolerance:
    """Return the limit of the slices, corrected for the number of those that can fail.

    Every slice is compared with every baseline. A slice that is too small to fail even where all is
    lost raises no false alarm, and does not count.

    Source: R. E. Tarone, Biometrics 46 (1990) 515-522.
    """
    number = 0
    can_fail = 1
    while number < can_fail:
        # The more slices count, the stricter the level, and the fewer of them can fail at it.
        number += 1
        confidence = corrected_confidence(config.confidence, number * len(config.baselines))
        tolerance = Tolerance(spec.max_drop, confidence, proven=False)
        judged_slices = _without_small(slices, test, tolerance)
        can_fail = sum(slice_.note is None for slice_ in judged_slices)
    return tolerance


def _without_small(slices: Iterable[Slice], test: DataSet, tolerance: Tolerance) -> list[Slice]:
    """Return the slices, with a note on those that have too few examples to fail."""
    noted = []
    for slice_ in slices:
        groups = [test.examples[row].group for row in slice_.rows]
        size = size_of(slice_.metric, groups, tolerance)
        if slice_.note is None and size.have < size.needed:
            note = f"too few {size.unit}s ({size.have:,} of {size.needed:,} required)"
            slice_ = replace(slice_, note=note)
        noted.append(slice_)
    return noted
