"""The rules for slices: parts of the test set, by the value of a field, on which the candidate must not be worse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks import drop
from pytest_ftgate.checks.context import once
from pytest_ftgate.checks.drop import Size, Tolerance
from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.metrics import Scored, build_metric
from pytest_ftgate.metrics.labels import distinct_outputs
from pytest_ftgate.result import Check, SliceResult, Status
from pytest_ftgate.text import listed, nearest, plural, printable, show_amount, show_difference, show_percent

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, MetricSpec, SliceKeys
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.runs.measure import Measured


NONE = "(none)"
"""The value of a field that is absent."""

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
        size: how many there are and are needed; None until it is known.
        few: whether they are too few to be judged.
        problem: why the metric cannot judge them; None where it can.
    """

    field: str
    value: str
    rows: tuple[int, ...]
    metric: Metric
    size: Size | None = None
    few: bool = False
    problem: str | None = None

    @property
    def judged(self) -> bool:
        return self.note is None

    @property
    def note(self) -> str | None:
        """Return why the slice is not judged; None where it is."""
        if not self.few or self.size is None:
            return self.problem
        return f"too few {self.size.unit}s ({self.size.have:,} of {self.size.needed:,} required)"

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
        return [one for one in self.slices if one.judged]


def prepare_slices(
    config: GateKeys, test: DataSet, training: DataSet, metric: Metric, custom: Callable[[], Mapping[str, Any]]
) -> Slices | None:
    """Divide the test set into slices, and find those that are large enough; None where the gate has no slices.

    ``custom`` returns the metrics of hooks by name.

    Raise :class:`ConfigError` if no example has one of the fields, or ``max_drop`` is impossible.
    """
    from pytest_ftgate.statistics import corrected_confidence

    spec = config.slices
    if spec is None:
        return None
    drop.check_max_drop(metric, spec.max_drop, str(spec.sources["max_drop"]))
    _check_fields(spec, test)
    build = partial(build_metric, custom=custom(), known=distinct_outputs(test, training))
    whole = (Slice(name, value, rows, metric) for name in spec.fields for value, rows in _by_value(name, test).items())
    slices = [_with_metric(one, config, test, build) for one in whole]
    # Under "significant" every slice is compared with every baseline, so the confidence is corrected (Bonferroni) to
    # keep false alarms rare. Under "proven" every slice must pass, which needs no correction (intersection-union test,
    # Berger 1982).
    confidence, compared = config.confidence, sum(one.judged for one in slices) * len(config.baselines)
    if spec.evidence == "significant" and compared:
        confidence = corrected_confidence(confidence, compared)
    tolerance = Tolerance(spec.max_drop, spec.evidence, confidence)

    def sized(one: Slice) -> Slice:
        size = drop.size_of(one.metric, [test.examples[row].group for row in one.rows], tolerance)
        # A slice that could never fail is not judged; one that could never pass is.
        return replace(one, size=size, few=not size.enough and tolerance.evidence != "proven")

    return Slices(tolerance, tuple(sized(one) if one.judged else one for one in slices))


def _check_fields(spec: SliceKeys, test: DataSet) -> None:
    known = {name: None for example in test.examples for name in example.fields}
    for name in spec.fields:
        if name not in known:
            near = nearest(name, known)
            raise ConfigError(
                f"no example of the test set has the field {printable(name, _SHOWN)!r}",
                where=spec.sources["fields"].where("slices.fields"),
                evidence=f"the fields of the test set are: {listed(known)}",
                cure=f"Did you mean {near!r}?" if near else None,
            )


def _by_value(name: str, test: DataSet) -> dict[str, tuple[int, ...]]:
    rows: dict[str, list[int]] = {}
    for row, example in enumerate(test.examples):
        value = example.fields.get(name)
        rows.setdefault(NONE if value is None else expected_text(value), []).append(row)
    return {value: tuple(places) for value, places in rows.items()}


def _with_metric(one: Slice, config: GateKeys, test: DataSet, build: Callable[..., Metric]) -> Slice:
    """Return a slice with the metric for its labels, or with the reason why it is not judged."""
    least = config.slices.min_examples
    if len(one.rows) < least:
        return replace(one, size=Size(len(one.rows), least, "example"), few=True)
    try:
        return replace(one, metric=_metric_of(one, config.decided_by, test, build))
    except ConfigError as error:  # known before any call, such as a missing label
        return replace(one, problem=f"cannot be judged by {one.metric.name}: {error.what}")


def _metric_of(one: Slice, spec: MetricSpec, test: DataSet, build: Callable[..., Metric]) -> Metric:
    """Return the metric for a slice: an average only over its own labels, since others would score 0."""
    label_set = one.metric.label_set
    if label_set is None or one.metric.kind != "set":
        return one.metric
    labels = sorted({expected_text(test.examples[row].expected) for row in one.rows})
    if "labels" not in spec.options:
        return build(spec, labels=labels)
    codes = {label_set.code(label) for label in labels}
    kept = [label for label in spec.options["labels"] if label_set.code(expected_text(label)) in codes]
    if not kept:
        raise ConfigError("it has none of the labels that the metric averages over")
    return build(replace(spec, options={**spec.options, "labels": kept}), labels=labels)


def check_sizes(gate: Context) -> list[Check]:
    """Check before any call which slices will not be judged, and which can never pass."""
    return [] if gate.slices is None else [*_unjudged(gate, gate.slices), *_unprovable(gate, gate.slices)]


def _unjudged(gate: Context, slices: Slices) -> Iterator[Check]:
    few, other = ([one for one in slices.slices if one.few], [one for one in slices.slices if one.problem is not None])
    least = gate.config.slices.min_examples
    more = f"Add examples until each has at least {least:,}." if any(len(one.rows) < least for one in few) else None
    another = "Use a metric that has a value on every slice, such as accuracy."
    kinds: tuple[tuple[list[Slice], str, Status, str, str | None], ...] = (
        (few, "slices_too_few", "note", "min_examples", more),
        (other, "slices_unjudged", "warning", "fields", another),
    )
    for ones, name, status, key, advice in kinds:
        if ones:
            counted = f"{plural(len(ones), 'slice')} {'is' if len(ones) == 1 else 'are'}"
            message = f"{counted} not judged: {_named(f'{one}: {one.note}' for one in ones)}"
            yield Check(name, status, message, len(ones), source=gate.source(f"slices.{key}"), advice=advice)
    if not slices.judged:
        source, advice = gate.source("slices.fields"), "Check that the fields are the right ones, or add examples."
        yield Check("slices", "warning", "no slice is judged", observed=0, source=source, advice=advice)


def _unprovable(gate: Context, slices: Slices) -> Iterator[Check]:
    sizes = {one: one.size for one in slices.judged if one.size is not None and not one.size.enough}
    if sizes:
        needed = max(size.needed for size in sizes.values())
        short = [f"{one} has {size} ({size.needed:,} required)" for one, size in sizes.items()]
        most = show_amount(slices.tolerance.max_drop, share=next(iter(sizes)).metric.share)
        yield Check(
            "slices_size",
            "inconclusive",
            f"{plural(len(sizes), 'slice')} cannot rule out a drop of {most} of an equal candidate: {_named(short)}",
            observed=min(size.have for size in sizes.values()),
            required=needed,
            source=gate.source("slices.evidence"),
            advice=f"Add examples until each of these slices has at least {needed:,}.",
            action="add_examples",
        )


def _named(texts: Iterable[str]) -> str:
    names = list(texts)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f", and {more:,} more" if more > 0 else "")


def facts(gate: Context) -> dict[str, Any]:
    """Return the facts of each slice, the worst change first.

    Raise :class:`MetricError` if a metric is undefined for the answers on a slice.
    """
    return {"slices": tuple(_results(gate)[:MOST_SLICES])} if gate.accepts else {}


@once
def _results(gate: Context) -> list[SliceResult]:
    results = [_judge(gate, gate.slices, one) for one in gate.slices.slices] if gate.slices is not None else []
    return sorted(results, key=lambda one: (one.gain is None, -(one.n or 0) if one.gain is None else one.gain))


def _judge(gate: Context, slices: Slices, one: Slice) -> SliceResult:
    result = SliceResult(one.field, one.value, n=len(one.rows), note=one.note)
    if not one.judged:
        return result
    scores = {role: _score(one, measured, gate.deciding.name) for role, measured in gate.scored.items()}
    candidate = scores.pop("candidate")
    outcome = drop.judge_drop(scores, candidate, slices.tolerance, [gate.groups[row] for row in one.rows])
    facts = outcome.facts(candidate)
    return replace(result, **facts, confidence=slices.tolerance.confidence, verdict=outcome.status)


def _score(one: Slice, measured: Measured, deciding: str) -> Scored:
    """Return a model's score on a slice: of its examples' scores, or by the metric if only a set has a value."""
    whole, rows = measured.scores[deciding], list(one.rows)
    if whole.per_example is None:
        expected = [measured.run.test_set.examples[row].expected for row in rows]
        return one.metric.score(expected, [[repeat[row] for row in rows] for repeat in measured.answers])
    scores = whole.per_example[rows]
    return Scored(whole.metric, float(scores.mean()), per_example=scores)


_OUTCOMES: tuple[tuple[Status, str, str | None], ...] = (
    ("fail", "dropped beyond the limit", "Add training examples like the broken ones in these slices."),
    ("inconclusive", "are within the limit, but not proven to be", "Add test examples of these slices."),
    ("warning", "dropped beyond the limit, possibly by chance", "Add test examples of these slices."),
    ("pass", "are within the limit", None),
)


def check(gate: Context) -> list[Check]:
    """Check each slice's drop against the limit; one check for each status."""
    if gate.slices is None or not gate.accepts:
        return []
    checks: list[Check] = []
    for status, outcome, advice in _OUTCOMES:
        rows = [one for one in _results(gate) if one.verdict == status]
        if rows and (status != "pass" or not checks):
            checks.append(_outcome(gate, gate.slices, rows, status, outcome, advice))
    return checks


def _outcome(
    gate: Context, slices: Slices, rows: Sequence[SliceResult], status: Status, outcome: str, advice: str | None
) -> Check:
    share, holds = slices.slices[0].metric.share, status == "pass"
    changes = [
        f"{printable(one.field, _SHOWN)}={printable(one.value, _SHOWN)} {show_difference(one.gain, share=share)}"
        f"{drop.of_role(one.against)} ({plural(one.n or 0, 'example')})"
        for one in (rows[:1] if holds else rows)
    ]
    limit, confidence = drop.drop_limit(slices.tolerance.max_drop, share=share), slices.tolerance.confidence
    each = f"{show_percent(confidence)} confidence"
    if confidence != gate.config.confidence:
        each = f"{show_percent(confidence)} confidence each, {show_percent(gate.config.confidence)} together"
    limit += "" if holds else f", {each}"
    return Check(
        "slices",
        status,
        f"{len(rows):,} of {plural(len(slices.judged), 'slice')} {outcome} ({limit}): "
        f"{f'worst {changes[0]}' if holds else _named(changes)}",
        observed=rows[0].gain,
        **drop.drop_fields(gate, "slices"),
        advice=advice,
        action=None if status == "warning" else "add_examples",
    )
