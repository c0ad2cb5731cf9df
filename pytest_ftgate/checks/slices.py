"""Slices: parts of the test set, named by a field, on which the candidate must not be worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_ftgate.checks import drop
from pytest_ftgate.checks.context import once
from pytest_ftgate.checks.drop import Allowance, Size
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.result import Check, LabelResult, SliceResult, Status
from pytest_ftgate.text import is_share, plural, printable, show_amount, show_difference

if TYPE_CHECKING:
    from pytest_ftgate.checks.context import Context
    from pytest_ftgate.config import GateKeys, MetricSpec, SliceKeys
    from pytest_ftgate.data import DataSet, Example
    from pytest_ftgate.metrics import Metric, Scored
    from pytest_ftgate.runs.measure import Measured


NONE = "(none)"
"""The value of a field that an example does not have."""

MOST_SLICES = 200
"""Slices kept for reports, the worst first."""

_NAMED = 5

_SHOWN = 40


@dataclass(frozen=True)
class Slice:
    """All examples with one value of one field.

    Attributes:
        rows: their places in the test set.
        metric: the deciding metric, made for their labels where it is an average over labels.
        note: why it is not judged; None where it is.
    """

    field: str
    value: str
    rows: tuple[int, ...]
    metric: Metric
    note: str | None = None

    def __str__(self) -> str:
        return f"{printable(self.field, _SHOWN)}={printable(self.value, _SHOWN)}"


@dataclass(frozen=True)
class Slices:
    """The slices of a test set before any model is called.

    Attributes:
        spec: as it is written.
        allowance: what each drop is held to; its confidence is corrected for the number of slices that are judged.
        slices: all of them, in the order of fields and then of values as they come.
        sizes: of those that are judged, by place in ``slices``.
    """

    spec: SliceKeys
    allowance: Allowance
    slices: tuple[Slice, ...]
    sizes: Mapping[int, Size]


BuildMetric = Callable[["MetricSpec", Sequence[str]], "Metric"]
"""A metric as written, and the labels it is for, to the metric."""


def prepare_slices(config: GateKeys, test: DataSet, metric: Metric, build: BuildMetric) -> Slices | None:
    """Divide the test set, and see which parts are large enough. None where the gate asks for no slices.

    Args:
        config: the gate.
        test: the test set.
        metric: the deciding one.
        build: makes it for the labels of a part.

    Raises:
        ConfigError: no example has one of the fields, or ``max_drop`` is impossible.
    """
    spec = config.slices
    if spec is None:
        return None
    drop.check_max_drop(metric, spec.max_drop, str(spec.sources["max_drop"]))
    _check_fields(spec, test)
    found = [
        _made(name, value, rows, spec, config.metric, metric, test, build)
        for name in spec.fields
        for value, rows in _by_value(name, test.examples).items()
    ]
    allowance = Allowance(spec.max_drop, spec.evidence, _confidence(spec, config.confidence, found), config.repeats)
    return _measured_out(Slices(spec, allowance, tuple(found), {}), test)


def _check_fields(spec: SliceKeys, test: DataSet) -> None:
    from pytest_ftgate.text import listed, nearest

    known = {name: None for example in test.examples for name in example.fields}
    for name in spec.fields:
        if name not in known:
            near = nearest(name, known)
            raise ConfigError(
                f"no example of the test set has the field {printable(name, _SHOWN)!r}",
                where=spec.sources["fields"].where("slices.fields"),
                evidence=f"their further fields are: {listed(known)}",
                cure=f"Did you mean {near!r}?" if near else None,
            )


def _by_value(name: str, examples: Sequence[Example]) -> dict[str, tuple[int, ...]]:
    from pytest_ftgate.data import expected_text

    rows: dict[str, list[int]] = {}
    for row, example in enumerate(examples):
        value = example.fields.get(name)
        rows.setdefault(NONE if value is None else expected_text(value), []).append(row)
    return {value: tuple(places) for value, places in rows.items()}


def _made(
    name: str,
    value: str,
    rows: tuple[int, ...],
    spec: SliceKeys,
    asked: MetricSpec,
    metric: Metric,
    test: DataSet,
    build: BuildMetric,
) -> Slice:
    if len(rows) < spec.min_examples:
        return Slice(name, value, rows, metric, _too_few(Size(len(rows), spec.min_examples, "example")))
    try:
        return Slice(name, value, rows, _metric_of(rows, asked, metric, test, build))
    except ConfigError as error:  # known before any call: the slice lacks the label that the metric is about
        return Slice(name, value, rows, metric, f"cannot be judged by {metric.name}: {error.what}")


def _too_few(size: Size) -> str:
    noun = "" if size.unit == "example" else f" {size.unit}s"
    return f"too few to judge ({size.have:,} of {size.needed:,}{noun})"


def _metric_of(rows: Sequence[int], asked: MetricSpec, metric: Metric, test: DataSet, build: BuildMetric) -> Metric:
    """An average over labels runs over those of the slice: others would count as 0 for both models."""
    from pytest_ftgate.data import expected_text

    if metric.label_set is None or metric.kind != "set":
        return metric
    labels = sorted({expected_text(test.examples[row].expected) for row in rows})
    if "labels" not in asked.options:
        return build(asked, labels)
    codes = {metric.label_set.code(label) for label in labels}
    kept = [one for one in asked.options["labels"] if metric.label_set.code(expected_text(one)) in codes]
    if not kept:
        raise ConfigError("it has none of the labels that the metric is over")
    return build(replace(asked, options={**asked.options, "labels": kept}), labels)


def _confidence(spec: SliceKeys, confidence: float, slices: Sequence[Slice]) -> float:
    """Under "significant" one wrong alarm among all slices is as rare as it would be with one slice (Bonferroni).

    Under "proven" every slice has to show its own: no false pass is more likely with many (Berger 1982).
    """
    from pytest_ftgate.statistics import corrected_confidence

    judged = sum(one.note is None for one in slices)
    return corrected_confidence(confidence, judged) if spec.evidence == "significant" and judged else confidence


def _measured_out(slices: Slices, test: DataSet) -> Slices:
    """With the sizes that the evidence asks for; under "significant" a slice that could never fail is not judged."""
    found, sizes = [], {}
    for place, one in enumerate(slices.slices):
        if one.note is None:
            size = drop.size_of(one.metric, [test.examples[row].group for row in one.rows], slices.allowance)
            if size.enough or slices.spec.evidence == "proven":
                sizes[place] = size
            else:
                found.append(replace(one, note=_too_few(size)))
                continue
        found.append(one)
    return replace(slices, slices=tuple(found), sizes=sizes)


def check_sizes(gate: Context) -> list[Check]:
    """Check which slices will not be judged, and which cannot show what is asked of them; known for free."""
    slices = gate.slices
    if slices is None:
        return []
    return [*_unjudged(slices), *_unprovable(slices)]


def _unjudged(slices: Slices) -> Iterator[Check]:
    few = [one for one in slices.slices if one.note is not None and one.note.startswith("too few")]
    other = [one for one in slices.slices if one.note is not None and one not in few]
    least = slices.spec.min_examples
    if few:
        yield Check(
            "slices_too_few",
            "note",
            f"{_counted(few)} not judged: {_named(f'{one} {one.note}' for one in few)}",
            observed=len(few),
            source=str(slices.spec.sources["min_examples"]),
            advice=f"Add examples until each has {least:,} or more, or lower min_examples."
            if any(len(one.rows) < least for one in few)
            else None,
        )
    if other:
        yield Check(
            "slices_unjudged",
            "warning",
            f"{_counted(other)} not judged: {_named(f'{one} {one.note}' for one in other)}",
            observed=len(other),
            source=str(slices.spec.sources["fields"]),
            advice="Decide by a metric that has a value on every slice, such as accuracy.",
        )
    if not slices.sizes:
        yield Check(
            "slices",
            "warning",
            "no slice is judged",
            observed=0,
            source=str(slices.spec.sources["fields"]),
            advice="Look whether the fields are the right ones, or add examples.",
        )


def _unprovable(slices: Slices) -> Iterator[Check]:
    small = {slices.slices[place]: size for place, size in slices.sizes.items() if not size.enough}
    if small:
        needed = max(size.needed for size in small.values())
        share = _share(next(iter(small)).metric)
        yield Check(
            "slices_size",
            "inconclusive",
            f"{plural(len(small), 'slice')} cannot rule out a drop of {show_amount(slices.spec.max_drop, share=share)} "
            f"without a gain: {_named(f'{one} has {size}, {size.needed:,} are needed' for one, size in small.items())}",
            observed=min(size.have for size in small.values()),
            required=needed,
            source=str(slices.spec.sources["evidence"]),
            advice=f"Add examples, or ask for less: min_examples: {needed} lists such slices without judging them.",
            action="add_examples",
        )


def _counted(slices: Sequence[Slice]) -> str:
    return f"{plural(len(slices), 'slice')} {'is' if len(slices) == 1 else 'are'}"


def _named(texts: Any) -> str:
    shown = list(texts)
    more = len(shown) - _NAMED
    return ", ".join(shown[:_NAMED]) + (f", and {more:,} more" if more > 0 else "")


def _share(metric: Metric) -> bool:
    return is_share((metric.low, metric.high))


def facts(gate: Context) -> dict[str, Any]:
    """Return the facts of each slice and label, the worst change first.

    Raises:
        MetricError: a metric is undefined for the answers on a slice.
    """
    if not gate.accepts:
        return {}
    labels = label_results(gate.scored[gate.best], gate.scored["candidate"], gate.deciding)
    return {"labels": labels, "slices": tuple(_judged(gate)[:MOST_SLICES])}


def check(gate: Context) -> list[Check]:
    """Check that no slice lost more than is allowed: one check for each sort of outcome."""
    return _outcomes(gate.slices, _judged(gate)) if gate.slices is not None and gate.accepts else []


@once
def _judged(gate: Context) -> list[SliceResult]:
    if gate.slices is None:
        return []
    baseline, candidate, name = gate.scored[gate.best], gate.scored["candidate"], gate.deciding.name
    judged = [_judge(gate.slices, one, baseline, candidate, name) for one in gate.slices.slices]
    return sorted(judged, key=_worst_first)


def _worst_first(one: SliceResult) -> tuple[bool, float]:
    return one.gain is None, one.gain if one.gain is not None else -(one.n or 0)


def _judge(slices: Slices, one: Slice, baseline: Measured, candidate: Measured, deciding: str) -> SliceResult:
    result = SliceResult(one.field, one.value, n=len(one.rows), note=one.note)
    if one.note is not None:
        return result
    scores = [_score(one, measured, deciding) for measured in (baseline, candidate)]
    groups = [candidate.run.test_set.examples[row].group for row in one.rows]
    found = drop.judge_drop(scores[0], scores[1], slices.allowance, groups)
    return replace(
        result,
        **found.compared.facts(),
        baseline=scores[0].value,
        candidate=scores[1].value,
        confidence=slices.allowance.confidence,
        verdict=found.status,
    )


def _score(one: Slice, measured: Measured, deciding: str) -> Scored:
    """One model's score on a slice: the examples' own scores, or the metric anew where only a set has a value."""
    from pytest_ftgate.metrics import Scored

    whole, rows = measured.scores[deciding], list(one.rows)
    if whole.per_example is None:
        expected = [measured.run.test_set.examples[row].expected for row in rows]
        return one.metric.score(expected, [[repeat[row] for row in rows] for repeat in measured.answers])
    scores = whole.per_example[rows]
    return Scored(whole.metric, float(scores.mean()), per_example=scores)


def _outcomes(slices: Slices, judged: Sequence[SliceResult]) -> list[Check]:
    told: tuple[tuple[Status, str, str | None], ...] = (
        ("fail", "more than is allowed", "Look at the broken examples of these slices, and add such training data."),
        ("inconclusive", "no more than is allowed, which is not proven", "Add examples of these slices."),
        ("warning", "more than is allowed, which may be chance", "Add examples of these slices."),
    )
    found = []
    for status, what, advice in told:
        rows = [one for one in judged if one.verdict == status]
        if rows:
            found.append(_outcome(slices, rows, status, what, advice))
    held = [one for one in judged if one.verdict == "pass"]
    if held and not found:
        found.append(_outcome(slices, held, "pass", "no more than is allowed", None))
    return found


def _outcome(slices: Slices, rows: Sequence[SliceResult], status: Status, what: str, advice: str | None) -> Check:
    share = _share(slices.slices[0].metric)
    seen = [
        f"{printable(one.field, _SHOWN)}={printable(one.value, _SHOWN)} {show_difference(one.gain, share=share)} "
        f"({plural(one.n or 0, 'example')})"
        for one in (rows if status != "pass" else rows[:1])
    ]
    names = f"worst {seen[0]}" if status == "pass" else _named(seen)
    allowed = show_amount(slices.spec.max_drop, share=share)
    judged = len(slices.sizes)
    sure = f", {100 * slices.allowance.confidence:.4g} % sure for each" if status != "pass" else ""
    return Check(
        "slices",
        status,
        f"{len(rows):,} of {plural(judged, 'slice')} lost {what} ({allowed}{sure}): {names}",
        observed=rows[0].gain,
        required=-slices.spec.max_drop or 0.0,
        source=str(slices.spec.sources["max_drop"]),
        advice=advice,
        action=None if status == "warning" else "add_examples",
    )


MOST_LABELS = 200
"""Labels kept for reports, the worst first."""


def label_results(baseline: Measured, candidate: Measured, metric: Metric) -> tuple[LabelResult, ...]:
    """How many answers are right for each expected label, the worst change first; empty where answers are no labels."""
    import numpy as np

    labels = metric.label_set
    if labels is None:
        return ()
    expected = [example.expected for example in candidate.run.test_set.examples]
    gold = labels.gold(metric.name, expected)
    right = [(labels.predicted(one.answers)[0] == gold).mean(axis=0) for one in (baseline, candidate)]
    found = []
    for code, text in enumerate(labels.texts):
        rows = np.flatnonzero(gold == code)
        before, after = (float(one[rows].mean()) for one in right)
        found.append(LabelResult(text, len(rows), before, after, round(after - before, 12)))
    found.sort(key=lambda one: one.change)
    return tuple(found[:MOST_LABELS])
