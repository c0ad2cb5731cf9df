"""Whether answers have the form that was asked for. What they say is not looked at."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from pytest_ftgate.metrics.json_schema import Broken, Schema, read_schema
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Breakdown, Metric, Scored, check_shape, right_wrong
from pytest_ftgate.metrics.text_types import READERS
from pytest_ftgate.metrics.time_limit import within_limit
from pytest_ftgate.text import printable

RULES = ("json_schema", "pattern", "type", "allowed", "min_chars", "max_chars")
_OF_VALUES = ("json", "yaml")
_NOTE = 200
_LABEL = 100
_NO_ANSWER: Broken = ("no answer", "no answer")


@dataclass(frozen=True)
class Rules:
    """What an answer must hold to; without white space around it, and in the order in which they stand here.

    Attributes:
        kind: it is JSON, YAML, XML or CSV; see :mod:`pytest_ftgate.metrics.text_types`.
        schema: its value, as JSON or YAML, is valid by it.
        pattern: matches the whole of it.
        allowed: it is one of these texts.
        min_chars, max_chars: how many characters it has.
        strip_code_fence: one Markdown code fence around all of it does not count.
    """

    kind: str | None = None
    schema: Schema | None = None
    pattern: re.Pattern[str] | None = None
    allowed: frozenset[str] | None = None
    min_chars: int | None = None
    max_chars: int | None = None
    strip_code_fence: bool = False

    def broken(self, answer: str | None) -> Broken | None:
        """Return the first rule that an answer breaks, and how; None where it breaks none."""
        text = "" if answer is None else answer.strip()
        if self.strip_code_fence:
            text = _without_fence(text)
        if not text:
            return _NO_ANSWER
        return self._of_value(text) or self._of_text(text)

    def _of_value(self, text: str) -> Broken | None:
        if self.kind is None:
            return None
        try:
            value = READERS[self.kind](text)
        except ValueError as error:
            return f"type {self.kind}", f"not {self.kind.upper()}: {error}"
        found = None if self.schema is None else within_limit("json_schema", partial(self.schema.broken, value), text)
        return None if found is None else (f"json_schema {found[0]}", found[1])

    def _of_text(self, text: str) -> Broken | None:
        if self.pattern is not None and not _matches(self.pattern, text):
            return "pattern", f"{_quoted(text)} does not match the pattern as a whole"
        if self.allowed is not None and text not in self.allowed:
            return "allowed", f"{_quoted(text)} is none of the allowed answers"
        if self.min_chars is not None and len(text) < self.min_chars:
            return "min_chars", f"{len(text):,} characters, fewer than {self.min_chars:,}"
        if self.max_chars is not None and len(text) > self.max_chars:
            return "max_chars", f"{len(text):,} characters, more than {self.max_chars:,}"
        return None


@dataclass(frozen=True)
class Format(Metric):
    """The share of answers that hold to all rules."""

    rules: Rules
    name = "format"
    kind = "right_wrong"
    compares = False

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        """Count how many answers hold, and of each that does not the first rule that it breaks."""
        from dataclasses import replace

        import numpy as np

        check_shape(self.name, expected, answers)
        broken = cache(self.rules.broken)
        found = [[broken(answer) for answer in repeat] for repeat in answers]
        scored = right_wrong(self, np.array([[one is None for one in repeat] for repeat in found]))
        notes = tuple(None if one is None else printable(one[1], _NOTE) for one in found[0])
        counts = Counter(printable(one[0], _LABEL) for repeat in found for one in repeat if one is not None)
        rows = tuple((label, (count,)) for label, count in sorted(counts.items(), key=lambda x: (-x[1], x[0])))
        return replace(scored, notes=notes, breakdown=Breakdown("failing rule", ("answers",), rows))

    def broken_form(self, answer: str | None) -> str | None:
        broken = self.rules.broken(answer)
        return None if broken is None else broken[1]


NAMES = (Format.name,)


def _matches(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether the pattern matches all of the text."""
    return within_limit(f"pattern {pattern.pattern!r}", partial(pattern.fullmatch, text), text) is not None


def _without_fence(text: str) -> str:
    """Return the text inside of one Markdown code fence that is all there is; else the text itself."""
    if not (text.startswith("```") and text.endswith("```")):
        return text
    head, line_break, rest = text.partition("\n")
    inner = rest[: -len("```")]
    if not line_break or not re.fullmatch(r"```[\w+.-]*[ \t\r]*", head) or "```" in inner:
        return text
    return inner.strip()


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _LABEL else text[: _LABEL - 3] + "...")


def build(options: Options) -> Format:
    """Build the metric ``format`` with the rules that the options name."""
    options.allow(*RULES, "strip_code_fence")
    if not any(rule in options.spec.options for rule in RULES):
        raise options.error(
            "format has no rule", cure="Give one or more of json_schema, pattern, type, allowed, max_chars."
        )
    schema, kind = read_schema(options), options.choice("type", READERS)
    if schema is not None and kind is None:
        kind = "json"
    if schema is not None and kind not in _OF_VALUES:
        raise options.error(
            f"json_schema and type: {kind} are both given",
            key="type",
            cure="A JSON Schema is for type: json or type: yaml.",
        )
    allowed = options.labels("allowed", "allowed answers")
    shortest, longest = options.count("min_chars"), options.count("max_chars")
    if shortest is not None and longest is not None and shortest > longest:
        raise options.error(
            f"min_chars {shortest} is above max_chars {longest}: no answer can hold to both",
            key="min_chars",
            cure="Lower min_chars, or raise max_chars.",
        )
    return Format(
        Rules(
            kind,
            schema,
            options.pattern(),
            None if allowed is None else frozenset(value.strip() for value in allowed),
            shortest,
            longest,
            options.flag("strip_code_fence"),
        )
    )
