"""F1 of the fields of JSON answers.

Each expected or answered value is right, wrong (another value is expected), missing, or spurious
(nothing is expected; reports call it invented). With R, W, M and S of them, precision is R / (R + W
+ S), recall is R / (R + W + M), and F1 is their harmonic mean, 2 R / (2 R + 2 W + M + S).

``average`` is one of ``samples``: for each example, then the mean over examples, so that an answer
that is lost whole counts as one example; ``micro``: over all values of all examples, as slot F1 is
reported. All fields of an answer that is not JSON are missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pytest_ftgate.data.strict_json import container_of, json_or, parse_json
from pytest_ftgate.metrics.json_differences import (
    MISSING,
    RIGHT,
    SPURIOUS,
    WRONG,
    Comparison,
    Differences,
)
from pytest_ftgate.metrics.json_values import (
    ABSENT,
    JsonForm,
    Lists,
    names_in,
    read_rules,
    refuse_unknown,
)
from pytest_ftgate.metrics.options import Options, without_fence
from pytest_ftgate.metrics.protocol import (
    Answers,
    Kind,
    Metric,
    Scored,
    check_shape,
    short_note,
)
from pytest_ftgate.statistics import set_level
from pytest_ftgate.statistics.arrays import Floats
from pytest_ftgate.text import excerpt

NAMES = ("field_f1",)
AVERAGES = ("samples", "micro")
LISTS: tuple[Lists, ...] = ("match", "sequence", "set")
"""The first is the default of both."""


@dataclass(frozen=True)
class FieldMetric(Metric):
    """The metric ``field_f1``."""

    average: str
    comparison: Comparison
    kind: Kind
    json_form: JsonForm
    name = "field_f1"
    form = "the expected JSON alone"

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        check_shape(self.name, expected, answers)
        values = list(map(container_of, expected))
        compared = [list(map(self._compare, values, repeat)) for repeat in answers]
        counts = np.array([_counts(repeat) for repeat in compared])
        scores: Floats = np.array([_f1(repeat, empty=1.0) for repeat in counts]).mean(axis=0)

        # "samples" is a mean over examples; "micro" is a value of the whole set only
        if self.average == "samples":
            scored = Scored(self, float(scores.mean()), per_example=scores)
        else:
            pooled = self._pooled(values, counts, scores)
            scored = Scored(self, pooled.value, statistic=pooled)
        return replace(scored, notes=[short_note(answer.note) for answer in compared[0]])

    def _pooled(
        self, values: Sequence[Any], counts: Floats, scores: Floats
    ) -> set_level.PooledCounts:
        """Return the counts of all repeats, between those of perfect and of worthless answers."""
        perfect = _counts(self.comparison.all_leaves(RIGHT, value) for value in values)
        worthless = _counts(self._lost(WRONG, value) for value in values)
        repeats = len(counts)
        return set_level.PooledCounts(
            counts.sum(axis=0),
            perfect=repeats * perfect,
            lost=repeats * worthless,
            scores=scores,
            statistic=_f1,
        )

    def has_form(self, answer: str) -> bool:
        """Return whether an answer is JSON of an expected type, with an expected key."""
        return self.json_form.fits(json_or(without_fence(answer), ABSENT))

    def _compare(self, expected: Any, answer: str | None) -> Differences:
        if answer is None:
            return self._lost(MISSING, expected, "no answer")
        try:
            value = parse_json(without_fence(answer))
        except ValueError as error:
            return self._lost(MISSING, expected, f"not JSON: {error}")
        return self.comparison.compare(expected, value)

    def _lost(self, kind: int, expected: Any, remark: str = "") -> Differences:
        """Return the counts where no expected value is right; if none counts, one is spurious."""
        lost = Differences(self.comparison.all_leaves(kind, expected).counts, [remark])
        if not any(lost.counts):
            lost.counts[SPURIOUS] = 1
        return lost


def _counts(answers: Iterable[Differences]) -> Floats:
    """Return the numbers of right, wrong, missing and spurious values, shape ``(answers, 4)``."""
    return np.array([answer.counts for answer in answers], dtype=np.float64)


def _f1(counts: Floats, *, empty: float = 0.0) -> Floats:
    """Return the F1 of each row of counts, ``(m, 4) -> (m,)``; of a row of zeros ``empty``."""
    numerators = 2 * counts[:, RIGHT]
    denominators = counts @ np.array([2, 2, 1, 1], dtype=np.float64)
    ratios: Floats = np.full(len(counts), empty)
    np.divide(numerators, denominators, out=ratios, where=denominators > 0)
    return ratios


def build(options: Options) -> FieldMetric:
    """Build ``field_f1``."""
    options.allow("fields", "average", "lists", "tolerance", "normalize")
    values = [_expected(options, text) for text in options.expected]
    names = set[str]()
    for value in values:
        names.update(names_in(value))

    rules = read_rules(options, names, LISTS)
    fields = options.labels("fields", "fields")
    if fields is not None and values:
        _check_fields(options, fields, Comparison(rules), values)

    average = options.choice("average", AVERAGES)
    kind: Kind = "graded" if average == "samples" else "set"
    return FieldMetric(
        average, comparison=Comparison(rules, fields), kind=kind, json_form=JsonForm.of(values)
    )


def _check_fields(
    options: Options, fields: Sequence[str], comparison: Comparison, values: Sequence[Any]
) -> None:
    """Refuse a field of which no example expects a value."""
    names = set[str]()
    for value in values:
        for _, name, _ in comparison.leaves(value):
            # a name includes everything below it
            while name not in names:
                names.add(name)
                name = name.rpartition(".")[0] or name
    refuse_unknown(options, "fields", fields, names)


def _expected(options: Options, text: str) -> Any:
    container = container_of(text)
    if container is None:
        problem = f"{options.metric} compares JSON fields, and the test set expects "
        problem += repr(excerpt(text))
        raise options.error(
            problem,
            cure="Every expected output must be a JSON object or list; for text use exact_match.",
        )

    return container
