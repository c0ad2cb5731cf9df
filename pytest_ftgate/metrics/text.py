"""Metrics of texts: exact match, also of JSON values, and similarity."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, TypeAlias

from pytest_ftgate.data import expected_text, strict_json
from pytest_ftgate.metrics import labels, numbers
from pytest_ftgate.metrics.json_values import ABSENT, OTHERS, JsonForm, JsonRules
from pytest_ftgate.metrics.options import Options, needed, without_fence
from pytest_ftgate.metrics.protocol import Answers, Scored, TextMetric, by_example
from pytest_ftgate.text import show_number

_Compared: TypeAlias = tuple[bool, Any]
"""Whether an output is compared as JSON, and the text or the key of the value."""

MOST_OUTPUTS = 50
"""The most distinct outputs that are labels, where each has two examples on average.

With others exact_match compares free text.
"""


# Scripts without spaces between words (Thai, Lao; Myanmar; Khmer; Hiragana, Katakana; Han). Each
# letter counts as a word, because word boundaries are unknown.
_UNSPACED_LETTERS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{_UNSPACED_LETTERS}]")
_LETTER = rf"[^\W{_UNSPACED_LETTERS}]"  # of a word between spaces


@dataclass(frozen=True)
class ExactMatch(TextMetric):
    """The share of answers that equal the expected output.

    If the expected output is a JSON value that is not text, or text that contains a JSON object or
    list, JSON values are compared: key order and layout do not matter, and an answer that is not
    JSON is wrong. Where all expected outputs are numbers, numbers are compared, exactly: $12.50 is
    12.5. Text is compared without surrounding white space. Normalization applies to text, and to
    text values inside JSON.
    """

    name = "exact_match"
    kind = "right_wrong"
    json_form: JsonForm | None = None
    are_numbers: bool = False
    outputs: frozenset[_Compared] | None = None

    def has_form(self, answer: str) -> bool:
        """Return whether an answer has the form of the outputs: JSON, number, or one of few."""
        if self.are_numbers:
            return self._number(answer) is not None
        if self.outputs is not None:
            is_output = self._as_text(answer) in self.outputs
            return is_output or self._json_reading(answer) in self.outputs
        if self.json_form is None:
            return True
        return self.json_form.fits(strict_json.json_or(without_fence(answer), ABSENT))

    @property
    def free_text(self) -> bool:  # type: ignore[override]
        """Return whether outputs are neither JSON nor numbers nor one of few."""
        return self.outputs is None and self.json_form is None and not self.are_numbers

    def adds_words(self, expected: Any, answer: str) -> bool:
        """Return whether an answer contains the whole expected output as words, and more."""
        if not self.free_text:
            return False
        # case and layout are no words
        wanted = " ".join(expected_text(expected).casefold().split())
        written = " ".join(answer.casefold().split())
        as_words = rf"(?<!{_LETTER}){re.escape(wanted)}(?!{_LETTER})"
        return len(written) > len(wanted) and re.search(as_words, written) is not None

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        if self.are_numbers:
            wanted = [self._number(expected_text(value)) for value in expected]
            return by_example(self, wanted, answers, self._is_number)
        outputs = list(map(self.compared, expected))
        return by_example(self, outputs, answers, self._is_right)

    def read(self, answer: str) -> str:
        number = self._number(answer) if self.are_numbers else None
        return super().read(answer) if number is None else show_number(float(number))

    def _number(self, text: str) -> Fraction | None:
        return numbers.number_in(without_fence(text))

    def _is_number(self, wanted: Fraction, answer: str | None) -> bool:
        return answer is not None and self._number(answer) == wanted

    def compared(self, expected: Any) -> _Compared:
        """Return an expected output as answers are compared with it."""
        if not isinstance(expected, str):
            return self._as_json(expected)
        value = strict_json.container_of(expected)
        return self._as_text(expected) if value is None else self._as_json(value)

    def _as_text(self, text: str) -> _Compared:
        return False, self.clean(text)

    def _as_json(self, value: Any) -> _Compared:
        return True, JsonRules({OTHERS: self.normalization}).key(value)

    def _is_right(self, output: _Compared, answer: str | None) -> bool:
        if answer is None or not answer.strip():
            return False
        is_json, _ = output
        return output == (self._json_reading(answer) if is_json else self._as_text(answer))

    def _json_reading(self, answer: str) -> _Compared | None:
        """Return an answer as it is compared with JSON; None if it is not JSON."""
        value = strict_json.json_or(without_fence(answer), ABSENT)
        return None if value is ABSENT else self._as_json(value)


_NO_WORD = re.compile(r"[\W_]")


def words(text: str) -> list[str]:
    """Split a text into lower-case runs of letters, marks and digits.

    In scripts without spaces each letter is a word. For ASCII these are the tokens of rouge-score.
    A text without such a run is a single word, stripped.
    """
    composed = unicodedata.normalize("NFC", text).lower()
    spaced = _NO_WORD.sub(_mark_or_space, composed)
    return _UNSPACED.sub(r" \g<0> ", spaced).split() or [composed.strip()]


def _mark_or_space(match: re.Match[str]) -> str:
    return match[0] if unicodedata.category(match[0]).startswith("M") else " "


def f_measure(n_common: int, n_expected: int, n_answered: int) -> float:
    """Return the harmonic mean of precision and recall; 0 if nothing is shared."""
    if not n_common:
        return 0.0
    return 2 * n_common / (n_expected + n_answered)


Compare: TypeAlias = Callable[[str, str], float]
"""Returns the similarity, in [0, 1], of two normalized texts: the expected and the answered one."""

LONG = 100_000
"""Maximum length of an answer, in characters, that is compared within seconds."""


@dataclass(frozen=True)
class TextSimilarity(TextMetric):
    """The mean similarity of answers to the expected texts, each graded from 0 to 1.

    A missing answer is 0, and so is one that is longer than `LONG`, without being compared: it is a
    runaway generation, and comparing it could take minutes.
    """

    name: str
    compare: Compare
    kind = "graded"
    free_text = True

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        texts = list(map(expected_text, expected))
        return by_example(self, texts, answers, cache(self._grade))

    def _grade(self, expected: str, answer: str | None) -> float:
        if answer is None or not answer.strip() or len(answer) > LONG:
            return 0.0
        return self.compare(self.clean(expected), self.clean(answer))


def token_f1(expected: str, answer: str) -> float:
    """Return the F1 of the two bags of tokens, split on white space.

    Source: P. Rajpurkar, J. Zhang, K. Lopyrev & P. Liang, SQuAD: 100,000+ Questions for Machine
    Comprehension of Text, EMNLP (2016). SQuAD's further normalization is left to the gate's
    ``normalize``.
    """
    expected_words = expected.split()
    answer_words = answer.split()
    n_common = (Counter(expected_words) & Counter(answer_words)).total()
    return f_measure(n_common, len(expected_words), len(answer_words))


def rouge_l(expected: str, answer: str) -> float:
    """Return the F-measure of the longest common subsequence of words.

    Source: C.-Y. Lin, ROUGE: A Package for Automatic Evaluation of Summaries (2004). Equals
    rouge-score's rougeL without stemming, but supports letters beyond a to z, and is faster on long
    texts.
    """
    from rapidfuzz.distance import LCSseq

    first = words(expected)
    second = words(answer)
    return f_measure(int(LCSseq.similarity(first, second)), len(first), len(second))


def edit_similarity(expected: str, answer: str) -> float:
    """Return 1 minus the Levenshtein distance by the length of the longer text.

    Source: V. I. Levenshtein, Soviet Physics Doklady 10 (1966) 707-710.
    """
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_similarity(expected, answer))


_COMPARE: Mapping[str, Compare] = {
    "token_f1": token_f1,
    "rouge_l": rouge_l,
    "edit_similarity": edit_similarity,
}

NAMES = (ExactMatch.name, *_COMPARE)


def build(options: Options) -> ExactMatch | TextSimilarity:
    """Build the metric of this family that the options name."""
    options.allow("normalize")
    labels.refuse_blank(options)
    normalization = options.normalization()
    if options.metric == ExactMatch.name:
        return _of_outputs(ExactMatch(normalization=normalization), options)

    if options.metric != "token_f1":
        needed(options, "rapidfuzz")
    compare = _COMPARE[options.metric]
    return TextSimilarity(options.metric, compare, normalization=normalization)


def _of_outputs(metric: ExactMatch, options: Options) -> ExactMatch:
    """Return the metric for outputs that are JSON, numbers, few different ones, or free text."""
    expected = [example.expected for example in options.examples]
    if not expected:
        return metric

    containers = list(map(strict_json.container_of, expected))
    if None not in containers:
        return replace(metric, json_form=JsonForm.of(containers))
    if numbers.are_numbers(set(map(expected_text, expected))):
        return replace(metric, are_numbers=True)

    outputs = frozenset(map(metric.compared, expected))
    if len(outputs) > MOST_OUTPUTS or 2 * len(outputs) > len(expected):
        return metric
    return replace(metric, outputs=outputs.union(map(metric.compared, options.known)))
