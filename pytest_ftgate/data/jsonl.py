"""Read JSON Lines strictly: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pytest_ftgate.data.lines import Lines
from pytest_ftgate.data.strict_json import JsonError, array_items, parse_json
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import excerpt, kind_of

_ROW = 'a row looks like this: {"input": "...", "expected": "..."}'


def read_objects(lines: Lines) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line number and the object of each row, or why it could not be read; blank lines are not rows."""
    for text in lines:
        if not text.strip():
            continue
        try:
            yield lines.number, parse_object(text)
        except DataError as error:
            yield located(error, Where(path=lines.path, line=lines.number))


def read_array(lines: Lines) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line and the object of each item of a JSON array; a file that begins with an object is JSON Lines."""
    text = "".join(lines)
    if not text.lstrip().startswith("["):
        yield from _objects(lines.path, text)
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


def _objects(path: str, text: str) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    found = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
    for first, (number, line) in enumerate(found):
        try:
            yield number, parse_object(line)
        except DataError as error:
            if not first:
                cure = "the file must be one JSON array of objects, or have one object per line"
                error = DataError(error.what, **error.parts(cure=cure))
            yield located(error, Where(path=path, line=number))


def parse_object(text: str, *, looks: str = _ROW) -> dict[str, Any]:
    """Return the JSON object that a text consists of; errors lack file and line.

    ``looks`` is the cure if the text is another JSON value.

    Raises:
        DataError: the text is not JSON, not an object, or not portable: see
            :func:`~pytest_ftgate.data.strict_json.parse_json`.
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
