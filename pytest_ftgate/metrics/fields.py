"""F1 of the fields of JSON answers.

Each expected or answered value is right, wrong (another value is expected), missing, or spurious
(nothing is expected; reports call it invented). With R, W, M and S of them, precision is R / (R + W
+ S), recall is R / (R + W + M), and F1 is their harmonic mean, 2 R / (2 R + 2 W + M + S).

``average`` is one of ``samples``: for each example, then the mean over examples, so that an answer
that is lost whole counts as one example; ``micro``: over all values of all examples, as slot F1 is
reported. All fields of an answer that is not JSON are missing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import chain
from typing import Any

import numpy as np

from pytest_ftgate.data.strict_json import container_of, json_or, parse_json
from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics import json_values as js
from pytest_ftgate.metrics import protocol
from pytest_ftgate.metrics.options import Options, without_fence
from pytest_ftgate.statistics import arrays, set_level
from pytest_ftgate.text import cut, excerpt, kind_of, printable

NAMES = ("field_f1",)
AVERAGES = ("samples", "micro")
LISTS: tuple[js.Lists, ...] = ("match", "sequence", "set")
"""The first is the default of both."""
UNEXPECTED = "(invented)"

_WHOLE = "(the answer)"


@dataclass(frozen=True)
class FieldMetric(protocol.Metric):
    """The metric ``field_f1``.

    ``fields`` are the names under which values are counted. If ``declared``, the gate lists them
    and all other fields are ignored.
    """

    average: str
    rules: js.JsonRules
    fields: tuple[str, ...]
    declared: bool
    kind: protocol.Kind
    json_form: js.JsonForm
    name = "field_f1"
    form = "the expected JSON alone"

    def score(self, expected: Sequence[Any], answers: protocol.Answers) -> protocol.Scored:
        protocol.check_shape(self.name, expected, answers)
        wanted = [self._container(value, i) for i, value in enumerate(expected)]
        differences = [list(map(self._differences, wanted, repeat)) for repeat in answers]
        counts = np.array([_totals(repeat) for repeat in differences])
        scores: arrays.Floats = np.array([_f1(repeat, empty=1.0) for repeat in counts]).mean(axis=0)
        if self.average == "samples":
            scored = protocol.Scored(self, float(scores.mean()), per_example=scores)
        else:
            perfect = len(answers) * _totals(self._all(js.RIGHT, value) for value in wanted)
            lost = len(answers) * _totals(self._all(js.WRONG, value) for value in wanted)
            pooled = set_level.PooledCounts(counts.sum(axis=0), perfect, lost, scores, _f1)
            scored = protocol.Scored(self, pooled.value, statistic=pooled)

        notes: list[str | None] = []
        for answer in differences[0]:
            notes.append(
                None if answer.note is None else printable(answer.note, protocol.LONGEST_NOTE)
            )
        breakdown = self._breakdown(chain.from_iterable(differences))
        return replace(scored, notes=notes, breakdown=breakdown)

    def has_form(self, answer: str) -> bool:
        """Return whether an answer is JSON of an expected type, and its keys are not all strange."""
        return self.json_form.fits(json_or(without_fence(answer), js.ABSENT))

    def _container(self, value: Any, index: int) -> Any:
        found = container_of(value)
        if found is None:
            what = f"{self.name} compares JSON fields, and this example expects {kind_of(value)}"
            raise MetricError(what, example=index, unsuited=True)
        return found

    def _differences(self, expected: Any, answer: str | None) -> js.Differences:
        remark = "no answer"
        if answer is not None:
            try:
                return js.Differences(self.rules, self._field_of).compare(
                    expected, parse_json(without_fence(answer))
                )
            except ValueError as error:
                remark = f"not JSON: {error}"
            except RecursionError:
                remark = "nested too deeply"
        lost = self._all(js.MISSING, expected)
        lost.remarks.append(remark)
        return lost

    def _all(self, kind: int, expected: Any) -> js.Differences:
        """Return counts in which every expected value is of one kind; where none is expected, one is spurious."""
        found = js.Differences(self.rules, self._field_of)
        for _, name, size in js.leaves(expected, unordered=self.rules.lists == "set"):
            found.add(self._field_of(name), kind, size)
        if kind != js.RIGHT and not found.counts:
            found.add(UNEXPECTED, js.SPURIOUS)
        return found

    @cached_property
    def _field_of(self) -> Callable[[str], str | None]:
        """Return a function from the name of a value to the field under which it is counted; None if it is ignored."""
        if self.declared:
            return lru_cache(maxsize=10_000)(partial(js.innermost_field, self.fields))
        known = frozenset(self.fields)
        return lambda name: name if name in known else UNEXPECTED

    def _breakdown(self, found: Iterable[js.Differences]) -> protocol.Breakdown:
        """Return a table with a row per field, the lowest value first."""
        totals: dict[str, arrays.Floats] = {name: np.zeros(4) for name in self.fields}
        for answer in found:
            for name, counts in answer.counts.items():
                totals[name] = totals.get(name, np.zeros(4)) + counts

        rows: list[tuple[str, tuple[float | None, ...]]] = []
        for name, counted in totals.items():
            if counted.any():
                label = cut(name or _WHOLE)
                rows.append((label, _cells(list(map(int, counted)))))
        rows.sort(key=lambda row: (1.0 if row[1][0] is None else row[1][0], row[0]))
        shares = ("F1", "precision", "recall")
        return protocol.Breakdown(
            "field", (*shares, "right", "wrong", "missing", "invented"), tuple(rows), shares
        )


def _cells(counts: Sequence[int]) -> tuple[float | None, ...]:
    right, wrong, missing, spurious = counts
    wholes = (
        right + wrong + (missing + spurious) / 2,
        right + wrong + spurious,
        right + wrong + missing,
    )
    return (*(right / whole if whole else None for whole in wholes), *counts)


def _totals(found: Iterable[js.Differences]) -> arrays.Floats:
    """Return the numbers of right, wrong, missing and spurious values of each answer, shape ``(answers, 4)``."""
    return np.array([one.total for one in found], dtype=np.float64)


def _f1(counts: arrays.Floats, *, empty: float = 0.0) -> arrays.Floats:
    """Return the F1 of each row of counts, ``(m, 4) -> (m,)``; ``empty`` is that of a row without any value."""
    above, below = 2 * counts[:, js.RIGHT], counts @ np.array([2, 2, 1, 1], dtype=np.float64)
    ratios: arrays.Floats = np.divide(
        above, below, out=np.full(len(counts), empty), where=below > 0
    )
    return ratios


def build(options: Options) -> FieldMetric:
    """Build ``field_f1``."""
    options.allow("fields", "average", "lists", "tolerance", "normalize")
    values = [_expected(options, text) for text in options.expected]
    rules = js.read_rules(
        options, frozenset(name for value in values for name in js.names_in(value)), LISTS
    )
    known = {
        name: None
        for value in values
        for _, name, _ in js.leaves(value, unordered=rules.lists == "set")
    }
    declared = options.labels("fields", "fields")
    if declared is not None and values:
        names = {
            name.rsplit(".", depth)[0] for name in known for depth in range(name.count(".") + 1)
        }
        js.refuse_unknown(options, "fields", declared, names)
        twice = next(
            (name for place, name in enumerate(declared) if name in declared[:place]), None
        )
        if twice is not None:
            raise options.error(
                f"fields contains {twice!r} twice", key="fields", cure="List each field once."
            )
    average = options.choice("average", AVERAGES)
    kind: protocol.Kind = "graded" if average == "samples" else "set"
    fields = tuple(known) if declared is None else declared
    return FieldMetric(average, rules, fields, declared is not None, kind, js.JsonForm.of(values))


def _expected(options: Options, text: str) -> Any:
    found = container_of(text)
    if found is None:
        what = f"{options.metric} compares JSON fields, and the test set expects {excerpt(text)!r}"
        raise options.error(
            what,
            cure="Every expected output must be a JSON object or list; for text use exact_match.",
        )
    return found
