"""Read JSON Lines strictly: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pytest_ftgate.data.lines import Lines
from pytest_ftgate.data.strict_json import JsonError, array_items, parse_json
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import excerpt, kind_of

_ROW = 'a row looks like this: {"input": "...", "expected": "..."}'


def read_objects(lines: Lines) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line number and the object of each row, or why it could not be read; blank lines are not rows."""
    return _objects(((lines.number, text) for text in lines), lines.path)


def read_array(lines: Lines) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line and the object of each item of a JSON array; a file that begins with an object is JSON Lines."""
    text = "".join(lines)
    if not text.lstrip().startswith("["):
        cure = "the file must be one JSON array of objects, or have one object per line"
        yield from _objects(enumerate(text.split("\n"), 1), lines.path, cure)
        return
    number = 1
    try:
        for number, row in array_items(text):
            if isinstance(row, dict):
                yield number, row
            else:
                what, place = f"a row must be a JSON object, got {kind_of(row)}", Where(path=lines.path, line=number)
                yield DataError(what, where=place, cure=_ROW)
    except json.JSONDecodeError as error:
        what, found = f"invalid JSON: {error.msg} at column {error.colno}", f"found: {excerpt(text, error.pos)}"
        place = Where(path=lines.path, line=error.lineno)
        raise DataError(what, where=place, evidence=found, cure="the file must be one JSON array of objects") from None
    except (JsonError, RecursionError) as error:
        place = Where(path=lines.path, line=number, key=getattr(error, "key", None))
        raise DataError(
            f"{getattr(error, 'what', error)}, in the item that begins here or the next", where=place
        ) from None


def _objects(
    numbered: Iterable[tuple[int, str]], path: str, cure: str | None = None
) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the rows of numbered lines; ``cure`` is that of an error in the first row."""
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            yield number, parse_object(line)
        except DataError as error:
            error = DataError(error.what, **error.parts(cure=cure)) if cure else error
            yield located(error, Where(path=path, line=number))
        cure = None


def parse_object(text: str, *, looks: str = _ROW) -> dict[str, Any]:
    """Return the JSON object that a text consists of; ``looks`` is the cure if it is another value.

    Raise :class:`DataError` without file and line if it is not portable JSON.
    """
    try:
        row = parse_json(text, portable=True)
    except json.JSONDecodeError as error:
        raise _broken(text, error) from None
    except JsonError as error:
        where = None if error.key is None else Where(key=excerpt(error.key))
        raise DataError(error.what, where=where, evidence=error.evidence, cure=error.cure) from None
    if not isinstance(row, dict):
        found = f"found: {excerpt(text)}"
        raise DataError(f"a row must be a JSON object, got {kind_of(row)}", evidence=found, cure=looks)
    return row


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
        cure = "a JSONL file has one complete JSON object per line"
        if text.lstrip().startswith("["):
            cure = "the file looks like one JSON array: name it .json, or add format: json"
        elif "\r" in text.rstrip("\r\n"):
            cure = "the lines end in carriage returns only: end them with line feeds"
    return DataError(what, evidence=f"found: {excerpt(text, at)}", cure=cure)
