"""JSON Lines: one JSON object on each line, read strictly."""

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
) -> Iterator[tuple[int, Example]]:
    """Give each row's line and example; see :func:`~pytest_ftgate.data.row.examples_of`."""
    return examples_of(lines.path, read_objects(lines), fields, chat=chat, labeled=labeled)


def read_objects(lines: Lines) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give each row's line and object. A line of white space alone is not a row."""
    for text in lines:
        if not text.strip():
            continue
        try:
            yield lines.number, parse_object(text)
        except DataError as error:
            raise located(error, Where(path=lines.path, line=lines.number)) from None


def parse_object(text: str, *, looks: str = _ROW) -> dict[str, Any]:
    """Return the one JSON object of a text; ``looks`` is the cure for a value that is none.

    Errors lack file and line. Besides broken JSON, what JSON readers disagree about is refused: NaN, infinity, a key
    given twice, half a surrogate pair.
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
        raise DataError(f"a row must be a JSON object, is {kind_of(row)}", evidence=found, cure=looks)
    return row


def _broken(text: str, error: json.JSONDecodeError) -> DataError:
    rest = text.rstrip()
    # Only a file's last line can lack the line feed: where it ends within an object, the file was cut off.
    if (
        not text.endswith("\n")
        and text.lstrip().startswith("{")
        and (not rest.endswith("}") or error.pos >= len(rest) or error.msg.startswith("Unterminated string"))
    ):
        what, at = "the last line is cut off: its JSON object does not end", len(text)
        cure = "write the file anew, or remove the line"
    else:
        what, at = f"is not JSON: {error.msg} at column {error.pos + 1}", error.pos
        cure = "JSONL has one whole JSON object on each line"
        if text.lstrip().startswith("["):
            cure = "this looks like one JSON array: write each of its objects on a line of its own"
        elif "\r" in text.rstrip("\r\n"):
            cure = "the lines end in carriage returns alone: end them with line feeds"
    return DataError(what, evidence=f"found: {excerpt(text, at)}", cure=cure)
