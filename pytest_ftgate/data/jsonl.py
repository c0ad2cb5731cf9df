"""Read JSON Lines strictly: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_ftgate.data.example import Example
from pytest_ftgate.data.lines import Lines
from pytest_ftgate.data.row import examples_of
from pytest_ftgate.data.strict_json import JsonError, parse_json
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import excerpt, kind_of

_ROW = 'a row looks like this: {"input": "...", "expected": "..."}'


def read_jsonl(
    lines: Lines, fields: Mapping[str, str], *, chat: bool | None, labeled: bool = True
) -> Iterator[Example | DataError]:
    """Yield the example, or the error, of each row; see :func:`~pytest_ftgate.data.row.examples_of`."""
    return examples_of(lines.path, read_objects(lines), fields, chat=chat, labeled=labeled)


def read_objects(lines: Lines) -> Iterator[tuple[int, dict[str, Any]] | DataError]:
    """Yield the line number and the object of each row, or why it could not be read; blank lines are not rows."""
    for text in lines:
        if not text.strip():
            continue
        try:
            yield lines.number, parse_object(text)
        except DataError as error:
            yield located(error, Where(path=lines.path, line=lines.number))


def parse_object(text: str, *, looks: str = _ROW) -> dict[str, Any]:
    """Return the JSON object that a text consists of; errors lack file and line.

    Args:
        text: one JSON object.
        looks: the cure if the text is another JSON value.

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
            cure = "the file looks like one JSON array: write each object on its own line"
        elif "\r" in text.rstrip("\r\n"):
            cure = "the lines end in carriage returns only: end them with line feeds"
    return DataError(what, evidence=f"found: {excerpt(text, at)}", cure=cure)
