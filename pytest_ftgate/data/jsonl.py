"""Read JSON Lines and JSON arrays strictly."""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from pytest_ftgate.data.lines import Lines
from pytest_ftgate.data.strict_json import JsonError, array_items, parse_json
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import excerpt, kind_of

_ROW = 'a row looks like this: {"input": "...", "expected": "..."}'
_TEXT = r'"(?:\\.|[^"\\])*"'
_ARRAY = re.compile(rf'\s*(\{{(?:\s*{_TEXT}\s*:\s*(?:{_TEXT}|[^"\[\]{{}},]+),)*\s*"data"\s*:\s*)?(?=\[)')


def read_objects(lines: Lines) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line number and the object of each row, or why it could not be read; blank lines are not rows.

    A file has an object per line, or is an array of objects, which may be the value of "data" in one object.
    """
    first = next((line for line in lines if line.strip()), "")
    number, ends = lines.number, first.rstrip().endswith("}")
    if first.lstrip().startswith("{") and ends and not _ARRAY.match(first):
        yield from _objects(chain([(number, first)], ((lines.number, text) for text in lines)), lines.path)
        return
    rest = "".join(lines)
    text, lines.text = "\n" * (number - 1) + first + rest, ""
    found = _ARRAY.match(text)
    if found is None or (found[1] and ends and rest.strip()):  # several objects, each with the key "data"
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
