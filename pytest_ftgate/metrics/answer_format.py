"""The metric ``format``: whether answers have the required form; their content is not compared."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.metrics.json_schema import Broken, first_error, read_schema
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Breakdown, Metric, Scored, by_example
from pytest_ftgate.metrics.time_limit import within_limit
from pytest_ftgate.text import printable, shortened

READS_EXPECTED = False
RULES = ("json_schema", "pattern", "allowed", "max_chars")
_NOTE = 200
_LABEL = 100
_NO_ANSWER: Broken = ("no answer", "no answer")


@dataclass(frozen=True)
class Format(Metric):
    """The share of answers that, stripped of white space, satisfy all rules; they are checked in this order.

    The answer must be JSON that matches the schema, and ``pattern`` must match the whole answer.
    """

    schema: Any = None
    pattern: re.Pattern[str] | None = None
    allowed: frozenset[str] | None = None
    max_chars: int | None = None
    strip_code_fence: bool = False
    name = "format"
    kind = "right_wrong"
    compares = False

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        """Measure the share of valid answers, and count the first rule that each other answer breaks."""
        broken = cache(self._broken)
        found = [[broken(answer) for answer in repeat] for repeat in answers]
        scored = by_example(self, expected, answers, lambda _, answer: broken(answer) is None)
        notes = tuple(None if one is None else printable(one[1], _NOTE) for one in found[0])
        counts = Counter(printable(one[0], _LABEL) for repeat in found for one in repeat if one is not None)
        rows = tuple((label, (count,)) for label, count in sorted(counts.items(), key=lambda x: (-x[1], x[0])))
        return replace(scored, notes=notes, breakdown=Breakdown("failing rule", ("answers",), rows))

    def broken_form(self, answer: str | None) -> str | None:
        broken = self._broken(answer)
        return None if broken is None else broken[1]

    def _broken(self, answer: str | None) -> Broken | None:
        """Return the first rule that an answer breaks, and how; None if it satisfies all."""
        text = "" if answer is None else answer.strip()
        if self.strip_code_fence:
            text = _without_fence(text)
        if not text:
            return _NO_ANSWER
        if self.schema is not None:
            try:
                value = parse_json(text)
            except ValueError as error:
                return "json_schema $: not JSON", f"not valid JSON: {error}"
            found = within_limit("json_schema", partial(first_error, self.schema, value), text)
            if found is not None:
                return f"json_schema {found[0]}", found[1]
        return self._of_text(text)

    def _of_text(self, text: str) -> Broken | None:
        quoted = repr(shortened(text, _LABEL))
        if self.pattern is not None:
            match = partial(self.pattern.fullmatch, text)
            if within_limit(f"pattern {self.pattern.pattern!r}", match, text) is None:
                return "pattern", f"{quoted} does not fully match the pattern"
        if self.allowed is not None and text not in self.allowed:
            return "allowed", f"{quoted} is not an allowed answer"
        if self.max_chars is not None and len(text) > self.max_chars:
            return "max_chars", f"{len(text):,} characters, more than {self.max_chars:,}"
        return None


NAMES = (Format.name,)


def _without_fence(text: str) -> str:
    """Return the content if the text is a single Markdown code fence, else the text itself."""
    if not (text.startswith("```") and text.endswith("```")):
        return text
    head, line_break, rest = text.partition("\n")
    inner = rest[: -len("```")]
    if not line_break or not re.fullmatch(r"```[\w+.-]*[ \t\r]*", head) or "```" in inner:
        return text
    return inner.strip()


def build(options: Options) -> Format:
    options.allow(*RULES, "strip_code_fence")
    if not any(rule in options.spec.options for rule in RULES):
        cure = f"Set one or more of {', '.join(RULES)}."
        raise options.error("format needs at least one rule", cure=cure)
    schema = read_schema(options)
    allowed = options.labels("allowed", "allowed answers")
    texts = None if allowed is None else frozenset(value.strip() for value in allowed)
    return Format(schema, options.pattern(), texts, options.count("max_chars"), options.flag("strip_code_fence"))
