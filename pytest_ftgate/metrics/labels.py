"""The labels of a test set, and how the label of an answer is read."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import chain
from typing import Any

import numpy as np

from pytest_ftgate.config import MetricSpec
from pytest_ftgate.data import DataSet, expected_text, strict_json
from pytest_ftgate.errors import ConfigError
from pytest_ftgate.metrics.options import (
    AS_WRITTEN,
    OF_LABELS,
    OF_PUNCTUATED_LABELS,
    Normalization,
    Options,
    did_you_mean,
    within_limit,
    without_fence,
)
from pytest_ftgate.statistics.arrays import Codes
from pytest_ftgate.text import kind_of, listed, nearest, plural

READING_OPTIONS = ("normalize", "pattern", "json_field")
"""The options that define how a label is read from an answer."""


def distinct_outputs(*data: DataSet) -> list[str]:
    """Return the distinct expected outputs of the data as text, sorted."""
    return sorted({expected_text(example.expected) for example in chain(*data)})


def n_alone(outputs: Sequence[str], others: Container[str] = ()) -> int:
    """Return how many outputs stand in no other row; ``others`` are those of further rows."""
    counts = Counter(outputs)
    return sum(counts[output] == 1 and output not in others for output in outputs)


def are_labels(outputs: Sequence[str], others: Container[str] = ()) -> bool:
    """Return whether outputs are labels: half of them stand in other rows, too."""
    return 2 * n_alone(outputs, others) <= len(outputs)


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

    def label(self, answer: str | None) -> str | None:
        """Return the label in an answer; None if there is none."""
        text = None if answer is None else self._compared_text(answer)
        return None if text is None else self.clean(text) or None

    def _compared_text(self, answer: str) -> str | None:
        if self.pattern is not None:
            return self._match(answer.strip())
        text = without_fence(answer)
        return _field_text(text, self.json_field) if self.json_field else text

    def _match(self, text: str) -> str | None:
        """Return the first match of the pattern, or its first group; None if there is none."""
        assert self.pattern is not None
        search = partial(self.pattern.search, text)
        match = within_limit(f"pattern {self.pattern.pattern!r}", search, text)
        if match is None:
            return None
        return match[min(self.pattern.groups, 1)] or ""


def _field_text(answer: str, path: Iterable[str]) -> str | None:
    """Return the text of a field of a JSON answer; None if it is not JSON or has no such value."""
    try:
        value = strict_json.parse_json(answer)
        for step in path:
            value = value[int(step)] if isinstance(value, list) else value[step]
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
    def _spellings(self) -> dict[str, str]:
        """Return the first spelling of each label by its normalized text, the test set's first."""
        spellings: dict[str, str] = {}
        for text in (*self.texts, *self.known):
            spellings.setdefault(self.reading.clean(text), text)
        return spellings

    @cached_property
    def accepted(self) -> frozenset[str]:
        """Return the normalized texts of all labels, also of those that no example expects."""
        return frozenset(map(self.reading.clean, (*self.texts, *self.known)))

    def code(self, label: str) -> int | None:
        """Return the code of a label; None if the test set has no such label."""
        return self.codes.get(self.reading.clean(label))

    def label_of(self, expected: Any) -> str:
        """Return the label in an expected output."""
        text = expected_text(expected)
        label = None if self.inside is None else self.inside.label(text)
        return (label or text).strip()

    def spelled(self, output: str) -> str:
        """Return the label in an output in its first spelling; without one the output as it is."""
        return self._spellings.get(self.reading.clean(self.label_of(output)), output)

    def gold(self, expected: Sequence[Any]) -> Codes:
        """Return the code of each expected label, shape ``(examples,)``."""
        code_of = cache(lambda text: self.codes[self.reading.clean(self.label_of(text))])
        return np.array([code_of(expected_text(value)) for value in expected], np.int64)

    def predicted(self, answers: Sequence[Sequence[str | None]]) -> Codes:
        """Return the code of each answer, shape ``(repeats, examples)``.

        The code of an answer that is no label of the test set is K, the number of labels.
        """
        unknown = len(self.texts)

        @cache
        def code_of(answer: str | None) -> int:
            label = self.reading.label(answer)
            return unknown if label is None else self.codes.get(label, unknown)

        return np.array([list(map(code_of, repeat)) for repeat in answers], np.int64)

    def bare(self) -> "LabelSet":
        """Return the same labels for answers that are just a label, without a pattern or field."""
        return replace(self, reading=replace(self.reading, pattern=None, json_field=()))


# --- the labels of a gate -------------------------------------------------------------------------


def read_part(options: Options) -> Reading:
    """Return how the compared part of an answer is extracted.

    It is all of the answer, what ``pattern`` matches, or the value of ``json_field``.
    """
    reading = Reading(pattern=options.pattern(), json_field=options.json_field())
    if reading.pattern is not None and reading.json_field:
        raise options.error(
            "pattern and json_field are both set",
            key="json_field",
            cure=f"Keep the one that extracts what {options.metric} compares.",
        )

    return reading


def label_set(options: Options) -> LabelSet:
    """Return the labels of the test set with the gate's reading options.

    Refuse labels that ``normalize`` makes equal. Where the gate does not write it, labels that only
    case or white space tells apart are one label, and punctuation is compared if it tells labels
    apart.
    """
    reading = replace(read_part(options), normalization=options.normalization(OF_LABELS))
    refuse_blank(options)
    labels = LabelSet(reading, texts=(), known=(), inside=_inside(options, reading))
    if labels.inside is None:
        _refuse_json(options)
    texts = list(map(labels.label_of, options.expected))
    known = [*map(labels.label_of, options.known), *(options.labels("labels") or ())]

    if "normalize" in options.spec.options:
        _refuse_confused(options, reading, texts)
    else:
        punctuated = replace(reading, normalization=Normalization(OF_PUNCTUATED_LABELS))
        if len(distinct(texts, punctuated.clean)) > len(distinct(texts, reading.clean)):
            reading = punctuated

    texts_once = distinct(texts, reading.clean)
    return replace(labels, reading=reading, texts=texts_once, known=distinct(known))


def _refuse_confused(options: Options, reading: Reading, texts: Iterable[str]) -> None:
    """Refuse labels that differ as they are written, and that ``normalize`` makes equal."""
    seen: dict[str, str] = {}
    for text in texts:
        first = seen.setdefault(reading.clean(text), text)
        if first != text:
            raise options.error(
                f"normalize makes the labels {listed([first])} and {listed([text])} equal",
                key="normalize",
                cure="Remove the step that makes them equal, or use one spelling of the label in "
                "the test set.",
            )


def distinct(texts: Iterable[str], form: Callable[[str], str] = str) -> tuple[str, ...]:
    """Return the first text of each form, in their order."""
    firsts: dict[str, str] = {}
    for text in texts:
        firsts.setdefault(form(text), text)
    return tuple(firsts.values())


def _refuse_json(options: Options) -> None:
    """Refuse objects and lists as expected outputs."""
    for example in options.examples:
        if isinstance(example.expected, dict | list):
            kind = kind_of(example.expected)
            cure = (
                "Use exact_match, which compares JSON values, "
                "or json_field, which reads a label in each."
            )
            raise ConfigError(
                f"{options.metric} compares labels, but the expected output is {kind}",
                where=example.place,
                cure=cure,
            )


def _inside(options: Options, reading: Reading) -> Reading | None:
    """Return what reads the labels of expected outputs, where these hold more than a label.

    Raise :class:`ConfigError` where only some of them do.
    """
    if reading.pattern is None and not reading.json_field:
        return None

    longer: list[str] = []
    bare: list[str] = []
    for text in options.expected:
        if reading.label(text) in (None, reading.clean(text)):
            bare.append(text)
        else:
            longer.append(text)

    if not longer:
        return None

    if bare:
        key = "pattern" if reading.pattern is not None else "json_field"
        problem = (
            f"{key} finds a part of the expected output {listed(longer[:1])}, "
            f"and none of {listed(bare[:1])}"
        )
        cure = f"Write outputs that are all just the label, or correct {key}."
        raise options.error(problem, key=key, cure=cure)

    return reading


def refuse_unrepeated(labels: LabelSet, spec: MetricSpec, test: DataSet, training: DataSet) -> None:
    """Raise :class:`ConfigError` for a metric of labels where nine in ten outputs do not repeat."""
    tested = [labels.reading.clean(labels.label_of(value)) for value in test.expected]
    trained = {labels.reading.clean(labels.label_of(example.expected)) for example in training}
    alone = n_alone(tested, trained)
    if 10 * alone < 9 * len(tested):
        return

    problem = (
        f"{spec.name} compares labels, but {alone:,} of {plural(len(tested), 'expected output')} "
        "of the test set stand in no other row"
    )
    cure = (
        "Choose a metric of texts: exact_match, within for numbers, rouge_l, or a judge (rubric)."
    )
    where = spec.source.where("metric")
    if spec.source.kind == "default":
        where = test.where(0)  # nobody has written a metric
    raise ConfigError(problem, where=where, cure=cure)


def refuse_blank(options: Options) -> None:
    """Refuse an empty expected output, because an empty answer counts as wrong."""
    for example in options.examples:
        if not expected_text(example.expected).strip():
            problem = (
                f"{options.metric} cannot score a blank expected output, "
                "because an empty answer counts as wrong"
            )
            cure = "Use an explicit label such as `none`."
            raise ConfigError(problem, where=example.place, cure=cure)


def selected_codes(options: Options, labels: LabelSet) -> tuple[int, ...]:
    """Return the codes of the labels to average over.

    These are the labels of the test set in the option ``labels``, else all. Others in the option,
    such as ``unknown``, are labels that an answer may be. One that resembles a label of the test
    set is refused as a misspelt one.
    """
    codes: dict[int, None] = {}
    for label in options.labels("labels") or ():
        code = labels.code(label)
        if code is not None:
            codes[code] = None
        elif nearest(label, labels.texts) is not None:
            raise _unknown(options, "labels", label, labels)
    return tuple(codes) or tuple(range(len(labels.texts)))


def positive_code(options: Options, labels: LabelSet) -> int:
    """Return the code of ``pos_label``, the positive one of two labels."""
    name = options.metric
    evidence = f"The labels are: {listed(labels.texts)}."
    if len(labels.texts) != 2:
        raise options.error(
            f"{name} needs two labels, and the test set has {len(labels.texts)}",
            evidence=evidence,
            cure=f"Use {name}_macro, {name}_micro or {name}_weighted.",
        )

    label = options.label("pos_label")
    if label is None:
        raise options.error(
            f"{name} needs pos_label, the positive label",
            key="pos_label",
            evidence=evidence,
            cure=f"Write metric: {{name: {name}, pos_label: {listed(labels.texts[:1])}}}.",
        )

    code = labels.code(label)
    if code is None:
        raise _unknown(options, "pos_label", label, labels)
    return code


def _unknown(options: Options, key: str, label: str, labels: LabelSet) -> ConfigError:
    return options.error(
        f"{key} contains {listed([label])}, which is not a label of the test set",
        key=key,
        cure=did_you_mean(label, labels.texts),
    )
