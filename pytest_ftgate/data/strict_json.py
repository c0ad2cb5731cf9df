"""Read JSON and JSON Lines strictly: reject texts that JSON readers do not agree about."""

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
"""Nesting levels of a portable value.

Far below the limit of Python's own JSON reader and writer.
"""

_TOO_DEEP = f"the value is nested more than {MOST_NESTED} levels deep"


class JsonError(DataError, ValueError):
    """A text is JSON for some readers only."""


def parse_json(text: str, *, portable: bool = False) -> Any:
    """Return the value of a JSON text (RFC 8259).

    ``portable``: also reject what other programs cannot read: numbers beyond the range of floats,
    and half a surrogate pair. Raise :class:`json.JSONDecodeError` if the text is not JSON,
    :class:`JsonError` if it has NaN, an infinity, a duplicate key, more than ``MOST_NESTED``
    levels, or too many digits for Python.
    """
    if portable:
        value = _limited(_PORTABLE.decode, text)
        _refuse_unportable(value, text)
    else:
        value = _limited(_STRICT.decode, text)
        _refuse_deep(value, text)
    return value


def _portable_at(text: str, start: int) -> tuple[Any, int]:
    """Return the portable value that begins at a place of a text, and where it ends."""
    value, end = _limited(_PORTABLE.raw_decode, text, start)
    _refuse_unportable(value, text[start:end])
    return value, end


def _refuse_unportable(value: Any, written: str) -> None:
    """Raise :class:`JsonError` for too many levels, and for half a surrogate pair."""
    _refuse_deep(value, written)
    if "\\ud" not in written and "\\uD" not in written:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        cure = "correct the text: an emoji may have been cut in half"
        raise JsonError("half a surrogate pair, which is not a character", cure=cure) from None


def _refuse_deep(value: Any, written: str) -> None:
    """Raise :class:`JsonError` for a value of too many levels, at which Python stops recursion."""
    if written.count("[") + written.count("{") > MOST_NESTED and _depth(value) > MOST_NESTED:
        raise JsonError(_TOO_DEEP)


def _limited(decode: Callable[..., Any], *args: Any) -> Any:
    """Return what a decoder reads.

    Raise as :class:`JsonError` what exceeds Python's limits on levels and digits.
    """
    try:
        return decode(*args)
    except (json.JSONDecodeError, JsonError):
        raise
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    except ValueError:
        raise JsonError("a number has too many digits", cure="write it as text") from None


def _depth(value: Any) -> int:
    depth = 0
    level = [value]
    while True:
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return depth
        depth += 1
        level = []
        for container in containers:
            level += container.values() if isinstance(container, dict) else container


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            where = Where(key=excerpt(key))
            raise JsonError("duplicate key in one object", where=where, cure="keep one of the two")
        values[intern(key)] = value  # saves memory: many rows have the same keys
    return values


def _refuse_constant(name: str) -> NoReturn:
    cure = "write a number, or null for a missing value"
    raise JsonError(f"{name} is not a JSON value", cure=cure)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise JsonError(f"the number {excerpt(digits)} is too large", cure="write it as text")
    return number


_STRICT = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
_PORTABLE = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=_finite
)
_DOCUMENT = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=lambda _: None)


def json_or(text: str, otherwise: Any = None) -> Any:
    """Return the value of a JSON text; ``otherwise`` if it is none."""
    try:
        return parse_json(text)
    except ValueError:
        return otherwise


def object_of(value: object) -> Mapping[str, Any]:
    """Return untrusted JSON data as an object; an empty one if it is not one."""
    return value if isinstance(value, Mapping) else {}


def items_of(value: Any) -> list[Any]:
    """Return a list as it is, and a list with any other value."""
    return value if isinstance(value, list) else [value]


def container_of(value: Any) -> Any:
    """Return an object or list, also of JSON text; None for other values."""
    if isinstance(value, str):
        value = json_or(value) if value.lstrip()[:1] in ("{", "[") else None
    return value if isinstance(value, dict | list) else None


# --- JSON Lines and JSON arrays -------------------------------------------------------------------

_ROW = 'a row looks like this: {"input": "...", "expected": "..."}'
_TEXT = r'"([^"\\\x00-\x1f]*)"'
_TWO_TEXTS = re.compile(rf"\{{{_TEXT}: *{_TEXT}, *{_TEXT}: *{_TEXT}\}}\s*")
"""An object of two texts without an escape, as most rows are: it is read without a parser."""

_SEPARATOR = re.compile(r"[ \t\r\n]*([,\]]?)[ \t\r\n]*")


def read_objects(lines: Lines) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line number and the object of each row, or why it could not be read.

    Blank lines are not rows. A file has an object per line, or is one array of objects.
    """
    first = ""
    for first in lines:
        if not first.isspace():
            break

    if first.lstrip().startswith("["):
        blank_lines = "\n" * (lines.number - 1)
        text = "".join([blank_lines, first, *lines])
        yield from _items(text, text.index("[") + 1, lines.path)
    else:
        yield from _objects(chain([first], lines), lines)


def read_document(lines: Lines) -> Mapping[str, Any] | None:
    """Return the object that a whole file is; None for a file of rows.

    NaN is null: other tools write scores so.
    """
    first = next((line for line in lines if not line.isspace()), "")
    if not first.lstrip().startswith("{"):
        return None

    text = "".join([first, *lines])
    try:
        document: dict[str, Any] = _limited(_DOCUMENT.decode, text)
        _refuse_unportable(document, text)
    except json.JSONDecodeError:  # one object a line; or the error is said of its line
        return None
    except JsonError as error:
        raise located(error, Where(path=lines.path)) from None
    return document


def _items(text: str, position: int, path: str) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line and the object of each item of the array that begins before ``position``."""
    line = 1
    counted = 0  # up to where line feeds are counted
    is_first = True
    try:
        while True:
            # Python's reader does not tell the line of an item, so the items are read one by one.
            separator = _SEPARATOR.match(text, position)
            assert separator is not None
            if separator[1] == "]":
                break
            if (separator[1] == ",") is is_first:
                raise json.JSONDecodeError("Expecting ',' delimiter", text, separator.start(1))
            is_first = False

            # Each line feed is counted once: the whole file takes linear time.
            line += text.count("\n", counted, separator.end())
            counted = separator.end()
            row, position = _portable_at(text, counted)
            if isinstance(row, dict):
                yield line, row
            else:
                yield _no_object(row, where=Where(path=path, line=line))
        if text[separator.end() :]:
            raise json.JSONDecodeError("Extra data", text, separator.end())
    except json.JSONDecodeError as error:
        raise _broken(text, error, path) from None
    except JsonError as error:
        raise located(error, Where(path=path, line=line)) from None


def _objects(rows: Iterable[str], lines: Lines) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line and the object of each row, which is read from ``lines``."""
    for row in rows:
        pair = _TWO_TEXTS.fullmatch(row)
        if pair is not None and pair[1] != pair[3]:
            yield lines.number, {intern(pair[1]): pair[2], intern(pair[3]): pair[4]}
            continue
        try:
            if row.strip():
                yield lines.number, parse_object(row)
        except DataError as error:
            yield located(error, Where(path=lines.path, line=lines.number))


def parse_object(text: str, *, cure: str = _ROW) -> dict[str, Any]:
    """Return the JSON object that a text consists of; ``cure`` is said if it is another value.

    Raise :class:`DataError` without file and line if it is not portable JSON.
    """
    try:
        row = parse_json(text, portable=True)
    except json.JSONDecodeError as error:
        raise _broken(text, error) from None
    if not isinstance(row, dict):
        raise _no_object(row, evidence=f"found: {excerpt(text)}", cure=cure)
    return row


def _no_object(row: Any, cure: str = _ROW, **facts: Any) -> DataError:
    return DataError(f"a row must be a JSON object, got {kind_of(row)}", cure=cure, **facts)


def _broken(text: str, error: json.JSONDecodeError, path: str | None = None) -> DataError:
    """Return why a text is no JSON; ``path``: of a whole file, whose line is named."""
    column = error.pos + 1
    where = None
    if path is not None:
        column = error.colno
        where = Where(path, error.lineno)

    # Some of Python's messages end with the word before the column.
    message = f"invalid JSON: {error.msg.removesuffix(' at')} at column {column}"
    if error.msg.startswith("Unterminated string"):
        message += "; a quote is missing, or the text is cut off"
    return DataError(
        message,
        where=where,
        evidence=f"found: {excerpt(text, error.pos)}",
        cure="write one complete JSON object per line, or one array of objects",
    )
