"""How a label is read out of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from pytest_ftgate.data import expected_text
from pytest_ftgate.metrics.normalization import AS_WRITTEN, Normalization
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.strict_json import parse_json
from pytest_ftgate.metrics.time_limit import within_limit

READING_OPTIONS = ("normalize", "pattern", "json_field")


@dataclass(frozen=True)
class Reading:
    """Which part of an answer is the label, and which differences do not count.

    The part is what ``pattern`` finds (its first group, where it has one), or the value of ``json_field``, or all of
    the answer; then white space around it is stripped, and it is normalized.
    """

    normalization: Normalization = AS_WRITTEN
    pattern: re.Pattern[str] | None = None
    json_field: tuple[str, ...] = ()

    def clean(self, text: str) -> str:
        return self.normalization(text.strip())

    def label(self, answer: str) -> str | None:
        """The label in an answer; None where there is nothing to read."""
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
    """The text of a field of a JSON answer; None where the answer is not JSON or has no such plain value."""
    try:
        value = parse_json(answer)
        for part in path:
            value = value[int(part)] if isinstance(value, list) else value[part]
        return None if isinstance(value, dict | list) else expected_text(value)
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def read_options(options: Options) -> Reading:
    """The reading that a gate's options ask for."""
    reading = Reading(options.normalization(), options.pattern(), options.json_field())
    if reading.pattern is not None and reading.json_field:
        raise options.error(
            "pattern and json_field are both given", key="json_field", cure="Keep the one that finds the label."
        )
    return reading
