"""The rules for slices: parts of the test set, by the value of a field, on which the candidate must not be worse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pytest_ftgate.checks import drop
from pytest_ftgate.checks.context import Context, Found
from pytest_ftgate.checks.drop import Tolerance
from pytest_ftgate.config import GateKeys, SliceKeys
from pytest_ftgate.data import DataSet, expected_text
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.metrics import Metric, Scored, build_metric
from pytest_ftgate.metrics.labels import distinct_outputs
from pytest_ftgate.result import Check, SliceResult, Status
from pytest_ftgate.runs.measure import Measured
from pytest_ftgate.statistics.planning import corrected_confidence
from pytest_ftgate.text import listed, nearest, plural, printable, show_difference, show_percent

NONE = "(none)"
"""The value of a field that is absent."""

MIN_EXAMPLES = 30
"""The fewest examples of a slice that is judged."""

MOST_SLICES = 200
"""The most slices in a report; the worst are kept."""

_NAMED = 5

_SHOWN = 40


@dataclass(frozen=True)
class Slice:
    """Hold the examples with one value of one field.

    Attributes:
        rows: their indices in the test set.
        metric: the deciding metric, built for their labels if it is an average over labels.
        note: why the slice is not judged; None where it is.
        few: whether that is because its examples are too few.
    """

    field: str
    value: str
    rows: tuple[int, ...]
    metric: Metric
    note: str | None = None
    few: bool = False

    def sized(self, size: drop.Size) -> Slice:
        """Return the slice, not judged where it is too small: it could never fail."""
        if size.enough:
            return self
        return replace(self, note=f"too few {size.unit}s ({size.have:,} of {size.needed:,} required)", few=True)

    def __str__(self) -> str:
        return f"{printable(self.field, _SHOWN)}={printable(self.value, _SHOWN)}"


@dataclass(frozen=True)
class Slices:
    """Hold the slices of a test set before any model is called, in the order of fields and values.

    Attributes:
        tolerance: the limit of each drop; its confidence is corrected for the number of judged slices.
    """

    tolerance: Tolerance
    slices: tuple[Slice, ...]

    @property
    def judged(self) -> list[Slice]:
        return [one for one in self.slices if one.note is None]


def prepare_slices(
    config: GateKeys, test: DataSet, training: DataSet, metric: Metric, custom: Callable[[], Mapping[str, Any]]
) -> Slices | None:
    """Divide the test set into slices, and find those that are large enough; None where the gate has no slices.

    ``custom`` returns the metrics of hooks by name.

    Raise :class:`ConfigError` if no example has one of the fields, or ``max_drop`` is impossible.
    """
    spec = config.slices
    if spec is None:
        return None
    drop.check_max_drop(metric, spec.max_drop, str(spec.sources["max_drop"]))
    build = partial(build_metric, custom=custom(), known=distinct_outputs(test, training))
    whole = (Slice(name, value, rows, metric) for name in spec.fields for value, rows in _by_value(name, test, spec))
    slices = [_with_metric(one, config, test, build) for one in whole]
    # Every slice is compared with every baseline, so the confidence is corrected (Bonferroni): false alarms stay rare.
    compared = sum(one.note is None for one in slices) * len(config.baselines)
    confidence = corrected_confidence(config.confidence, max(compared, 1))
    tolerance = Tolerance(spec.max_drop, confidence, proven=False, alone=config.confidence)

    def sized(one: Slice) -> Slice:
        groups = [test.examples[row].group for row in one.rows]
        return one if one.note else one.sized(drop.size_of(one.metric, groups, tolerance))

    return Slices(tolerance, tuple(map(sized, slices)))


def _by_value(name: str, test: DataSet, spec: SliceKeys) -> Iterable[tuple[str, tuple[int, ...]]]:
    """Return each value of a field with the rows that have it; refuse a field that no example has."""
    rows: dict[str, list[int]] = {}
    for row, example in enumerate(test.examples):
        value = example.fields.get(name)
        rows.setdefault(NONE if value is None else expected_text(value), []).append(row)
    known = {field: None for example in test.examples for field in example.fields}
    if name not in known:
        near = nearest(name, known)
        raise ConfigError(
            f"no example of the test set has the field {printable(name, _SHOWN)!r}",
            where=spec.sources["fields"].where("slices.fields"),
            evidence=f"the fields of the test set are: {listed(known)}",
            cure=f"Did you mean {near!r}?" if near else None,
        )
    return ((value, tuple(places)) for value, places in rows.items())


def _with_metric(one: Slice, config: GateKeys, test: DataSet, build: Callable[..., Metric]) -> Slice:
    """Return a slice with the metric for its labels, or with the reason why it is not judged.

    An average over labels is one over the slice's own labels only, since others would score 0.
    """
    few, label_set, spec = (
        one.sized(drop.Size(len(one.rows), MIN_EXAMPLES, "example")),
        one.metric.label_set,
        config.decided_by,
    )
    if few.note is not None or label_set is None or one.metric.kind != "set":
        return few
    labels = sorted({expected_text(test.examples[row].expected) for row in one.rows})
    if "labels" in spec.options:
        codes = {label_set.code(label_set.label_of(label)) for label in labels}
        kept = [label for label in spec.options["labels"] if label_set.code(expected_text(label)) in codes]
        spec = replace(spec, options={**spec.options, "labels": kept})
    try:
        if spec.options.get("labels") == []:
            raise ConfigError("it has none of the labels that the metric averages over")
        return replace(one, metric=build(spec, labels=labels))
    except ConfigError as error:  # known before any call, such as a missing label
        return replace(one, note=f"cannot be judged by {one.metric.name}: {error.what}")


def check_sizes(gate: Context) -> Iterator[Check]:
    """Check before any call which slices will not be judged."""
    slices = gate.slices
    left_out = [one for one in slices.slices if one.note is not None] if slices is not None else []
    if slices is None or not left_out:
        return
    counted = f"{plural(len(left_out), 'slice')} {'is' if len(left_out) == 1 else 'are'}"
    message = f"{counted} not judged: {_named(f'{one}: {one.note}' for one in left_out)}"
    advice = []
    if any(len(one.rows) < MIN_EXAMPLES for one in left_out):
        advice.append(f"Add examples until each has at least {MIN_EXAMPLES:,}.")
    if not all(one.few for one in left_out):
        advice.append("Use a metric that has a value on every slice, such as accuracy.")
    if not slices.judged:
        message = f"no slice is judged; {message}"
        advice.append("Check that the fields are the right ones.")
    status: Status = "note" if slices.judged and all(one.few for one in left_out) else "warning"
    source = gate.source("slices.fields")
    yield Check("slices", status, message, len(left_out), source=source, advice=" ".join(advice) or None)


def _named(texts: Iterable[str]) -> str:
    names = list(texts)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f", and {more:,} more" if more > 0 else "")


_OUTCOMES: tuple[tuple[Status, str, str | None], ...] = (
    ("fail", "dropped beyond the limit", "Add training examples like the broken ones in these slices."),
    ("warning", "dropped beyond the limit, perhaps by chance among many slices", "Add test examples of these slices."),
    ("pass", "show no significant drop beyond the limit", None),
)
"""What is said of the slices of each status, and what to do."""


def check(gate: Context) -> Found:
    """Judge each slice, the worst change first, and check the drops against the limit; one check for each status.

    Raise :class:`MetricError` if a metric is undefined for the answers on a slice.
    """
    if gate.slices is None:
        return Found({})
    results = [_judge(gate, gate.slices.tolerance, one) for one in gate.slices.slices]
    results.sort(key=lambda one: (one.gain is None, -(one.n or 0) if one.gain is None else one.gain))
    checks: list[Check] = []
    for status, outcome, advice in _OUTCOMES:
        rows = [one for one in results if one.verdict == status]
        if rows and (status != "pass" or not checks):
            checks.append(_check(gate, gate.slices, rows, status, outcome, advice))
    return Found({"slices": tuple(results[:MOST_SLICES])}, checks)


def _judge(gate: Context, tolerance: Tolerance, one: Slice) -> SliceResult:
    result = SliceResult(one.field, one.value, n=len(one.rows), note=one.note)
    if one.note is not None:
        return result
    scores = {role: _score(one, measured, gate.deciding.name) for role, measured in gate.scored.items()}
    candidate = scores.pop("candidate")
    outcome = drop.judge_drop(scores, candidate, tolerance, [gate.groups[row] for row in one.rows])
    return replace(result, **outcome.facts(candidate), confidence=tolerance.confidence, verdict=outcome.status)


def _score(one: Slice, measured: Measured, deciding: str) -> Scored:
    """Return a model's score on a slice: of its examples' scores, or by the metric if only a set has a value."""
    whole, rows = measured.scores[deciding], list(one.rows)
    if whole.per_example is None:
        expected = [measured.run.test_set.examples[row].expected for row in rows]
        return one.metric.score(expected, [[repeat[row] for row in rows] for repeat in measured.answers])
    scores = whole.per_example[rows]
    return Scored(whole.metric, float(scores.mean()), per_example=scores)


def _check(
    gate: Context, slices: Slices, rows: Sequence[SliceResult], status: Status, outcome: str, advice: str | None
) -> Check:
    share, tolerance, holds = slices.slices[0].metric.share, slices.tolerance, status == "pass"
    changes = [
        f"{printable(one.field, _SHOWN)}={printable(one.value, _SHOWN)} {show_difference(one.gain, share=share)}"
        f"{drop.of_role(one.against)} ({plural(one.n or 0, 'example')})"
        for one in (rows[:1] if holds else rows)
    ]
    limit, confidence = drop.drop_limit(tolerance.max_drop, share=share), show_percent(tolerance.confidence)
    together = f" each, {show_percent(gate.config.confidence)} together"
    each = f"{confidence} confidence{together if tolerance.confidence != gate.config.confidence else ''}"
    limit += "" if holds else f", {each}"
    found = f"worst {changes[0]}" if holds else _named(changes)
    message = f"{len(rows):,} of {plural(len(slices.judged), 'slice')} {outcome} ({limit}): {found}"
    fields = {**drop.drop_fields(gate, "slices"), "observed": rows[0].gain, "advice": advice}
    return Check("slices", status, message, **fields, action=None if status == "warning" else "add_examples")
