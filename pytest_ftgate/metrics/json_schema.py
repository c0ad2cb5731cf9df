"""JSON Schemas by the package ``jsonschema``: checked before any call, and without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_ftgate.data.lines import read_text
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import ConfigError, DataError, shown_path
from pytest_ftgate.metrics.json_diff import shown_place
from pytest_ftgate.metrics.options import needed

if TYPE_CHECKING:
    from pytest_ftgate.metrics.options import Options

Broken: TypeAlias = tuple[str, str]
"""What counts together: the place with ``[*]`` for every position in a list, and the keyword; and what is wrong."""

_KEY = "json_schema"
_ERRORS_LOOKED_AT = 20
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


@dataclass(frozen=True)
class Schema:
    """A JSON Schema that is valid itself and refers to nothing outside of it; ``validator`` is of ``jsonschema``."""

    validator: Any

    def broken(self, value: Any) -> Broken | None:
        """Return what the value breaks, the most telling of the first twenty errors; None where it breaks nothing."""
        from jsonschema.exceptions import best_match

        try:
            error = best_match(islice(self.validator.iter_errors(value), _ERRORS_LOOKED_AT))
        except (RecursionError, ArithmeticError) as failure:  # a whole number beyond all floats, which is divided
            what = "nested too deeply" if isinstance(failure, RecursionError) else "a number beyond all floats"
            return f"$: {what}", what
        if error is None:
            return None
        place, kind = shown_place(error.absolute_path), shown_place(error.absolute_path, anywhere=True)
        return f"{kind}: {error.validator}", f"{place}: {error.message}"


def read_schema(options: Options) -> Schema | None:
    """Return the schema that ``json_schema`` names or holds; None where the option is absent.

    The dialect is what ``$schema`` says, else draft 2020-12. Formats are checked as far as ``jsonschema`` can here.
    Raise :class:`ConfigError` where it cannot be read, is no valid schema, or refers to something outside.
    """
    if _KEY not in options.spec.options:
        return None
    schema = options.spec.options[_KEY]
    place = ""
    if isinstance(schema, Path):
        place, schema = f" {shown_path(schema)}", _from_file(options, schema)
    if not isinstance(schema, Mapping) or not schema:
        found = "empty" if schema in ({}, [], "", None) else "no mapping"
        raise _error(options, f"{place} is {found}", "Write a JSON Schema as a mapping, or the path of its file.")
    needed(options, "jsonschema", extra="format", key=_KEY)
    return Schema(_validator(options, dict(schema), place))


def _error(options: Options, what: str, cure: str, evidence: str | None = None) -> ConfigError:
    return options.error(f"{_KEY}{what}", key=_KEY, evidence=evidence, cure=cure)


def _from_file(options: Options, path: Path) -> Any:
    try:
        return parse_json(read_text(path))
    except DataError as error:
        cure = error.cure or "Name the file of a JSON Schema."
        raise _error(options, f": {error.where}: {error.what}", cure, error.evidence) from None
    except ValueError as error:
        raise _error(options, f": {shown_path(path)} is not JSON: {error}", "Correct the file.") from None


def _validator(options: Options, schema: dict[str, Any], place: str) -> Any:
    from jsonschema import Draft3Validator, Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import extend, validator_for
    from jsonschema_specifications import REGISTRY

    dialect = schema.get("$schema")
    known = Draft202012Validator if dialect is None else None
    if isinstance(dialect, str):
        known = validator_for(schema, default=None)
    if known is None or known is Draft3Validator:
        what = f"{place} is of a dialect that is not known here: $schema is {dialect!r}"
        raise _error(options, what, "Use https://json-schema.org/draft/2020-12/schema.")
    try:
        known.check_schema(schema)
        outside = next(_unresolved(schema, REGISTRY), None)
    except SchemaError as error:
        what = f"{place} is no valid JSON Schema: {shown_place(error.absolute_path)}: {error.message}"
        raise _error(options, what, "Correct the schema.") from None
    except RecursionError:
        raise _error(options, f"{place} is nested too deeply", "Write a flatter schema.") from None
    if outside is not None:
        evidence = "Nothing is fetched from a network or another file."
        what = f"{place} refers to {outside!r}, which is not in it"
        raise _error(options, what, "Put what it refers to under $defs.", evidence)
    checked = extend(known, {"uniqueItems": _unique_items})
    return checked(schema, registry=REGISTRY, format_checker=known.FORMAT_CHECKER)


def _unresolved(schema: dict[str, Any], registry: Any) -> Iterator[str]:
    """Yield the references that lead to nothing in the schema itself or in the specifications of JSON Schema."""
    from referencing import Resource
    from referencing.jsonschema import DRAFT202012

    resource = Resource.from_contents(schema, default_specification=DRAFT202012)
    resolver = registry.with_resource("", resource).crawl().resolver_with_root(resource)
    yield from _dangling(resource, resolver, set())


def _dangling(resource: Any, resolver: Any, seen: set[int]) -> Iterator[str]:
    """Yield those of a schema, of the schemas in it, and of those that it refers to under any key."""
    from referencing import Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    if id(resource.contents) in seen or not isinstance(resource.contents, Mapping):
        return
    seen.add(id(resource.contents))
    for reference in (resource.contents.get(key) for key in _REFERENCES):
        if isinstance(reference, str):
            try:
                found = resolver.lookup(reference)
            except Unresolvable:
                yield reference
                continue
            target = Resource.from_contents(found.contents, default_specification=DRAFT202012)
            yield from _dangling(target, found.resolver, seen)
    for part in resource.subresources():
        yield from _dangling(part, resolver.in_subresource(part), seen)


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001
    """Check the keyword in linear time: as jsonschema has it, a long list of objects takes time by its square."""
    from jsonschema.exceptions import ValidationError

    if not unique or not validator.is_type(instance, "array"):
        return
    seen = set()
    for item in instance:
        key = _hashable(item)
        if key in seen:
            yield ValidationError("has an item twice")
            return
        seen.add(key)


def _hashable(value: Any) -> Any:
    """Return what is equal of equal JSON values: 1 is 1.0, and true is not 1."""
    if isinstance(value, dict):
        return "object", frozenset((key, _hashable(part)) for key, part in value.items())
    if isinstance(value, list):
        return "list", tuple(map(_hashable, value))
    return ("bool", value) if isinstance(value, bool) else value
