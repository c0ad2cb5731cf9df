"""The metric ``format``: whether answers have the required form; their content is not compared."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from pytest_ftgate.data.lines import read_text
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import ConfigError, DataError, shown_path
from pytest_ftgate.metrics.json_differences import shown_place
from pytest_ftgate.metrics.json_values import JsonRules
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
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def first_error(validator: Any, value: Any) -> str | None:
    """Return the most relevant error of a value; None if it is valid."""
    from jsonschema.exceptions import best_match

    try:
        error = best_match(validator.iter_errors(value))
    except RecursionError:
        return "nested too deeply"
    except ArithmeticError:
        # an integer is divided that is too large for a float
        return "a number that is too large"

    if error is None:
        return None

    return f"{shown_place(error.absolute_path)}: {error.message}"


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
            problem = error.what if isinstance(error, DataError) else f"not JSON: {error}"
            advice = getattr(error, "cure", None) or "Name a file that contains a JSON Schema."
            raise _error(options, f"{place}: {problem}", advice) from None

    if not isinstance(schema, Mapping) or not schema:
        state = "empty" if schema in ({}, [], "", None) else "not a mapping"
        raise _error(
            options,
            f"{place} is {state}",
            "Write a JSON Schema as a mapping, or the path of its file.",
        )

    needed(options, "jsonschema", key=_KEY)
    return _validator(options, dict(schema), place)


def _error(options: Options, problem: str, advice: str, evidence: str | None = None) -> ConfigError:
    return options.error(problem, key=_KEY, evidence=evidence, cure=advice)


def _validator(options: Options, schema: dict[str, Any], place: str) -> Any:
    from jsonschema import Draft3Validator, Draft202012Validator, SchemaError, validators
    from jsonschema_specifications import REGISTRY
    from referencing import Resource, jsonschema

    dialect = schema.get("$schema")
    validator = Draft202012Validator if dialect is None else None
    if isinstance(dialect, str):
        validator = validators.validator_for(schema, default=None)
    if validator is None or validator is Draft3Validator:
        raise _error(
            options,
            f"{place} has an unknown dialect: $schema is {dialect!r}",
            "Use https://json-schema.org/draft/2020-12/schema.",
        )

    try:
        validator.check_schema(schema)
        resource = Resource.from_contents(schema, default_specification=jsonschema.DRAFT202012)
        resolver = REGISTRY.with_resource("", resource).crawl().resolver_with_root(resource)
        outside = next(_dangling(resource, resolver, set()), None)
    except SchemaError as error:
        error_place = shown_place(error.absolute_path)
        raise _error(
            options,
            f"{place} is not a valid JSON Schema: {error_place}: {error.message}",
            "Correct the schema.",
        ) from None
    except RecursionError:
        raise _error(options, f"{place} is nested too deeply", "Write a flatter schema.") from None

    if outside is not None:
        raise _error(
            options,
            f"{place} refers to {outside!r}, which is not in the schema",
            "Put the referenced schema under $defs.",
            "Schemas are not fetched from the network or other files.",
        )

    extended = validators.extend(validator, {"uniqueItems": _unique_items})
    return extended(schema, registry=REGISTRY, format_checker=validator.FORMAT_CHECKER)


def _unique_items(
    validator: Any,
    unique: Any,
    instance: Any,
    schema: Any,  # noqa: ARG001
) -> Iterator[Any]:
    """Check uniqueItems in linear time; jsonschema takes quadratic time for lists of objects."""
    from jsonschema.exceptions import ValidationError

    if unique and validator.is_type(instance, "array"):
        keys = set(map(JsonRules().key, instance))
        if len(keys) < len(instance):
            yield ValidationError("contains an item twice")


def _dangling(resource: Any, resolver: Any, seen: set[int]) -> Iterator[str]:
    """Yield the unresolved references of a schema, its subschemas, and the schemas it refers to."""
    from referencing import exceptions, jsonschema

    if id(resource.contents) in seen or not isinstance(resource.contents, Mapping):
        return

    seen.add(id(resource.contents))

    for keyword in _REFERENCES:
        reference = resource.contents.get(keyword)
        if not isinstance(reference, str):
            continue
        try:
            resolved = resolver.lookup(reference)
        except exceptions.Unresolvable:
            yield reference
        else:
            target = resource.from_contents(resolved.contents, jsonschema.DRAFT202012)
            yield from _dangling(target, resolved.resolver, seen)

    for subresource in resource.subresources():
        yield from _dangling(subresource, resolver.in_subresource(subresource), seen)
