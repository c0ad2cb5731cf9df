"""The labels of a test set, and how the label of an answer is read."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import Any

import numpy as np

from pytest_ftgate.data import DataSet, expected_text, strict_json
from pytest_ftgate.errors import ConfigError, MetricError
from pytest_ftgate.metrics.options import (
    AS_WRITTEN,
    OF_LABELS,
    Normalization,
    Options,
    did_you_mean,
    within_limit,
    without_fence,
)
from pytest_ftgate.statistics.arrays import Codes
from pytest_ftgate.text import kind_of, listed, nearest

READING_OPTIONS = ("normalize", "pattern", "json_field")
"""The options that define how a label is read from an answer."""


def distinct_outputs(*data: DataSet) -> list[str]:
    """Return the distinct expected outputs of the data as text, sorted."""
    return sorted({expected_text(example.expected) for one in data for example in one})


@dataclass(frozen=True)
class Reading:
    """How the label is extracted from an answer, and which differences are ignored.

    The label is the match of ``pattern`` (its first group, if it has one), or the value of
    ``json_field``, or the whole answer. It is then stripped of surrounding white space and
    normalized. A Markdown fence around all of an answer is no part of it, unless ``pattern`` reads
    it.
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
        if self.pattern is not None:
            return self._match(answer.strip())
        text = without_fence(answer)
        return _field_text(text, self.json_field) if self.json_field else text

    def _match(self, text: str) -> str | None:
        """Return the first match of the pattern in a text, or its first group; None if there is none."""
        assert self.pattern is not None
        search = partial(self.pattern.search, text)
        match = within_limit(f"pattern {self.pattern.pattern!r}", search, text)
        if match is None:
            return None
        return match[min(self.pattern.groups, 1)] or ""


def _field_text(answer: str, path: Iterable[str]) -> str | None:
    """Return the text of a field of a JSON answer; None if the answer is not JSON or the field is no single value."""
    try:
        value = strict_json.parse_json(answer)
        for part in path:
            value = value[int(part)] if isinstance(value, list) else value[part]
        return None if isinstance(value, dict | list) else expected_text(value)
    except (ValueError, TypeError, LookupError):
        return None


@dataclass(frozen=True)
class LabelSet:
    """The labels of a test set: stripped, distinct and not blank.

    A label's code is its index in ``texts``.

    ``known`` are labels that no example expects, of the training set or of the metric's option
    ``labels``: wrong as an answer, but not malformed. ``inside`` reads the label of an expected
    output that holds more than it; None where the outputs are the labels.
    """

    reading: Reading
    texts: tuple[str, ...]
    known: tuple[str, ...] = ()
    inside: Reading | None = None

    @cached_property
    def codes(self) -> dict[str, int]:
        """Return the code of each label, by its normalized text."""
        return {self.reading.clean(text): code for code, text in enumerate(self.texts)}

    @cached_property
    def accepted(self) -> frozenset[str]:
        """Return the normalized texts of all labels, also of those that no example expects."""
        return frozenset(map(self.reading.clean, (*self.texts, *self.known)))

    def confused(self) -> tuple[str, str] | None:
        """Return the first two labels that normalization makes equal; None if there are none."""
        seen: dict[str, str] = {}
        pairs = ((seen.setdefault(self.reading.clean(text), text), text) for text in self.texts)
        return next((pair for pair in pairs if pair[0] != pair[1]), None)

    def code(self, label: str) -> int | None:
        """Return the code of a label in the configuration; None if the test set does not contain it."""
        return self.codes.get(self.reading.clean(label))

    def label_of(self, expected: Any) -> str:
        """Return the label in an expected output."""
        text = expected_text(expected)
        return (text if self.inside is None else self.inside.label(text) or text).strip()

    def gold(self, metric: str, expected: Sequence[Any]) -> Codes:
        """Return the code of each expected label, shape ``(examples,)``."""
        code = cache(lambda text: self.codes.get(self.reading.clean(self.label_of(text)), -1))
        gold = np.fromiter(
            (code(expected_text(value)) for value in expected), np.int64, len(expected)
        )
        if gold.min() < 0:
            index = int(gold.argmin())
            label = listed([expected_text(expected[index])])
            what = f"{metric} was built for other labels: this example expects {label}"
            raise MetricError(what, example=index, unsuited=True)
        return gold

    def predicted(self, answers: Sequence[Sequence[str | None]]) -> Codes:
        """Return the code of each answer, shape ``(repeats, examples)``.

        The code of an answer that is no label of the test set is K, the number of labels.
        """

        @cache
        def code(answer: str | None) -> int:
            label = None if answer is None else self.reading.label(answer)
            return len(self.texts) if label is None else self.codes.get(label, len(self.texts))

        return np.array(
            [np.fromiter(map(code, repeat), np.int64, len(repeat)) for repeat in answers]
        )

    def bare(self) -> "LabelSet":
        """Return the same labels for answers that are just a label, without a pattern or field."""
        return replace(self, reading=replace(self.reading, pattern=None, json_field=()))


# --- the labels of a gate
# ------------------------------------------------------------------------------------


def read_part(options: Options) -> Reading:
    """Return how the compared part of an answer is extracted: the whole of it, a ``pattern`` or a ``json_field``."""
    reading = Reading(pattern=options.pattern(), json_field=options.json_field())
    if reading.pattern is not None and reading.json_field:
        cure = f"Keep the one that extracts what {options.metric} compares."
        raise options.error("pattern and json_field are both set", key="json_field", cure=cure)
    return reading


def label_set(options: Options) -> LabelSet:
    """Return the labels of the test set with the gate's reading options; refuse labels that these make equal.

    Where the gate does not write ``normalize``, steps that would make labels equal are left out.
    """
    reading = replace(read_part(options), normalization=options.normalization(OF_LABELS))
    refuse_blank(options)
    made = LabelSet(reading, (), (), _inside(options, reading))
    for example in options.examples if made.inside is None else ():
        if isinstance(example.expected, dict | list):
            what = f"{options.metric} compares labels, but the expected output is {kind_of(example.expected)}"
            cure = "Use exact_match, which compares JSON values, or json_field, which reads a label in each."
            raise ConfigError(what, where=example.place, cure=cure)
    texts = tuple(dict.fromkeys(map(made.label_of, options.expected)))
    known = (*map(made.label_of, options.known), *(options.labels("labels") or ()))
    made = replace(made, texts=texts, known=tuple(dict.fromkeys(known)))
    if "normalize" not in options.spec.options:
        fewer = (OF_LABELS, OF_LABELS - {"punctuation"}, OF_LABELS - {"case"}, ())
        sets = (
            replace(made, reading=replace(reading, normalization=Normalization(frozenset(one))))
            for one in fewer
        )
        return next(one for one in sets if one.confused() is None)
    if (pair := made.confused()) is not None:
        what = f"normalize makes the labels {listed(pair[:1])} and {listed(pair[1:])} equal"
        cure = "Remove the step that makes them equal, or use one spelling of the label in the test set."
        raise options.error(what, key="normalize", cure=cure)
    return made


def _inside(options: Options, reading: Reading) -> Reading | None:
    """Return what reads the labels of expected outputs: as answers are read, where these hold more than a label.

    Raise :class:`ConfigError` where only some of them do.
    """
    if reading.pattern is None and not reading.json_field:
        return None
    labels = {text: reading.label(text) for text in options.expected}
    longer = [text for text, label in labels.items() if label not in (None, reading.clean(text))]
    if not longer:
        return None
    other = next(
        (text for text, label in labels.items() if label in (None, reading.clean(text))), None
    )
    if other is not None:
        key = "pattern" if reading.pattern is not None else "json_field"
        what = f"{key} reads {listed([labels[longer[0]] or ''])} in the expected output {listed(longer[:1])}"
        what += (
            f", but {'nothing' if labels[other] is None else 'the whole text'} in {listed([other])}"
        )
        cure = f"Write outputs that all hold just the label, or more that {key} reads in each; or correct {key}."
        raise options.error(what, key=key, cure=cure)
    return reading


def refuse_blank(options: Options) -> None:
    """Refuse an empty expected output, because an empty answer counts as wrong."""
    if any(not text.strip() for text in options.expected):
        blank = (
            example.place
            for example in options.examples
            if not expected_text(example.expected).strip()
        )
        what = f"{options.metric} cannot score a blank expected output, because an empty answer counts as wrong"
        place = next(blank, None) or options.spec.source.where()
        raise ConfigError(what, where=place, cure="Use an explicit label such as `none`.")


def selected_codes(options: Options, labels: LabelSet) -> tuple[int, ...]:
    """Return the codes of the labels to average over: those of the test set in the option ``labels``, else all.

    Others in it, such as ``unknown``, are labels that an answer may be. One that may be misspelt is
    refused: it resembles a label of the test set, or stands beside some of these, but not all.
    """
    codes: list[int] = []
    others: list[str] = []
    for label in options.labels("labels") or ():
        code = labels.code(label)
        if code is None:
            others.append(label)
        else:
            codes.append(code)

    is_partial = 0 < len(codes) < len(labels.texts)
    for label in others:
        if is_partial or nearest(label, labels.texts) is not None:
            raise _unknown(options, "labels", label, labels)
    if len(set(codes)) < len(codes):
        raise options.error(
            "labels contains a label twice", key="labels", cure="List each label once."
        )
    return tuple(codes) or tuple(range(len(labels.texts)))


def positive_code(options: Options, labels: LabelSet) -> int:
    """Return the code of ``pos_label``, the positive one of two labels."""
    name, evidence = options.metric, f"The labels are: {listed(labels.texts)}."
    if len(labels.texts) != 2:
        what = f"{name} needs two labels, and the test set has {len(labels.texts)}"
        cure = f"Use {name}_macro, {name}_micro or {name}_weighted."
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
        raise _unknown(options, key, label, labels)
    return code


def _unknown(options: Options, key: str, label: str, labels: LabelSet) -> ConfigError:
    what = f"{key} contains {listed([label])}, which is not a label of the test set"
    return options.error(what, key=key, cure=did_you_mean(label, labels.texts))
