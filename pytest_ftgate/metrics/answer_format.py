"""The metric ``format``: whether answers have the required form; their content is not compared."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, NoReturn

from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.metrics.json_schema import Broken, first_error, read_schema
from pytest_ftgate.metrics.options import Options
from pytest_ftgate.metrics.protocol import Answers, Breakdown, Metric, Scored, by_example
from pytest_ftgate.metrics.time_limit import within_limit
from pytest_ftgate.text import printable, shortened

RULES = ("json_schema", "pattern", "type", "allowed", "min_chars", "max_chars")
_OF_VALUES = ("json", "yaml")
_NOTE = 200
_LABEL = 100
_NO_ANSWER: Broken = ("no answer", "no answer")


@dataclass(frozen=True)
class Format(Metric):
    """The share of answers that, stripped of white space, satisfy all rules; they are checked in this order.

    The answer must be valid text of the ``type``, its value must match the schema, and ``pattern`` must match the whole
    answer.
    """

    type: str | None = None
    schema: Any = None
    pattern: re.Pattern[str] | None = None
    allowed: frozenset[str] | None = None
    min_chars: int | None = None
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
        if self.type is not None:
            try:
                value = READERS[self.type](text)
            except ValueError as error:
                return f"type {self.type}", f"not valid {self.type.upper()}: {error}"
            if self.schema is not None:
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
        if self.min_chars is not None and len(text) < self.min_chars:
            return "min_chars", f"{len(text):,} characters, fewer than {self.min_chars:,}"
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
    schema, kind = read_schema(options), options.choice("type", READERS)
    if schema is not None and kind is None:
        kind = "json"
    if schema is not None and kind not in _OF_VALUES:
        cure = "Use type: json or type: yaml."
        raise options.error(f"json_schema cannot be used with type: {kind}", key="type", cure=cure)
    allowed = options.labels("allowed", "allowed answers")
    shortest, longest = options.count("min_chars"), options.count("max_chars")
    if shortest is not None and longest is not None and shortest > longest:
        what = f"min_chars {shortest} is greater than max_chars {longest}"
        raise options.error(what, key="min_chars", cure="Lower min_chars, or raise max_chars.")
    texts = None if allowed is None else frozenset(value.strip() for value in allowed)
    fence = options.flag("strip_code_fence")
    return Format(kind, schema, options.pattern(), texts, shortest, longest, fence)


MOST_YAML = 200_000
"""Maximum length of a YAML answer, in characters: parsing a longer one would take too long."""
_DEEPEST = 200
_TOO_DEEP = "nested too deeply"
_REFUSED = {
    "document": "more than one document",
    "depth": _TOO_DEEP,
    "tag": "tags and aliases are not allowed",
    "alias": "tags and aliases are not allowed",
    "key": "a key that is not text",
    "merge": "a merge key (<<)",
    "twice": "a duplicate key",
    "escape": "an invalid escape",
}
"""Messages for valid YAML with features that are refused, by the kind of problem."""


def read_yaml(text: str) -> Any:
    """Return the mapping or list in a YAML text; plain scalars follow the core schema of YAML 1.2.

    A single scalar is refused, because almost any text is a YAML scalar. Raises :class:`ValueError`, also for tags,
    aliases, merge keys, duplicate keys, keys that are not text, and a second document.
    """
    from pytest_ftgate.config.yaml_nodes import YamlError, compose

    if len(text) > MOST_YAML:
        raise ValueError(f"longer than {MOST_YAML:,} characters")
    try:
        root = compose(text, deepest=_DEEPEST, strict=False, aliases=False)
    except YamlError as error:
        raise ValueError(_REFUSED.get(error.kind) or f"{error.what} (line {error.line})") from None
    if root is None:
        raise ValueError("no value")
    if not isinstance(root.value, dict | list):
        raise ValueError("a scalar instead of a mapping or a list")
    return root.value


def check_xml(text: str) -> None:
    """Raise :class:`ValueError` unless the text is one well-formed XML document without a document type.

    A document type may declare entities that expand without bounds or refer to files.
    """
    from xml.parsers import expat  # document types are refused, and with them custom entities

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise ValueError(f"{expat.ErrorString(error.code)} (line {error.lineno})") from None


def _refuse_doctype(*_: object) -> NoReturn:
    raise ValueError("a document type (DTD) is not allowed")


def check_csv(text: str) -> None:
    """Raise :class:`ValueError` unless the text is CSV (RFC 4180) with equally long rows of two or more columns.

    With a single column, every line of prose would be CSV.
    """
    try:
        rows = [len(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True)]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if not rows or rows[0] < 2:
        raise ValueError("fewer than two columns" if rows else "no rows")
    ragged = next((number for number, width in enumerate(rows, 1) if width != rows[0]), None)
    if ragged is not None:
        raise ValueError(f"row {ragged} has {rows[ragged - 1]} columns, the first has {rows[0]}")


READERS: Mapping[str, Callable[[str], Any]] = {
    "json": parse_json,
    "yaml": read_yaml,
    "xml": check_xml,
    "csv": check_csv,
}
"""A function per type that reads a text or raises :class:`ValueError`."""
