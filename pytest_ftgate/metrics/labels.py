"""The labels of a test set, and how the label of an answer is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

from pytest_ftgate.data import expected_text
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import ConfigError, MetricError, Where
from pytest_ftgate.metrics.normalization import AS_WRITTEN, FULL, Normalization
from pytest_ftgate.metrics.options import Options, did_you_mean
from pytest_ftgate.metrics.protocol import Codes
from pytest_ftgate.metrics.time_limit import within_limit
from pytest_ftgate.text import kind_of, listed

if TYPE_CHECKING:
    from pytest_ftgate.data import DataSet
    from pytest_ftgate.metrics.protocol import Answers


_ROWS_NAMED = 5
READING_OPTIONS = ("normalize", "pattern", "json_field")
"""The options that define how a label is read from an answer."""


def distinct_outputs(*data: DataSet) -> list[str]:
    """Return the distinct expected outputs of the data as text, sorted."""
    return sorted({expected_text(example.expected) for one in data for example in one})


@dataclass(frozen=True)
class Reading:
    """How the label is extracted from an answer, and which differences are ignored.

    The label is the match of ``pattern`` (its first group, if it has one), or the value of ``json_field``, or the
    whole answer. It is then stripped of surrounding white space and normalized.
    """

    normalization: Normalization = AS_WRITTEN
    pattern: re.Pattern[str] | None = None
    json_field: tuple[str, ...] = ()

    def clean(self, text: str) -> str:
        return self.normalization(text.strip())

    def label(self, answer: str) -> str | None:
        """Return the label in an answer; None if there is none."""
        part = self._part(answer)
        return None if part is None else self.clean(part) or None

    def _part(self, answer: str) -> str | None:
        if self.json_field:
            return _field_text(answer, self.json_field)
        if self.pattern is None:
            return answer
        text = answer.strip()
        found = within_limit(f"pattern {self.pattern.pattern!r}", partial(self.pattern.search, text), text)
        return None if found is None else found[min(self.pattern.groups, 1)]


def _field_text(answer: str, path: Iterable[str]) -> str | None:
    """Return the text of a field of a JSON answer; None if the answer is not JSON or the field is no single value."""
    try:
        value = parse_json(answer)
        for part in path:
            value = value[int(part)] if isinstance(value, list) else value[part]
        return None if isinstance(value, dict | list) else expected_text(value)
    except (ValueError, TypeError, LookupError):
        return None


def check_labels(metric: str, expected: Sequence[Any], place: Callable[[int], Where] | None = None) -> None:
    """Refuse expected outputs that are objects or lists, which cannot be labels."""
    for index, value in enumerate(expected):
        if isinstance(value, dict | list):
            raise ConfigError(
                f"{metric} compares labels, but the expected output is {kind_of(value)}",
                where=Where(key=f"test_set[{index}]") if place is None else place(index),
                cure="Use exact_match, which compares JSON values.",
            )


@dataclass(frozen=True)
class LabelSet:
    """The labels of a test set: stripped, distinct and not blank. A label's code is its index in ``texts``.

    ``known`` are labels that no example expects: wrong as an answer, but not counted as unknown.
    """

    reading: Reading
    texts: tuple[str, ...]
    known: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> dict[str, int]:
        """Return the code of each label, by its normalized text."""
        return {self.reading.clean(text): code for code, text in enumerate(self.texts)}

    def confused(self) -> tuple[str, str] | None:
        """Return the first two labels that normalization makes equal; None if there are none."""
        seen: dict[str, str] = {}
        for text in self.texts:
            first = seen.setdefault(self.reading.clean(text), text)
            if first != text:
                return first, text
        return None

    def code(self, label: str) -> int | None:
        """Return the code of a label in the configuration; None if the test set does not contain it."""
        return self.codes.get(self.reading.clean(label))

    def gold(self, metric: str, expected: Sequence[Any]) -> Codes:
        """Return the code of each expected label, shape ``(examples,)``."""
        import numpy as np

        check_labels(metric, expected)
        code = cache(lambda text: self.codes.get(self.reading.clean(text), -1))
        gold = np.fromiter((code(expected_text(value)) for value in expected), np.int64, len(expected))
        if gold.min() < 0:
            index = int(gold.argmin())
            label = listed([expected_text(expected[index])])
            raise MetricError(f"{metric} was built for other labels: test_set[{index}] expects {label}")
        return gold

    def predicted(self, answers: Answers) -> tuple[Codes, int]:
        """Return the code of each answer, shape ``(repeats, examples)``, and the number of unknown labels.

        The code of an answer that is no label of the test set is K, the number of labels.
        """
        import numpy as np

        k = len(self.texts)
        known: dict[Any, int] = {**{self.reading.clean(text): k for text in self.known}, **self.codes}
        code = cache(lambda answer: k if answer is None else known.get(self.reading.label(answer), k + 1))
        codes = np.array([np.fromiter(map(code, repeat), np.int64, len(repeat)) for repeat in answers])
        return np.minimum(codes, k), int((codes > k).sum())

    def bare(self) -> LabelSet:
        """Return the same labels for answers that are just a label, without a pattern or field."""
        return replace(self, reading=replace(self.reading, pattern=None, json_field=()))

    def lenient(self) -> LabelSet | None:
        """Return the same labels under full normalization; None if that is no change or makes labels equal."""
        if self.reading.normalization.full:
            return None
        lenient = replace(self, reading=replace(self.reading, normalization=FULL))
        return None if lenient.confused() else lenient


def read_part(options: Options) -> Reading:
    """Return how the compared part of an answer is extracted: the whole of it, a ``pattern`` or a ``json_field``."""
    reading = Reading(pattern=options.pattern(), json_field=options.json_field())
    if reading.pattern is not None and reading.json_field:
        cure = f"Keep the one that extracts what {options.metric} compares."
        raise options.error("pattern and json_field are both set", key="json_field", cure=cure)
    return reading


def label_set(options: Options) -> LabelSet:
    """Return the labels of the test set with the gate's reading options; refuse labels that these make equal."""
    reading = replace(read_part(options), normalization=options.normalization())
    refuse_blank(options)
    made = LabelSet(reading, tuple(dict.fromkeys(label.strip() for label in options.expected)), options.known)
    if (pair := made.confused()) is not None:
        raise options.error(
            f"normalize makes the labels {listed(pair[:1])} and {listed(pair[1:])} equal",
            key="normalize",
            cure="Remove the step that makes them equal, or use one spelling of the label in the test set.",
        )
    return made


def refuse_blank(options: Options) -> None:
    """Refuse an empty expected output, because an empty answer counts as wrong."""
    if any(not text.strip() for text in options.expected):
        what = f"{options.metric} cannot score a blank expected output, because an empty answer counts as wrong"
        error = options.error(what, cure="Use an explicit label such as `none`.")
        if not options.blank:
            raise error
        more = ", ".join(map(str, options.blank[1:_ROWS_NAMED]))
        rest = len(options.blank) - _ROWS_NAMED
        evidence = f"also blank: {more}{f' and {rest:,} more' if rest > 0 else ''}" if more else None
        raise ConfigError(what, where=options.blank[0], evidence=evidence, cure=error.cure)


def selected_codes(options: Options, labels: LabelSet) -> tuple[int, ...]:
    """Return the codes of the option ``labels``; all codes if it is absent."""
    asked = options.labels("labels")
    if asked is None:
        return tuple(range(len(labels.texts)))
    codes = tuple(_code(options, "labels", label, labels) for label in asked)
    if len(set(codes)) < len(codes):
        raise options.error("labels contains a label twice", key="labels", cure="List each label once.")
    return codes


def positive_code(options: Options, labels: LabelSet) -> int:
    """Return the code of ``pos_label``, the positive one of two labels."""
    name, evidence = options.metric, f"The labels are: {listed(labels.texts)}."
    if len(labels.texts) != 2:
        what = f"{name} needs two labels, and the test set has {len(labels.texts)}"
        cure = f"Use {name}_macro, {name}_micro or {name}_weighted."
        cure = cure if len(labels.texts) > 2 else "Add examples of the other label."
        raise options.error(what, evidence=evidence, cure=cure)
    label = options.label("pos_label")
    if label is None:
        what = f"{name} needs pos_label, the positive label"
        cure = f"Write metric: {{name: {name}, pos_label: {listed(labels.texts[:1])}}}."
        raise options.error(what, key="pos_label", evidence=evidence, cure=cure)
    return _code(options, "pos_label", label, labels)


def _code(options: Options, key: str, label: str, labels: LabelSet) -> int:
    code = labels.code(label)
    if code is None:
        what = f"{key} contains {listed([label])}, which is not a label of the test set"
        raise options.error(what, key=key, cure=did_you_mean(label, labels.texts))
    return code
