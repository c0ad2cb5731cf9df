"""How many fields of JSON answers are right: F1 and accuracy of fields.

Each single value that is expected, and each that is answered, is right, wrong (another value is expected there),
missing, or spurious (nothing is expected there; reports call it invented). With R, W, M, S of them:

- precision is R / (R + W + S), recall R / (R + W + M), F1 their harmonic mean: 2 R / (2 R + 2 W + M + S);
- accuracy is R / (R + W + M + S).

``average`` says of what: ``micro``, of all values of all examples together, as slot F1 is reported; ``macro``, of each
field that the test set expects, then the mean over fields; ``samples``, of each example, then the mean over examples.
An answer that is not JSON has all of its fields missing. Macro averages do not see spurious values of fields that no
example expects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics.field_rules import FieldRules, innermost_field, read_rules
from pytest_ftgate.metrics.json_diff import (
    MISSING,
    RIGHT,
    SPURIOUS,
    WRONG,
    Differences,
    Leaf,
    LeafPath,
    differences,
    leaves_by_path,
    names_in,
)
from pytest_ftgate.metrics.options import Options, did_you_mean
from pytest_ftgate.metrics.protocol import Answers, Breakdown, Kind, Metric, Scored, check_shape
from pytest_ftgate.text import excerpt, kind_of, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAMES = ("field_f1", "field_accuracy")
AVERAGES = ("micro", "macro", "samples")
UNEXPECTED = "(invented)"
MOST_FIELDS = 500
"""More fields than this have no macro average: they are data, and no fields."""

_WHOLE = "(the answer)"
_NOTE = 200
_LABEL = 100
# What right, wrong, missing and spurious values weigh, above and below the line.
_WEIGHTS = {"field_f1": ((2, 0, 0, 0), (2, 2, 1, 1)), "field_accuracy": ((1, 0, 0, 0), (1, 1, 1, 1))}


@dataclass(frozen=True)
class FieldMetric(Metric):
    """``field_f1`` or ``field_accuracy``.

    Attributes:
        average: see above.
        rules: when two values are the same.
        fields: the names under which values are counted; ``declared``: the gate names them, and all else is not
            looked at.
    """

    name: str
    average: str
    rules: FieldRules
    fields: tuple[str, ...]
    declared: bool
    kind: Kind

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        check_shape(self.name, expected, answers)
        wanted = [self._leaves(_container(value, self.name, i)) for i, value in enumerate(expected)]
        read = lru_cache(maxsize=16)(self._read)
        found = [
            [self._differences(leaf, read(answer)) for leaf, answer in zip(wanted, repeat, strict=True)]
            for repeat in answers
        ]
        notes = tuple(None if one.note is None else printable(one.note, _NOTE) for one in found[0])
        scored = self._by_example(found) if self.average == "samples" else self._pooled(wanted, found)
        return replace(scored, notes=notes, breakdown=self._breakdown(one for repeat in found for one in repeat))

    def lenient(self) -> FieldMetric | None:
        rules = self.rules.lenient()
        return None if rules is None else replace(self, rules=rules)

    def _leaves(self, value: Any) -> dict[LeafPath, Leaf]:
        return leaves_by_path(value, unordered=self.rules.lists == "set")

    def _read(self, answer: str | None) -> dict[LeafPath, Leaf] | str:
        """Return the leaves of an answer, or why there are none."""
        if answer is None:
            return "no answer"
        try:
            return self._leaves(parse_json(answer))
        except ValueError as error:
            return f"not JSON: {error}"

    def _differences(self, wanted: dict[LeafPath, Leaf], read: dict[LeafPath, Leaf] | str) -> Differences:
        if not isinstance(read, str):
            try:
                return differences(wanted, read, self.rules, self._field_of)
            except RecursionError:
                read = "nested too deeply"
        found = Differences(remarks=[read])
        for leaf in wanted.values():
            name = self._field_of(leaf.name)
            if name is not None:
                found.add(name, MISSING, leaf.size)
        if not found.counts:  # nothing is expected, and that was not answered either
            found.add(UNEXPECTED, SPURIOUS)
        return found

    def _field_of(self, name: str) -> str | None:
        return self._fields(name)

    @cached_property
    def _fields(self) -> Callable[[str], str | None]:
        """The field under which a value is counted, by the name of the value; None: it is not looked at."""
        if self.declared:
            return lru_cache(maxsize=10_000)(partial(innermost_field, self.fields))
        return partial(_known_field, frozenset(self.fields))

    # --- values ----------------------------------------------------------------------------------------------

    def _by_example(self, found: Sequence[Sequence[Differences]]) -> Scored:
        per_example = self._scores(found)
        return Scored(self, float(per_example.mean()), per_example=per_example)

    def _scores(self, found: Sequence[Sequence[Differences]]) -> NDArray[np.float64]:
        """Return the score of each example, averaged over repeats; 1 where nothing is expected and nothing answered."""
        import numpy as np

        totals = np.array([[one.total for one in repeat] for repeat in found], dtype=np.float64)
        above, below = (totals @ np.array(weights, dtype=np.float64) for weights in _WEIGHTS[self.name])
        scores: NDArray[np.float64] = np.divide(above, below, out=np.ones_like(above), where=below > 0).mean(axis=0)
        return scores

    def _pooled(self, wanted: Sequence[dict[LeafPath, Leaf]], found: Sequence[Sequence[Differences]]) -> Scored:
        import numpy as np

        from pytest_ftgate.statistics import PooledCounts

        repeats = len(found)
        expected = [self._expected_counts(one) for one in wanted]
        counts = np.array([self._row(one.counts for one in example) for example in zip(*found, strict=True)])
        perfect, lost = (
            repeats * np.array([self._row([_as(kind, sizes)]) for sizes in expected]) for kind in (RIGHT, WRONG)
        )
        statistic = partial(_macro if self.average == "macro" else _micro, *_WEIGHTS[self.name])
        pooled = PooledCounts(counts, perfect, lost, self._scores(found), statistic, self.average == "macro")
        return Scored(self, float(statistic(counts.sum(axis=0)[None])[0]), statistic=pooled)

    def _expected_counts(self, wanted: dict[LeafPath, Leaf]) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for leaf in wanted.values():
            name = self._field_of(leaf.name)
            if name is not None:
                sizes[name] = sizes.get(name, 0) + leaf.size
        return sizes

    def _row(self, counted: Iterable[dict[str, list[int]]]) -> NDArray[np.float64]:
        """Return the counts that are pooled: 4 of all fields together, or 4 of each field."""
        import numpy as np

        row = np.zeros((len(self.fields) if self.average == "macro" else 1, 4))
        for by_field in counted:
            for name, counts in by_field.items():
                if self.average == "micro":
                    row[0] += counts
                elif name in self._places:
                    row[self._places[name]] += counts
        return row.ravel()

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.fields)}

    def _breakdown(self, found: Iterable[Differences]) -> Breakdown:
        """Return a row per field, that with the lowest value first."""
        totals: dict[str, list[int]] = {name: [0, 0, 0, 0] for name in self.fields}
        for one in found:
            for name, counts in one.counts.items():
                kept = totals.setdefault(name, [0, 0, 0, 0])
                for kind, count in enumerate(counts):
                    kept[kind] += count
        rows = [
            (printable(name or _WHOLE, _LABEL), self._cells(counts)) for name, counts in totals.items() if any(counts)
        ]
        rows.sort(key=lambda row: (1.0 if row[1][0] is None else row[1][0], row[0]))
        counted = ("right", "wrong", "missing", "invented")
        shares = ("F1", "precision", "recall") if self.name == "field_f1" else ("accuracy",)
        return Breakdown("field", (*shares, *counted), tuple(rows), shares)

    def _cells(self, counts: Sequence[int]) -> tuple[float | None, ...]:
        right, wrong, missing, spurious = counts[RIGHT], counts[WRONG], counts[MISSING], counts[SPURIOUS]
        above, below = (sum(w * c for w, c in zip(weights, counts, strict=True)) for weights in _WEIGHTS[self.name])
        shares = [_share(above, below)]
        if self.name == "field_f1":
            shares += [_share(right, right + wrong + spurious), _share(right, right + wrong + missing)]
        return (*shares, right, wrong, missing, spurious)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _as(kind: int, sizes: dict[str, int]) -> dict[str, list[int]]:
    """Return counts in which all that is expected is of one kind; where nothing is, an answer can only be spurious."""
    if not sizes:
        return {UNEXPECTED: [0, 0, 0, 1]} if kind == WRONG else {}
    return {name: [size if kind == other else 0 for other in range(4)] for name, size in sizes.items()}


def _ratios(
    above: Sequence[int], below: Sequence[int], counts: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ratios of weighted sums of counts, ``(..., 4) -> (...)``, 0 without a denominator; and those."""
    import numpy as np

    over, under = counts @ np.array(above, dtype=float), counts @ np.array(below, dtype=float)
    return np.divide(over, under, out=np.zeros_like(over), where=under > 0), under


def _micro(above: Sequence[int], below: Sequence[int], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ratio of each row of counts ``(m, 4)``."""
    return _ratios(above, below, counts)[0]


def _macro(above: Sequence[int], below: Sequence[int], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the fields' ratios of each row of counts ``(m, 4 F)``; fields without any are left out."""
    import numpy as np

    ratios, under = _ratios(above, below, counts.reshape(len(counts), -1, 4))
    there = (under > 0).sum(axis=1)
    means: NDArray[np.float64] = np.divide(ratios.sum(axis=1), there, out=np.zeros(len(counts)), where=there > 0)
    return means


def _known_field(fields: frozenset[str], name: str) -> str:
    return name if name in fields else UNEXPECTED


def _container(value: Any, metric: str, index: int) -> Any:
    """Return what an example expects, as an object or a list."""
    found = _as_container(value)
    if found is None:
        raise MetricError(f"{metric} compares fields of JSON, and test_set[{index}] expects {kind_of(value)}")
    return found


def _as_container(value: Any) -> dict[str, Any] | list[Any] | None:
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError:
            return None
    return value if isinstance(value, dict | list) else None


# --- options -------------------------------------------------------------------------------------------------


def build(options: Options) -> FieldMetric:
    """Build ``field_f1`` or ``field_accuracy``."""
    options.allow("fields", "average", "lists", "tolerance", "normalize")
    values = [_expected(options, text) for text in options.expected]
    rules = read_rules(options, frozenset(name for value in values for name in names_in(value)))
    unordered = rules.lists == "set"
    known = {leaf.name: None for value in values for leaf in leaves_by_path(value, unordered=unordered).values()}
    declared = options.labels("fields", "fields")
    if declared is not None and values:
        _check_declared(options, declared, known)
    fields = tuple(known) if declared is None else declared
    average = options.choice("average", AVERAGES) or AVERAGES[0]
    if average == "macro" and len(fields) > MOST_FIELDS:
        raise options.error(
            f"average: macro is for up to {MOST_FIELDS} fields, and the test set expects {len(fields):,}",
            key="average",
            cure="Name the fields that count with fields, or use average: micro.",
        )
    kind: Kind = "graded" if average == "samples" else "set"
    return FieldMetric(options.metric, average, rules, fields, declared is not None, kind)


def _expected(options: Options, text: str) -> dict[str, Any] | list[Any]:
    found = _as_container(text)
    if found is None:
        raise options.error(
            f"{options.metric} compares fields of JSON, and the test set expects {excerpt(text)!r}",
            cure="Use it where every expected output is a JSON object or list; for text there is exact_match.",
        )
    return found


def _check_declared(options: Options, declared: Sequence[str], known: Iterable[str]) -> None:
    names = {name.rsplit(".", depth)[0] for name in known for depth in range(name.count(".") + 1)}
    for place, name in enumerate(declared):
        if name not in names:
            raise options.error(
                f"fields names {name!r}, which no example of the test set expects",
                key="fields",
                cure=did_you_mean(name, names),
            )
        if name in declared[:place]:
            raise options.error(f"fields names {name!r} twice", key="fields", cure="Name each field once.")
