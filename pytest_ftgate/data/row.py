"""Turn the rows of a data set, whatever its format, into examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_ftgate.data.columns import Columns, check_columns, is_chat
from pytest_ftgate.data.example import Example, Input, content_id
from pytest_ftgate.data.messages import checked_calls, checked_messages, split_conversation
from pytest_ftgate.errors import DataError, Where, located
from pytest_ftgate.text import kind_of, listed

_ABSENT: Any = object()


def examples_of(
    path: str,
    rows: Iterable[tuple[int, Mapping[str, Any]] | DataError],
    fields: Mapping[str, str],
    *,
    chat: bool | None,
    labeled: bool,
) -> Iterator[Example | DataError]:
    """Yield the example, or the error, of each row.

    Args:
        path: the file as messages show it.
        rows: line and values of each row, or why it could not be read.
        fields: what the file calls the parts of an example.
        chat: whether rows are conversations; None: as the first row is.
        labeled: every row must have an expected output.
    """
    columns = None if chat is None else Columns.of(fields, chat=chat, labeled=labeled)
    for found in rows:
        if isinstance(found, DataError):
            yield found
            continue
        line, row = found
        place = Where(path=path, line=line)
        try:
            columns = columns or Columns.of(fields, chat=is_chat(row, fields), labeled=labeled)
            yield example_from_row(row, columns, place)
        except DataError as error:
            yield located(error, place)


def example_from_row(row: Mapping[str, Any], columns: Columns, place: Where) -> Example:
    """Return the example in a row of JSON values; errors lack file and line."""
    check_columns(row, columns)
    column = columns.column
    if columns.chat:
        second = next((name for name in ("input", "expected") if name in row), None)
        if second is not None:
            raise DataError(
                f'the row has both "messages" and "{second}"',
                evidence=f"found: {listed(row)}",
                cure="remove one of them, or use the messages as input: format: jsonl, fields: {input: messages}",
            )
        given: Any
        expected: Any
        given, expected = split_conversation(row[column["messages"]], column["messages"])
    else:
        given = _checked_input(row[column["input"]], column["input"])
        expected = _checked_expected(row.get(column["expected"]), column["expected"], labeled=columns.labeled)
    return Example(
        id=_checked_id(row.get(column["id"], _ABSENT), column["id"], given),
        input=given,
        expected=expected,
        group=_checked_group(row.get(column["group"]), column["group"]),
        fields=columns.further_fields(row),
        place=place,
    )


def checked_example(parts: Mapping[str, Any], place: Where, *, labeled: bool) -> Example:
    """Return the example made of these five attributes, each of any JSON type; errors lack the place."""
    given = _checked_input(parts["input"], "input")
    if not isinstance(parts["fields"], dict):
        raise DataError(f"must be a mapping, got {kind_of(parts['fields'])}", where=Where(key="fields"))
    return Example(
        id=_checked_id(parts["id"], "id", given),
        input=given,
        expected=_checked_expected(parts["expected"], "expected", labeled=labeled),
        group=_checked_group(parts["group"], "group"),
        fields=parts["fields"],
        place=place,
    )


def _checked_input(value: Any, key: str) -> Input:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return checked_messages(value, key)
    raise DataError(f"must be text or a list of messages, got {kind_of(value)}", where=Where(key=key))


def _checked_expected(value: Any, key: str, *, labeled: bool) -> Any:
    if value is None and labeled:
        cure = 'write the output, or "" if the output should be empty'
        raise DataError("the expected output is null", where=Where(key=key), cure=cure)
    if isinstance(value, list) and value and all(isinstance(one, dict) and "function" in one for one in value):
        return checked_calls(value, key)
    return "" if value is None else value


def _checked_id(value: Any, key: str, given: Input) -> str:
    if value is _ABSENT:
        return content_id(given)
    text = _text_of(value, key)
    if not text.strip():
        cure = "write an id, or remove the ids from all rows: they are then made from the inputs"
        raise DataError("the id is blank", where=Where(key=key), cure=cure)
    return text


def _checked_group(value: Any, key: str) -> str | None:
    """Return the group; None where it is absent or blank."""
    text = None if value is None else _text_of(value, key)
    return text if text and text.strip() else None


def _text_of(value: Any, key: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"must be text or an integer, got {kind_of(value)}", where=Where(key=key))
