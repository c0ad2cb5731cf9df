"""Read JSON and JSON Lines strictly: reject texts that JSON readers do not agree about."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from sys import intern
from typing import Any, NoReturn

from pytest_ftgate.data.lines import Lines
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import excerpt, kind_of

MOST_NESTED = 100
"""Nesting levels of a portable value; far below the limit of Python's own JSON reader and writer."""

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
        return _portable(text, 0, whole=True)[0]
    value = _limited(_STRICT.decode, text)
    _refuse_deep(value, text)
    return value


def _portable(text: str, at: int, *, whole: bool = False) -> tuple[Any, int]:
    """Return the portable value at a place of a text, or of the ``whole`` text, and where it ends."""
    value, end = (
        (_limited(_PORTABLE.decode, text), len(text))
        if whole
        else _limited(_PORTABLE.raw_decode, text, at)
    )
    written = text[at:end]
    _refuse_deep(value, written)
    try:
        if "\\ud" in written or "\\uD" in written:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        cure = "correct the text: an emoji may have been cut in half"
        raise JsonError("half a surrogate pair, which is not a character", cure=cure) from None
    return value, end


def _refuse_deep(value: Any, written: str) -> None:
    """Raise :class:`JsonError` for a value of too many levels: what reads it recurses, and Python would stop it."""
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
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [
            child for one in level for child in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict[str, Any]()
    for key, value in pairs:
        if key in made:
            raise JsonError(
                "duplicate key in one object",
                where=Where(key=excerpt(key)),
                cure="keep one of the two",
            )
        made[intern(key)] = value  # saves memory: many rows have the same keys
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(
        f"{name} is not a JSON value", cure="write a number, or null for a missing value"
    )


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise JsonError(f"the number {excerpt(digits)} is too large", cure="write it as text")
    return number


_STRICT = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
_PORTABLE = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=_finite
)


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


# --- JSON Lines and JSON arrays
# --------------------------------------------------------------------------------------

_ROW = 'a row looks like this: {"input": "...", "expected": "..."}'
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


def _items(text: str, at: int, path: str) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line and the object of each item of the array that begins before ``at``."""
    line, counted, comma = 1, 0, False
    try:
        while (found := _SEPARATOR.match(text, at)) and found[1] != "]":
            if bool(found[1]) != comma:
                raise json.JSONDecodeError("Expecting ',' delimiter", text, found.start(1))
            line, counted, comma = line + text.count("\n", counted, found.end()), found.end(), True
            row, at = _portable(text, counted)
            if isinstance(row, dict):
                yield line, row
            else:
                what = f"a row must be a JSON object, got {kind_of(row)}"
                yield DataError(what, where=Where(path=path, line=line), cure=_ROW)
        if found and text[found.end() :]:
            raise json.JSONDecodeError("Extra data", text, found.end())
    except json.JSONDecodeError as error:
        raise _broken(text, error, path) from None
    except JsonError as error:
        raise located(error, Where(path=path, line=line)) from None


def _objects(
    rows: Iterable[str],
    lines: Lines,
) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line and the object of each row, which is read from ``lines``."""
    for row in rows:
        try:
            if row.strip():
                yield lines.number, parse_object(row)
        except DataError as error:
            yield located(error, Where(path=lines.path, line=lines.number))


def parse_object(text: str, *, looks: str = _ROW) -> dict[str, Any]:
    """Return the JSON object that a text consists of; ``looks`` is the cure if it is another value.

    Raise :class:`DataError` without file and line if it is not portable JSON.
    """
    try:
        row = parse_json(text, portable=True)
    except json.JSONDecodeError as error:
        raise _broken(text, error) from None
    if not isinstance(row, dict):
        found = f"found: {excerpt(text)}"
        raise DataError(
            f"a row must be a JSON object, got {kind_of(row)}", evidence=found, cure=looks
        )
    return row


def _broken(text: str, error: json.JSONDecodeError, path: str | None = None) -> DataError:
    """Return why a text is no JSON; ``path``: of a whole file, whose line is named."""
    what = f"invalid JSON: {error.msg} at column {error.colno if path else error.pos + 1}"
    place, cure = (
        Where(path, error.lineno),
        "write one complete JSON object per line, or one array of objects",
    )
    return DataError(
        what,
        where=place if path else None,
        evidence=f"found: {excerpt(text, error.pos)}",
        cure=cure,
    )
