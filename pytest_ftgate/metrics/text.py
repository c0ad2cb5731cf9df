"""Metrics of texts: exact match, also of JSON values, and similarity, which is graded from 0 to 1."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias

from pytest_ftgate.data import expected_text, strict_json
from pytest_ftgate.metrics import json_values, labels, numbers, protocol
from pytest_ftgate.metrics.options import Options, needed, without_fence

# (whether to compare as JSON, the text or the key of the value)
_Wanted: TypeAlias = tuple[bool, Any]

MOST_OUTPUTS = 50
"""With more different outputs, or each but once or twice, exact_match compares free text."""


# Scripts without spaces between words (Thai, Lao; Myanmar; Khmer; Hiragana, Katakana; Han). Each
# letter counts as a word, because word boundaries are unknown.
_UNSPACED_LETTERS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{_UNSPACED_LETTERS}]")
_LETTER = rf"[^\W{_UNSPACED_LETTERS}]"  # of a word between spaces


@dataclass(frozen=True)
class ExactMatch(protocol.TextMetric):
    """The share of answers that equal the expected output.

    If the expected output is a JSON value that is not text, or text that contains a JSON object or
    list, JSON values are compared: key order and layout do not matter, and an answer that is not
    JSON is wrong. Text is compared without surrounding white space. Normalization applies to text,
    and to text values inside JSON.
    """

    name = "exact_match"
    kind = "right_wrong"
    json_form: json_values.JsonForm | None = None
    are_numbers: bool = False
    outputs: frozenset[_Wanted] | None = None

    @property
    def form(self) -> str:  # type: ignore[override]
        """Return what the outputs of the test set are."""
        if self.json_form is not None:
            return "the expected JSON alone"
        if self.are_numbers:
            return "a number alone"
        return (
            "the expected text alone"
            if self.outputs is None
            else "one of the expected outputs alone"
        )

    def has_form(self, answer: str) -> bool:
        """Return whether an answer is JSON of the expected form, a number, or one of few outputs."""
        if self.are_numbers:
            return numbers.number_in(without_fence(answer)) is not None
        if self.outputs is not None:
            return not self.outputs.isdisjoint(self._readings(answer))
        if self.json_form is None:
            return True
        return self.json_form.fits(strict_json.json_or(without_fence(answer), json_values.ABSENT))

    def adds_words(self, expected: Any, answer: str) -> bool:
        """Return whether an answer contains the whole expected output as words, and more: "It is 42."."""
        if self.outputs is not None or self.json_form is not None or self.are_numbers:
            return False
        wanted = " ".join(expected_text(expected).casefold().split())
        written = " ".join(answer.casefold().split())
        whole = rf"(?<!{_LETTER}){re.escape(wanted)}(?!{_LETTER})"
        return len(written) > len(wanted) and re.search(whole, written) is not None

    def score(self, expected: Sequence[Any], answers: protocol.Answers) -> protocol.Scored:
        return protocol.by_example(
            self, [self.wanted(value) for value in expected], answers, self._is_right
        )

    def wanted(self, expected: Any) -> _Wanted:
        """Return an expected output as answers are compared with it."""
        value = strict_json.container_of(expected) if isinstance(expected, str) else expected
        as_text = value is None and isinstance(expected, str)
        return (False, self.clean(expected)) if as_text else (True, self._key(value))

    def _key(self, value: Any) -> Any:
        """Return a key that equal JSON values have; a value that is nested too deeply equals none."""
        try:
            return json_values.JsonRules({json_values.OTHERS: self.normalization}).key(value)
        except RecursionError:
            return object()

    def _is_right(self, wanted: _Wanted, answer: str | None) -> bool:
        as_json, value = wanted
        if answer is None:
            return False
        if not as_json:
            return answer.strip() != "" and self.clean(answer) == str(value)
        try:
            return bool(value == self._key(strict_json.parse_json(without_fence(answer))))
        except ValueError:
            return False

    def _readings(self, answer: str) -> Iterator[_Wanted]:
        """Yield an answer as it is compared with text, and as JSON if it is."""
        yield False, self.clean(answer)
        try:
            yield True, self._key(strict_json.parse_json(without_fence(answer)))
        except ValueError:
            return


_ASCII_WORD = re.compile("[a-z0-9]+")


def words(text: str) -> list[str]:
    """Split a text into lower-case runs of letters, marks and digits; in scripts without spaces, into single letters.

    For ASCII these are the tokens of rouge-score. A text without such a run is a single word,
    stripped.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower()) or [text.lower().strip()]
    composed = unicodedata.normalize("NFC", text).lower()
    found: list[str] = []
    current = ""
    for character in composed:
        kind = unicodedata.category(character)[0]
        alone = _UNSPACED.match(current)
        if kind == "M" or (
            kind in "LN" and not alone and not (kind == "L" and _UNSPACED.match(character))
        ):
            current += character
            continue
        found.append(current)
        current = character if kind in "LN" else ""
    return [word for word in (*found, current) if word] or [composed.strip()]


def f_measure(n_common: int, n_expected: int, n_answered: int) -> float:
    """Return the harmonic mean of precision and recall; 0 if nothing is shared."""
    return 2 * n_common / (n_expected + n_answered) if n_common else 0.0


Compare: TypeAlias = Callable[[str, str], float]
"""Returns the similarity, in [0, 1], of the expected and the answered text, both normalized and not blank."""

LONG = 100_000
"""Maximum length of a text, in characters: two such texts are compared within seconds."""


@dataclass(frozen=True)
class TextSimilarity(protocol.TextMetric):
    """The mean similarity of answers to the expected texts, each graded from 0 to 1; a missing answer is 0.

    An answer that is longer than `LONG` is 0 without being compared: it is a runaway generation,
    and comparing it could take minutes.
    """

    name: str
    compare: Compare
    kind = "graded"

    def score(self, expected: Sequence[Any], answers: protocol.Answers) -> protocol.Scored:
        return protocol.by_example(
            self, [expected_text(value) for value in expected], answers, cache(self._grade)
        )

    def _grade(self, expected: str, answer: str | None) -> float:
        if answer is None or not answer.strip() or len(answer) > LONG:
            return 0.0
        return min(max(self.compare(self.clean(expected), self.clean(answer)), 0.0), 1.0)


def token_f1(expected: str, answer: str) -> float:
    """Return the F1 of the two bags of tokens, split on white space.

    Source: P. Rajpurkar, J. Zhang, K. Lopyrev & P. Liang, SQuAD: 100,000+ Questions for Machine
    Comprehension of Text, EMNLP (2016). SQuAD's further normalization is left to the gate's
    ``normalize``.
    """
    first, second = expected.split(), answer.split()
    return f_measure((Counter(first) & Counter(second)).total(), len(first), len(second))


def _rouge_l(options: Options) -> Compare:
    """Return a function for the F-measure of the longest common subsequence of words, over the whole text.

    Source: C.-Y. Lin, ROUGE: A Package for Automatic Evaluation of Summaries (2004). Equals
    rouge-score's rougeL without stemming, but supports letters beyond a to z, and is faster on long
    texts.
    """
    subsequence = needed(options, "rapidfuzz.distance").LCSseq

    def rouge_l(expected: str, answer: str) -> float:
        first, second = words(expected), words(answer)
        codes: dict[str, int] = {}
        coded = [[codes.setdefault(word, len(codes)) for word in text] for text in (first, second)]
        return f_measure(int(subsequence.similarity(*coded)), len(first), len(second))

    return rouge_l


def _edit_similarity(options: Options) -> Compare:
    """Return a function for 1 minus the Levenshtein distance divided by the length of the longer text.

    Source: V. I. Levenshtein, Soviet Physics Doklady 10 (1966) 707-710.
    """
    levenshtein = needed(options, "rapidfuzz.distance").Levenshtein
    return lambda expected, answer: float(levenshtein.normalized_similarity(expected, answer))


_COMPARE: Mapping[str, Callable[[Options], Compare]] = {
    "token_f1": lambda _: token_f1,
    "rouge_l": _rouge_l,
    "edit_similarity": _edit_similarity,
}

NAMES = (ExactMatch.name, *_COMPARE)


def build(options: Options) -> ExactMatch | TextSimilarity:
    """Build the metric of this family that the options name."""
    options.allow("normalize")
    labels.refuse_blank(options)
    normalization = options.normalization()
    if options.metric == ExactMatch.name:
        return _of_outputs(ExactMatch(normalization=normalization), options)
    longest = max(map(len, options.expected), default=0)
    if longest > LONG:
        what = f"{options.metric} supports expected texts of up to {LONG:,} characters, and one has {longest:,}"
        raise options.error(what, cure="Split the example, or use a custom metric.")
    return TextSimilarity(
        options.metric, _COMPARE[options.metric](options), normalization=normalization
    )


def _of_outputs(metric: ExactMatch, options: Options) -> ExactMatch:
    """Return the metric for the outputs of a test set: JSON, numbers, few different ones, or free text."""
    expected = [example.expected for example in options.examples] or list(options.expected)
    if not expected:
        return metric
    containers = list(map(strict_json.container_of, expected))
    if None not in containers:
        return replace(metric, json_form=json_values.JsonForm.of(containers))
    if all(numbers.number_in(expected_text(value)) is not None for value in expected):
        return replace(metric, are_numbers=True)
    outputs = frozenset(map(metric.wanted, expected))
    if len(outputs) > MOST_OUTPUTS or 2 * len(outputs) > len(expected):
        return metric
    return replace(metric, outputs=outputs.union(map(metric.wanted, options.known)))
