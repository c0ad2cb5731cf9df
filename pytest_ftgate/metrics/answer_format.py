"""The metric ``format``: whether answers have the required form; their content is not compared."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from pytest_ftgate.data.lines import read_text
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import ConfigError, DataError, MetricError, shown_path
from pytest_ftgate.metrics.json_differences import shown_place
from pytest_ftgate.metrics.options import Options, needed, within_limit, without_fence
from pytest_ftgate.metrics.protocol import (
    Answers,
    Metric,
    Scored,
    by_example,
    short_note,
)
from pytest_ftgate.text import LONGEST_SHOWN, shortened

READS_EXPECTED = False
RULES = ("json_schema", "pattern", "allowed", "max_chars")


@dataclass(frozen=True)
class Format(Metric):
    """The share of answers that, stripped of white space, satisfy all rules.

    They are checked in the order of the attributes. The answer must be JSON that matches the
    schema, and ``pattern`` must match the whole answer.
    """

    schema: Any = None
    pattern: re.Pattern[str] | None = None
    allowed: frozenset[str] | None = None
    max_chars: int | None = None
    strip_code_fence: bool = False
    name = "format"
    kind = "right_wrong"
    compares = False
    of_form = True

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        """Measure the share of valid answers."""
        flaw_of = cache(self._flaw)
        scored = by_example(self, expected, answers, lambda _, answer: flaw_of(answer) is None)

        notes = [short_note(flaw_of(answer)) for answer in answers[0]]
        return replace(scored, notes=notes)

    def has_form(self, answer: str) -> bool:
        return self._flaw(answer) is None

    def _flaw(self, answer: str | None) -> str | None:
        """Return how an answer breaks the first rule that it breaks; None if it satisfies all."""
        text = (answer or "").strip()
        if self.strip_code_fence:
            text = without_fence(text)
        if not text:
            return "no answer"

        if self.schema is not None:
            try:
                value = parse_json(text)
            except ValueError as error:
                return f"not valid JSON: {error}"
            find = partial(first_error, self.schema, value)
            flaw = within_limit("json_schema", find, text)
            if flaw is not None:
                return flaw
        return self._text_flaw(text)

    def _text_flaw(self, text: str) -> str | None:
        quoted = repr(shortened(text, LONGEST_SHOWN))
        if self.pattern is not None:
            match = partial(self.pattern.fullmatch, text)
            if within_limit(f"pattern {self.pattern.pattern!r}", match, text) is None:
                return f"{quoted} does not fully match the pattern"
        if self.allowed is not None and text not in self.allowed:
            return f"{quoted} is not an allowed answer"
        if self.max_chars is not None and len(text) > self.max_chars:
            return f"{len(text):,} characters, more than {self.max_chars:,}"
        return None


NAMES = (Format.name,)


def build(options: Options) -> Format:
    options.allow(*RULES, "strip_code_fence")
    if options.spec.options.keys().isdisjoint(RULES):
        raise options.error(
            "format needs at least one rule", cure=f"Set one or more of {', '.join(RULES)}."
        )

    schema = read_schema(options)
    allowed = options.labels("allowed", "allowed answers")
    return Format(
        schema=schema,
        pattern=options.pattern(),
        allowed=None if allowed is None else frozenset(map(str.strip, allowed)),
        max_chars=options.count("max_chars"),
        strip_code_fence=options.flag("strip_code_fence"),
    )


# --- JSON Schema, which is checked before any call, without network access ------------------------

_KEY = "json_schema"


def first_error(validator: Any, value: Any) -> str | None:
    """Return the most relevant error of a value; None if it is valid."""
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(validator.iter_errors(value))
    except Unresolvable as unresolvable:
        # a reference in a part of the schema that is no subschema, such as an own keyword
        raise MetricError(f"json_schema: {unresolvable}") from unresolvable
    except (RecursionError, ArithmeticError):
        return "nested too deeply, or a number that is too large"
    return None if error is None else f"{shown_place(error.absolute_path)}: {error.message}"


def read_schema(options: Options) -> Any:
    """Return jsonschema's validator of the option ``json_schema``; None if it is absent.

    The option is a path or a mapping. The dialect is that of ``$schema``, by default draft 2020-12.
    External references are refused.
    """
    if _KEY not in options.spec.options:
        return None

    schema = options.spec.options[_KEY]
    place = "the schema"
    if isinstance(schema, Path):
        place = shown_path(schema)
        try:
            schema = parse_json(read_text(schema))
        except (DataError, ValueError) as error:
            problem = getattr(error, "what", f"not JSON: {error}")
            raise _error(options, f"{place}: {problem}") from None

    elif not isinstance(schema, Mapping):
        raise options.wrong(_KEY, schema, "a mapping, or the path of a file")

    if not isinstance(schema, Mapping) or not schema:
        raise _error(options, f"{place} must be a mapping that is not empty")

    needed(options, "jsonschema", key=_KEY)
    return _validator(options, dict(schema), place)


def _error(options: Options, problem: str, cure: str | None = None) -> ConfigError:
    cure = cure or "Write a JSON Schema as a mapping, or the path of its file."
    return options.error(problem, key=_KEY, cure=cure)


def _validator(options: Options, schema: dict[str, Any], place: str) -> Any:
    from jsonschema import Draft202012Validator, SchemaError, validators
    from jsonschema_specifications import REGISTRY
    from referencing.jsonschema import specification_with

    if not isinstance(schema.get("$schema", ""), str):
        raise _error(options, f"{place} is not a valid JSON Schema: $schema is no text")

    validator = validators.validator_for(schema, default=Draft202012Validator)
    try:
        validator.check_schema(schema)
    except SchemaError as error:
        problem = f"{shown_place(error.absolute_path)}: {error.message}"
        raise _error(options, f"{place} is not a valid JSON Schema: {problem}") from None

    dialect = validator.ID_OF(validator.META_SCHEMA)
    resource = specification_with(dialect).create_resource(schema)
    resolver = REGISTRY.with_resource("", resource).crawl().resolver_with_root(resource)
    outside = next(_dangling(resource, resolver), None)
    if outside is not None:
        raise _error(
            options,
            f"{place} refers to {outside!r}, which is not in the schema",
            "Put the referenced schema under $defs: schemas are not fetched.",
        )

    return validator(schema, registry=REGISTRY, format_checker=validator.FORMAT_CHECKER)


def _dangling(resource: Any, resolver: Any) -> Iterator[Any]:
    """Yield the unresolved references of a schema and of its subschemas."""
    from referencing.exceptions import Unresolvable

    if isinstance(resource.contents, Mapping) and "$ref" in resource.contents:
        try:
            resolver.lookup(resource.contents["$ref"])
        except (AttributeError, Unresolvable):
            # one that is no text, which old dialects do not refuse, or that nothing is at
            yield resource.contents["$ref"]

    for subresource in resource.subresources():
        yield from _dangling(subresource, resolver.in_subresource(subresource))
