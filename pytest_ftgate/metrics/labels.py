"""The labels of a test set, and how the label of an answer is read."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import islice
from typing import Any

import numpy as np

from pytest_ftgate.data import DataSet, expected_text, strict_json
from pytest_ftgate.errors import ConfigError, MetricError
from pytest_ftgate.metrics.options import AS_WRITTEN, OF_LABELS, Normalization, Options, did_you_mean, within_limit
from pytest_ftgate.statistics.arrays import Codes
from pytest_ftgate.text import kind_of, listed

READING_OPTIONS = ("normalize", "pattern", "json_field")
"""The options that define how a label is read from an answer."""

MOST_WORDS = 20
"""Words around the only label that an answer names; with more it may be named by chance."""

_LEAD = re.compile(r"\W{0,9}(?:\w+[ \t*]+){0,3}\w+[ \t*]*[:=\uff1a][\s*_]*")  # **Final answer:**
_IDEOGRAPH = r"\u3040-\u30ff\u3400-\u9fff"
_TOKEN = re.compile(
    r"(?<![\w.])[-+\u2212]?\d+(?:,\d+)*(?:\.\d+)?(?!\w)"  # a number
    rf"|[{_IDEOGRAPH}]|[^\W_{_IDEOGRAPH}]+(?:['\u2019][^\W_]+)*"  # a word
    r"|[#%&@+]+"  # a symbol with a meaning: C++, 5 %
)
_LONGEST_LEAD = 100
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


def distinct_outputs(*data: DataSet) -> list[str]:
    """Return the distinct expected outputs of the data as text, sorted."""
    return sorted({expected_text(example.expected) for one in data for example in one})


@dataclass(frozen=True)
class Reading:
    """How the label is extracted from an answer, and which differences are ignored.

    The label is the match of ``pattern`` (its first group, if it has one), or the value of ``json_field``, or the
    whole answer, ``or_whole`` also where there is no such part. It is then stripped of surrounding white space and
    normalized.
    """

    normalization: Normalization = AS_WRITTEN
    pattern: re.Pattern[str] | None = None
    json_field: tuple[str, ...] = ()
    or_whole: bool = False

    def clean(self, text: str) -> str:
        return self.normalization(text.strip())

    def label(self, answer: str) -> str | None:
        """Return the label in an answer; None if there is none."""
        part = self._part(answer)
        part = answer if part is None and self.or_whole else part
        return None if part is None else self.clean(part) or None

    def count_ambiguous(self, answers: Sequence[Sequence[str | None]]) -> int:
        """Return the number of answers in which ``pattern`` finds different labels."""
        if self.pattern is None:
            return 0
        several = cache(lambda answer: len(set(map(self.clean, self._found(answer.strip())))) > 1)
        return sum(several(answer) for repeat in answers for answer in repeat if answer is not None)

    def _part(self, answer: str) -> str | None:
        if self.json_field:
            return _field_text(answer, self.json_field)
        return answer if self.pattern is None else next(iter(self._found(answer.strip(), most=1)), None)

    def _found(self, text: str, most: int | None = None) -> list[str]:
        assert self.pattern is not None
        group, places = min(self.pattern.groups, 1), self.pattern.finditer(text)
        found = within_limit(f"pattern {self.pattern.pattern!r}", lambda: [*islice(places, most)], text)
        return [one[group] or "" for one in found]


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
    """The labels of a test set: stripped, distinct and not blank. A label's code is its index in ``texts``.

    ``known`` are labels that no example expects: wrong as an answer, but not counted as unknown. ``inside`` reads the
    label of an expected output that holds more than it; None where the outputs are the labels.
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
    def codes_known(self) -> dict[Any, int]:
        """Return the code of each label, with that of the labels that no example expects, which is K."""
        return {**{self.reading.clean(text): len(self.texts) for text in self.known}, **self.codes}

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

    def of(self, answer: str) -> str | None:
        """Return the label of an answer, as written in the test set; None if it is not one of those."""
        code = self.codes.get(self.reading.label(answer) or "")
        return None if code is None else self.texts[code]

    def gold(self, metric: str, expected: Sequence[Any]) -> Codes:
        """Return the code of each expected label, shape ``(examples,)``."""
        code = cache(lambda text: self.codes.get(self.reading.clean(self.label_of(text)), -1))
        gold = np.fromiter((code(expected_text(value)) for value in expected), np.int64, len(expected))
        if gold.min() < 0:
            index = int(gold.argmin())
            label = listed([expected_text(expected[index])])
            what = f"{metric} was built for other labels: this example expects {label}"
            raise MetricError(what, example=index, unsuited=True)
        return gold

    def predicted(self, answers: Sequence[Sequence[str | None]]) -> tuple[Codes, int]:
        """Return the code of each answer, shape ``(repeats, examples)``, and the number of unknown labels.

        The code of an answer that is no label of the test set is K, the number of labels.
        """
        k, known = len(self.texts), self.codes_known
        code = cache(lambda answer: k if answer is None else known.get(self.reading.label(answer), k + 1))
        codes = np.array([np.fromiter(map(code, repeat), np.int64, len(repeat)) for repeat in answers])
        return np.minimum(codes, k), int((codes > k).sum())

    @cached_property
    def _by_words(self) -> Mapping[str, str | None]:
        """Return each label by its joined words; None by those that several labels have."""
        found: dict[str, str | None] = {}
        for text in dict.fromkeys((*self.texts, *self.known)):
            words = _joined(tokens_of(text))
            same = self.reading.clean(found.get(words) or text) == self.reading.clean(text)
            found[words] = found.get(words, text) if same and found.get(words, text) else None
        return {words: text for words, text in found.items() if words}

    @cached_property
    def _longest(self) -> int:
        return max((len(tokens_of(text)) for text in self._by_words.values() if text), default=0) + 2

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(words[:end] for words in self._by_words for end in range(1, len(words) + 1))

    def named_by(self, answer: str, text: str | None = None) -> str | None:
        """Return the label of an answer; if it is no known one, the only one that the answer, or its ``text``, names.

        In this order: the whole text, the only label in its JSON, its first or last line, one in a short text. Case,
        punctuation and the joints of labels do not count: ``CardArrival`` is ``card_arrival``.
        """
        text = answer if text is None else text
        label = self.reading.label(answer)
        if label is not None and label in self.codes_known:
            return self.of(answer) or label
        in_json = (leaf for _, _, value in strict_json.json_within(text) for leaf in leaves_of(value))
        return self._only([text]) or self._only(in_json) or self._only(_ends(text)) or self._alone(text)

    def _only(self, texts: Iterable[str]) -> str | None:
        """Return the only label that is one of the texts."""
        found = {label for text in texts if (label := self._by_words.get(_joined(tokens_of(text)))) is not None}
        return found.pop() if len(found) == 1 else None

    def _alone(self, text: str) -> str | None:
        """Return the only label in a short text."""
        tokens = tokens_of(text)
        if len(tokens) > MOST_WORDS + self._longest:
            return None
        places = self._places(tokens)
        named = {label for _, _, label in places}
        others = len(tokens) - max((end - start for start, end, _ in places), default=0)
        return named.pop() if len(named) == 1 and others <= MOST_WORDS else None

    def named_in(self, text: str) -> list[str | None]:
        """Return all labels that a text names, in their order; None for one that could be several."""
        return [label for _, _, label in self._places(tokens_of(text))]

    def _places(self, tokens: Sequence[str]) -> list[tuple[int, int, str | None]]:
        """Return where labels begin and end among tokens; of one within another (a partial refund) the longer one."""
        places: list[tuple[int, int, str | None]] = []
        for start, first in enumerate(tokens):
            words, longest = "", None
            for end in range(start + 1, len(tokens) + 1):
                words = _joined([words, tokens[end - 1]])
                if words not in self._beginnings:
                    break
                label = self._by_words.get(words)
                letter = len(words) == 1 and words.isalpha() and label != first  # "a" is no label A
                if words in self._by_words and not letter:
                    longest = (start, end, label)
            places += [] if longest is None else [longest]
        reached, outer = 0, []
        for one in places:
            outer += [one] if one[1] > reached else []
            reached = max(reached, one[1])
        return outer

    def bare(self) -> "LabelSet":
        """Return the same labels for answers that are just a label, without a pattern or field."""
        return replace(self, reading=replace(self.reading, pattern=None, json_field=()))


# --- words of labels -----------------------------------------------------------------------------------------


def tokens_of(text: str) -> list[str]:
    """Return the words, numbers and symbols of a text; equal numbers are equal tokens."""
    tokens = _TOKEN.findall(unicodedata.normalize("NFKC", text))
    return [_number(token) if token[-1].isdigit() else token for token in tokens]


def _number(token: str) -> str:
    digits = token.replace(",", "").replace("\u2212", "-").removeprefix("+")
    if not NUMBER.fullmatch(digits):
        return token
    digits = re.sub(r"^(-?)0+(?=\d)", r"\1", digits)
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if digits == "-0" else digits


def _joined(tokens: Iterable[str]) -> str:
    """Return tokens in one word, so that the joints of labels do not count; numbers stay apart."""
    joined = ""
    for token in tokens:
        joined += (" " if joined[-1:].isdigit() and token[:1].isdigit() else "") + token.casefold()
    return joined


def leaves_of(value: Any) -> Iterator[str]:
    """Yield the texts of all plain values in a JSON value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        yield expected_text(value)
        return
    for one in inner:
        yield from leaves_of(one)


def _ends(text: str) -> Iterator[str]:
    """Yield the first and the last line of a text, also without words and a colon before them."""
    lines = [line for line in text.splitlines() if line.strip()]
    for line in dict.fromkeys((*lines[:1], *lines[-1:])):
        yield from dict.fromkeys((line, without_lead(line)))


def without_lead(line: str) -> str:
    """Return a line without words and a colon before what it says: ``**Final answer:** refund``."""
    lead = _LEAD.match(line, 0, _LONGEST_LEAD)
    return line if lead is None else line[lead.end() :]


# --- the labels of a gate ------------------------------------------------------------------------------------


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
    texts, known = (tuple(dict.fromkeys(map(made.label_of, one))) for one in (options.expected, options.known))
    made = replace(made, texts=texts, known=known)
    if "normalize" not in options.spec.options:
        fewer = (OF_LABELS, OF_LABELS - {"punctuation"}, OF_LABELS - {"case"}, ())
        sets = (replace(made, reading=replace(reading, normalization=Normalization(frozenset(one)))) for one in fewer)
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
    other = next((text for text, label in labels.items() if label in (None, reading.clean(text))), None)
    if other is not None:
        key = "pattern" if reading.pattern is not None else "json_field"
        what = f"{key} reads {listed([labels[longer[0]] or ''])} in the expected output {listed(longer[:1])}"
        what += f", but {'nothing' if labels[other] is None else 'the whole text'} in {listed([other])}"
        cure = f"Write outputs that all hold just the label, or more that {key} reads in each; or correct {key}."
        raise options.error(what, key=key, cure=cure)
    return reading


def refuse_blank(options: Options) -> None:
    """Refuse an empty expected output, because an empty answer counts as wrong."""
    if any(not text.strip() for text in options.expected):
        blank = (example.place for example in options.examples if not expected_text(example.expected).strip())
        what = f"{options.metric} cannot score a blank expected output, because an empty answer counts as wrong"
        place = next(blank, None) or options.spec.source.where()
        raise ConfigError(what, where=place, cure="Use an explicit label such as `none`.")


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
