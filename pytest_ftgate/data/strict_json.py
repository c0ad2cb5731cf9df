"""Read JSON and JSON Lines strictly: reject texts that JSON readers do not agree about."""

import ast
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from sys import intern
from typing import Any, NoReturn

from pytest_ftgate.data.lines import Lines
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import excerpt, kind_of

MOST_NESTED = 100
"""Nesting levels of a portable value; far below the limit of Python's own JSON reader and writer."""


class JsonError(ValueError):
    """A text is JSON for some readers only."""

    def __init__(
        self, what: str, *, key: str | None = None, evidence: str | None = None, cure: str | None = None
    ) -> None:
        super().__init__(what if key is None else f"{excerpt(key)}: {what}")
        self.what = what
        self.line: int | None = None
        self.key = key
        self.evidence = evidence
        self.cure = cure


def parse_json(text: str, *, portable: bool = False) -> Any:
    """Return the value of a JSON text (RFC 8259).

    ``portable``: also reject what other programs cannot read: numbers beyond the range of floats, half a surrogate
    pair, and more than ``MOST_NESTED`` levels. Raise :class:`json.JSONDecodeError` if the text is not JSON,
    :class:`JsonError` if it has NaN, an infinity, a duplicate key, or too many levels or digits for Python.
    """
    value = _decoded((_PORTABLE if portable else _STRICT).decode, text)
    if portable:
        _check_portable(text, value)
    return value


def _decoded(decode: Callable[..., Any], *args: Any) -> Any:
    try:
        return decode(*args)
    except (json.JSONDecodeError, JsonError):
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # Python's own limit on the digits of an integer
        raise JsonError("a number has too many digits", cure="write it as text") from None


def json_or(text: str, otherwise: Any = None) -> Any:
    """Return the value of a JSON text; ``otherwise`` if it is none."""
    try:
        return parse_json(text)
    except ValueError:
        return otherwise


def container_of(value: Any) -> Any:
    """Return an object or list, also of JSON text; None for other values."""
    if isinstance(value, str):
        value = json_or(value) if value.lstrip()[:1] in ("{", "[") else None
    return value if isinstance(value, dict | list) else None


def json_within(text: str) -> Iterator[tuple[int, int, Any]]:
    """Yield the objects and lists in a text with their places; a comma too many and Python's quotes are forgiven."""
    at, tries = 0, _MOST_TRIES
    while tries and (start := _CONTAINER.search(text, at)):
        at, tries = start.start(), tries - 1
        found = _container_at(text, at)
        if found is None:
            at += 1
        else:
            yield at, found[1], found[0]
            at = found[1]


_CONTAINER = re.compile(r"[{\[]")
_MOST_TRIES = 50
_LONGEST = 20_000
_COMMA_TOO_MANY = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])')


def _container_at(text: str, at: int) -> tuple[Any, int] | None:
    """Return the object or list that begins at a place of a text, and where it ends; None if there is none."""
    try:
        return _STRICT.raw_decode(text, at)
    except (ValueError, RecursionError):
        end = _end_of_container(text, at)
    if end is None:
        return None
    part = text[at:end]
    for read, loose in ((parse_json, _COMMA_TOO_MANY.sub(lambda one: one[1] or "", part)), (ast.literal_eval, part)):
        try:
            value = read(loose)
            json.dumps(value, allow_nan=False)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
        return (value, end) if isinstance(value, dict | list) else None
    return None


def _end_of_container(text: str, at: int) -> int | None:
    """Return where the brackets that open at a place are closed; None if they are not."""
    depth, quote = 0, ""
    for place, character in enumerate(text[at : at + _LONGEST], at):
        if quote:
            quote = "" if character == quote and text[place - 1] != "\\" else quote
        elif character in "\"'":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
            if not depth:
                return place + 1
    return None


def array_items(text: str, begin: int, *, within: bool = False) -> Iterator[tuple[int, Any]]:
    """Yield the line and the portable value of each item of the JSON array at a place of a text.

    The text ends with the array, or is one JSON value that the array is ``within``.
    """
    at, line = begin + 1, 1
    counted, first = 0, True
    while True:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] == "]":
            break
        if not first:
            if text[at : at + 1] != ",":
                raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
            at = _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, end = _decoded(_PORTABLE.raw_decode, text, at)
            _check_portable(text[at:end], value)
        except JsonError as error:
            error.line = line
            raise
        yield line, value
        at, first = end, False
    if within:
        parse_json(text)
    elif text[at + 1 :].strip():
        raise json.JSONDecodeError("Extra data", text, at + 1)


_SPACE = re.compile(r"[ \t\r\n]*")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = {intern(key): value for key, value in pairs}  # saves memory: many rows have the same keys
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise JsonError("duplicate key in one object", key=twice, cure="keep one of the two")
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not a JSON value", cure="write a number, or null for a missing value")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise JsonError(f"the number {excerpt(digits)} is too large", cure="write it as text")
    return number


_STRICT = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
_PORTABLE = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=_finite)


def _check_portable(text: str, value: Any) -> None:
    if text.count("[") + text.count("{") > MOST_NESTED and _depth(value) > MOST_NESTED:
        raise _too_deep()
    if "\\ud" not in text and "\\uD" not in text:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        escaped = error.object.encode("ascii", "backslashreplace").decode()
        raise JsonError(
            "half a surrogate pair, which is not a character",
            evidence=f"found: {excerpt(escaped, escaped.find(chr(92) + 'ud'))}",
            cure="correct the text: an emoji may have been cut in half",
        ) from None


def _too_deep() -> JsonError:
    return JsonError(f"the value is nested more than {MOST_NESTED} levels deep")


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [child for one in level for child in (one.values() if isinstance(one, dict) else one)]
    return depth


# --- JSON Lines and JSON arrays --------------------------------------------------------------------------------------

_ROW = 'a row looks like this: {"input": "...", "expected": "..."}'
_TEXT = r'"(?:\\.|[^"\\])*"'
_ARRAY = re.compile(rf'\s*(\{{(?:\s*{_TEXT}\s*:\s*(?:{_TEXT}|[^"\[\]{{}},]+),)*\s*"data"\s*:\s*)?(?=\[)')


def read_objects(lines: Lines) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line number and the object of each row, or why it could not be read; blank lines are not rows.

    A file has an object per line, or is an array of objects, which may be the value of "data" in one object, or has a
    list for each column.
    """
    found = _found(lines)
    first, second = next(found, None), None
    if isinstance(first, tuple) and (table := rows_of(first[1])) and (second := next(found, None)) is None:
        lines.text = ""
        yield from ((first[0], row) for row in table)
    else:
        yield from chain(filter(None, (first, second)), found)


def rows_of(columns: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows of a table that is given by columns: lists of values, or objects as pandas writes them."""
    lists = [[*one.values()] if isinstance(one, Mapping) and "0" in one else one for one in columns.values()]
    sizes = {len(one) if isinstance(one, list) else 0 for one in lists}
    if len(sizes) != 1 or max(sizes) < 2 or any(isinstance(one, Mapping) for values in lists for one in values):
        return None  # a conversation is a list of objects
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _found(lines: Lines) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    first = next((line for line in lines if line.strip()), "")
    number, ends = lines.number, first.rstrip().endswith("}")
    if first.lstrip().startswith("{") and ends and not _ARRAY.match(first):
        yield from _objects(chain([(number, first)], ((lines.number, text) for text in lines)), lines.path)
        return
    rest = "".join(lines)
    text, lines.text = "\n" * (number - 1) + first + rest, ""
    found = _ARRAY.match(text)
    if found is None and isinstance(json_or(text), dict):
        yield number, parse_object(text)
    elif found is None or (found[1] and ends and rest.strip()):  # several objects, each with the key "data"
        yield from _objects(enumerate(text.splitlines(keepends=True), 1), lines.path)
    else:
        yield from _items(text, found.end(), lines.path, within=bool(found[1]))


def _items(text: str, begin: int, path: str, *, within: bool) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line and the object of each item of the array that begins in a text, perhaps within an object."""
    try:
        for number, row in array_items(text, begin, within=within):
            if isinstance(row, dict):
                yield number, row
            else:
                what, place = f"a row must be a JSON object, got {kind_of(row)}", Where(path=path, line=number)
                yield DataError(what, where=place, cure=_ROW)
    except json.JSONDecodeError as error:
        what, evidence = f"invalid JSON: {error.msg} at column {error.colno}", f"found: {excerpt(text, error.pos)}"
        place, cure = Where(path=path, line=error.lineno), "the file must be one JSON array of objects"
        raise DataError(what, where=place, evidence=evidence, cure=cure) from None
    except JsonError as error:
        raise located(_portable(error), Where(path=path, line=error.line)) from None


def _objects(numbered: Iterable[tuple[int, str]], path: str) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    for number, line in numbered:
        try:
            if line.strip():
                yield number, parse_object(line)
        except DataError as error:
            yield located(error, Where(path=path, line=number))


def parse_object(text: str, *, looks: str = _ROW) -> dict[str, Any]:
    """Return the JSON object that a text consists of; ``looks`` is the cure if it is another value.

    Raise :class:`DataError` without file and line if it is not portable JSON.
    """
    try:
        row = parse_json(text, portable=True)
    except json.JSONDecodeError as error:
        raise _broken(text, error) from None
    except JsonError as error:
        raise _portable(error) from None
    if not isinstance(row, dict):
        found = f"found: {excerpt(text)}"
        raise DataError(f"a row must be a JSON object, got {kind_of(row)}", evidence=found, cure=looks)
    return row


def _portable(error: JsonError) -> DataError:
    where = None if error.key is None else Where(key=excerpt(error.key))
    return DataError(error.what, where=where, evidence=error.evidence, cure=error.cure)


def _broken(text: str, error: json.JSONDecodeError) -> DataError:
    rest = text.rstrip()
    # Only the last line of a file can lack a line feed: if it ends within an object, the file was cut off.
    if (
        not text.endswith("\n")
        and text.lstrip().startswith("{")
        and (not rest.endswith("}") or error.pos >= len(rest) or error.msg.startswith("Unterminated string"))
    ):
        what, at = "the last line is cut off within a JSON object", len(text)
        cure = "write the file again, or remove the line"
    else:
        what, at = f"invalid JSON: {error.msg} at column {error.pos + 1}", error.pos
        cure = "write one complete JSON object per line, or one array of objects"
        if "\r" in text.rstrip("\r\n"):
            cure = "the lines end in carriage returns only: end them with line feeds"
    return DataError(what, evidence=f"found: {excerpt(text, at)}", cure=cure)
