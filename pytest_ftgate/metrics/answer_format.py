"""The metric ``format``: whether answers have the required form; their content is not compared."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeAlias

from pytest_ftgate.data.lines import read_text
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import ConfigError, DataError, shown_path
from pytest_ftgate.metrics.json_values import JsonRules, shown_place
from pytest_ftgate.metrics.options import Options, needed, within_limit, without_fence
from pytest_ftgate.metrics.protocol import (
    LONGEST_NOTE,
    Answers,
    Breakdown,
    Metric,
    Scored,
    by_example,
)
from pytest_ftgate.text import LONGEST_SHOWN, cut, printable, shortened

Broken: TypeAlias = tuple[str, str]
"""The group of an error (place with ``[*]`` for list positions, and keyword), and its message."""

READS_EXPECTED = False
RULES = ("json_schema", "pattern", "allowed", "max_chars")
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
    of_form = True

    def score(self, expected: Sequence[Any], answers: Answers) -> Scored:
        """Measure the share of valid answers, and count the first rule that each other answer breaks."""
        broken = cache(self._broken)
        scored = by_example(self, expected, answers, lambda _, answer: broken(answer) is None)

        counts = Counter[str]()
        for repeat in answers:
            flaws = filter(None, map(broken, repeat))
            counts.update(cut(group) for group, _ in flaws)
        by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        rows = tuple((label, (count,)) for label, count in by_count)

        notes: list[str | None] = []
        for answer in answers[0]:
            flaw = broken(answer)
            notes.append(None if flaw is None else printable(flaw[1], LONGEST_NOTE))
        return replace(scored, notes=notes, breakdown=Breakdown("failing rule", ("answers",), rows))

    def has_form(self, answer: str) -> bool:
        return self._broken(answer) is None

    def broken_form(self, answer: str | None) -> str | None:
        broken = self._broken(answer)
        return None if broken is None else broken[1]

    def _broken(self, answer: str | None) -> Broken | None:
        """Return the first rule that an answer breaks, and how; None if it satisfies all."""
        text = "" if answer is None else answer.strip()
        if self.strip_code_fence:
            text = without_fence(text)
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
        quoted = repr(shortened(text, LONGEST_SHOWN))
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


def build(options: Options) -> Format:
    options.allow(*RULES, "strip_code_fence")
    if not any(rule in options.spec.options for rule in RULES):
        raise options.error(
            "format needs at least one rule", cure=f"Set one or more of {', '.join(RULES)}."
        )
    schema = read_schema(options)
    allowed = options.labels("allowed", "allowed answers")
    texts = None if allowed is None else frozenset(value.strip() for value in allowed)
    return Format(
        schema,
        options.pattern(),
        texts,
        options.count("max_chars"),
        options.flag("strip_code_fence"),
    )


# --- JSON Schema, which is checked before any call, without network access
# --------------------------------------------

_KEY = "json_schema"
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def first_error(validator: Any, value: Any) -> Broken | None:
    """Return the most relevant error of a value; None if it is valid."""
    from jsonschema.exceptions import best_match

    try:
        error = best_match(validator.iter_errors(value))
    except (
        RecursionError,
        ArithmeticError,
    ) as failure:  # an integer that is too large for a float is divided
        what = (
            "nested too deeply"
            if isinstance(failure, RecursionError)
            else "a number that is too large"
        )
        return f"$: {what}", what
    if error is None:
        return None
    place, kind = shown_place(error.absolute_path), shown_place(error.absolute_path, anywhere=True)
    return f"{kind}: {error.validator}", f"{place}: {error.message}"


def read_schema(options: Options) -> Any:
    """Return jsonschema's validator of the option ``json_schema``, a path or a mapping; None if the option is absent.

    The dialect is that of ``$schema``, by default draft 2020-12. External references are refused.
    """
    if _KEY not in options.spec.options:
        return None
    schema = options.spec.options[_KEY]
    place = ""
    if isinstance(schema, Path):
        place = f" {shown_path(schema)}"
        try:
            schema = parse_json(read_text(schema))
        except (DataError, ValueError) as error:
            what = error.what if isinstance(error, DataError) else f"not JSON: {error}"
            cure = getattr(error, "cure", None) or "Name a file that contains a JSON Schema."
            raise _error(options, f":{place}: {what}", cure) from None
    if not isinstance(schema, Mapping) or not schema:
        found = "empty" if schema in ({}, [], "", None) else "not a mapping"
        raise _error(
            options,
            f"{place} is {found}",
            "Write a JSON Schema as a mapping, or the path of its file.",
        )
    needed(options, "jsonschema", key=_KEY)
    return _validator(options, dict(schema), place)


def _error(options: Options, what: str, cure: str, evidence: str | None = None) -> ConfigError:
    return options.error(f"{_KEY}{what}", key=_KEY, evidence=evidence, cure=cure)


def _validator(options: Options, schema: dict[str, Any], place: str) -> Any:
    from jsonschema import Draft3Validator, Draft202012Validator, SchemaError, validators
    from jsonschema_specifications import REGISTRY
    from referencing import Resource, jsonschema

    dialect = schema.get("$schema")
    known = Draft202012Validator if dialect is None else None
    if isinstance(dialect, str):
        known = validators.validator_for(schema, default=None)
    if known is None or known is Draft3Validator:
        what = f"{place} has an unknown dialect: $schema is {dialect!r}"
        raise _error(options, what, "Use https://json-schema.org/draft/2020-12/schema.")
    try:
        known.check_schema(schema)
        resource = Resource.from_contents(schema, default_specification=jsonschema.DRAFT202012)
        resolver = REGISTRY.with_resource("", resource).crawl().resolver_with_root(resource)
        outside = next(_dangling(resource, resolver, set()), None)
    except SchemaError as error:
        what = f"{place} is not a valid JSON Schema: {shown_place(error.absolute_path)}: {error.message}"
        raise _error(options, what, "Correct the schema.") from None
    except RecursionError:
        raise _error(options, f"{place} is nested too deeply", "Write a flatter schema.") from None
    if outside is not None:
        evidence = "Schemas are not fetched from the network or other files."
        what = f"{place} refers to {outside!r}, which is not in the schema"
        raise _error(options, what, "Put the referenced schema under $defs.", evidence)
    extended = validators.extend(known, {"uniqueItems": _unique_items})
    return extended(schema, registry=REGISTRY, format_checker=known.FORMAT_CHECKER)


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001
    """Check uniqueItems in linear time; jsonschema takes quadratic time for lists of objects."""
    from jsonschema.exceptions import ValidationError

    if (
        unique
        and validator.is_type(instance, "array")
        and len(set(map(JsonRules().key, instance))) < len(instance)
    ):
        yield ValidationError("contains an item twice")


def _dangling(resource: Any, resolver: Any, seen: set[int]) -> Iterator[str]:
    """Yield the unresolved references of a schema, its subschemas, and the schemas it refers to."""
    from referencing import exceptions, jsonschema

    if id(resource.contents) in seen or not isinstance(resource.contents, Mapping):
        return
    seen.add(id(resource.contents))
    for reference in (resource.contents.get(key) for key in _REFERENCES):
        if isinstance(reference, str):
            try:
                found = resolver.lookup(reference)
            except exceptions.Unresolvable:
                yield reference
                continue
            yield from _dangling(
                resource.from_contents(found.contents, jsonschema.DRAFT202012), found.resolver, seen
            )
    for part in resource.subresources():
        yield from _dangling(part, resolver.in_subresource(part), seen)
