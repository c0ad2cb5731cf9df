"""Numbers: right within a tolerance, or graded by how far they are from the expected one."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import median_low
from typing import Any

from pytest_ftgate.data import expected_text
from pytest_ftgate.errors import MetricError
from pytest_ftgate.metrics import labels, protocol
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.text import excerpt, show_number

NAMES = ("within", "absolute_error")

_NUMBER = re.compile(
    r"[^\w\s.+-]?\s*([+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)\s*[^\w\s.]?\.?"
)
"""A number with or without separators of thousands, between a sign of a currency and one of a unit, as in "$1,200"."""
_LONGEST = 400  # of an answer that may be a number; exact arithmetic of longer ones takes minutes


@dataclass(frozen=True)
class _OfNumbers(protocol.Metric):
    reading: labels.Reading
    of_numbers = True
    form = "a number alone"

    def has_form(self, answer: str) -> bool:
        """Return whether an answer is exactly one number."""
        return self.number(answer) is not None

    def bare(self) -> protocol.Metric:
        return replace(self, reading=labels.Reading())

    def answers_read(self, answers: Iterable[str | None]) -> list[str | None]:
        """Return the number in each answer as text, so that 1.0 is 1; None if there is none."""
        return [
            None if one is None else show_number(float(one)) for one in map(self.number, answers)
        ]

    def constants(self, expected: Sequence[Any]) -> list[str]:
        """Return the median of the expected numbers, which no other constant is nearer to."""
        return [str(float(median_low(self.wanted(value) for value in expected)))]

    def number(self, answer: str | None) -> Fraction | None:
        """Return the number that an answer is, exactly; None if it is missing or no finite number."""
        part = None if answer is None else self.reading.label(answer)
        return None if part is None else number_in(part)

    def wanted(self, value: Any) -> Fraction:
        """Return an expected number, which is read as answers are, or is written without anything around it."""
        text = expected_text(value)
        found = self.number(text)
        found = number_in(text) if found is None else found
        if found is None:
            raise MetricError(
                f"{self.name} compares numbers, and the test set expects {excerpt(str(value))!r}"
            )
        return found


def number_in(text: str) -> Fraction | None:
    """Return the number that a text is, with a sign of a currency or unit; None if it is none."""
    found = _NUMBER.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    digits = "" if found is None else found[1].replace(",", "")
    try:
        return Fraction(digits) if math.isfinite(float(digits)) else None
    except ValueError:  # a sign without digits
        return None


@dataclass(frozen=True)
class Within(_OfNumbers):
    """The share of numbers within ``tolerance`` of the expected one; if ``relative``, within that share of it."""

    tolerance: Fraction
    relative: bool
    name = "within"
    kind = "right_wrong"

    def score(self, expected: Sequence[Any], answers: protocol.Answers) -> protocol.Scored:
        return protocol.by_example(
            self, [self.wanted(value) for value in expected], answers, self._is_right
        )

    def _is_right(self, wanted: Fraction, answer: str | None) -> bool:
        found = self.number(answer)
        allowed = self.tolerance * abs(wanted) if self.relative else self.tolerance
        return found is not None and abs(found - wanted) <= allowed


@dataclass(frozen=True)
class AbsoluteError(_OfNumbers):
    """The mean absolute error of numbers between ``least`` and ``most``; an answer without a number has the largest."""

    least: float
    most: float
    name = "absolute_error"
    kind = "graded"
    greater_is_better = False

    @property
    def high(self) -> float:  # type: ignore[override]
        """Return the largest possible error."""
        return self.most - self.least

    def score(self, expected: Sequence[Any], answers: protocol.Answers) -> protocol.Scored:
        return protocol.by_example(
            self, [self._inside(self.wanted(value)) for value in expected], answers, self._error
        )

    def _error(self, wanted: Fraction, answer: str | None) -> float:
        found = self.number(answer)
        return self.high if found is None else float(abs(self._inside(found) - wanted))

    def _inside(self, number: Fraction) -> Fraction:
        if not self.least <= number <= self.most:
            bounds = f"low: {show_number(self.least)} and high: {show_number(self.most)}"
            what = f"{self.name} met the number {show_number(float(number))}, outside of {bounds}"
            raise MetricError(
                what,
                cure="Set low and high so that they hold every number that a model may answer.",
            )
        return number


def build(options: Options) -> Within | AbsoluteError:
    """Build the metric of this family that the options name; the expected outputs must be numbers."""
    name = options.metric
    options.allow(
        "pattern",
        "json_field",
        *(("tolerance", "relative") if name == "within" else ("low", "high")),
    )
    reading = labels.read_part(options)
    metric = _within(options, reading) if name == "within" else _absolute_error(options, reading)
    for text in options.expected:
        try:
            metric.score([text], [[text]])
        except MetricError as error:
            raise options.error(
                error.what, cure=error.cure or "Write a number as the expected output."
            ) from error
    return metric


def _within(options: Options, reading: labels.Reading) -> Within:
    given = [key for key in ("tolerance", "relative") if key in options.spec.options]
    if len(given) != 1:
        what = f"within needs {'only one' if given else 'one'} of tolerance and relative"
        cure = "Write tolerance: 0.5 for a difference of at most 0.5, or relative: 0.01 for one of at most 1 %."
        raise options.error(what, key=given[-1] if given else None, cure=cure)
    allowed = options.number(given[0])
    if allowed < 0:
        raise options.error(
            f"{given[0]} is {show_number(allowed)}",
            key=given[0],
            cure="Write a number of at least 0.",
        )
    return Within(reading, Fraction(repr(allowed)), relative=given == ["relative"])


def _absolute_error(options: Options, reading: labels.Reading) -> AbsoluteError:
    cure = "Write the least and the greatest number that may be answered: low: 0, high: 100."
    missing = [key for key in ("low", "high") if key not in options.spec.options]
    if missing:
        what = f"absolute_error needs {' and '.join(missing)}: without bounds no gain can be shown"
        raise options.error(what, cure=cure)

    low = options.number("low")
    high = options.number("high")
    if low >= high:
        what = f"low {show_number(low)} is not below high {show_number(high)}"
        raise options.error(what, key="low", cure=cure)
    return AbsoluteError(reading, low, high)
