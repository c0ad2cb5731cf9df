"""Exact match of text and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.metrics.labels import refuse_blank
from pytest_ftgate.metrics.options import Options, json_equal
from pytest_ftgate.metrics.protocol import Answers, Scored, TextMetric, by_example

_Wanted: TypeAlias = tuple[bool, Any]  # (whether to compare as JSON, the value)


@dataclass(frozen=True)
class ExactMatch(TextMetric):
    """The share of answers that equal the expected output.

    If the expected output is a JSON value that is not text, or text that contains a JSON object or list, JSON values
    are compared: key order and layout do not matter, and an answer that is not JSON is wrong. Text is compared without
    surrounding white space. Normalization applies to text, and to text values inside JSON.
    """

    name = "exact_match"
    kind = "right_wrong"

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        return by_example(self, [self._wanted(value) for value in expected], answers, self._is_right)

    def _wanted(self, expected: Any) -> _Wanted:
        if not isinstance(expected, str):
            return True, expected
        if expected.strip().startswith(("{", "[")):
            try:
                return True, parse_json(expected)
            except ValueError:
                pass
        return False, self.clean(expected)

    def _is_right(self, wanted: _Wanted, answer: str | None) -> bool:
        as_json, value = wanted
        if answer is None:
            return False
        if not as_json:
            return answer.strip() != "" and self.clean(answer) == str(value)
        try:
            return json_equal(value, parse_json(answer), self.normalization)
        except (ValueError, RecursionError):
            return False


NAMES = (ExactMatch.name,)


def build(options: Options) -> ExactMatch:
    options.allow("normalize")
    refuse_blank(options)
    return ExactMatch(normalization=options.normalization())
