"""Numbers: right within a tolerance, or graded by how far they are from the expected one."""

import math
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import median_low
from typing import Any

from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics import labels
from pytest_ftgate.metrics.options import Options, is_finite
from pytest_ftgate.metrics.protocol import Answers, Metric, Scored, by_example
from pytest_ftgate.text import excerpt, show_number

NAMES = ("within", "absolute_error")

_NUMBER = re.compile(
    r"[^\w\s.+-]?\s*"
    r"([+-]?(?=\.?\d)(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)"
    r"\s*[^\w\s.]?\.?"
)
"""A number between signs of a currency and a unit, such as ``$1,200``."""
_CODE = re.compile(r"[+-]?[0\uff10]\d")
_LONGEST = 400  # of an answer that may be a number; exact arithmetic of longer ones takes minutes


@dataclass(frozen=True)
class _OfNumbers(Metric):
    reading: labels.Reading
    of_numbers = True
    form = "a number alone"

    def has_form(self, answer: str) -> bool:
        """Return whether an answer is exactly one number."""
        return self.number(answer) is not None

    def bare(self) -> Metric:
        return replace(self, reading=labels.Reading())

    def read(self, answer: str) -> str | None:
        """Return the number in an answer as text, so that 1.0 is 1; None if there is none."""
        number = self.number(answer)
        return None if number is None else show_number(float(number))

    def constants(self, expected: Sequence[Any]) -> list[str]:
        """Return the median of the expected numbers, which no other constant is nearer to."""
        return [str(float(median_low(map(self.wanted, expected))))]

    def number(self, answer: str | None) -> Fraction | None:
        """Return the number that an answer is, exactly; None if it is no finite number."""
        return number_in(self.reading.label(answer) or "")

    def wanted(self, value: Any) -> Fraction:
        """Return an expected number, which is read as answers are, or is written bare."""
        text = expected_text(value)
        number = self.number(text)
        if number is None:
            number = number_in(text)
        if number is None:
            what = f"{self.name} compares numbers, and the test set expects {excerpt(str(value))!r}"
            raise MetricError(what)

        return number


def number_in(text: str) -> Fraction | None:
    """Return the number that a text is, with a sign of a currency or unit; None if it is none."""
    digits = _digits_of(text)
    if digits is None or not math.isfinite(float(digits)):
        return None
    return Fraction(digits)


def _digits_of(text: str) -> str | None:
    """Return what is left of a number without the signs around it; None if a text is none."""
    match = None
    if len(text) <= _LONGEST:
        match = _NUMBER.fullmatch(text.strip())
    return None if match is None else match[1].replace(",", "")


def are_numbers(texts: Set[str]) -> bool:
    """Return whether distinct texts are numbers, and neither codes nor versions.

    In a code, such as 00417, a zero stands before another digit; 1.1 and 1.10 are two versions, and
    one number.
    """
    numbers = set()
    for text in texts:
        number = number_in(text)
        digits = _digits_of(text)
        if number is None or digits is None or _CODE.match(digits):
            return False
        numbers.add(number)
    return len(numbers) == len(texts)


@dataclass(frozen=True)
class Within(_OfNumbers):
    """The share of numbers that are near the expected one.

    Near is within ``tolerance``; if ``relative``, within that share of the expected number.
    """

    tolerance: Fraction
    relative: bool
    name = "within"
    kind = "right_wrong"

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        numbers = list(map(self.wanted, expected))
        return by_example(self, numbers, answers, self._is_right)

    def _is_right(self, expected: Fraction, answer: str | None) -> bool:
        number = self.number(answer)
        if number is None:
            return False
        allowed = self.tolerance
        if self.relative:
            allowed *= abs(expected)
        return abs(number - expected) <= allowed


@dataclass(frozen=True)
class AbsoluteError(_OfNumbers):
    """The mean absolute error of numbers, where no error counts as more than ``cap``.

    That is also the error of an answer without a number. So one wild answer cannot outweigh all
    others, and the mean has bounds.
    """

    cap: float
    name = "absolute_error"
    kind = "graded"
    greater_is_better = False

    @property
    def high(self) -> float:  # type: ignore[override]
        """Return the largest possible error."""
        return self.cap

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        numbers = list(map(self.wanted, expected))
        return by_example(self, numbers, answers, self._error)

    def _error(self, expected: Fraction, answer: str | None) -> float:
        number = self.number(answer)
        if number is None:
            return self.cap
        return min(float(abs(number - expected)), self.cap)


def build(options: Options) -> Within | AbsoluteError:
    """Build the metric of this family that the options name; expected outputs must be numbers."""
    metric = _within(options) if options.metric == "within" else _absolute_error(options)
    for text in options.expected:
        try:
            metric.score([text], [[text]])
        except MetricError as error:
            cure = "Write a number as the expected output."
            raise options.error(error.what, cure=cure) from error
    return metric


def _within(options: Options) -> Within:
    options.allow("pattern", "json_field", "tolerance", "relative")
    reading = labels.read_part(options)
    keys = [key for key in ("tolerance", "relative") if key in options.spec.options]
    if len(keys) != 1:
        cure = (
            "Write tolerance: 0.5 for a difference of at most 0.5, or relative: 0.01 for one of "
            "at most 1 %."
        )
        raise options.error("within needs tolerance or relative, and not both", cure=cure)

    (key,) = keys
    allowed = options.read(
        key, lambda value: is_finite(value) and value >= 0, "a number of at least 0"
    )
    return Within(reading, Fraction(repr(allowed)), relative=key == "relative")


def _absolute_error(options: Options) -> AbsoluteError:
    options.allow("pattern", "json_field", "cap")
    reading = labels.read_part(options)
    cap = options.read("cap", lambda value: is_finite(value) and value > 0, "a number above 0")
    if cap is None:
        what = "absolute_error needs cap, the largest error that counts: without it no gain can be "
        what += "shown"
        cure = (
            "Write the error from which on an answer is useless: {name: absolute_error, cap: 30}."
        )
        raise options.error(what, key="cap", cure=cure)
    return AbsoluteError(reading, cap)
