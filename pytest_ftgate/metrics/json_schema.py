"""JSON Schema validation with ``jsonschema``; schemas are checked before any call, without network access."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from pytest_ftgate.data.lines import read_text
from pytest_ftgate.data.strict_json import parse_json
from pytest_ftgate.errors import ConfigError, DataError, shown_path
from pytest_ftgate.metrics.json_values import JsonRules, shown_place
from pytest_ftgate.metrics.options import Options, needed

Broken: TypeAlias = tuple[str, str]
"""The group of an error (place with ``[*]`` for list positions, and keyword), and its message."""

_KEY = "json_schema"
_ERRORS_LOOKED_AT = 20
_AS_WRITTEN = JsonRules()
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def first_error(validator: Any, value: Any) -> Broken | None:
    """Return the most relevant of the first twenty errors of a value; None if it is valid."""
    from jsonschema.exceptions import best_match

    try:
        error = best_match(islice(validator.iter_errors(value), _ERRORS_LOOKED_AT))
    except (RecursionError, ArithmeticError) as failure:  # an integer that is too large for a float is divided
        what = "nested too deeply" if isinstance(failure, RecursionError) else "a number that is too large"
        return f"$: {what}", what
    if error is None:
        return None
    place, kind = shown_place(error.absolute_path), shown_place(error.absolute_path, anywhere=True)
    return f"{kind}: {error.validator}", f"{place}: {error.message}"


def breaks_schema(schema: Any, value: Any) -> bool:
    """Return whether a value breaks a schema that is used as it was found; without ``jsonschema`` nothing does.

    A schema that is not valid, or that refers to another one, says nothing of a value.
    """
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import validator_for
        from jsonschema_specifications import REGISTRY
    except ImportError:
        return False
    if not isinstance(schema, Mapping):
        return False
    try:
        return not validator_for(schema, default=Draft202012Validator)(schema, registry=REGISTRY).is_valid(value)
    except Exception:  # the schema comes from data, and jsonschema raises what its parts raise
        return False


def read_schema(options: Options) -> Any:
    """Return jsonschema's validator of the option ``json_schema``, a path or a mapping; None if the option is absent.

    The dialect is that of ``$schema``, by default draft 2020-12. External references are refused.
    """
    if _KEY not in options.spec.options:
        return None
    schema = options.spec.options[_KEY]
    place = ""
    if isinstance(schema, Path):
        place, schema = f" {shown_path(schema)}", _from_file(options, schema)
    if not isinstance(schema, Mapping) or not schema:
        found = "empty" if schema in ({}, [], "", None) else "not a mapping"
        raise _error(options, f"{place} is {found}", "Write a JSON Schema as a mapping, or the path of its file.")
    needed(options, "jsonschema", extra="format", key=_KEY)
    return _validator(options, dict(schema), place)


def _error(options: Options, what: str, cure: str, evidence: str | None = None) -> ConfigError:
    return options.error(f"{_KEY}{what}", key=_KEY, evidence=evidence, cure=cure)


def _from_file(options: Options, path: Path) -> Any:
    try:
        return parse_json(read_text(path))
    except DataError as error:
        cure = error.cure or "Name a file that contains a JSON Schema."
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
        what = f"{place} has an unknown dialect: $schema is {dialect!r}"
        raise _error(options, what, "Use https://json-schema.org/draft/2020-12/schema.")
    try:
        known.check_schema(schema)
        resource = _resource(schema)
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
    checked = extend(known, {"uniqueItems": _unique_items})
    return checked(schema, registry=REGISTRY, format_checker=known.FORMAT_CHECKER)


def _resource(schema: Any) -> Any:
    from referencing import Resource
    from referencing.jsonschema import DRAFT202012

    return Resource.from_contents(schema, default_specification=DRAFT202012)


def _dangling(resource: Any, resolver: Any, seen: set[int]) -> Iterator[str]:
    """Yield the unresolved references of a schema, its subschemas, and the schemas it refers to."""
    from referencing.exceptions import Unresolvable

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
            yield from _dangling(_resource(found.contents), found.resolver, seen)
    for part in resource.subresources():
        yield from _dangling(part, resolver.in_subresource(part), seen)


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[Any]:  # noqa: ARG001
    """Check uniqueItems in linear time; jsonschema takes quadratic time for lists of objects."""
    from jsonschema.exceptions import ValidationError

    if not unique or not validator.is_type(instance, "array"):
        return
    seen = set()
    for item in instance:
        key = _AS_WRITTEN.key(item)
        if key in seen:
            yield ValidationError("contains an item twice")
            return
        seen.add(key)
